"""transformers' Trainer for both stages of training: captions (or answers), and patches towards words."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import cast

import torch
from torch.utils.data import SequentialSampler
from transformers import (
    LlavaForConditionalGeneration,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from pipeline.models import llava
from pipeline.models.shared_prefix import read_prefix, read_turns
from pipeline.params import ArmParams, OptimisationParams
from pipeline.training import optimiser
from pipeline.training.batches import Collator, Schedule
from pipeline.training.losses import PATCH_LOSSES, token_loss
from pipeline.training.runtime import Progress, autocast, device

LOG_EVERY = 10


class PatchAlignedTrainer(Trainer):
    """Minimises L_caption + beta * L_patch (Jiang et al., arXiv 2505.17316); an arm without one has beta = 0.

    Batches are those of `pipeline.training.batches.Collator`: features of the frozen encoder, and turns.
    """

    def __init__(
        self,
        *args,
        before_image: list[int],
        patch_loss: ArmParams | None,
        mean_over: str,
        optimiser: str = "muon",
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._mean_over = mean_over
        self._optimiser = optimiser
        self._before_image = torch.tensor(before_image, dtype=torch.long)
        self._patch_loss = patch_loss
        self.parts: dict[str, list[torch.Tensor]] = {}

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """The scalar loss of a batch; its parts are kept in ``parts`` until they are logged."""
        # Trainer's own bf16 leaves a CPU in float32.
        with autocast():
            loss = self._loss(self.accelerator.unwrap_model(model), inputs)
        return (loss, {}) if return_outputs else loss

    def _loss(self, model: LlavaForConditionalGeneration, inputs: dict) -> torch.Tensor:
        tokens_BND = llava.project(model, inputs["features"])
        caption = caption_loss(
            model, self._before_image.to(tokens_BND.device), tokens_BND, inputs, self._mean_over
        )
        self.parts.setdefault("caption_loss", []).append(caption.detach())
        loss = caption
        if self._patch_loss is not None:
            patch = PATCH_LOSSES[self._patch_loss.loss](
                tokens_BND,
                inputs["region_weights"],
                cast(torch.Tensor, model.get_input_embeddings().weight),
                inputs["region_words"],
                model.config.pad_token_id,
            )
            self.parts.setdefault("patch_loss", []).append(patch.detach())
            loss = caption + self._patch_loss.beta * patch
        return loss

    def create_optimizer(self, *args, **kwargs):
        """The optimiser of the settings, over what requires gradients."""
        if self.optimizer is None:
            assert self.model is not None
            self.optimizer = optimiser.build(
                self._optimiser, self.model, self.args.learning_rate, self.args.weight_decay
            )
        return self.optimizer

    def log(self, logs, *args, **kwargs) -> None:
        """Log the loss's parts, averaged since the last time, beside what Trainer logs."""
        if "loss" in logs:
            logs.update({name: float(torch.stack(values).mean()) for name, values in self.parts.items()})
            self.parts.clear()
        super().log(logs, *args, **kwargs)

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None) -> None:
        # Trainer's own goes by the names in the file, which for LLaVA are not those of the module: it would
        # load nothing, and say so in a warning alone.
        found = LlavaForConditionalGeneration.from_pretrained(resume_from_checkpoint)
        target = self.model if model is None else model
        assert target is not None
        target.load_state_dict(found.state_dict())

    def _get_train_sampler(self, *args, **kwargs):
        assert isinstance(self.train_dataset, Schedule)
        return SequentialSampler(self.train_dataset)  # shuffled already


def caption_loss(
    model: LlavaForConditionalGeneration,
    before_image: torch.Tensor,
    tokens_BND: torch.Tensor,
    inputs: dict,
    mean_over: str = "tokens",
) -> torch.Tensor:
    """Mean cross-entropy of the answers, over tokens or turns, each turn behind its image alone."""
    decoder, embed = llava.decoder_of(model), model.get_input_embeddings()
    cache = read_prefix(decoder, llava.prefix_embeddings(model, before_image, tokens_BND))
    sums, counts = zip(
        *[
            token_loss(read_turns(decoder, cache, embed(ids)), model.lm_head, labels, mean_over)
            for ids, labels in zip(inputs["ids"], inputs["labels"], strict=True)
        ],
        strict=True,
    )
    return torch.stack(sums).sum() / torch.stack(counts).sum().clamp_min(1)


class Bar(TrainerCallback):
    """Shows how far training is, in place of Trainer's own printing."""

    def __init__(self, title: str, steps: int) -> None:
        self._progress = Progress(title, steps)
        self._notes: dict[str, float] = {}

    def on_train_begin(self, args, state, control, **kwargs):
        """Show the bar, where a resumed run starts."""
        self._progress.__enter__()
        self._progress.advance(state.global_step)

    def on_step_end(self, args, state, control, **kwargs):
        """One step further."""
        self._progress.advance(1, **self._notes)

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Keep the loss that is shown."""
        if logs and "loss" in logs:
            self._notes = {"loss": float(logs["loss"])}

    def on_train_end(self, args, state, control, **kwargs):
        """Take the bar away."""
        self._progress.__exit__(None, None, None)


class Curve(TrainerCallback):
    """Writes what is logged as a CSV file, a row a time; a resumed run goes on where the checkpoint was."""

    COLUMNS = ("step", "loss", "caption_loss", "patch_loss", "learning_rate", "grad_norm")

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_begin(self, args, state, control, **kwargs):
        """Rewrite the curve from the state's history, which a checkpoint carries."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.COLUMNS, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(entry for entry in state.log_history if "loss" in entry)

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Append a row."""
        if logs and "loss" in logs:
            with self._path.open("a", newline="") as file:
                writer = csv.DictWriter(file, self.COLUMNS, extrasaction="ignore", lineterminator="\n")
                writer.writerow({"step": state.global_step, **logs})


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
) -> None:
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
    """
    schedule = Schedule.of(len(collator.features), settings.steps * settings.batch_images, seed)
    arguments = TrainingArguments(
        output_dir=str(work),
        max_steps=settings.steps,
        per_device_train_batch_size=settings.batch_images,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=round(settings.warmup * settings.steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=1.0,
        logging_steps=LOG_EVERY,
        save_steps=settings.save_every,
        save_total_limit=1,
        seed=seed,
        report_to="none",
        use_cpu=device() == "cpu",
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        disable_tqdm=True,
    )
    trainer = PatchAlignedTrainer(
        model=model,
        args=arguments,
        train_dataset=schedule,
        data_collator=collator,
        callbacks=[Curve(curve), *(callbacks or [])],
        before_image=before_image,
        patch_loss=patch_loss,
        mean_over=settings.mean_over,
        optimiser=settings.optimiser,
    )
    for printer in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printer)
    trainer.add_callback(Bar(curve.stem, settings.steps))
    trainer.train(resume_from_checkpoint=last_checkpoint(work))
    shutil.rmtree(work, ignore_errors=True)


def last_checkpoint(work: Path) -> str | None:
    """The newest whole checkpoint: Trainer writes ``trainer_state.json`` last."""
    whole = [path for path in work.glob("checkpoint-*") if (path / "trainer_state.json").exists()]
    return str(max(whole, key=lambda path: int(path.name.split("-")[1]))) if whole else None
