"""``params.yaml`` as a whole, and the reading of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from pipeline.errors import UserError
from pipeline.params.annotation import AuditParams, GroundParams, ParseParams, PatchWordsParams
from pipeline.params.models import EncoderParams, LanguageModelParams
from pipeline.params.running import ComputeParams, EvaluateParams, ReportParams
from pipeline.params.section import Section
from pipeline.params.source import SourceParams
from pipeline.params.training import TrainParams

PARAMS_FILE = Path("params.yaml")


class Params(Section):
    """All of ``params.yaml``."""

    profile: str = Field(description="The profile that these settings came from: a label.")
    seed: int = Field(ge=0, description="Seed of everything random.")
    source: SourceParams
    parse: ParseParams
    ground: GroundParams
    audit: AuditParams
    patch_words: PatchWordsParams
    encoder: EncoderParams
    language_model: LanguageModelParams
    train: TrainParams
    evaluate: EvaluateParams
    report: ReportParams
    compute: ComputeParams


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and check the parameters.

    Raises:
        UserError: the file is missing or is no YAML, or a value is wrong; the message lists every wrong key
            with its value and what is allowed.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"There is no {path}: run the command in the project's root folder.") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error
    return parse(raw, str(path))


def parse(raw: Any, name: str = "params") -> Params:
    """Check parameters that were read already; ``name`` is what the message calls them."""
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{name} has {error.error_count()} wrong value(s):\n{_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    lines = []
    for fault in error.errors():
        key = ".".join(str(step) for step in fault["loc"]) or "(top level)"
        if fault["type"] == "missing":
            lines.append(f"  {key}: missing")
        elif fault["type"] == "extra_forbidden":
            lines.append(f"  {key}: there is no such setting")
        else:
            lines.append(f"  {key}: found {fault['input']!r}; {fault['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)
