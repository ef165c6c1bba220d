"""Stage ``encoder``: train the embedded profile's small CLIP, or fetch the pretrained tower of a profile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import torch

from pipeline import params as parameters
from pipeline.console import run_command
from pipeline.models import card, open_clip_tower, vocabulary
from pipeline.models import encoder as encoders
from pipeline.models.card import Card
from pipeline.models.chat import encode
from pipeline.params import Params
from pipeline.tables import dataset
from pipeline.training.contrastive import ContrastiveData, train
from pipeline.training.images import pixels_of
from pipeline.training.runtime import DATA, Progress, prepare, publish, write_curve

TARGET = DATA / "models/encoder"
CURVE = DATA / "curves/encoder.csv"


def main() -> None:
    """Write ``data/models/encoder`` from ``params.yaml``."""
    params = parameters.load()
    prepare(params.seed, params.compute.threads)
    publish(lambda folder: (make if params.encoder.name == "trained" else fetch)(params, folder), TARGET)


def fetch(params: Params, folder: Path) -> None:
    """Save a pretrained vision tower and its image processor as the stage's output."""
    if params.encoder.name == "open_clip":
        tower, processor = open_clip_tower.load(
            params.encoder.open_clip.model, params.encoder.open_clip.pretrained
        )
    else:
        tower, processor = encoders.load(params.encoder.pretrained.path)
    tower.save_pretrained(folder)
    processor.save_pretrained(folder)
    settings = params.encoder.model_dump(mode="json", include={"name", params.encoder.name})
    say(folder, "A pretrained vision encoder, as it was fetched.", {"encoder": settings})
    write_curve(CURVE, [])


def make(params: Params, folder: Path) -> None:
    """Train a CLIP on the training split and save it, as open_clip's and as transformers' model."""
    import open_clip

    settings = params.encoder.trained
    size = params.source.scenes.image_size if params.source.name == "scenes" else settings.image_size
    data, tokenizer = read(params, size)
    config = encoders.open_clip_config(settings, size, len(tokenizer), tokenizer.eos_token_id)
    torch.manual_seed(params.seed)
    model = open_clip.model.CLIP(config["embed_dim"], dict(config["vision_cfg"]), dict(config["text_cfg"]))
    rows: list[dict] = []
    with Progress("encoder", settings.steps) as progress:

        def on_step(step: int, loss: float, learning_rate: float) -> None:
            progress.advance(loss=loss)
            if step % 10 == 0 or step == settings.steps - 1:
                rows.append({"step": step + 1, "loss": round(loss, 5), "learning_rate": learning_rate})

        train(model, data, settings, params.seed, on_step)
    encoders.save_open_clip(model, config, tokenizer, folder / "open_clip")
    tower = open_clip_tower.convert(model.visual, settings.embed_dim)
    tower.save_pretrained(folder)
    encoders.image_processor(size).save_pretrained(folder)
    write_curve(CURVE, rows)
    say(
        folder,
        "The vision tower of a small CLIP, trained with open_clip on images and their captions alone; the "
        "whole CLIP is in `open_clip/`.",
        {"seed": params.seed, "encoder": {"name": "trained", "trained": settings.model_dump(mode="json")}},
        {"images": len(data.pixels), "captions": len(data.caption_ids), "objects": len(data.object_ids)},
    )


def say(folder: Path, text: str, shown: dict, data: dict | None = None) -> None:
    """Write the encoder's card."""
    card.write(folder, Card("Vision encoder", "encoder", text, data or {}, shown))


def read(params: Params, size: int):
    """The training split's pixels and texts, and the tokenizer of the texts."""
    pixels, owners = [], []
    numbers: dict[str, int] = {}
    captions: list[str] = []
    caption_image: list[int] = []
    texts: list[str] = []
    labels: list[str] = []
    centres: list[np.ndarray] = []
    columns = ("images", "captions", "objects")
    for images, captioned, objects in zip(
        *(dataset.iter_parts(DATA / name) for name in columns), strict=True
    ):
        images = images.filter(pc.equal(images["split"], "train"))
        if not images.num_rows:
            continue
        here = images.select(["image_id", "width", "height"]).to_pylist()
        sizes = {row["image_id"]: (row["width"], row["height"]) for row in here}
        numbers |= {row["image_id"]: len(numbers) + place for place, row in enumerate(here)}
        pixels.append(pixels_of(images, params.source.path, encoders.image_processor(size)))
        for row in captioned.to_pylist():
            if row["image_id"] in sizes:
                captions.append(row["text"])
                caption_image.append(numbers[row["image_id"]])
        for row in objects.select(["image_id", "label", "attributes", "box"]).to_pylist():
            if row["image_id"] in sizes:
                centre = seen_at(row["box"], *sizes[row["image_id"]], size)
                if centre is None:
                    continue
                texts.append(short_text(row["label"], row["attributes"], len(texts)))
                labels.append(row["label"])
                owners.append(numbers[row["image_id"]])
                centres.append(centre / params.encoder.trained.patch_size)
    tokenizer = vocabulary.build([*captions, *texts, "and"], add_eos=True)
    order = np.argsort(np.asarray(owners, np.int64), kind="stable")
    object_ids, label_ids = encode(tokenizer, texts), encode(tokenizer, labels)
    data = ContrastiveData(
        pixels=np.concatenate(pixels),
        caption_ids=encode(tokenizer, captions),
        caption_image=np.asarray(caption_image),
        object_ids=[object_ids[place] for place in order],
        label_ids=[label_ids[place] for place in order],
        object_centre=np.asarray(centres).reshape(-1, 2)[order],
        firsts=np.searchsorted(np.asarray(owners, np.int64)[order], np.arange(len(numbers) + 1)),
        joint=encode(tokenizer, ["and"])[0][0],
        eos=tokenizer.eos_token_id,
    )
    return data, tokenizer


def seen_at(box: Sequence[float], width: int, height: int, size: int) -> np.ndarray | None:
    """Where a box's centre is in the encoder's input, x and y in pixels; None where the crop leaves it out.

    Args:
        box: x0, y0, x1, y1 in pixels of the image.
        width, height: of the image, pixels.
        size: side of the input, to which the shorter side is resized before the centre crop.
    """
    whole = np.array([width, height])
    x0, y0, x1, y1 = box
    centre = (np.array([x0 + x1, y0 + y1]) / 2 - whole / 2) * size / whole.min() + size / 2
    return centre if ((centre >= 0) & (centre < size)).all() else None


def short_text(label: str, attributes: list[str], number: int) -> str:
    """A short text for an object, its wording varied by the object's number."""
    full = " ".join([*attributes, label])
    article = "an" if full[0] in "aeiou" else "a"
    return (f"{article} {full}", full)[number % 2]


if __name__ == "__main__":
    run_command(main)
