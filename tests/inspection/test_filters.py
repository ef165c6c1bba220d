"""Conditions on rows: what they mean, and that nothing but a condition is let in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import made_run
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.inspection import expressions, filters
from pipeline.tables import schemas

Row = dict[str, Any]
TABLE = schemas.from_rows("patch_words", made_run.rows()["patch_words"])


def chosen(expression: str, table=TABLE) -> list[str]:
    return filters.select(table, expression).rows()["phrase_id"].to_pylist()


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("score < 0.8", [1, 2]),
        ("word = 'cup'", [0]),
        ("score < 0.95 and word = 'cup'", [0]),
        ("word = 'red' and word = 'cup'", [0]),  # of one row, not of one word
        ("word != 'cup'", [1, 2, 3]),  # no word is
        ("word in ('cup', 'dog')", [0, 2]),
        ("word not in ('cup', 'dog')", [1, 3]),
        ("word like '%d' and not word like 'r%'", [3]),
        ("word not like '%d'", [1, 2]),
        ("WORD ILIKE 'CUP'", [0]),
        ("lower(word) = 'old' or role = 'attribute' and patch = 7", [1, 3]),
        ("words.text = 'dog'", [2]),
        ("words[1].text = 'red'", [0]),
        ("patch = 4", [0, 1]),
        ("patch >= 6", [1]),
        ("region_id = '790/c41/p0/r1'", [0]),
        ("coverage > 0.9", [0, 1]),
        ("coverage between 0.1 and 0.2", [3]),
        ("list_min(coverage) = 1", [1]),
        ("len(coverage) = 1", [2]),
        ("len(word) = 6", [1]),
        ("grid = [2, 4] and grid[1] = 2 and patches = [1]", [2]),
        ("contains(phrase, 'o') and split != 'test'", [1, 2]),
        ("phrase = 'it''s' or annotator is null", []),
        ("score < 0.8 -- and nothing else", [1, 2]),
        ("true", [0, 1, 2, 3]),
    ],
)
def test_what_a_condition_means(expression: str, rows: list[int]) -> None:
    assert chosen(expression) == [TABLE["phrase_id"][row].as_py() for row in rows]


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("scor < 0.3", "no such column. Did you mean score.*image_id, phrase_id, .*word, lemma"),
        ('word = "cup"', "'cup'.*single quotes.*There are: image_id"),
        ("words.txt = 'a'", "'words.txt'.*no such column"),
        ("other.score < 1", "'other.score'"),
        ("score <", "syntax error"),
        ("", "it is empty"),
        ("-- score < 1", "it is empty"),
        ("score, split", "several values"),
        ("1 = 1; DROP TABLE rows_", "syntax error"),
        ("score < 1) order by (score", "more than one expression"),
        ("score < 1) or exists (select 1", "subquery"),
        ("score < (select max(score) from rows_)", "subquery"),
        ("score = any(select 1)", "subquery"),
        ("phrase = getenv('HOME')", "cannot call 'getenv'"),
        ("phrase in (select content from read_text('/etc/passwd'))", "subquery"),
        ("pg_catalog.lower(phrase) = 'a'", "cannot call"),
        ("row_number() over () = 1", "window"),
        ("score = $1", "parameter"),
        ("score < 'abc'", "Could not convert"),
        ("patch = coverage", "elements of one list"),
        ("count(*) > 1", "cannot call"),
        ("* = 1", "syntax error|star"),
    ],
)
def test_nothing_but_a_condition_is_let_in(expression: str, told: str) -> None:
    with pytest.raises(UserError, match=f"(?s){told}"):
        filters.select(TABLE, expression)


def test_a_cast_that_fails_for_some_row_is_told() -> None:
    with pytest.raises(UserError, match="every row"):
        filters.select(TABLE, "cast(phrase as integer) = 1").count()


NUMBERS = st.sampled_from([0.0, 0.25, 0.5, 1.0])
TEXTS = st.sampled_from(["red", "cup", "dog", "it's"])
Condition = tuple[str, Callable[[Row], bool]]


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def texts(row: Row) -> list[str]:
    return [word["text"] for word in row["words"]]


ATOMS: st.SearchStrategy[Condition] = st.one_of(
    NUMBERS.map(lambda n: (f"score <= {n}", lambda row: row["score"] <= n)),
    NUMBERS.map(lambda n: (f"coverage > {n}", lambda row: any(each > n for each in row["coverage"]))),
    NUMBERS.map(lambda n: (f"coverage != {n}", lambda row: n not in row["coverage"])),
    TEXTS.map(lambda t: (f"word = {quoted(t)}", lambda row: t in texts(row))),
    TEXTS.map(lambda t: (f"word <> {quoted(t)}", lambda row: t not in texts(row))),
    TEXTS.map(
        lambda t: (
            f"word not like {quoted(t[0] + '%')}",
            lambda row: not any(w[0] == t[0] for w in texts(row)),
        )
    ),
    st.integers(0, 4).map(lambda n: (f"patch = {n}", lambda row: n in row["patches"])),
    st.integers(0, 3).map(lambda n: (f"len(patches) = {n}", lambda row: len(row["patches"]) == n)),
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(
            lambda p: (f"({p[0][0]} AND {p[1][0]})", lambda row: p[0][1](row) and p[1][1](row))
        ),
        st.tuples(inner, inner).map(
            lambda p: (f"({p[0][0]} OR {p[1][0]})", lambda row: p[0][1](row) or p[1][1](row))
        ),
        inner.map(lambda one: (f"NOT ({one[0]})", lambda row: not one[1](row))),
    ),
    max_leaves=4,
)
ROWS = st.builds(
    lambda score, words, cover: {
        **made_run.rows()["patch_words"][0], "score": score,
        "patches": [*range(len(cover))], "coverage": cover,
        "words": [{"text": text, "lemma": text, "role": "head"} for text in words],
    },
    NUMBERS, st.lists(TEXTS, max_size=3), st.lists(NUMBERS, max_size=4),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(ROWS, max_size=6), condition=CONDITIONS, limit=st.integers(0, 4), offset=st.integers(0, 4)
)
def test_rows_are_those_that_a_plain_loop_finds(
    rows: list[Row], condition: Condition, limit: int, offset: int
) -> None:
    text, holds = condition
    found = filters.select(schemas.from_rows("patch_words", rows), text)
    expected = [number for number, row in enumerate(rows) if holds(row)]
    assert found.count() == len(expected)
    assert found.numbers().tolist() == expected
    table = schemas.from_rows("patch_words", [rows[number] for number in expected])
    assert found.rows().equals(table)
    assert found.rows(limit, offset, ["score"]).equals(table.select(["score"]).slice(offset, limit))


def test_batches_are_cut_without_losing_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "BATCH_ROWS", 2)
    found = filters.select(TABLE, "score < 1")
    assert found.numbers().tolist() == [0, 1, 2]
    assert found.rows(1, 2)["phrase_id"].to_pylist() == ["791/c43/p0"]
    assert [batch.num_rows for batch in found.batches()] == [2, 1]


def test_a_folder_and_a_part_are_read_alike(tmp_path) -> None:
    folder = made_run.write(tmp_path) / "patch_words"
    assert filters.select(folder, "word = 'car'").count() == 1
    assert filters.select(folder / "part-00000.arrow", "word = 'car'").count() == 0
    assert filters.select(folder).rows().equals(filters.select(folder).table)


def test_a_condition_says_which_columns_it_reads() -> None:
    condition = expressions.checked(TABLE.schema, "patch = 1 and word = 'a' or split = 'test'")
    assert condition.columns == ("split", "words", "patches")
    assert expressions.both(condition, expressions.equals("phrase", "it's")).columns[-1] == "phrase"


@pytest.mark.parametrize("name", list(schemas.SCHEMAS))
def test_every_name_that_is_offered_can_be_used(name: str) -> None:
    schema = schemas.SCHEMAS[name]
    for each in expressions.names(schema):
        assert expressions.checked(schema, f'"{each}" is not null').columns
