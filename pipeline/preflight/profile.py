"""A profile's needs as findings: data, weights, disk, memory, hours."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

from pipeline.errors import UserError
from pipeline.params import Params
from pipeline.preflight import measure, needs
from pipeline.preflight.findings import Finding
from pipeline.preflight.needs import Machine, Shapes
from pipeline.preflight.weights import Weights, look
from pipeline.sources import open_source

ROWS = {"blip_laion_cc_sbu_558k.json": 558_128, "llava_v1_5_mix665k.json": 665_298}
"""Rows of LLaVA-1.5's published files: at most so many images, for when the files are not there."""


def data(params: Params) -> tuple[int, Finding]:
    """How many images the source has, at most, and whether it is there."""
    source = params.source
    what = f"source: {source.name}"
    if source.name == "scenes":
        count = source.scenes.train + source.scenes.validation + source.scenes.test
        return count, Finding(what, "ok", f"{count:,} scenes, drawn on the spot")
    try:
        found = open_source(source, params.seed)
        count = found.shard_count() * source.shard_size
    except UserError as error:
        rows = sum(ROWS.get(name, 0) for name in source.llava.files) if source.name == "llava" else 0
        mend = f"put the data there (data/raw/README.md shows the tree), or set source.path ({source.path})"
        return rows, Finding(what, "missing", str(error), mend)
    return count, Finding(what, "ok", f"{source.path}: at most {count:,} images listed")


def models(params: Params) -> tuple[Weights | None, Weights | None, list[Finding]]:
    """Encoder and language model, None where the profile trains them, and findings on pretrained models."""
    looked: dict[str, Weights] = {}
    for setting, path in _pretrained(params):
        looked[setting] = look(path, setting)
    findings = [weights.finding for weights in looked.values()]
    if not findings:
        findings = [Finding("weights", "ok", "none needed: every model is trained here")]
    return (
        looked.get("encoder.pretrained.path"),
        looked.get("language_model.pretrained.path"),
        findings,
    )


def _pretrained(params: Params) -> Iterator[tuple[str, str]]:
    """Setting and path of every transformers model that the profile loads."""
    for part in ("encoder", "language_model"):
        section = getattr(params, part)
        if section.name == "pretrained":
            yield f"{part}.pretrained.path", section.pretrained.path
    ground = params.ground
    if ground.source in ("grounding_dino", "owlv2"):
        yield f"ground.{ground.source}.model", getattr(ground, ground.source).model
    if ground.masks != "none":
        yield f"ground.mask_models.{ground.masks}.model", getattr(ground.mask_models, ground.masks).model


def resources(params: Params, shapes: Shapes, images: int, root: Path, tflops: float | None) -> list[Finding]:
    """Disk, memory of each stage, and hours, against what this machine has.

    Args:
        params: the profile.
        shapes: sizes of its models.
        images: how many the source has.
        root: the workspace, whose disk is looked at.
        tflops: TFLOP/s that training gets out of a device; None: measured on a CPU, LLaVA-1.5's on a GPU.
    """
    gpus = measure.gpu_bytes()
    machine = Machine.of(params, len(gpus))
    return [
        *_disk(params, shapes, images, root),
        *_gpus(params, gpus),
        *(_memory(params, shapes, stage, machine, gpus) for stage in ("pretrain", "finetune")),
        *_hours(params, shapes, images, machine, tflops),
    ]


def _disk(params: Params, shapes: Shapes, images: int, root: Path) -> list[Finding]:
    cached = params.train.cache_features
    features = needs.features_bytes(shapes, images)
    kept = needs.checkpoint_bytes(shapes, len(params.train.arms))
    tables = images * needs.TABLE_BYTES
    resume = needs.resume_bytes(shapes)
    needed = (features if cached else 0) + 2 * (kept + tables) + resume
    free = shutil.disk_usage(root).free
    found = (
        f"{_gb(needed)} of {_gb(free)} free: features of {images:,} images "
        f"{_gb(features) if cached else f'not kept (they would take {_gb(features)})'}, models of "
        f"{len(params.train.arms)} arms {_gb(kept)} and tables {_gb(tables)}, each again in DVC's cache, and "
        f"{_gb(resume)} to resume from"
    )
    mend = "use a larger disk, or train fewer arms (train.arms)"
    if cached:
        mend = f"set train.cache_features: false ({_gb(features)} less), {mend}"
    if needed < free:
        mend = ""
    return [Finding("disk", "ok" if needed < free else "too little", found, mend)]


def _gpus(params: Params, gpus: list[int]) -> list[Finding]:
    asked = params.compute.gpus
    if len(gpus) >= asked:
        return [Finding("GPUs", "ok", f"{len(gpus)} here, compute.gpus is {asked}")]
    mend = "run it where they are, or lower compute.gpus"
    return [Finding("GPUs", "too little", f"{len(gpus)} here, compute.gpus is {asked}", mend)]


def _memory(params: Params, shapes: Shapes, stage: str, machine: Machine, gpus: list[int]) -> Finding:
    settings = getattr(params.train, stage)
    needed = needs.memory_bytes(shapes, stage, settings, machine)
    has, kind = (min(gpus), "a GPU") if gpus else (psutil.virtual_memory().total, "this machine (no GPU)")
    images = machine.images or -(-settings.batch_images // machine.processes)
    found = (
        f"{_gb(needed)} a process of {_gb(has)} in {kind}: {images} images at a time in each of "
        f"{machine.processes} process(es){', sharded' if machine.sharded else ''}"
        f"{', layers recomputed' if machine.recompute else ''}"
    )
    mend = "compute.sharding: full, a smaller micro_batch, recompute: true, or more or larger GPUs"
    return Finding(
        f"memory, {stage}", "ok" if needed < has else "too little", found, "" if needed < has else mend
    )


def _hours(
    params: Params, shapes: Shapes, images: int, machine: Machine, tflops: float | None
) -> list[Finding]:
    if tflops is not None:
        basis = f"{tflops:g} TFLOP/s a device, as given"
    elif machine.gpu:
        tflops = needs.A100_TFLOPS
        basis = f"{tflops:g} TFLOP/s a GPU, as LLaVA-1.5's own scripts get on an A100"
    else:
        tflops = measure.cpu_tflops() * measure.SHARE_OF_PRODUCTS
        basis = (
            f"{tflops * 1000:.0f} GFLOP/s, {measure.SHARE_OF_PRODUCTS:.0%} of matrix products here and now"
        )
    devices = max(machine.processes, params.compute.gpus, 1)
    rate = tflops * 1e12 * devices * 3600
    hours = {
        stage: needs.operations(shapes, stage, getattr(params.train, stage)) / rate
        for stage in ("pretrain", "finetune")
    }
    arms, features = len(params.train.arms), 0.0
    if params.train.cache_features:
        features = needs.encoding(shapes, images) / rate
    else:
        for stage in hours:
            settings = getattr(params.train, stage)
            hours[stage] += needs.encoding(shapes, settings.steps * settings.batch_images) / rate
    total = features + arms * sum(hours.values())
    found = (
        f"{_time(total)} of training on {devices} device(s): "
        f"{f'features {_time(features)}' if params.train.cache_features else 'the encoder in every step'}, "
        f"each of {arms} arms "
        f"{_time(hours['pretrain'])} and {_time(hours['finetune'])} ({basis}). Annotation, models trained "
        "here and evaluation are not counted"
    )
    return [Finding("time", "note", found)]


def _time(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"


def _gb(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"
