"""Small random models and a tokenizer, built on the spot, for the rooms that need a whole model.

And how tests are shared out among the workers of `make test` (pytest-xdist), each with one thread.
"""

from __future__ import annotations

import gc
import os

import pytest

# Before torch is imported, here and in the processes that tests start: models this small gain nothing from a
# second thread, and the other worker needs its core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

TEXTS = (
    "a red cup and a blue star , left of a green box .",
    "what colour is the cup ? red",
    "where is the star ? two cups . none",
)
"""The world's whole text, as far as the small models are concerned."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what shares something costly: a file's tests, and all tests of the Prefect server.

    Those of the server come first: they wait for other processes most of the time, and while one worker waits
    with them, the other works off the rest. Without workers the order is as it was.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    for item in items:
        together = "prefect_server" if _of_server(item) else item.path.name
        item.add_marker(pytest.mark.xdist_group(together))
    items.sort(key=lambda item: not _of_server(item))


def _of_server(item: pytest.Item) -> bool:
    return "prefect_server" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def words():
    """The word-level tokenizer of `TEXTS` and of boxes with 16 bins."""
    from pipeline.models import vocabulary
    from pipeline.models.boxes import BoxFormat

    return vocabulary.build(TEXTS, BoxFormat("bins", 16).words())


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory):
    """A CLIP vision tower of 32 x 32 pixels, 16 patches of width 16, and its image processor."""
    import torch
    from transformers import CLIPVisionConfig, CLIPVisionModel

    from pipeline.models.encoder import image_processor

    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        projection_dim=8,
    )
    CLIPVisionModel(config).save_pretrained(folder)
    image_processor(32).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def language_model_folder(tmp_path_factory, words):
    """A language model of two layers, a convolution and an attention, and the tokenizer `words`."""
    from pipeline.models import language_model
    from pipeline.params import TrainedLanguageModelParams

    settings = TrainedLanguageModelParams(
        width=16, layers=["conv", "full_attention"], heads=2, hidden=32, steps=1, batch_scenes=1, turns=1,
        learning_rate=0.01, box_bins=16,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("language_model")
    model = language_model.build(settings, words, seed=3)
    for matrix in (model.lm_head.weight, model.get_input_embeddings().weight):
        matrix.data.mul_(20)  # so that greedy answers are decided by margins above rounding
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


@pytest.fixture
def small_llava(encoder_folder, language_model_folder):
    """(model, processor): a new assembly of the two, with an untrained two-layer projector."""
    from pipeline.models import llava
    from pipeline.params import ProjectorParams

    projector = ProjectorParams(kind="mlp", feature_layers=[0, -1])
    model, processor = llava.assemble(encoder_folder, language_model_folder, projector, seed=5)
    return model.eval(), processor


def pytest_unconfigure() -> None:
    """Let the end of the tests free what commands froze (`pipeline.console`): duckdb counts what is left."""
    gc.unfreeze()
