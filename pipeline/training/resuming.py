"""Checkpoints of training: of what is trained alone, whole or not there, taken up by the same model alone.

A checkpoint is written beside the last one and moved into its place when it is whole; only then is the last
one removed. Frozen weights are not in it: they come from the stage's inputs.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed import checkpoint as sharded_checkpoint
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from pipeline.errors import UserError
from pipeline.training import processes

WEIGHTS = "trained.safetensors"
SHARDS = "shards"


def last_checkpoint(work: Path) -> str | None:
    """The newest whole checkpoint: ``trainer_state.json`` is written last."""
    whole = [path for path in work.glob("checkpoint-*") if (path / "trainer_state.json").exists()]
    return str(max(whole, key=lambda path: int(path.name.split("-")[1]))) if whole else None


def replace_last(work: Path, step: int, write: Callable[[Path], object]) -> None:
    """Write the checkpoint of a step and remove those before it, in this order.

    Args:
        work: folder of the checkpoints.
        step: the step's number.
        write: writes ``checkpoint-STEP`` into the folder that it is given; called by every process.

    Raises:
        UserError: it could not be written; the checkpoint before it is still there.
    """
    staging = work / "partial"
    if processes.rank() == 0:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
    processes.wait()
    try:
        write(staging)
    except (OSError, RuntimeError) as error:  # torch.save says RuntimeError where a disk is full
        shutil.rmtree(staging, ignore_errors=True)
        kept = last_checkpoint(work)
        raise UserError(
            f"The checkpoint of step {step} could not be written to {work}: {error}. "
            f"{f'{Path(kept).name} is still there' if kept else 'There is none before it'}: free disk space "
            "and run the same command again"
        ) from error
    processes.wait()
    if processes.rank() == 0:
        name = f"checkpoint-{step}"
        shutil.rmtree(work / name, ignore_errors=True)
        os.replace(staging / name, work / name)
        for older in work.glob("checkpoint-*"):
            if older.name != name:
                shutil.rmtree(older, ignore_errors=True)
    processes.wait()


def trained(model: nn.Module) -> dict[str, torch.Tensor]:
    """The parameters that are trained, by name."""
    return {name: value.detach() for name, value in model.named_parameters() if value.requires_grad}


def is_sharded(model: nn.Module) -> bool:
    """Whether parameters are spread over processes."""
    return any(isinstance(value, DTensor) for value in model.parameters())


def save_weights(model: nn.Module, folder: Path) -> None:
    """Write what is trained; every process its own part where it is sharded."""
    if is_sharded(model):
        sharded_checkpoint.save(trained(model), checkpoint_id=folder / SHARDS / "weights")
    elif processes.rank() == 0:
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in trained(model).items()}, folder / WEIGHTS)


def load_weights(model: nn.Module, folder: Path) -> None:
    """Read what `save_weights` wrote into a model.

    Raises:
        UserError: the checkpoint is of another model, or was saved sharded and the model is not, or reversed.
    """
    if is_sharded(model) != (folder / SHARDS).exists():
        now, then = ("full", "none") if is_sharded(model) else ("none", "full")
        raise UserError(
            f"{folder} was saved with compute.sharding: {then}, and now it is {now}: put {then} back to go "
            "on, or delete that folder to start again"
        )
    ours = trained(model)
    if is_sharded(model):
        sharded_checkpoint.load(ours, checkpoint_id=folder / SHARDS / "weights")
        return
    if not (folder / WEIGHTS).exists():
        raise UserError(f"{folder} holds no {WEIGHTS}: delete that folder to start again")
    found = load_file(folder / WEIGHTS)
    differences = [f"{name} is missing" for name in ours.keys() - found.keys()]
    differences += [f"{name} is not in this model" for name in found.keys() - ours.keys()]
    differences += [
        f"{name} is {list(found[name].shape)} there, {list(ours[name].shape)} here"
        for name in ours.keys() & found.keys()
        if ours[name].shape != found[name].shape
    ]
    if differences:
        raise UserError(
            f"{folder} is a checkpoint of another model ({len(differences)} differences; "
            f"{'; '.join(sorted(differences)[:3])}): delete that folder to start again"
        )
    with torch.no_grad():
        for name, value in ours.items():
            value.copy_(found[name])


def save_optimiser(model: nn.Module, optimiser: Optimizer, folder: Path) -> None:
    """Write the state of a sharded model's optimiser, every process its own part."""
    state = {"optimiser": get_optimizer_state_dict(model, optimiser)}
    sharded_checkpoint.save(state, checkpoint_id=folder / SHARDS / "optimiser")


def load_optimiser(model: nn.Module, optimiser: Optimizer, folder: Path) -> None:
    """Read what `save_optimiser` wrote."""
    state = {"optimiser": get_optimizer_state_dict(model, optimiser)}
    sharded_checkpoint.load(state, checkpoint_id=folder / SHARDS / "optimiser")
    set_optimizer_state_dict(model, optimiser, optim_state_dict=state["optimiser"])


def whole_weights(model: nn.Module) -> dict[str, torch.Tensor] | None:
    """All weights of a sharded model, on process 0's CPU and empty elsewhere; None if not sharded."""
    if not is_sharded(model):
        return None
    found = {}
    for name, value in model.state_dict().items():
        whole = value.full_tensor() if isinstance(value, DTensor) else value
        if processes.rank() == 0:
            found[name] = whole.cpu()
    return found
