"""``make ablations``: one setting changed at a time, each run kept as a DVC experiment.

The run that they vary is brought up to date first; then each setting, the stages that it does not touch left
alone. An experiment that is there already, of the same settings, is not run again, so a killed command goes
on. `ablation_results` says what is made of them; `dvc exp show --only-changed` lists them with all they hold.

    python -m flows.ablations --arm patch_aligned --only beta-0.5,boxes
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from flows import PROJECT, ablation_results, experiments, processes, settings, workspace
from pipeline import params as parameters
from pipeline.console import run_command, run_options
from pipeline.errors import UserError
from pipeline.params import Params
from pipeline.writer import WRITER_VARIABLE

LOG_WIDTH = 170  # columns, where there is no terminal to fit

Ablations = dict[str, dict[str, Any]]
"""By experiment's name, the settings that it changes."""


def of(params: Params, arm: str) -> Ablations:
    """What is varied of an arm and of the data that it learns from; what is so already is left out.

    Raises:
        UserError: there is no such arm, it has no patch loss, or no other to be compared with.
    """
    section, here = f"train.arms.{arm}", params.arm(arm)
    if here.loss == "none":
        raise UserError(f"--arm {arm}: it has no patch loss that could be varied; name another arm")
    if len(params.arms) == 1:
        raise UserError(
            f"--arm {arm}: train.arms has no other arm that it could be compared with; add one, such as"
            " caption: {loss: none}"
        )
    found: Ablations = {}
    for beta in (0.5, 1.0, 4.0, 8.0):
        found[f"beta-{beta:g}"] = {f"{section}.beta": beta}
    whole = here.captions and here.dimensions == 1
    for loss in ("cosine", "vocabulary", "contrastive", *(["logit_lens"] if whole else [])):
        found[f"loss-{loss.replace('_', '-')}"] = {f"{section}.loss": loss}
    for words in ("phrase", "head", "words"):
        found[f"target-{words}"] = {f"{section}.words": words}
    for use in ("masks", "boxes"):
        found[use] = {"patch_words.use": use}
    for source in params.audit.sources:
        found[f"source-{source.replace('_', '-')}"] = {"ground.source": source}
    if params.source.name == "scenes":
        for part in (2, 4):
            found[f"samples-1-{part}"] = {"source.scenes.train": max(1, params.source.scenes.train // part)}
    now = {
        f"{section}.beta": here.beta,
        f"{section}.loss": here.loss,
        f"{section}.words": here.words,
        "patch_words.use": params.patch_words.use,
        "ground.source": params.ground.source,
    }
    return {
        f"{arm.replace('_', '-')}-{name}": changes
        for name, changes in found.items()
        if any(now.get(key) != value for key, value in changes.items())
    }


def run(ablations: Ablations, tell: Console) -> None:
    """Build what is varied, then run those that are not there yet, one after another.

    Raises:
        UserError: one failed; those before it are kept, and the workspace is as it was.
    """
    build("repro")
    there = ablation_results.kept(PROJECT)
    text = (PROJECT / parameters.PARAMS_FILE).read_text(encoding="utf-8")
    for number, (name, changes) in enumerate(ablations.items(), 1):
        head = f"{number} of {len(ablations)}: {name}"
        if name in there and ablation_results.same(there[name], text, changes, PROJECT):
            tell.print(f"{head} is there already")
            continue
        tell.print(f"{head}: {', '.join(f'{key} = {value}' for key, value in changes.items())}")
        one(name, settings.with_changes(text, changes), replace=name in there)


def one(name: str, changes: Sequence[str], replace: bool) -> None:
    """Run one experiment and put the workspace back as it was; ``replace`` one of other settings."""
    options = [part for change in changes for part in ("-S", change)]
    with experiments.aside(PROJECT):
        if replace:
            build("exp", "remove", name)
        build("exp", "run", "--name", name, *options)


def build(*command: str) -> None:
    """Run a command of DVC to its end; a ctrl-C reaches it as well, and is waited for.

    Raises:
        UserError: it failed.
        KeyboardInterrupt: it was stopped by ctrl-C. It has ended, with its stage, and left git as it was.
    """
    process = subprocess.Popen([*processes.DVC, *command], cwd=PROJECT, env=_variables())
    stopped = False
    while True:
        try:
            status = process.wait()
            break
        except KeyboardInterrupt:
            # `subprocess.run` would kill DVC a quarter of a second later, while it tidies up.
            stopped = True
    if stopped:
        raise KeyboardInterrupt
    if status:
        raise UserError(f"`dvc {' '.join(command)}` failed (see above); run the same command again to go on")


def _variables() -> dict[str, str]:
    """This environment, and what tells the stages that they belong to who holds the workspace."""
    return processes.environment() | {WRITER_VARIABLE: str(os.getpid())}


def choose(found: Ablations, arm: str, only: str) -> Ablations:
    """Those of an arm's ablations that are named, with or without the arm before them; all if none is.

    Raises:
        UserError: there is no such ablation.
    """
    prefix = f"{arm.replace('_', '-')}-"
    wanted = [name if name.startswith(prefix) else prefix + name for name in only.split(",") if name]
    if unknown := [name for name in wanted if name not in found]:
        raise UserError(f"--only: there is no {', '.join(unknown)}; there are {', '.join(found)}")
    return {name: found[name] for name in wanted or found}


def publish(params: Params, arm: str, tell: Console) -> None:
    """Gather what is there, print it, and have the report show it."""
    baseline = next(name for name in params.arms if name != arm)
    text = (PROJECT / parameters.PARAMS_FILE).read_text(encoding="utf-8")
    found = ablation_results.gather(arm, baseline, of(params, arm), text, PROJECT)
    file = PROJECT / ablation_results.FOUND
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    build("repro", "--quiet", "report")
    tell.print(ablation_results.table(found))
    tell.print("On the report's page: data/report/index.html#ablations")


def main() -> None:
    """Run the ablations of an arm."""

    def command(
        arm: Annotated[str, typer.Option(help="The arm that is varied.")] = "patch_aligned",
        only: Annotated[str, typer.Option(help="Some of them, by name and comma.")] = "",
        show: Annotated[bool, typer.Option("--list", help="Name them and run none.")] = False,
    ) -> None:
        tell = Console(highlight=False)
        who = {"name": "ablations", "pid": os.getpid()}
        with workspace.sole_writer(PROJECT, who, tell.print):
            experiments.put_back(PROJECT)  # a run that was killed left its own settings
            params = parameters.load(PROJECT / parameters.PARAMS_FILE)
            chosen = choose(of(params, arm), arm, only)
            if show:
                for name, changes in chosen.items():
                    tell.print(f"{name}: {', '.join(f'{key} = {value}' for key, value in changes.items())}")
            else:
                run(chosen, tell)
                publish(params, arm, tell if tell.is_terminal else Console(width=LOG_WIDTH, highlight=False))

    run_options(command)


if __name__ == "__main__":
    run_command(main)
