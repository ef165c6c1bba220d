"""Stage parse: captions to noun phrases, or the tags that the stage before found in their place."""

from prefect import flow

from flows.common import DATA, run_block
from flows.summary import Summary
from pipeline import params
from pipeline.console import run_command
from pipeline.params import ComputeParams, ParseParams
from pipeline.phrases.block import ParseBlock, TagPhrasesBlock


@flow
def parse(parse: ParseParams, compute: ComputeParams) -> Summary:
    """Find the noun phrases of the captions, or take over the images' tags, if there are any."""
    tags = TagPhrasesBlock(DATA / "tags")
    if tags.has_any():
        return run_block(tags, {"phrases": "image_id"}, compute)
    return run_block(ParseBlock(DATA / "captions", parse), {"phrases": "phrase_id"}, compute)


def main() -> None:
    """Run the stage with the settings of params.yaml."""
    settings = params.load()
    parse(parse=settings.parse, compute=settings.compute)


if __name__ == "__main__":
    run_command(main)
