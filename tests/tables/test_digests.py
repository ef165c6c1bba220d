"""Digests: the same for the same content, another for any other."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.tables import digests

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES))
def test_the_order_of_keys_does_not_matter(value):
    assert digests.of_value(dict(reversed(value.items()))) == digests.of_value(value)


@given(VALUES, VALUES)
def test_different_values_differ(one, other):
    # JSON tells True from 1, which Python's == does not.
    assert (digests.of_value(one) == digests.of_value(other)) == (repr_of(one) == repr_of(other))


def repr_of(value):
    if isinstance(value, dict):
        return "mapping", sorted((key, repr_of(inner)) for key, inner in value.items())
    return (
        [repr_of(inner) for inner in value] if isinstance(value, list) else (type(value).__name__, str(value))
    )


def test_a_folder_is_its_files_names_and_contents(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_text("one")
    first = digests.of_files(tmp_path)
    assert digests.of_files(tmp_path) == first
    (tmp_path / "a" / "x.txt").write_text("two")
    second = digests.of_files(tmp_path)
    (tmp_path / "a" / "x.txt").rename(tmp_path / "a" / "y.txt")
    third = digests.of_files(tmp_path)
    assert len({first, second, third}) == 3
    (tmp_path / "a" / "z.log").write_text("noise")
    assert digests.of_files(tmp_path, "*.txt") == third


def test_a_file_has_the_digest_of_its_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"patch")
    assert digests.of_file(tmp_path / "x") == digests.of_bytes(b"patch")
