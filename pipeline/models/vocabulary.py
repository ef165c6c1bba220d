"""A word-level tokenizer for the embedded profile, made from the training text with `tokenizers`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS, UNKNOWN, IMAGE, USER, ASSISTANT = (
    "<pad>", "<s>", "</s>", "<unk>", "<image>", "<user>", "<assistant>",
)  # fmt: skip
SPECIAL = (PAD, BOS, EOS, UNKNOWN, IMAGE, USER, ASSISTANT)

# One turn of each, in the order in which a conversation has them; the image comes before everything.
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{%- for message in messages -%}"
    "{%- if message['content'] is not string -%}"
    "{%- for part in message['content'] if part['type'] == 'image' -%}<image>{%- endfor -%}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- for message in messages -%}"
    "{{ '<' + message['role'] + '>' }}"
    "{%- if message['content'] is string -%}{{ message['content'] }}"
    "{%- else -%}"
    "{%- for part in message['content'] if part['type'] == 'text' -%}{{ part['text'] }}{%- endfor -%}"
    "{%- endif -%}"
    "{%- if message['role'] == 'assistant' -%}{{ eos_token }}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}<assistant>{%- endif -%}"
)


def build(texts: Iterable[str], words: Sequence[str] = (), add_eos: bool = False) -> PreTrainedTokenizerFast:
    """A lower-casing tokenizer with one token a word or punctuation mark of ``texts``.

    Args:
        texts: what the vocabulary is taken from.
        words: further words that are one token each, such as those of box coordinates.
        add_eos: whether encoding ends with ``</s>`` (as a CLIP text tower needs) or is left bare.

    Ids depend on the set of words alone: special tokens first, then ``words``, then the rest by the alphabet.
    """
    normaliser = normalizers.Lowercase()
    splitter = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation(behavior="isolated")]
    )
    seen: set[str] = set()
    for text in texts:
        seen.update(piece for piece, _ in splitter.pre_tokenize_str(normaliser.normalize_str(text)))
    ordered = [*SPECIAL, *words, *sorted(seen - set(SPECIAL) - set(words))]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(ordered)}, UNKNOWN))
    tokenizer.normalizer = normaliser
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(list(SPECIAL))
    # A space before such a word is no token of its own.
    tokenizer.add_tokens([AddedToken(word, lstrip=True) for word in words])
    if add_eos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {EOS}", special_tokens=[(EOS, SPECIAL.index(EOS))]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
        additional_special_tokens=[IMAGE, USER, ASSISTANT],
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast
