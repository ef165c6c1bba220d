"""Where the numbers come from: digests of settings and data, and the command that makes each again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline import commit
from pipeline.params import Params
from pipeline.tables import dataset, digests

DATASETS = ("images", "captions", "objects", "conversations", "phrases", "regions", "patch_words")


def commands(arms: Sequence[str]) -> list[tuple[str, str]]:
    """What can be made again, and the command that does."""
    return [
        ("the datasets", "dvc repro ingest parse ground patch_words"),
        ("the vision encoder and the language model", "dvc repro encoder language_model"),
        ("the arms", "dvc repro finetune"),
        ("one of them", f"dvc repro finetune@{next(iter(arms))}"),
        ("the numbers of the arms", "dvc repro evaluate"),
        ("floors and ceiling", "dvc repro references"),
        ("outside benchmarks", "dvc repro benchmarks"),
        ("the audit of an annotation source", "dvc repro audit@dataset"),
        ("this page, metrics.json and the tables", "dvc repro report"),
        ("the study over seeds", "make study"),
        ("one setting changed at a time", "make ablations"),
        ("more phrases on their patches", "patchwords overlays --count 12"),
    ]


@dataclass(frozen=True)
class Origin:
    """A dataset: its content's digest, its rows, and the digest of the settings that made it."""

    name: str
    digest: str
    rows: int
    params: str


def origins(data: Path, arms: Sequence[str]) -> list[Origin]:
    """Every dataset that is there, digested."""
    folders = {name: data / name for name in DATASETS}
    for arm in arms:
        for name in ("predictions", "similarity_maps"):
            folders[f"{name} ({arm})"] = data / "evaluation" / arm / name
    return [
        Origin(
            name, digests.of_files(folder, "part-*.arrow"), dataset.count_rows(folder),
            dataset.provenance(folder).params,
        )
        for name, folder in folders.items()
        if folder.is_dir()
    ]  # fmt: skip


def settings(params: Params) -> list[tuple[str, str]]:
    """What identifies the run: profile, seed, sources, digest of what changes results, commit."""
    changing = params.model_dump(mode="json", exclude={"compute"})
    return [
        ("profile", params.profile),
        ("seed", str(params.seed)),
        ("source", params.source.name),
        ("annotation source", params.ground.source),
        ("settings", digests.of_value(changing)),
        ("made at commit", commit.current()),
    ]
