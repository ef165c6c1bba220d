"""Loading spaCy's pipeline."""

from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.phrases import nlp


def test_a_pipeline_is_loaded_once_and_without_what_is_not_used() -> None:
    pipeline = nlp.load_pipeline("en_core_web_sm")
    assert nlp.load_pipeline("en_core_web_sm") is pipeline
    assert {"tagger", "parser"} <= set(pipeline.pipe_names)
    assert not set(nlp.UNUSED) & set(pipeline.pipe_names)


def test_a_folder_is_loaded_as_it_is_and_known_by_its_content(tmp_path: Path) -> None:
    nlp.load_pipeline("en_core_web_sm").to_disk(tmp_path / "mine")
    loaded = nlp.load_pipeline(str(tmp_path / "mine"))
    assert loaded.pipe_names == nlp.load_pipeline("en_core_web_sm").pipe_names
    before = nlp.model_version(str(tmp_path / "mine"))
    assert before.startswith("mine@")
    (tmp_path / "mine" / "meta.json").write_text("{}")
    assert nlp.model_version(str(tmp_path / "mine")) != before


@pytest.mark.parametrize("act", [nlp.load_pipeline, nlp.model_version])
def test_a_model_that_is_not_there_is_named_with_the_fix(act) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match=r"parse\.model.*'en_core_web_xx'.*uv pip install en-core-web-xx"):
        act("en_core_web_xx")


def test_a_model_without_a_parser_is_refused(tmp_path: Path) -> None:
    import spacy

    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(UserError, match="has no tagger and no parser"):
        nlp.load_pipeline(str(tmp_path / "blank"))
