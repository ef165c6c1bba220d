"""Stage ingest: the source's images, captions, objects and conversations as tables."""

from prefect import flow

from flows.common import run_block
from flows.summary import Summary
from pipeline import params
from pipeline.console import run_command
from pipeline.params import ComputeParams, SourceParams
from pipeline.sources.block import IngestBlock

UNITS = {
    "images": "image_id",
    "captions": "caption_id",
    "objects": "object_id",
    "conversations": "conversation_id",
}


@flow
def ingest(source: SourceParams, seed: int, compute: ComputeParams) -> Summary:
    """Read the source into the tables images, captions, objects and conversations."""
    return run_block(IngestBlock(source, seed), UNITS, compute)


def main() -> None:
    """Run the stage with the settings of params.yaml."""
    settings = params.load()
    ingest(source=settings.source, seed=settings.seed, compute=settings.compute)


if __name__ == "__main__":
    run_command(main)
