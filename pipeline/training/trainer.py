"""transformers' Trainer for both stages of training: captions (or answers), and patches towards words."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import distributed
from torch.utils.data import SequentialSampler
from transformers import (
    LlavaForConditionalGeneration,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from pipeline.errors import UserError
from pipeline.models import llava
from pipeline.params import ArmParams, ComputeParams, OptimisationParams
from pipeline.training import dashboards, optimiser, processes, resuming
from pipeline.training.batches import FAILED, Collator, Schedule, Shares, shares_of
from pipeline.training.compiling import compile_layers
from pipeline.training.curves import Bar, Curve, LogAtSave
from pipeline.training.on_demand import OnDemand
from pipeline.training.runtime import device
from pipeline.training.step import Step

LOG_EVERY = 10
ALONE = ComputeParams.model_validate({"runner": "threads", "workers": 1, "threads": 0})
"""One process, whole batches, nothing recomputed."""


class PatchAlignedTrainer(Trainer):
    """Trains a `Step` on `Shares` of each step's images."""

    def __init__(self, *args, settings: OptimisationParams, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        # The shares' losses add up to the step's: Trainer must not divide them by their number.
        self.loss_is_scaled_for_ga = True
        # A model that looks after its shards itself: accelerate would shard on GPUs alone.
        self.is_distributed_loading_by_transformers = resuming.is_sharded(self._step)
        self._settings = settings
        self._parts: dict[str, torch.Tensor] = {}
        self._logged = 0  # step before the first one that the sums are of
        self._saving: Path | None = None

    @property
    def _step(self) -> Step:
        return cast(Step, self.model)

    @property
    def _data(self) -> Shares:
        assert isinstance(self.train_dataset, Shares)
        return self.train_dataset

    def _prepare_inputs(self, inputs):
        if FAILED in inputs:
            raise inputs[FAILED]
        return super()._prepare_inputs(inputs)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """The scalar loss of a batch; its parts are summed until they are logged."""
        self._step.progress = self.state.global_step / self.state.max_steps
        loss, parts = model(inputs)
        if not torch.isfinite(loss):
            raise UserError(f"The loss became {float(loss)} {self._where(inputs)}")
        self._seen = inputs["images"]
        if not self._parts:
            self._logged = self.state.global_step
        for name, value in parts.items():
            self._parts[name] = self._parts.get(name, 0) + value
        # Gradients are averaged over processes, and each has a share of the sum.
        loss = loss * processes.count()
        return (loss, {}) if return_outputs else loss

    def _where(self, inputs: dict) -> str:
        ids = [self._data.collator.features.image_ids[image] for image in inputs["images"].tolist()]
        return (
            f"in step {self.state.global_step + 1}, at the images {', '.join(ids[:8])}"
            f"{f' and {len(ids) - 8} more' if len(ids) > 8 else ''}. Look at their rows (`patchwords "
            "inspect`); if nothing is wrong with them, lower the learning_rate (it is "
            f"{self._settings.learning_rate:g}) or lengthen the warmup (it is {self._settings.warmup:g} of "
            "the steps). The checkpoint before it is kept"
        )

    def _clip_grad_norm(self, model):
        norm = super()._clip_grad_norm(model)
        if norm is not None and not torch.isfinite(norm):
            raise UserError(f"The gradient became {float(norm)} {self._where({'images': self._seen})}")
        return norm

    def create_optimizer(self, *args, **kwargs):
        """The optimiser of the settings, over what requires gradients."""
        if self.optimizer is None:
            assert self.model is not None
            self.optimizer = optimiser.build(
                self._settings.optimiser, self.model, self.args.learning_rate, self.args.weight_decay
            )
        return self.optimizer

    def log(self, logs, *args, **kwargs) -> None:
        """Log the loss's parts, averaged over the steps since the last time, beside what Trainer logs."""
        if "loss" in logs and self._parts:
            summed = torch.stack([value.float() for value in self._parts.values()])
            if distributed.is_initialized():
                distributed.all_reduce(summed)
            steps = self.state.global_step - self._logged
            logs.update(zip(self._parts, (summed / steps).tolist(), strict=True))
            self._parts.clear()
        super().log(logs, *args, **kwargs)

    def _get_train_sampler(self, *args, **kwargs):
        return SequentialSampler(self._data)  # shuffled already

    def _defer_fsdp_gradient_reduction(self):
        return without_reduction(self.model)

    # Checkpoints ----------------------------------------------------------------------------------------

    def _get_output_dir(self, trial) -> str:
        return str(self._saving or self.args.output_dir)

    def _save_checkpoint(self, model, trial) -> None:
        def write(folder: Path) -> None:
            self._saving = folder
            super(PatchAlignedTrainer, self)._save_checkpoint(model, trial)

        try:
            resuming.replace_last(Path(str(self.args.output_dir)), self.state.global_step, write)
        finally:
            self._saving = None

    def save_model(self, output_dir=None, _internal_call=False) -> None:
        """Write what is trained."""
        resuming.save_weights(self._step, Path(str(output_dir or self.args.output_dir)))

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        if resuming.is_sharded(self._step):
            (Path(output_dir) / "optimizer.pt").unlink(missing_ok=True)  # one process's part
            resuming.save_optimiser(self._step, cast(Any, self.optimizer).optimizer, Path(output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None) -> None:
        resuming.load_weights(self._step if model is None else model, Path(resume_from_checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint and resuming.is_sharded(self._step):
            resuming.load_optimiser(self._step, cast(Any, self.optimizer).optimizer, Path(checkpoint))
            cast(Any, self.lr_scheduler).load_state_dict(
                torch.load(Path(checkpoint) / "scheduler.pt", weights_only=True)
            )
        else:
            super()._load_optimizer_and_scheduler(checkpoint)


@contextlib.contextmanager
def without_reduction(model):
    """Leave the gradients of a sharded model as they are until the step's last share."""
    model.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        model.set_requires_gradient_sync(True)


def train(
    model: LlavaForConditionalGeneration,
    collator: Collator,
    before_image: list[int],
    settings: OptimisationParams,
    patch_loss: ArmParams | None,
    work: Path,
    curve: Path,
    seed: int,
    callbacks: list[TrainerCallback] | None = None,
    compute: ComputeParams = ALONE,
    report_to: Sequence[str] = (),
) -> dict[str, torch.Tensor] | None:
    """Train the parameters of ``model`` that require gradients; a checkpoint in ``work`` is taken up.

    Args:
        model: changed in place.
        collator: makes batches of places of the schedule.
        before_image: token ids that stand before the image.
        settings: steps, batch, learning rate.
        patch_loss: the arm that has one; None for captions alone and for fine-tuning.
        work: folder for checkpoints, removed at the end.
        curve: CSV file of the learning curve.
        seed: of the data's order.
        callbacks: further callbacks.
        compute: how the work is spread and what is kept in memory; changes no result beyond rounding.
        report_to: dashboards that are told, beside the curve.

    Returns:
        The weights, where ``model`` holds but a part of them (``compute.sharding``): on process 0, empty
        elsewhere. None where the model holds them all.

    Raises:
        UserError: the loss is not a number, memory or disk is full, or the checkpoint is of another model.
    """
    told, left = dashboards.of(report_to, curve)
    if compute.sharding == "full" and processes.count() > 1:
        # Processes gather a layer's weights together, so each has to call it as often as the others.
        collator = replace(collator, cut=False)
    shares = shares_of(settings.batch_images, compute.micro_batch, processes.count())
    step = prepare_step(model, before_image, settings, patch_loss, compute)
    schedule = Schedule.of(len(collator.features), settings.steps * settings.batch_images, seed)
    alone = device() == "cpu"
    arguments = TrainingArguments(
        output_dir=str(work),
        max_steps=settings.steps,
        per_device_train_batch_size=1,  # an item is a batch
        gradient_accumulation_steps=shares // processes.count(),
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=round(settings.warmup * settings.steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=1.0,
        logging_steps=LOG_EVERY,
        logging_nan_inf_filter=False,
        save_steps=settings.save_every,
        seed=seed,
        report_to=left or "none",
        run_name=dashboards.run_name(curve),
        use_cpu=alone,
        ddp_backend=None if processes.count() == 1 else "gloo" if alone else "nccl",
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,
        remove_unused_columns=False,
        # Pictures take long to decode; cached features are there at once.
        dataloader_num_workers=compute.loaders if isinstance(collator.features, OnDemand) else 0,
        dataloader_pin_memory=False,
        disable_tqdm=True,
    )
    trainer = PatchAlignedTrainer(
        model=step,
        args=arguments,
        train_dataset=Shares(collator, schedule, settings.batch_images, shares, settings.mean_over),
        data_collator=only,
        callbacks=[*(callbacks or ()), LogAtSave(), *told],
        settings=settings,
    )
    for printer in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printer)
    if processes.rank() == 0:
        trainer.add_callback(Curve(curve))
        trainer.add_callback(Bar(curve.stem, settings.steps))
    try:
        trainer.train(resume_from_checkpoint=resuming.last_checkpoint(work))
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise out_of_memory(settings.batch_images // shares, compute) from error
    weights = resuming.whole_weights(model)
    processes.wait()
    if processes.rank() == 0:
        shutil.rmtree(work, ignore_errors=True)
    return weights


def only(items: Sequence[dict]) -> dict:
    """The item that a batch is."""
    return items[0]


def prepare_step(
    model: LlavaForConditionalGeneration,
    before_image: list[int],
    settings: OptimisationParams,
    patch_loss: ArmParams | None,
    compute: ComputeParams,
) -> Step:
    """The model as a `Step`, its layers recomputed, compiled and sharded as ``compute`` says."""
    decoder: Any = llava.decoder_of(model)
    sharded = compute.sharding == "full" and processes.count() > 1
    whole_layers = compute.recompute or compute.compile or sharded
    step = Step(model, before_image, patch_loss, settings.mean_over, share_prefix=not whole_layers)
    if compute.recompute:
        decoder.activation_checkpointing_enable({"use_reentrant": False})
    if compute.compile:
        compile_layers(decoder.layers)
    if sharded:
        processes.shard(step, list(decoder.layers), device())
    return step


def out_of_memory(images: int, compute: ComputeParams) -> UserError:
    """What to lower, where memory was full with ``images`` at a time."""
    ways = []
    if images > 1:
        ways.append(
            f"set compute.micro_batch to {images // 2} or less (it came to {images} images at a time)"
        )
    if not compute.recompute:
        ways.append("set compute.recompute: true")
    if compute.sharding == "none":
        ways.append("set compute.sharding: full where there are several GPUs")
    return UserError(
        "Out of memory in training: "
        + "; or ".join(ways or ["use more or larger GPUs"])
        + ". None of them changes the result; the same command goes on from the last checkpoint"
    )
