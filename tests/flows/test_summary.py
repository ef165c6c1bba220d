"""Summaries: sums over shards, the same bytes each time, and no row unaccounted for."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows import summary
from pipeline.tables import schemas
from pipeline.tables.shards import ShardCount


def tables(phrases_of_regions: list[str], rejects: int) -> dict:
    regions = [
        {
            "region_id": f"r{i}", "phrase_id": phrase, "image_id": "1", "box": [0, 0, 1, 1], "mask": None,
            "score": 1.0, "annotator": "dataset",
        }
        for i, phrase in enumerate(phrases_of_regions)
    ]  # fmt: skip
    rejected = [
        {"stage": "ground", "key": f"phrase:{i}", "reason": "x", "message": ""} for i in range(rejects)
    ]
    return {
        "regions": schemas.from_rows("regions", regions),
        "rejects": schemas.from_rows("rejects", rejected),
    }


UNITS = {"regions": "phrase_id"}


def test_a_phrase_with_three_regions_is_one_phrase():
    summary.check_balance("ground", 0, 3, tables(["p0", "p0", "p0", "p1"], rejects=1), UNITS)


@pytest.mark.parametrize("rows_in", [2, 4])
def test_lost_and_doubled_rows_are_told_with_what_came_out(rows_in):
    with pytest.raises(RuntimeError) as caught:
        summary.check_balance("ground", 7, rows_in, tables(["p0", "p0", "p1"], rejects=1), UNITS)
    assert f"ground, shard 7: {rows_in} rows went in, but 2 phrase_ids in regions and 1 rejects" in str(
        caught.value
    )


@given(st.lists(st.sampled_from(["p0", "p1", "p2"])), st.integers(0, 3), st.integers(0, 6))
def test_the_check_holds_exactly_when_the_sum_does(phrases, rejects, rows_in):
    balanced = rows_in == len(set(phrases)) + rejects
    if balanced:
        summary.check_balance("ground", 0, rows_in, tables(phrases, rejects), UNITS)
    else:
        with pytest.raises(RuntimeError):
            summary.check_balance("ground", 0, rows_in, tables(phrases, rejects), UNITS)


def test_a_stage_is_the_sum_of_its_shards():
    total = summary.of_counts(
        [
            ShardCount(rows_in=5, rows_out={"phrases": 3}, rejected={"pronoun": 2}),
            ShardCount(rows_in=4, rows_out={"phrases": 2}, rejected={"pronoun": 1, "abstract": 1}),
        ]
    )
    assert total == summary.Summary(9, {"phrases": 5}, {"abstract": 1, "pronoun": 3})


def test_the_file_is_a_metric_without_clocks(tmp_path):
    total = summary.of_counts([ShardCount(2, {"phrases": 1}, {"pronoun": 1})])
    total.write(tmp_path / "summaries" / "parse.json")
    assert json.loads((tmp_path / "summaries" / "parse.json").read_text()) == {
        "rows_in": 2,
        "rows_out": {"phrases": 1},
        "rejected": {"pronoun": 1},
    }


def test_the_terminal_shows_rows_shares_and_speed(capsys):
    summary.show("parse", summary.Summary(1000, {"phrases": 750}, {"pronoun": 200, "abstract": 50}), 2.0)
    shown = capsys.readouterr().out
    assert "parse" in shown
    assert [line.split() for line in shown.splitlines()[1:]] == [
        ["rows", "in", "1,000"],
        ["phrases", "750"],
        ["rejected", "250", "25.0%"],
        ["pronoun", "200", "20.0%"],
        ["abstract", "50", "5.0%"],
        ["seconds", "2.0", "500", "rows/s"],
    ]
