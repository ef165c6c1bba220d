"""Stage patch_words: regions on the vision encoder's patch grid."""

from prefect import flow

from flows.common import DATA, run_block
from flows.summary import Summary
from pipeline import params
from pipeline.console import run_command
from pipeline.params import ComputeParams, PatchWordsParams
from pipeline.patches.block import PatchWordsBlock


@flow
def patch_words(patch_words: PatchWordsParams, compute: ComputeParams) -> Summary:
    """Work out which patches show each grounded phrase."""
    block = PatchWordsBlock(
        images=DATA / "images",
        phrases=DATA / "phrases",
        regions=DATA / "regions",
        encoder=DATA / "models" / "encoder",
        params=patch_words,
    )
    return run_block(block, {"patch_words": "phrase_id"}, compute)


def main() -> None:
    """Run the stage with the settings of params.yaml."""
    settings = params.load()
    patch_words(patch_words=settings.patch_words, compute=settings.compute)


if __name__ == "__main__":
    run_command(main)
