"""The made captions, whose phrases are known: the parser finds them, with their words."""

import pytest

from pipeline import params
from pipeline.phrases.block import parse
from pipeline.sources.scenes.source import ScenesSource
from pipeline.tables.shards import Tables

SCENES = 150
SETTINGS = params.load()


@pytest.fixture(scope="module")
def tables() -> Tables:
    world = SETTINGS.source.scenes.model_copy(
        update={"train": SCENES, "validation": 1, "test": 1, "nouns": 20, "colours": 10, "patterns": 4}
    )
    source = SETTINGS.source.model_copy(update={"shard_size": SCENES, "scenes": world})
    return ScenesSource(source, seed=3).read(0)


def test_linked_spans_are_phrases_with_the_objects_noun_and_attributes(tables: Tables) -> None:
    texts = dict(
        zip(*(tables["captions"].column(name).to_pylist() for name in ("caption_id", "text")), strict=True)
    )
    found = dict(zip(texts, parse(list(texts.values()), SETTINGS.parse), strict=True))
    wrong, spans = [], 0
    for thing in tables["objects"].to_pylist():
        for span in thing["phrase"]:
            spans += 1
            named = texts[span["caption_id"]][span["start"] : span["end"]]
            phrases = [
                phrase
                for phrase in found[span["caption_id"]].phrases
                if phrase.start < span["end"] and span["start"] < phrase.end
            ]
            words = {(word.role, word.lemma) for phrase in phrases for word in phrase.words}
            said = {word for word in thing["attributes"] if word in named.lower().split()}
            attributes = {lemma for role, lemma in words if role == "attribute"}
            if (
                len(phrases) != 1
                or ("head", thing["label"]) not in words
                or not said <= attributes <= set(thing["attributes"])
            ):
                wrong.append(named)
    assert spans > 5 * SCENES
    assert len(wrong) <= 0.002 * spans, wrong
