"""How a tokenizer's chat template splits a conversation: what stands before the image, and each turn's parts.

Everything up to and including the image is the *prefix*, which all turns about an image share. What follows,
user and assistant in turn, is read from the template itself, so any template with an image first will do: one
that knows images, or one for text alone, whose user turn the image then opens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import TemplateError

from pipeline.errors import UserError

# Characters that no text holds mark where the template puts the texts.
_USER, _ASSISTANT = "\ue001", "\ue002"
# Templates that tell the date are told this one (Llama 3.2's own default): training must not hang on a clock.
_DATE = "26 Jul 2024"


@dataclass(frozen=True)
class ChatFormat:
    """The template's fixed texts for turns of user and assistant behind an image."""

    before_image: str
    before_user: str
    before_assistant: str
    """What a prompt ends with: the template's generation prompt."""
    before_answer: str
    """What the template puts between the prompt and the answer, such as a space; learned with the answer."""
    after_assistant: str
    image: str
    earlier: tuple[str, str, str] | None = None
    """Of turns that others follow: from the user's text to the answer, the answer's ending, and from there to
    the next user's text. None where the template holds one turn only, or lets turns depend on each other."""

    @classmethod
    def of(cls, tokenizer, image_token: str) -> ChatFormat:
        """Read the fixed texts off a tokenizer's chat template.

        Raises:
            UserError: there is no template, it puts something between that depends on the texts, or the
                image does not come first.
        """
        if not tokenizer.chat_template:
            raise UserError(
                "language_model: the tokenizer has no chat template. Name one: "
                "language_model.pretrained.chat_template: vicuna, chatml or a Jinja file"
            )
        rendered = _render(tokenizer, image_token, 1)
        try:
            before_image, rest = rendered.split(image_token)
            before_user, rest = rest.split(_USER)
            whole, after = rest.split(_ASSISTANT)
        except ValueError as error:
            raise UserError(
                f"language_model: the chat template does not hold one {image_token}, one user and "
                f"one assistant turn in order (it gave {rendered!r}); give the tokenizer one that does"
            ) from error
        asked = _render(tokenizer, image_token, 1, until_answer=True, prompt=True)
        opening = asked.partition(_USER)[2]
        if asked == _render(tokenizer, image_token, 1, until_answer=True) or not whole.startswith(opening):
            opening = whole  # the template has no generation prompt of its own, or another one
        ending = after
        if not any(token in after for token in special_tokens(tokenizer)):
            after += tokenizer.eos_token or ""  # or the model would never learn to stop
        return cls(
            before_image,
            before_user,
            opening,
            whole.removeprefix(opening),
            after,
            image_token,
            _earlier(_render(tokenizer, image_token, 3), f"{before_image}{image_token}{before_user}", ending),
        )

    def prompt(self, user: str) -> str:
        """What stands between the image and the assistant's answer."""
        return f"{self.before_user}{user}{self.before_assistant}"

    def asked(self, texts: Sequence[str]) -> str:
        """What stands between the image and the answer to a user's last text, behind earlier turns if any.

        Args:
            texts: what user and assistant said in turn, the user first and last.

        Raises:
            UserError: there are several turns and the template does not put them one after the other.
        """
        return "".join(self.dialogue([*texts, ""])[:-1])

    def caption_prompt(self) -> str:
        """What stands between image and caption in pre-training: the assistant's opening, no question."""
        return self.before_assistant

    def answer(self, assistant: str) -> str:
        """The assistant's text with the template's ending: what is learned."""
        return f"{self.before_answer}{assistant}{self.after_assistant}"

    def dialogue(self, texts: Sequence[str]) -> list[str]:
        """A conversation of user's and assistant's texts in turn, as prompt, answer, prompt, answer, ...

        Joined they are what the template renders behind the image.

        Raises:
            UserError: there are several turns and the template does not put them one after the other.
        """
        pieces: list[str] = []
        lead = self.before_user
        for place in range(0, len(texts) - 2, 2):
            if self.earlier is None:
                raise UserError(
                    "language_model: the chat template does not put several turns behind one image one after "
                    "the other: train on single ones (source.llava.turns: pairs), or give it one that does"
                )
            opening, ending, following = self.earlier
            joint = self.before_assistant + self.before_answer
            space = self.before_answer if opening == joint else ""
            pieces += [
                lead + texts[place] + opening.removesuffix(space),
                space + texts[place + 1] + ending,
            ]
            lead = following
        return [*pieces, f"{lead}{texts[-2]}{self.before_assistant}", self.answer(texts[-1])]


def special_tokens(tokenizer) -> set[str]:
    """Every token of a tokenizer that is no text, named or merely added."""
    added = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    return added | set(tokenizer.all_special_tokens)


def encode(tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, nothing added."""
    return tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []


def encode_parts(
    tokenizer, parts: Sequence[Sequence[str]], lead: str = ""
) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids of texts given in parts, and of each token the number of its part.

    The parts of a text are tokenised as one, as they will be read: a tokenizer may make another token of a
    word that stands at the start of a text than of the same word behind a space.

    Args:
        tokenizer: of the language model. One without character offsets (slow) takes each part alone.
        parts: of each text.
        lead: text that goes before, whose own tokens are left out.
    """
    if not parts:
        return [], []
    if not tokenizer.is_fast:
        ids = [encode(tokenizer, [part for part in each if part]) for each in parts]
        present = [[k for k, part in enumerate(each) if part] for each in parts]
        joined = [[token for piece in row for token in piece] for row in ids]
        owners = [
            [k for k, piece in zip(row, pieces, strict=True) for _ in piece]
            for row, pieces in zip(present, ids, strict=True)
        ]
        return joined, owners
    texts = [lead + "".join(each) for each in parts]
    found = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    all_ids: list[list[int]] = []
    all_owners: list[list[int]] = []
    for each, ids, offsets in zip(parts, found["input_ids"], found["offset_mapping"], strict=True):
        borders, total = [], len(lead)
        for part in each:
            borders.append(total)
            total += len(part)
        kept: list[int] = []
        numbers: list[int] = []
        owner = 0
        for token, (start, end) in zip(ids, offsets, strict=True):
            last = max(end - 1, start)  # a token that straddles a border belongs where it ends
            if last < len(lead):
                continue
            while owner + 1 < len(borders) and last >= borders[owner + 1]:
                owner += 1
            kept.append(token)
            numbers.append(owner)
        all_ids.append(kept)
        all_owners.append(numbers)
    return all_ids, all_owners


def encode_behind(tokenizer, texts: Sequence[str], lead: str) -> list[list[int]]:
    """Token ids of each text as it reads behind ``lead``, whose tokens are left out."""
    return encode_parts(tokenizer, [[text] for text in texts], lead)[0]


def encode_words(tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of words as they read within a sentence: with the space before them, where that is part."""
    return encode_parts(tokenizer, [[f" {text}"] if text else [""] for text in texts], "a")[0]


def _render(tokenizer, image_token: str, turns: int, until_answer: bool = False, prompt: bool = False) -> str:
    """A conversation of markers through the template; empty where it refuses one of so many turns."""
    said = [("user", _USER), ("assistant", _ASSISTANT)] * turns
    parts: list[dict] = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in said]
    parts[0]["content"].insert(0, {"type": "image"})
    plain = [{"role": role, "content": text} for role, text in said]
    plain[0]["content"] = image_token + _USER
    rendered = ""
    for messages in (parts, plain):
        try:
            rendered = tokenizer.apply_chat_template(
                messages[:-1] if until_answer else messages,
                tokenize=False,
                add_generation_prompt=prompt,
                enable_thinking=False,  # of templates that know it: the answer comes at once
                date_string=_DATE,
                strftime_now=lambda form: _DATE,
            )
        except (TypeError, TemplateError):  # the template joins texts and was given a list of parts
            rendered = ""
        if image_token in rendered:
            return rendered
    return rendered


def _earlier(rendered: str, opening: str, ending: str) -> tuple[str, str, str] | None:
    """`ChatFormat.earlier` of three turns behind ``opening``, of which the last ends with ``ending``."""
    if not rendered.startswith(opening):
        return None
    pieces = rendered.removeprefix(opening).replace(_ASSISTANT, _USER).split(_USER)
    if len(pieces) != 7 or pieces[1] != pieces[3] or pieces[2] != pieces[4]:
        return None
    # The ending of an answer is learned wherever it stands; what opens the next turn is not.
    ending = ending if pieces[2].startswith(ending) else ""
    return pieces[1], ending, pieces[2].removeprefix(ending)
