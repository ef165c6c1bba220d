"""Fields of the forms in the Prefect UI, made from the typed settings of `pipeline.params`.

Titles are for people, help texts and limits are those of ``params.yaml``. The server checks what is sent,
from the UI or over REST, against the same schema before a run starts.
"""

from __future__ import annotations

import inspect
import warnings
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic.json_schema import PydanticJsonSchemaWarning

from flows import PROJECT
from pipeline import profiles
from pipeline.params import ArmParams, GroundParams, Params


class _Empty:
    """Stands for a field that is left empty.

    Not None: a schema's default of null makes the form send null, which the same schema then refuses. What
    has no JSON leaves the schema without a default, and the form sends nothing.
    """

    def __repr__(self) -> str:
        return "empty"

    def __reduce__(self) -> str:
        return "EMPTY"


EMPTY: Any = _Empty()
warnings.filterwarnings("ignore", "Default value empty", PydanticJsonSchemaWarning)


def _value(field: Any) -> Any:
    """What the flow is given for a field: None if it is left empty."""
    return None if field is EMPTY else field


KEPT = "Left empty, it stays as params.yaml has it."


def _setting(key: str) -> dict[str, Any]:
    """The JSON schema of one setting, by its dotted key."""
    whole = Params.model_json_schema()
    at = whole
    for name in key.split("."):
        at = at["properties"][name]
        if "$ref" in at:
            at = whole["$defs"][at["$ref"].rpartition("/")[2]]
    return at


def _field(schema: dict[str, Any], title: str, help: str) -> tuple[Any, ...]:
    """What makes a field: its schema, and what Prefect would otherwise put the parameter's name over."""
    shown: dict[str, Any] = {"title": title, "description": help}
    limits = {name: value for name, value in schema.items() if name not in ("title", "description")}
    return BeforeValidator(_value), WithJsonSchema(limits), Field(json_schema_extra=shown)


def _sources() -> str:
    """A line on each annotation source: the first of its settings' documentation."""
    lines = []
    for name in _setting("ground.source")["enum"]:
        section = GroundParams.model_fields[name].annotation
        lines.append(f"- {name}: {(inspect.getdoc(section) or '').splitlines()[0]}")
    return "\n\n".join(lines)


def stages() -> list[str]:
    """The stages of ``dvc.yaml``, in its order."""
    document = yaml.safe_load((PROJECT / "dvc.yaml").read_text(encoding="utf-8"))
    return list(document["stages"])


def _of(key: str, title: str, note: str = "") -> tuple[Any, ...]:
    """The field of a setting: its own help text, and what it means to leave it empty."""
    schema = _setting(key)
    return _field(schema, title, " ".join(filter(None, [schema.get("description"), note, KEPT])))


_PROFILES = {"type": "string", "enum": profiles.names(PROJECT / profiles.FOLDER)}
_STAGES = {"type": "array", "items": {"type": "string", "enum": stages()}, "uniqueItems": True}
_NAME = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]*$", "maxLength": 60}
_SEEDS = {"type": "integer", "minimum": 2, "maximum": 100}  # an interval needs two

Profile = Annotated[
    str | None, *_field(_PROFILES, "Profile", f"A named set of settings to start from. {KEPT}")
]
AnnotationSource = Annotated[
    str | None,
    *_field(
        _setting("ground.source"), "Annotation source", f"What finds the regions. {KEPT}\n\n{_sources()}"
    ),
]
Masks = Annotated[str | None, *_of("ground.masks", "Masks")]
MinCoverage = Annotated[float | None, *_of("patch_words.min_coverage", "Least coverage of a patch")]
Samples = Annotated[
    int | None,
    *_of("source.scenes.train", "Number of samples", "Other sources come as large as they are."),
]
Seed = Annotated[int | None, *_of("seed", "Seed")]
PretrainSteps = Annotated[int | None, *_of("train.pretrain.steps", "Steps of pre-training")]
FinetuneSteps = Annotated[int | None, *_of("train.finetune.steps", "Steps of fine-tuning")]
_BETA = ArmParams.model_json_schema()["properties"]["beta"]
_BETA_LIMITS = {name: value for name, value in _BETA.items() if name != "default"}
Beta = Annotated[
    float | None,
    *_field(
        _BETA_LIMITS, "Weight of the patch loss", f"{_BETA['description']} Of every arm that has one. {KEPT}"
    ),
]
AuditSources = Annotated[list[str] | None, *_of("audit.sources", "Annotation sources")]
AuditImages = Annotated[int | None, *_of("audit.images", "Images")]
Examples = Annotated[int | None, *_of("evaluate.examples", "Examples of a task")]

Stages = Annotated[
    list[str] | None,
    *_field(_STAGES, "Stages", "What to bring up to date, with all that it needs; none: the whole pipeline."),
]
Where = Annotated[
    str,
    *_field(
        {"type": "string", "enum": ["in place", "as an experiment"]},
        "Where it runs",
        "In place: the settings above are written into params.yaml, and data/ holds the results. As an"
        " experiment: they are handed to `dvc exp run -S`; the results are kept under the experiment's name"
        " (`dvc exp show`, `dvc exp apply`), and params.yaml and data/ are put back as they were.",
    ),
]
Name = Annotated[
    str | None, *_field(_NAME, "Experiment's name", "For an experiment only; empty: DVC makes one up.")
]
HandOver = Annotated[
    str,
    *_field(
        {"type": "string", "enum": ["nothing", "train", "evaluate"]},
        "Hand over",
        "What to start in the pool `gpu` when the tables are built: they are pushed to DVC's remote, and that"
        " run pulls them and pushes back what it makes. `evaluate` trains too.",
    ),
]
Remote = Annotated[
    bool,
    *_field(
        {"type": "boolean"},
        "Use DVC's remote",
        "Pull what others have built, push what is built here; without a remote nothing is.",
    ),
]
Settings = Annotated[
    dict[str, Any] | None,
    *_field(
        {"type": "object"},
        "Other settings",
        'Any settings of params.yaml by dotted key, such as {"evaluate.words": 5}; a run that hands over'
        " sends its own.",
    ),
]
Seeds = Annotated[int, *_field(_SEEDS, "Seeds", "How many seeds the arms are compared over.")]
