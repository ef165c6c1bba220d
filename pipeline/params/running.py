"""``evaluate``, ``report`` and ``compute``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.params.section import Positive, Section
from pipeline.tables import digests


class EvaluateParams(Section):
    """Evaluation on the test split."""

    examples: Positive = Field(description="Most examples of a task.")
    regions: Positive = Field(description="Most regions for alignment and decomposition.")
    words: Positive = Field(description="K of the decomposition: words a token is decomposed into.")
    batch_size: Positive = Field(description="Examples a batch of generation.")
    bootstrap: Positive = Field(description="Resamples behind an interval.")
    java: bool = Field(description="METEOR and SPICE too, where there is Java (ten seconds to start).")
    benchmarks: list[str] = Field(
        description="Tasks of lmms-eval that are run on the checkpoints, by the name that it gives them."
    )

    def digest(self) -> str:
        """Digest of what the pipeline's own evaluation depends on: not of outside benchmarks."""
        return digests.of_value(self.model_dump(mode="json", exclude={"benchmarks"}))


class ReportParams(Section):
    """The report."""

    baseline: str = Field(description="The arm of train.arms that the others are compared with.")
    examples: Positive = Field(description="Examples drawn.")


class ComputeParams(Section):
    """What runs where, how much at a time. Changes no result beyond rounding; no stage depends on it."""

    stages: Positive = Field(1, description="Stages that `make repro` runs at a time.")
    runner: Literal["threads", "processes", "dask", "ray"] = Field(
        description="What the shards are given to."
    )
    address: str | None = Field(
        None,
        description="Of a running Dask scheduler or Ray cluster; none: one of `workers` on this machine.",
    )
    workers: Positive = Field(description="Shards at a time on this machine.")
    gpus: Annotated[int, Field(ge=0)] = Field(
        0, description="GPUs that worker processes share out, one each; 0: they see all there are."
    )
    threads: int = Field(ge=0, description="Threads of a training stage on a CPU; 0: one a core.")
    loaders: Annotated[int, Field(ge=0)] = Field(
        2,
        description="Workers of a training process that decode images where train.cache_features is false; 0:"
        " the process itself.",
    )
    processes: Annotated[int, Field(ge=0)] = Field(
        1, description="Of training, and of the answers in evaluate, by torchrun; 0: one for each GPU."
    )
    sharding: Literal["none", "full"] = Field(
        "none",
        description="full: several processes share out weights, gradients and optimiser state (FSDP2).",
    )
    micro_batch: Annotated[int, Field(ge=0)] = Field(
        0, description="Most images that a training process takes at a time; 0: its whole part of a step."
    )
    recompute: bool = Field(
        False, description="Layers are computed again in the backward pass: less memory, a third more work."
    )
    compile: bool = Field(False, description="The language model's layers go through torch.compile.")
