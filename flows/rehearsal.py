"""Every stage of the pipeline on eight samples, with tiny stand-ins for the models: does it run at all?

The stages are those of ``dvc.yaml``, in its order, by its own commands, in one process and a folder that is
thrown away. Flows run as plain functions: eight samples need no server.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import runpy
import shlex
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import networkx
from dvc.repo import Repo

from flows import PROJECT, common, summary
from pipeline import params, profiles
from pipeline.params import Params
from pipeline.preflight import annotators, samples, stand_ins
from pipeline.preflight.findings import Finding
from pipeline.preflight.weights import Weights
from pipeline.tables import shards
from pipeline.tables.shards import Block, Staging


def rehearse(
    text: str, encoder: Weights | None, language_model: Weights | None, folder: Path
) -> list[Finding]:
    """Run every stage with a profile's settings, made small.

    Args:
        text: the profile's ``params.yaml``.
        encoder, language_model: what was found of the pretrained models; None where the profile trains them.
        folder: an empty folder to work in.
    """
    began = time.perf_counter()
    about = prepare(text, encoder, language_model, folder)
    done: list[str] = []
    with contextlib.chdir(folder), _plain_flows():
        for stage, commands in stages(folder):
            said = io.StringIO()
            error = None
            for command in commands:
                error = error or _run(command, said)
            if error:
                return [
                    *about,
                    Finding(
                        "rehearsal", "failed", f"stage {stage}: {error}", f"{len(done)} stages before it ran"
                    ),
                ]
            done.append(stage)
    seconds = time.perf_counter() - began
    found = f"{len(done)} stages of dvc.yaml on {samples.TRAIN} training samples in {seconds:.0f} s"
    return [*about, Finding("rehearsal", "ok", found)]


def prepare(
    text: str, encoder: Weights | None, language_model: Weights | None, folder: Path
) -> list[Finding]:
    """Fill a folder with the workspace of a rehearsal: settings, samples, stand-ins, ``dvc.yaml``."""
    profile = params.parse(params.tree(text))
    models = folder / "stand-ins"
    changes, about = _changes(profile, models, encoder, language_model)
    (folder / "params.yaml").write_text(profiles.overlaid(text, changes), encoding="utf-8")
    shutil.copy(PROJECT / "dvc.yaml", folder)
    # Settings may name files of the project, such as the vocabulary of tags.
    (folder / "pipeline").symlink_to(PROJECT / "pipeline", target_is_directory=True)
    (folder / "data/raw").mkdir(parents=True)
    if profile.source.name == "llava":
        samples.llava(profile.source, profile.seed, folder / "data/raw")
    return about


def stages(folder: Path) -> list[tuple[str, list[str]]]:
    """Names and commands of the stages of ``dvc.yaml``, each after those that it depends on."""
    repo = Repo.init(str(folder), no_scm=True)
    with contextlib.closing(repo):
        order = {stage: place for place, stage in enumerate(repo.index.stages)}
        graph = repo.index.graph.reverse()  # from a stage to what needs it
        ordered = networkx.lexicographical_topological_sort(graph, key=order.__getitem__)
        return [
            (stage.addressing, stage.cmd if isinstance(stage.cmd, list) else [stage.cmd]) for stage in ordered
        ]


def _changes(
    profile: Params, models: Path, encoder: Weights | None, language_model: Weights | None
) -> tuple[dict[str, Any], list[Finding]]:
    """What makes a profile small, and what was put in which place."""
    stood_in = []
    changes: dict[str, Any] = {
        "source": {
            "path": "data/raw",
            "shard_size": 7,
            "scenes": samples.COUNTS,
            "llava": samples.SHARES,
        },
        "parse": {"processes": 1},
        "patch_words": {"min_coverage": 0.0, "min_score": 0.0},
        "encoder": {"trained": {"width": 32, "embed_dim": 32, "steps": 2, "batch_size": 4}},
        "language_model": {
            "trained": {
                "width": 32, "layers": ["conv", "full_attention"], "heads": 2, "hidden": 64, "steps": 2,
                "batch_scenes": 4,
            }
        },
        "train": {
            stage: {"steps": 2, "batch_images": 4, "turns": min(2, settings.turns), "save_every": 1}
            for stage, settings in (
                ("pretrain", profile.train.pretrain),
                ("finetune", profile.train.finetune),
            )
        },
        "evaluate": {
            "examples": 4, "regions": 8, "batch_size": 4, "bootstrap": 10, "java": False, "benchmarks": [],
        },
        "audit": {"images": 4, "bootstrap": 10},
        "report": {"examples": 2},
        "compute": {
            "runner": "threads", "address": None, "workers": 1, "gpus": 0, "threads": 1,
            "loaders": 0, "processes": 1, "sharding": "none", "micro_batch": 2,
        },
    }  # fmt: skip
    if profile.source.name not in samples.FORMATS:
        changes["source"]["name"] = "scenes"
        stood_in.append(f"drawn scenes for {profile.source.name}, whose reader is not rehearsed")
    if encoder is not None:
        layers = profile.train.projector.feature_layers
        path = stand_ins.encoder(models / "encoder", encoder.config, layers)
        changes["encoder"]["pretrained"] = {"path": path}
        stood_in.append(f"a small {_family(encoder)} for {profile.encoder.pretrained.path}")
    if language_model is not None:
        named = profile.language_model.pretrained.path
        path = stand_ins.language_model(models / "language_model", named, language_model)
        changes["language_model"]["pretrained"] = {"path": path}
        tokens = "its own tokenizer" if language_model.finding.state == "ok" else "a tokenizer of bytes"
        stood_in.append(f"a small {_family(language_model)} with {tokens} for {named}")
    changes["ground"], named_sources = _annotation(profile, models)
    stood_in += named_sources
    return changes, [Finding("stand-ins", "note", "; ".join(stood_in) or "none: only smaller settings")]


def _annotation(profile: Params, models: Path) -> tuple[dict[str, Any], list[str]]:
    """Settings of the annotation models in use, with small ones in their places that keep every box."""
    ground = profile.ground
    changes: dict[str, Any] = {}
    stood_in = []
    for name in sorted({ground.source, *profile.audit.sources}):
        if name == "grounding_dino":
            model = annotators.grounding_dino(models / name)
            changes[name] = {"model": model, "box_threshold": 0.0, "text_threshold": 0.0}
        elif name == "owlv2":
            changes[name] = {"model": annotators.owlv2(models / name), "threshold": 0.0}
        elif name == "groundingdino":
            files = annotators.groundingdino(models / name)
            changes[name] = {**files, "box_threshold": 0.0, "text_threshold": 0.0, "image_size": [96, 160]}
        else:
            continue
        stood_in.append(f"a small {name}")
    if ground.masks != "none":
        model = getattr(annotators, ground.masks)(models / ground.masks)
        changes["mask_models"] = {ground.masks: {"model": model}}
        stood_in.append(f"a small {ground.masks}")
    return changes, stood_in


def _family(weights: Weights) -> str:
    return weights.config.model_type if weights.config is not None else "model of the usual family"


def _run(command: str, said: io.StringIO) -> str:
    """Run ``python -m MODULE ...`` in this process; what went wrong, empty if nothing did."""
    words = shlex.split(command)
    if words[:2] != ["python", "-m"]:
        return f"`{command}` is no `python -m MODULE`, which is all that a rehearsal can run"
    with (
        mock.patch.object(sys, "argv", words[2:]),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        try:
            runpy.run_module(words[2], run_name="__main__", alter_sys=True)
        except SystemExit as stopped:
            if stopped.code:
                return _last_lines(said)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            file = os.path.relpath(where.filename, PROJECT)
            return f"{type(error).__name__}: {error} ({file}:{where.lineno})"
        finally:
            gc.unfreeze()  # a command takes its process for its own: `pipeline.console.run_command`
            gc.collect()
    return ""


def _last_lines(said: io.StringIO, count: int = 3) -> str:
    lines = [line.strip() for line in said.getvalue().splitlines() if line.strip()]
    return " ".join(lines[-count:])


@contextlib.contextmanager
def _plain_flows() -> Iterator[None]:
    """Flows are the functions that they were made from, and shards are done one after the other."""
    with (
        mock.patch("prefect.flow", lambda function: function),
        mock.patch.object(common, "run_block", _run_block),
    ):
        yield


def _run_block(
    block: Block,
    units: Mapping[str, str],
    _compute: object,
    data: Path = common.DATA,
    work: Path = common.WORK,
) -> summary.Summary:
    staging, counts = Staging(work, block), []
    for shard in range(block.shard_count()):
        tables = block.process(shard)
        counts.append(shards.count(block, shard, tables))
        summary.check_balance(block.stage, shard, counts[-1].rows_in, tables, units)
        staging.commit(shard, tables)
    total = summary.of_counts(counts)
    places = {name: data / name for name in block.outputs} | {"rejects": data / "rejects" / block.stage}
    staging.publish(places)
    total.write(data / "summaries" / f"{block.stage}.json")
    return total
