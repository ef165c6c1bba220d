"""The model card beside a checkpoint: what it is, how to load it, what it was trained on, with and from.

A card says nothing of where or when it was written, so that the same training gives the same bytes. It names
no licence: that depends on the parts and the data, and is the user's to choose.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FILE = "README.md"

_LLAVA = """\
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

folder = "."  # this one
model = LlavaForConditionalGeneration.from_pretrained(folder).eval()
processor = AutoProcessor.from_pretrained(folder)
image = Image.open("image.jpg").convert("RGB")
content = [{"type": "image", "image": image}, {"type": "text", "text": "What is in the picture?"}]
inputs = processor.apply_chat_template(
    [{"role": "user", "content": content}],
    add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"OPTIONS,
)
answer = model.generate(**inputs, max_new_tokens=64, do_sample=False)
print(processor.decode(answer[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip())
"""
_ENCODER = """\
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

folder = "."  # this one
model = AutoModel.from_pretrained(folder).eval()
processor = AutoImageProcessor.from_pretrained(folder)
pixels = processor(images=Image.open("image.jpg").convert("RGB"), return_tensors="pt")
print(model(**pixels).last_hidden_state.shape)
"""
_LANGUAGE_MODEL = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # this one
model = AutoModelForCausalLM.from_pretrained(folder).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
inputs = tokenizer("a", return_tensors="pt", add_special_tokens=False)
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=16, do_sample=False)[0]))
"""
_KINDS = {
    "llava": ("image-text-to-text", ["llava", "patch-aligned-training"], _LLAVA),
    "encoder": ("image-feature-extraction", ["clip"], _ENCODER),
    "language_model": ("text-generation", [], _LANGUAGE_MODEL),
}


@dataclass(frozen=True)
class Card:
    """What a card says."""

    title: str
    kind: str
    """``llava``, ``encoder`` or ``language_model``."""
    text: str
    """What the checkpoint is, a paragraph."""
    data: Mapping[str, int | str] = field(default_factory=dict)
    """What it was trained on: names and numbers."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The settings that made it."""
    metrics: Sequence[tuple[str, str]] = ()
    """Names and values."""
    options: str = ""
    """Further arguments of ``apply_chat_template``, such as ``enable_thinking=False``."""

    def render(self) -> str:
        """The card as Markdown, with the metadata block that model hubs read."""
        task, tags, code = _KINDS[self.kind]
        head: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": task}
        if tags:
            head["tags"] = tags
        options = f", {self.options}" if self.options else ""
        parts = [
            f"---\n{yaml.safe_dump(head, sort_keys=False)}---",
            f"# {self.title}",
            self.text,
            f"## Use\n\n```python\n{code.replace('OPTIONS', options)}```",
        ]
        if self.data:
            parts.append("## Data\n\n" + _table(("", ""), [(k, str(v)) for k, v in self.data.items()]))
        if self.params:
            settings = yaml.safe_dump(dict(self.params), sort_keys=False, allow_unicode=True)
            parts.append(f"## Settings\n\n```yaml\n{settings}```")
        if self.metrics:
            parts.append("## Results\n\n" + _table(("", ""), self.metrics))
        parts.append(
            "## Licence\n\nNot chosen. It has to agree with those of the encoder, the language model and the "
            "training data."
        )
        return "\n\n".join(parts) + "\n"


def write(folder: Path, card: Card) -> None:
    """Write the card into a checkpoint's folder."""
    (folder / FILE).write_text(card.render(), encoding="utf-8")


def add_lineage(folder: Path, inputs: Mapping[str, str]) -> None:
    """Put what the checkpoint was made from, digest by digest, into its card; nothing where it has none."""
    rows = [(f"`{name}`", f"`{digest}`") for name, digest in sorted(inputs.items())]
    text = "Digests of what it was made from (`lineage.json`).\n\n" + _table(("made from", "digest"), rows)
    _put(folder, "Lineage", text)


def add_results(folder: Path, metrics: Sequence[tuple[str, str]]) -> None:
    """Put an evaluation's results into the card, in place of those that it has."""
    _put(folder, "Results", _table(("metric", "value, 95 % interval, examples"), metrics))


def estimates(file: Path) -> list[tuple[str, str]]:
    """The estimates of a ``metrics.json`` of an evaluation, as names and values."""
    from pipeline.tables.metrics import METRICS

    found = json.loads(file.read_text(encoding="utf-8"))
    rows = []
    for metric in METRICS:
        if metric.key in found:
            scale, unit = (100, " %") if metric.unit == "share" else (1, "")
            value, low, high = (scale * found[metric.key][name] for name in ("value", "low", "high"))
            rows.append(
                (metric.title, f"{value:.4g}{unit} [{low:.4g}, {high:.4g}], {found[metric.key]['n']}")
            )
    return rows


def _put(folder: Path, section: str, text: str) -> None:
    """Replace a section of a card, or add it before the licence."""
    path = folder / FILE
    if not path.is_file():
        return
    card = path.read_text(encoding="utf-8")
    card = re.sub(rf"## {section}\n\n.*?(?=\n## )", "", card, flags=re.DOTALL).replace("\n\n\n", "\n\n")
    path.write_text(card.replace("## Licence", f"## {section}\n\n{text}\n\n## Licence"), encoding="utf-8")


def _table(head: tuple[str, str], rows: Sequence[tuple[str, str]]) -> str:
    lines = [
        f"| {head[0]} | {head[1]} |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in rows),
    ]
    return "\n".join(lines)
