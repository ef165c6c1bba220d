"""Stage tag: words of a vocabulary that images show, where the annotation source grounds those."""

import shutil
from pathlib import Path

from prefect import flow

from flows.common import DATA, WORK, run_block
from flows.summary import Summary
from pipeline import lineage, params
from pipeline.console import run_command
from pipeline.grounding import kept
from pipeline.grounding.tags import TagBlock
from pipeline.params import ComputeParams, TagsParams

TAGS = DATA / "tags"


@flow
def tag(tags: TagsParams, root: Path, compute: ComputeParams) -> Summary:
    """Find tags for images that need no caption; ``root`` is where the source's image paths start."""
    block = TagBlock(images=DATA / "images", root=root, params=tags, kept_root=WORK / kept.FOLDER)
    return run_block(block, {"phrases": "image_id"}, compute, data=TAGS)


def main() -> None:
    """Run the stage with the settings of params.yaml; without tags in use, say only what the captions are.

    So `parse` is rebuilt for other captions, and for another tagging model or vocabulary only if tags of
    theirs are what it takes over.
    """
    settings = params.load()
    if settings.ground.source == "tags":
        tag(tags=settings.ground.tags, root=settings.source.path, compute=settings.compute)
        return
    shutil.rmtree(TAGS, ignore_errors=True)
    TAGS.mkdir(parents=True)
    lineage.write(TAGS, [DATA / "captions"])


if __name__ == "__main__":
    run_command(main)
