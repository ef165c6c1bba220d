"""How a chat template is taken apart around the image and the two texts."""

from __future__ import annotations

import pytest

from pipeline.errors import UserError
from pipeline.models.chat import ChatFormat, encode
from pipeline.models.vocabulary import IMAGE

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}"
)
VICUNA = (
    "{{ 'Be kind. ' }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ 'USER: ' }}{{ message['content'] }}{{ ' ASSISTANT: ' }}"
    "{% else %}{{ message['content'] }}{{ '</s>' }}{% endif %}{% endfor %}"
)


def with_template(tokenizer, template):
    import copy

    other = copy.deepcopy(tokenizer)
    other.chat_template = template
    return other


def test_the_template_of_the_embedded_profile(words):
    chat = ChatFormat.of(words, IMAGE)
    assert chat == ChatFormat(
        "<s>", "<user>", "<assistant>", "", "</s>", "<image>", ("<assistant>", "</s>", "<user>")
    )
    assert chat.prompt("what colour ?") == "<user>what colour ?<assistant>"
    assert chat.caption_prompt() == "<assistant>"
    assert chat.answer("red") == "red</s>"


def test_the_parts_put_together_are_what_the_template_renders(words):
    chat = ChatFormat.of(words, IMAGE)
    user = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what colour ?"}]}
    assistant = {"role": "assistant", "content": [{"type": "text", "text": "red"}]}
    rendered = words.apply_chat_template([user, assistant], tokenize=False)
    assert rendered == "<s><image><user>what colour ?<assistant>red</s>"
    assert chat.before_image + chat.image + chat.prompt("what colour ?") + chat.answer("red") == rendered


def test_text_encoded_in_parts_is_the_text_encoded_whole(words):
    chat = ChatFormat.of(words, IMAGE)
    parts = [chat.before_image, chat.image, chat.prompt("What colour is the cup?"), chat.answer("a red cup.")]
    together = [token for ids in encode(words, parts) for token in ids]
    assert together == encode(words, ["".join(parts)])[0]


def test_the_prompt_is_what_a_generation_prompt_renders(words):
    chat = ChatFormat.of(words, IMAGE)
    user = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what ?"}]}
    rendered = words.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
    assert chat.before_image + chat.image + chat.prompt("what ?") == rendered


@pytest.mark.parametrize(
    ("template", "parts"),
    [
        (CHATML, ("<|im_start|>user\n", "", "<|im_end|>\n<|im_start|>assistant\n", "", "<|im_end|>\n</s>")),
        (VICUNA, ("Be kind. USER: ", "", " ASSISTANT: ", "", "</s>")),
    ],
    ids=["chatml", "vicuna"],
)
def test_a_template_for_text_alone_gets_the_image_where_the_user_starts(words, template, parts):
    chat = ChatFormat.of(with_template(words, template), IMAGE)
    assert (*parts, IMAGE) == (
        chat.before_image, chat.before_user, chat.before_assistant, chat.before_answer, chat.after_assistant,
        chat.image,
    )  # fmt: skip


def test_a_template_that_leaves_a_text_out_is_refused(words):
    template = "{{ messages[0]['content'] }}"
    with pytest.raises(UserError, match="chat template"):
        ChatFormat.of(with_template(words, template), IMAGE)


def test_nothing_to_encode_is_nothing(words):
    assert encode(words, []) == []
