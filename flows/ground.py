"""Stage ground: noun phrases to regions, by the annotation source that the settings choose."""

from pathlib import Path

from prefect import flow

from flows.common import DATA, WORK, run_block
from flows.summary import Summary
from pipeline import params
from pipeline.console import run_command
from pipeline.grounding import kept, open_annotator
from pipeline.grounding.block import GroundBlock
from pipeline.params import ComputeParams, GroundParams


@flow
def ground(ground: GroundParams, root: Path, compute: ComputeParams) -> Summary:
    """Find the regions that the phrases name; ``root`` is where the source's image paths start."""
    block = GroundBlock(
        annotator=open_annotator(ground, WORK / kept.FOLDER),
        images=DATA / "images",
        captions=DATA / "captions",
        phrases=DATA / "phrases",
        objects=DATA / "objects",
        root=root,
    )
    return run_block(block, {"regions": "phrase_id"}, compute)


def main() -> None:
    """Run the stage with the settings of params.yaml."""
    settings = params.load()
    ground(ground=settings.ground, root=settings.source.path, compute=settings.compute)


if __name__ == "__main__":
    run_command(main)
