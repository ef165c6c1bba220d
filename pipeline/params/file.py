"""``params.yaml`` as a whole, and the reading of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator

from pipeline.errors import UserError
from pipeline.params.annotation import AuditParams, GroundParams, ParseParams, PatchWordsParams
from pipeline.params.models import EncoderParams, LanguageModelParams
from pipeline.params.running import ComputeParams, EvaluateParams, ReportParams
from pipeline.params.section import Section
from pipeline.params.source import SourceParams
from pipeline.params.training import ArmParams, TrainParams

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

    @model_validator(mode="after")
    def _baseline_is_an_arm(self) -> Params:
        if self.report.baseline not in self.train.arms:
            raise ValueError(
                f"report.baseline is {self.report.baseline!r}, which is no arm of train.arms: name one of"
                f" {', '.join(self.train.arms)}"
            )
        return self

    @property
    def arms(self) -> list[str]:
        """The arms' names: first the one that the others are compared with, then these as they are listed."""
        baseline = self.report.baseline
        return [baseline, *(arm for arm in self.train.arms if arm != baseline)]

    def arm(self, name: str) -> ArmParams:
        """What an arm is trained with.

        Raises:
            UserError: there is no such arm.
        """
        if name not in self.train.arms:
            raise UserError(f"train.arms has no arm {name!r}; it has {', '.join(self.train.arms)}.")
        return self.train.arms[name]


class _Loader(yaml.SafeLoader):
    """YAML 1.2's numbers, as DVC and Hydra write them: to YAML 1.1, and PyYAML, ``2e-05`` is a word."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def tree(text: str) -> Any:
    """The settings in YAML text, not yet checked.

    Raises:
        yaml.YAMLError: it is none.
    """
    return yaml.load(text, _Loader)


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and check the parameters.

    Raises:
        UserError: the file is missing or is no YAML, or a value is wrong; the message lists every wrong key
            with its value and what is allowed.
    """
    try:
        raw = tree(path.read_text(encoding="utf-8"))
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
        elif not fault["loc"] and fault["type"] == "value_error":  # settings that do not go together
            lines.append(f"  {fault['msg'].removeprefix('Value error, ')}")
        else:
            lines.append(f"  {key}: found {fault['input']!r}; {fault['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)
