"""The checkpoint as lmms-eval asks it: questions about pictures in, answers out.

Runs in the environment that `make benchmarks-env` makes. lmms-eval's own ``llava_hf`` needs decord for
videos, answers one question at a time and puts the image into the text of the user's turn; this one goes by
the checkpoint's chat template as fine-tuning did, and answers questions of equal length together. Everything
else is transformers' own: its processor reads the pictures, its ``generate`` answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from transformers import AutoProcessor, LlavaForConditionalGeneration

from pipeline.evaluation.outside.own import TASK
from pipeline.models.chat import ChatFormat
from pipeline.models.vocabulary import IMAGE

LONGEST_ANSWER = 256
"""Tokens of an answer where a task does not say."""
_SAMPLING = ("num_beams", "temperature", "top_p")


class Checkpoint(lmms):
    """A LLaVA checkpoint in transformers' format."""

    is_simple = True

    def __init__(self, folder: Path, batch_size: int) -> None:
        super().__init__()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=dtype).eval()
        self.model: Any = model.to(self.device)
        self.processor = AutoProcessor.from_pretrained(folder)
        self.chat = ChatFormat.of(self.processor.tokenizer, IMAGE)
        self.batch_size = batch_size

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """The answer to each request, in their order."""
        answers = [""] * len(requests)
        for batch in self._batches(requests):
            inputs = {
                name: torch.cat([one[name] for _, one, _ in batch]).to(self.device) for name in batch[0][1]
            }
            settings = dict(batch[0][2])
            until = settings.pop("until", [])
            for (place, _, _), text in zip(batch, self._answer(inputs, settings), strict=True):
                for stop in [until] if isinstance(until, str) else until:
                    text = text.split(stop)[0] if stop else text
                answers[place] = text.strip()
        return answers

    def _answer(self, inputs: dict[str, torch.Tensor], settings: dict[str, Any]) -> list[str]:
        sampled = (settings.get("temperature") or 0) > 0
        chosen = {name: settings[name] for name in _SAMPLING if sampled and settings.get(name) is not None}
        if "pixel_values" in inputs:
            inputs["pixel_values"] = inputs["pixel_values"].to(self.model.dtype)
        with torch.inference_mode():
            ids = self.model.generate(
                **inputs,
                do_sample=sampled,
                max_new_tokens=settings.get("max_new_tokens") or LONGEST_ANSWER,
                **(chosen if sampled else {"num_beams": settings.get("num_beams") or 1}),
            )
        return self.processor.tokenizer.batch_decode(
            ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )

    def _batches(self, requests: Sequence[Instance]) -> Iterator[list[tuple[int, dict, dict]]]:
        """(place, inputs, settings) of requests that can be answered together: same settings and lengths.

        Rows of equal length need no padding, so that a batch gives what each request would give alone.
        """
        groups: dict[tuple, list[tuple[int, dict, dict]]] = {}
        for place, request in enumerate(requests):
            context, settings, to_visual, doc_id, task, split = request.args
            row = self.task_dict[task][split][doc_id]
            pictures = to_visual(row)
            # A task's text is the last question alone; of all tasks it is ours that has turns before it.
            earlier = row["earlier"] if task == TASK else ()
            inputs = self._inputs(context, [picture.convert("RGB") for picture in pictures], earlier)
            key = (len(pictures), inputs["input_ids"].shape[1], json.dumps(settings, sort_keys=True))
            group = groups.setdefault(key, [])
            group.append((place, inputs, settings))
            if len(group) == self.batch_size:
                yield groups.pop(key)
        yield from groups.values()

    def _inputs(self, context: str, pictures: list, earlier: Sequence[str] = ()) -> dict[str, torch.Tensor]:
        """A question as fine-tuning asked it: pictures first, whatever places the task marks in its text.

        ``earlier``: what user and assistant said before it, in turn.
        """
        question = context.replace(IMAGE, "").strip()
        text = self.chat.before_image + IMAGE * len(pictures) + self.chat.asked([*earlier, question])
        found = self.processor(
            text=[text], images=pictures or None, return_tensors="pt", add_special_tokens=False
        )
        return {
            name: found[name] for name in ("input_ids", "attention_mask", "pixel_values") if name in found
        }

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Not supported: the paper's benchmarks all ask for answers."""
        raise NotImplementedError("only tasks of lmms-eval's output_type generate_until can be run")

    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        """Not supported, as above."""
        raise NotImplementedError("only tasks of lmms-eval's output_type generate_until can be run")
