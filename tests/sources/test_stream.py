"""Files read as streams: places are exact, whatever the letters, and damage is told with its place."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources import stream
from pipeline.sources.index import RowIndex

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(
    values=st.lists(VALUES, max_size=6),
    piece=st.integers(1, 9),
    ascii_only=st.booleans(),
    indent=st.none() | st.just(1),
    is_object=st.booleans(),
)
def test_elements_are_those_of_the_json_module_and_lie_where_they_are_said_to(
    values, piece, ascii_only, indent, is_object, tmp_path_factory
):
    path = tmp_path_factory.mktemp("json") / "a.json"
    content = {"info": {"rows": [1]}, "rows": values, "x": 1, "more": [2]} if is_object else values
    path.write_bytes(
        json.dumps(content, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    )
    before, stream._PIECE = stream._PIECE, piece  # so small that every value is met cut somewhere
    try:
        found = list(stream.json_elements(path))
    finally:
        stream._PIECE = before
    expected = (
        [("rows", value) for value in values] + [("more", 2)] if is_object else [("", v) for v in values]
    )
    assert [(each.list_name, each.value) for each in found] == expected
    with path.open("rb") as file:
        assert [stream.read_json(file, each.start, each.end) for each in found] == [v for _, v in expected]


@given(
    values=st.lists(st.integers() | st.text(), min_size=1, max_size=4),
    share=st.floats(0, 1, exclude_max=True),
)
def test_a_cut_anywhere_gives_what_stands_before_and_tells_the_place(values, share, tmp_path_factory):
    path = tmp_path_factory.mktemp("cut") / "a.json"
    whole = json.dumps(values).encode()
    path.write_bytes(whole[: int(share * len(whole))])
    found = []
    with pytest.raises(stream.CutShortError) as caught:
        found.extend(each.value for each in stream.json_elements(path))
    assert caught.value.offset <= int(share * len(whole))
    assert "a.json cannot be read from byte" in str(caught.value)


@pytest.mark.parametrize(
    "content", ["", "17", '[1, "a', "[1,, 2]", "[1 2]", '{"a" [1]}', "[" * 100_000, "[tru", "[1]}"[:2]]
)
def test_damage_is_told(content, tmp_path):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(stream.CutShortError, match="fetch or copy it again"):
        list(stream.json_elements(tmp_path / "a.json"))


def test_damage_early_in_a_large_file_is_told_without_reading_on(tmp_path):
    (tmp_path / "a.json").write_bytes(b'[{"a": 1}, {"b" 2}, "' + b"x" * (stream._PIECE * 6))
    with pytest.raises(stream.CutShortError) as caught:
        list(stream.json_elements(tmp_path / "a.json"))
    assert caught.value.offset == 11


def test_memory_does_not_grow_with_the_file(tmp_path):
    rows = 4_000
    (tmp_path / "a.json").write_text(json.dumps([{"id": n, "text": "word " * 1_000} for n in range(rows)]))
    assert (tmp_path / "a.json").stat().st_size > 19e6
    index = RowIndex()
    tracemalloc.start()
    try:
        for each in stream.json_elements(tmp_path / "a.json"):
            index.add(str(each.value["id"]), (0, each.start, each.end))
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 300 * rows and most < 6e6  # a few pieces of a mebibyte


def test_a_byte_order_mark_is_passed_over(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf["a"]')
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbffile,caption\r\na.jpg,A dog.\r\n")
    assert [each[1:] for each in stream.json_elements(tmp_path / "a.json")] == [(4, 7, "a")]
    (record,) = stream.csv_records(tmp_path / "a.csv")
    assert record.value == {"file": "a.jpg", "caption": "A dog."}


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=6)


@given(rows=st.lists(st.tuples(CELLS, CELLS), max_size=5))
def test_csv_records_are_those_of_the_csv_module_and_lie_where_they_are_said_to(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([("file", "caption"), *rows])
    path.write_bytes(text.getvalue().encode())
    found = list(stream.csv_records(path))
    expected = [{"file": file, "caption": caption} for file, caption in rows]
    assert [each.value for each in found] == expected
    with path.open("rb") as file:
        header = ["file", "caption"]
        assert [stream.read_csv(file, each.start, each.end, header) for each in found] == expected


def test_csv_records_that_do_not_fit_are_none(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"file,caption\na.jpg\n\nb.jpg,B\nc.jpg,C,D\n")
    assert [each.value for each in stream.csv_records(tmp_path / "a.csv")] == [
        None,
        {"file": "b.jpg", "caption": "B"},
        None,
    ]


def test_an_index_groups_rows_by_image_in_the_order_of_their_coming():
    index = RowIndex()
    for key, row in (("b", 0), ("a", 1), ("b", 2), ("c", 3)):
        index.add(key, (0, row, row + 1))
    index.add("d", None)
    assert list(index.between(0, 4)) == [
        ("b", [(0, 0, 1), (0, 2, 3)]),
        ("a", [(0, 1, 2)]),
        ("c", [(0, 3, 4)]),
        ("d", []),
    ]
    assert len(index) == 4 and index.rows("elsewhere") == []
