"""The flows that people start in the Prefect UI; ``prefect.yaml`` deploys them. Each is a DVC run.

Their parameters are the forms: see `flows.forms`. What a form leaves empty stays as ``params.yaml`` has it.
"""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows import PROJECT, build, forms, handover
from pipeline import params as parameters

ANNOTATION = ["patch_words"]
TRAINING = ["finetune"]
EVALUATION = ["report"]
STUDY = ["features", "true_words", "language_model"]  # what `make study` brings up to date first


@flow(name="rebuild", persist_result=False)
def rebuild(
    profile: forms.Profile = forms.EMPTY,
    annotation_source: forms.AnnotationSource = forms.EMPTY,
    samples: forms.Samples = forms.EMPTY,
    stages: forms.Stages = forms.EMPTY,
    seed: forms.Seed = forms.EMPTY,
    where: forms.Where = build.IN_PLACE,
    experiment: forms.Name = forms.EMPTY,
) -> State[None]:
    """Bring the pipeline up to date: only what has changed is built anew."""
    edits = _edits(annotation_source, samples, seed)
    return build.build(build.Plan(edits, profile, stages or [], where, experiment))


@flow(name="annotate", persist_result=False)
def annotate(
    profile: forms.Profile = forms.EMPTY,
    annotation_source: forms.AnnotationSource = forms.EMPTY,
    masks: forms.Masks = forms.EMPTY,
    min_coverage: forms.MinCoverage = forms.EMPTY,
    samples: forms.Samples = forms.EMPTY,
    seed: forms.Seed = forms.EMPTY,
    hand_over: forms.HandOver = "nothing",
) -> State[None]:
    """The data stages alone: images and captions to patch-word tables."""
    edits = _edits(annotation_source, samples, seed)
    edits |= {"ground.masks": masks, "patch_words.min_coverage": min_coverage}
    state = build.build(build.Plan(edits, profile, ANNOTATION, remote=hand_over != "nothing"))
    if state.is_completed() and hand_over != "nothing":
        handover.start(hand_over)
    return state


@flow(name="train", persist_result=False)
def train(
    pretrain_steps: forms.PretrainSteps = forms.EMPTY,
    finetune_steps: forms.FinetuneSteps = forms.EMPTY,
    beta: forms.Beta = forms.EMPTY,
    seed: forms.Seed = forms.EMPTY,
    remote: forms.Remote = True,
    settings: forms.Settings = forms.EMPTY,
) -> State[None]:
    """Train the arms, with all that they need."""
    edits = (settings or {}) | build.given(
        {
            "train.pretrain.steps": pretrain_steps,
            "train.finetune.steps": finetune_steps,
            **{f"train.arms.{arm}.beta": beta for arm in _arms_with_a_loss()},
            "seed": seed,
        }
    )
    return build.build(build.Plan(edits, stages=TRAINING, remote=remote))


@flow(name="evaluate", persist_result=False)
def evaluate(
    examples: forms.Examples = forms.EMPTY,
    seed: forms.Seed = forms.EMPTY,
    remote: forms.Remote = True,
    settings: forms.Settings = forms.EMPTY,
) -> State[None]:
    """Evaluate the arms and make the report, with all that they need."""
    edits = (settings or {}) | build.given({"evaluate.examples": examples, "seed": seed})
    return build.build(build.Plan(edits, stages=EVALUATION, remote=remote))


@flow(name="audit", persist_result=False)
def audit(sources: forms.AuditSources = forms.EMPTY, images: forms.AuditImages = forms.EMPTY) -> State[None]:
    """Compare annotation sources' regions with human boxes."""
    edits = {"audit.sources": sources, "audit.images": images}
    return build.build(build.Plan(edits, stages=["audit"]))


@flow(name="study", persist_result=False)
def study(seeds: forms.Seeds = 5, remote: forms.Remote = True) -> State[None]:
    """Compare the arms over several seeds; goes on where an earlier study stopped."""
    command = ["python", "-m", "pipeline.evaluation.study", "--seeds", str(seeds)]
    return build.build(build.Plan({}, stages=STUDY, remote=remote, study=command))


def _arms_with_a_loss() -> list[str]:
    """The arms that ``params.yaml`` gives a patch loss."""
    arms = parameters.load(PROJECT / parameters.PARAMS_FILE).train.arms
    return [name for name, arm in arms.items() if arm.loss != "none"]


def _edits(source: str | None, samples: int | None = None, seed: int | None = None) -> dict[str, Any]:
    return {"ground.source": source, "source.scenes.train": samples, "seed": seed}
