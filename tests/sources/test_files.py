"""Pictures of every kind that people have: the size as displayed, or a reject; never a crash."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from pipeline.sources import files
from pipeline.sources.reasons import UnusableRowError


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


ODD = {
    "cmyk": encoded(Image.new("CMYK", (5, 3)), "JPEG"),
    "sixteen bits": encoded(Image.new("I;16", (5, 3)), "PNG"),
    "palette": encoded(Image.new("P", (5, 3)), "PNG"),
    "alpha": encoded(Image.new("RGBA", (5, 3)), "WEBP"),
    "animated": encoded(
        Image.new("P", (5, 3)), "GIF", save_all=True, append_images=[Image.new("P", (5, 3), 1)]
    ),
    "one bit": encoded(Image.new("1", (5, 3)), "TIFF"),
}


@pytest.mark.parametrize("kind", ODD)
def test_pictures_of_any_kind_have_their_size(kind):
    assert files.displayed_size(ODD[kind], kind) == (5, 3)


@pytest.mark.parametrize("size", [(1, 1), (20_000, 1)])
def test_pictures_of_any_size_have_it(size):
    assert files.displayed_size(encoded(Image.new("RGB", size), "PNG"), "a") == size


@pytest.mark.parametrize("content", [b"", b"\x00" * 99, encoded(Image.new("1", (30_000, 30_000)), "PNG")])
def test_nothing_zeros_and_a_decompression_bomb_are_corrupt(content):
    with pytest.raises(UnusableRowError) as caught:
        files.displayed_size(content, "a.png")
    assert caught.value.reason == "image_corrupt"


def test_the_first_place_that_has_the_file_counts(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b/1.jpg").touch()
    assert files.find(tmp_path, ["a/1.jpg", "b/1.jpg", "1.jpg"]) == "b/1.jpg"
    assert (
        files.size_in_bytes(tmp_path, ["b/1.jpg"]) == 0 and files.size_in_bytes(tmp_path, ["1.jpg"]) is None
    )


@pytest.mark.parametrize("tried", [[], ["a/1.jpg"], ["../1.jpg"], ["/1.jpg"], ["a\x00"], ["x" * 999], ["."]])
def test_what_is_in_no_place_is_missing(tmp_path, tried):
    with pytest.raises(UnusableRowError) as caught:
        files.find(tmp_path, tried)
    assert caught.value.reason == "image_missing"
