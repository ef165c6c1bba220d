"""How a tokenizer's chat template splits a conversation: what stands before the image, and each turn's parts.

Everything up to and including the image is the *prefix*, which all turns about an image share. What follows,
user and assistant in turn, is read from the template itself, so any template with an image first will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import TemplateError

from pipeline.errors import UserError

# Characters that no text holds mark where the template puts the image and the two texts.
_USER, _ASSISTANT = "\ue001", "\ue002"


@dataclass(frozen=True)
class ChatFormat:
    """The template's fixed texts for one user and one assistant turn behind an image."""

    before_image: str
    before_user: str
    before_assistant: str
    after_assistant: str
    image: str

    @classmethod
    def of(cls, tokenizer, image_token: str) -> ChatFormat:
        """Read the fixed texts off a tokenizer's chat template.

        Raises:
            UserError: the template puts something between that depends on the texts, or has no image.
        """
        user = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": _USER}]}
        assistant = {"role": "assistant", "content": [{"type": "text", "text": _ASSISTANT}]}
        try:
            rendered = tokenizer.apply_chat_template([user, assistant], tokenize=False)
        except (TypeError, TemplateError):  # the template joins texts and was given a list of parts
            rendered = ""
        if image_token not in rendered:  # a template for text alone: the image opens the user's turn
            plain = [
                {"role": "user", "content": image_token + _USER},
                {"role": "assistant", "content": _ASSISTANT},
            ]
            rendered = tokenizer.apply_chat_template(plain, tokenize=False)
        try:
            before_image, rest = rendered.split(image_token)
            before_user, rest = rest.split(_USER)
            before_assistant, after = rest.split(_ASSISTANT)
        except ValueError as error:
            raise UserError(
                f"language_model: the chat template does not hold one {image_token}, one user and "
                f"one assistant turn in order (it gave {rendered!r}); give the tokenizer one that does"
            ) from error
        return cls(before_image, before_user, before_assistant, after, image_token)

    def prompt(self, user: str) -> str:
        """What stands between the image and the assistant's answer."""
        return f"{self.before_user}{user}{self.before_assistant}"

    def caption_prompt(self) -> str:
        """What stands between image and caption in pre-training: the assistant's opening, no question."""
        return self.before_assistant

    def answer(self, assistant: str) -> str:
        """The assistant's text with the template's ending."""
        return f"{assistant}{self.after_assistant}"


def encode(tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, nothing added."""
    return tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
