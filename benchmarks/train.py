"""A step of training, ours and the plain way side by side in one run, on made data and random weights.

    python benchmarks/train.py                                    # the embedded size, on a CPU
    python benchmarks/train.py --shapes llava-7b --images 16      # Vicuna-7B and CLIP-L/336, on a GPU

The plain way is transformers' own `LlavaForConditionalGeneration`: pixels through the encoder in every step,
a conversation a row behind its own copy of the image, padded to the longest, AdamW. Both ways do the same
images and turns; rounds alternate, and the medians are printed. Utilisation is 2 FLOPs a weight and token
forward, 2 more for gradients of activations, 2 more for those of trained weights, over the peak of the
device (of a GPU by its name; of a CPU a large product in the same run). The patch-only line is the projector
and the patch loss alone, from cached features; what it says of 558K images is an extrapolation.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from pipeline.models import encoder as encoders
from pipeline.models import llava
from pipeline.models.language_model import CONVOLUTION
from pipeline.params import ArmParams
from pipeline.training import optimiser
from pipeline.training.patch_losses.mean import patch_loss
from pipeline.training.runtime import autocast
from pipeline.training.step import Step, words_of

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
"""Dense bfloat16 FLOPs a second by part of the device's name (NVIDIA's data sheets)."""
PATCHES_ALONE = ArmParams(loss="cosine", captions=False)
EMBEDDED = {"turns": 8, "prompt": 9, "answers": (2, 24), "regions": 3, "layers": [0, -1]}
LLAVA = {"turns": 1, "prompt": 30, "answers": (20, 80), "regions": 6, "layers": [-2]}


def build(shapes: str, device: str) -> LlavaForConditionalGeneration:
    """A model of random weights."""
    from transformers import Lfm2Config

    if shapes == "embedded":
        vision = CLIPVisionConfig(
            hidden_size=96, intermediate_size=384, num_hidden_layers=2, num_attention_heads=3, image_size=64,
            patch_size=8,
        )  # fmt: skip
        text = Lfm2Config(
            vocab_size=200, hidden_size=128, intermediate_size=256, block_auto_adjust_ff_dim=False,
            num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4, conv_L_cache=CONVOLUTION,
            layer_types=["conv", "full_attention", "full_attention"], tie_word_embeddings=False,
            pad_token_id=0,
        )  # fmt: skip
    else:
        vision = CLIPVisionConfig(
            hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
            image_size=336, patch_size=14,
        )  # fmt: skip
        text = LlamaConfig(vocab_size=32064, pad_token_id=0)  # the rest is 7B's by default
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=text.vocab_size - 1,
        vision_feature_layer=(EMBEDDED if shapes == "embedded" else LLAVA)["layers"],
        image_seq_length=(vision.image_size // vision.patch_size) ** 2,
    )  # fmt: skip
    config.pad_token_id = 0
    torch.manual_seed(0)
    with torch.device(device):
        model = LlavaForConditionalGeneration(config)
    model.model.vision_tower.requires_grad_(False)
    return model


def made(model: LlavaForConditionalGeneration, shape: dict, images: int, device: str) -> dict:
    """A batch both ways: features and grouped turns, pixels and padded rows; and its regions."""
    generator = np.random.default_rng(0)
    vision, vocabulary = model.config.vision_config, model.config.text_config.vocab_size
    patches = model.config.image_seq_length
    shortest, longest = shape["answers"]
    answers = np.sort(generator.integers(shortest, longest + 1, (images, shape["turns"])), 1)
    length = shape["prompt"] + answers.max()
    ids = generator.integers(1, vocabulary - 1, (images, shape["turns"], length))
    place = np.arange(length)
    last = shape["prompt"] + answers[..., None]
    ids = np.where(place < last, ids, 0)
    labels = np.where((place >= shape["prompt"]) & (place < last), ids, -100)
    cut = shape["turns"] // 2
    groups = [slice(0, cut), slice(cut, None)] if cut else [slice(None)]
    ends = [shape["prompt"] + answers[:, group].max() for group in groups]
    rows = images * shape["turns"]
    opening = np.full((rows, patches + 1), vocabulary - 1)
    opening[:, 0] = 1
    whole = np.concatenate([opening, ids.reshape(rows, -1)], 1)
    learned = np.concatenate([np.full_like(opening, -100), labels.reshape(rows, -1)], 1)
    width = vision.hidden_size * len(shape["layers"])
    weights = (generator.random((images, shape["regions"], patches)) < 0.2).astype(np.float32)
    words = generator.integers(1, vocabulary - 1, (images, shape["regions"], 2))
    tensors = {
        "pixels": torch.randn(images, 3, vision.image_size, vision.image_size),
        "features": torch.randn(images, patches, width),
        "region_weights": torch.from_numpy(weights),
        "region_words": torch.from_numpy(words),
        "rows": torch.from_numpy(whole),
        "row_labels": torch.from_numpy(learned),
    }
    batch = {name: value.to(device) for name, value in tensors.items()}
    batch["ids"] = [
        torch.from_numpy(ids[:, group, :end]).to(device) for group, end in zip(groups, ends, strict=True)
    ]
    batch["labels"] = [
        torch.from_numpy(labels[:, group, :end]).to(device) for group, end in zip(groups, ends, strict=True)
    ]
    batch["tokens"] = images * (patches + 1) + int(last.sum())
    return batch


class Clock:
    """Seconds of the parts of a step."""

    def __init__(self, device: str) -> None:
        self.device, self.parts = device, {}
        self.last = self.now()

    def now(self) -> float:
        """The time, all work on the device done."""
        if self.device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter()

    def lap(self, name: str) -> None:
        """What went by since the last lap belongs to ``name``."""
        here = self.now()
        self.parts.setdefault(name, []).append(here - self.last)
        self.last = here


def ours(model, step: Step, optimizer, batch: dict) -> Callable[[Clock], None]:
    """A step of this project's."""

    def run(clock: Clock) -> None:
        loss, _ = step(batch)
        clock.lap("forward")
        loss.backward()
        clock.lap("backward")
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        clock.lap("optimiser")

    return run


def plain(model, optimizer, batch: dict, turns: int) -> Callable[[Clock], None]:
    """A step of transformers' own model."""
    pixels = batch["pixels"].repeat_interleave(turns, 0)

    def run(clock: Clock) -> None:
        with autocast():
            out = model(
                input_ids=batch["rows"], pixel_values=pixels, labels=batch["row_labels"],
                attention_mask=(batch["rows"] != 0).long(),
            )  # fmt: skip
        clock.lap("forward")
        out.loss.backward()
        clock.lap("backward")
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        clock.lap("optimiser")

    return run


def patches_only(model, optimizer, batch: dict) -> Callable[[Clock], None]:
    """A step of the projector against the words' embeddings, without the language model."""

    def run(clock: Clock) -> None:
        with autocast():
            tokens = llava.project(model, batch["features"])
            weights, words = batch["region_weights"], batch["region_words"]
            loss = patch_loss(PATCHES_ALONE, tokens, weights, words, words_of(model))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        clock.lap("step")

    return run


def peak(device: str) -> float:
    """FLOPs a second that the device could do in bfloat16."""
    if device != "cpu":
        name = torch.cuda.get_device_name()
        found = [value for part, value in PEAKS.items() if part in name]
        if found:
            return found[0]
    square = torch.randn(2048, 2048, device=device, dtype=torch.bfloat16)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        square @ square
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(times)


def main() -> None:
    """Time the ways in turn and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shapes", choices=["embedded", "llava-7b"], default="embedded")
    parser.add_argument("--stage", choices=["pretrain", "finetune"], default="finetune")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    shape = EMBEDDED if args.shapes == "embedded" else LLAVA
    torch.utils.deterministic.fill_uninitialized_memory = False
    model = build(args.shapes, args.device)
    if args.stage == "pretrain":
        model.requires_grad_(False)
        model.model.multi_modal_projector.requires_grad_(True)
    batch = made(model, shape, args.images, args.device)
    adamw = optimiser.build("adamw", model, 1e-5, 0.0)
    name = "muon" if args.shapes == "embedded" else "adamw"
    mine = adamw if name == "adamw" else optimiser.build(name, model, 1e-5, 0.0)
    aligned = ArmParams(loss="cosine", beta=2.0, words="phrase")
    projector = torch.optim.AdamW(model.model.multi_modal_projector.parameters(), 1e-5)
    with_patches, without = (
        Step(model, [1], arm, "tokens", share_prefix=True).to(args.device) for arm in (aligned, None)
    )
    ways: dict[str, Callable[[Clock], None]] = {
        "ours, patch loss": ours(model, with_patches, mine, batch),
        "ours, no patch loss": ours(model, without, mine, batch),
        "plain": plain(model, adamw, batch, shape["turns"]),
        "patch only": patches_only(model, projector, batch),
    }
    clocks: dict[str, list[Clock]] = {way: [] for way in ways}
    for turn in range(args.rounds + 2):  # two to warm up
        for way, run in ways.items():
            clock = Clock(args.device)
            run(clock)
            if turn > 1:
                clocks[way].append(clock)
    tower = []
    for _ in range(3):
        clock = Clock(args.device)
        with torch.inference_mode(), autocast():
            encoders.patch_tokens(model.model.vision_tower, batch["pixels"], shape["layers"])
        clock.lap("encoder")
        tower.append(clock.parts["encoder"][0])
    report(args, model, batch, clocks, min(tower), peak(args.device))


def report(args, model, batch: dict, clocks: dict[str, list[Clock]], tower: float, most: float) -> None:
    """Print the figures."""
    inside = [p for n, p in model.named_parameters() if "language_model.layers" in n]
    weights = sum(p.numel() for p in inside)
    work = (4 if args.stage == "pretrain" else 6) * weights * batch["tokens"]
    medians = {}
    print(f"{args.shapes}, {args.stage}, {args.images} images a step, {args.rounds} rounds, {args.device}")
    for way, found in clocks.items():
        whole = [sum(sum(part) for part in clock.parts.values()) for clock in found]
        medians[way] = statistics.median(whole)
        parts = {name: statistics.median(clock.parts[name][0] for clock in found) for name in found[0].parts}
        line = f"{way:20s} {medians[way] * 1e3:9.1f} ms  {args.images / medians[way]:9.1f} images/s"
        if way != "patch only":
            line += (
                f"  {batch['tokens'] / medians[way]:9.0f} tokens/s  {work / medians[way] / most:6.1%} of peak"
            )
            line += "  " + ", ".join(f"{name} {value * 1e3:.1f}" for name, value in parts.items())
        print(line)
    patch = statistics.median(
        sum(map(sum, a.parts.values())) / sum(map(sum, b.parts.values())) - 1
        for a, b in zip(clocks["ours, patch loss"], clocks["ours, no patch loss"], strict=True)
    )
    print(f"the patch loss adds  {patch:+.1%} (median of the rounds' ratios)")
    print(f"plain / ours         {medians['plain'] / medians['ours, no patch loss']:.2f} x")
    print(
        f"encoder alone        {tower / args.images * 1e3:.2f} ms an image, once, where features are cached"
    )
    minutes = 558_128 / (args.images / medians["patch only"]) / 60
    print(f"patch only, 558,128 images from cached features: {minutes:.1f} min (extrapolated)")
    print(f"peak of the device   {most / 1e12:.2f} TFLOP/s in bfloat16")
    memory = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        if args.device == "cpu"
        else torch.cuda.max_memory_allocated() / 2**30
    )
    print(f"peak memory          {memory:.2f} GB, all ways together")


if __name__ == "__main__":
    main()
