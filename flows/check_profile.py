"""Is everything there that a profile needs? To be run before a GPU-hour is spent.

    python -m flows.check_profile paper

Looks at paths, weights (without loading them), disk, memory and hours, then rehearses every stage on eight
samples with tiny models. Ends with status 1 if something would stop the run.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows import PROJECT
from pipeline import params, profiles
from pipeline.console import run_command
from pipeline.params import Params
from pipeline.preflight import profile as needs
from pipeline.preflight import stand_ins
from pipeline.preflight.findings import Finding, show, stops
from pipeline.preflight.needs import Shapes
from pipeline.preflight.weights import Weights


def check(
    name: Annotated[str, typer.Argument(help="The profile; params: params.yaml as it is.")] = "params",
    tflops: Annotated[
        float | None, typer.Option(help="TFLOP/s that training gets out of a device, where you measured it.")
    ] = None,
    rehearsal: Annotated[bool, typer.Option(help="Run every stage on eight samples too.")] = True,
) -> None:
    """Check a profile against this machine; exit status 1 when something is missing."""
    text = params.PARAMS_FILE.read_text(encoding="utf-8") if name == "params" else profiles.text(name)
    settings = params.parse(params.tree(text), name)
    images, found_data = needs.data(settings)
    encoder, language_model, findings = needs.models(settings)
    findings = [found_data, *findings]
    shapes = _shapes(settings, encoder, language_model)
    if shapes is None:
        found = "unknown: the sizes of a model that is not here"
        findings.append(Finding("disk, memory, time", "missing", found, "see above"))
    else:
        findings += needs.resources(settings, shapes, images, PROJECT, tflops)
    console = Console(width=None if sys.stdout.isatty() else 120)
    if rehearsal:
        from flows.rehearsal import rehearse

        with tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
            findings += rehearse(text, encoder, language_model, Path(folder))
    show(f"Profile {name}", findings, console)
    if stops(findings):
        console.print("Not ready: see what is red.", style="red")
        raise typer.Exit(1)
    console.print("Ready.", style="green")


def _shapes(settings: Params, encoder: Weights | None, language_model: Weights | None) -> Shapes | None:
    trained = settings.encoder.trained
    scenes = settings.source.name == "scenes"
    side = settings.source.scenes.image_size if scenes else trained.image_size
    vision = stand_ins.encoder_config(trained, side) if encoder is None else encoder.config
    text = (
        stand_ins.language_model_config(settings.language_model.trained)
        if language_model is None
        else language_model.config
    )
    return None if vision is None or text is None else Shapes.of(settings, vision, text)


if __name__ == "__main__":
    run_command(lambda: typer.run(check))
