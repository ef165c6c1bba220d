"""Which chat template a language model gets, and one for text made to take images."""

from __future__ import annotations

from pathlib import Path

from jinja2 import TemplateError

from pipeline.errors import UserError

FOLDER = Path(__file__).parent / "chat_templates"

# Goes before a template that joins texts: parts become one text, the image's token where the image stands.
_FLATTEN = (
    "{%- set flat = namespace(messages=[]) -%}"
    "{%- for message in messages -%}"
    "{%- set joined = namespace(text='') -%}"
    "{%- if message['content'] is string -%}{%- set joined.text = message['content'] -%}"
    "{%- else -%}{%- for part in message['content'] -%}"
    "{%- set joined.text = joined.text + ('IMAGE' if part['type'] == 'image' else part['text']) -%}"
    "{%- endfor -%}{%- endif -%}"
    "{%- set flat.messages = flat.messages + [{'role': message['role'], 'content': joined.text}] -%}"
    "{%- endfor -%}"
    "{%- set messages = flat.messages -%}"
)


def named(setting: str) -> str:
    """The text of a template: one that comes with the project, by name, or a file.

    Raises:
        UserError: there is no such file.
    """
    path = FOLDER / f"{setting}.jinja"
    path = path if path.is_file() else Path(setting)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.jinja")))
        raise UserError(
            f"language_model.pretrained.chat_template: {setting!r} is neither one of {known} nor a file"
        )
    return path.read_text(encoding="utf-8").rstrip("\n")


def with_images(tokenizer, image_token: str) -> str | None:
    """A tokenizer's template, such that messages in parts (image and text) can be given to it.

    A template that takes them as it is stays as it is.
    """
    template = tokenizer.chat_template
    if not isinstance(template, str):
        return template
    message = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what?"}]}]
    try:
        rendered = tokenizer.apply_chat_template(message, tokenize=False)
    except (TypeError, TemplateError):
        rendered = ""
    return template if image_token in rendered else _FLATTEN.replace("IMAGE", image_token) + template
