"""Opening pictures: what is read, what is refused, and what the message says."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.sources.pictures import file_below, load_picture


def encoded(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def picture(width: int = 4, height: int = 2) -> Image.Image:
    return Image.fromarray(np.arange(width * height * 3, dtype=np.uint8).reshape(height, width, 3))


def test_bytes_come_back_as_the_pixels_that_went_in(tmp_path):
    value = {"bytes": encoded(picture()), "path": None}
    assert np.array_equal(np.asarray(load_picture(value, tmp_path, "a")), np.asarray(picture()))


def test_a_path_is_read_below_the_root(tmp_path):
    (tmp_path / "train").mkdir()
    picture().save(tmp_path / "train" / "a.png")
    loaded = load_picture({"bytes": None, "path": "train/a.png"}, tmp_path, "a")
    assert np.array_equal(np.asarray(loaded), np.asarray(picture()))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    data = encoded(picture().convert(mode), "TIFF")
    assert load_picture({"bytes": data, "path": None}, tmp_path, "a").mode == "RGB"


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned a quarter clockwise
    data = encoded(picture(4, 2), "PNG", exif=exif)
    loaded = load_picture({"bytes": data, "path": None}, tmp_path, "a")
    assert loaded.size == (2, 4)
    assert np.array_equal(np.asarray(loaded), np.rot90(np.asarray(picture(4, 2)), k=-1))


@pytest.mark.parametrize(
    "data", [b"", b"no picture", encoded(picture(64, 64))[:60], encoded(picture(64, 64), "JPEG")[:200]]
)
def test_what_cannot_be_decoded_is_named(tmp_path, data):
    with pytest.raises(UserError, match="Image dog-7"):
        load_picture({"bytes": data, "path": None}, tmp_path, "dog-7")


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path, kind):
    grey = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
    data = encoded(Image.fromarray(grey), kind)
    loaded = np.asarray(load_picture({"bytes": data, "path": None}, tmp_path, "a"))
    assert np.abs(loaded - (grey / 257)[..., None]).max() <= 1


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"Image dog-7 is missing.*gone\.jpg"):
        load_picture({"bytes": None, "path": "gone.jpg"}, tmp_path, "dog-7")


def test_a_folder_is_no_picture(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="Image a"):
        load_picture({"bytes": None, "path": "folder"}, tmp_path, "a")


@pytest.mark.parametrize("value", [{"bytes": None, "path": None}, {"bytes": None, "path": ""}, {}])
def test_an_image_of_nothing_is_refused(tmp_path, value):
    with pytest.raises(UserError, match="neither bytes nor a path"):
        load_picture(value, tmp_path, "a")


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.png", "train/../../secret.png", "a\0b"])
def test_paths_that_leave_the_root_are_refused(tmp_path, path):
    root = tmp_path / "root"
    root.mkdir()
    picture().save(tmp_path / "secret.png")
    with pytest.raises(UserError):
        file_below(root, path)
    with pytest.raises(UserError, match="Image a"):
        load_picture({"bytes": None, "path": path}, root, "a")


def test_a_link_out_of_the_root_is_refused_and_a_linked_root_is_fine(tmp_path):
    root, linked = tmp_path / "root", tmp_path / "linked"
    root.mkdir()
    linked.symlink_to(root)
    picture().save(tmp_path / "secret.png")
    picture().save(root / "own.png")
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(UserError, match="leaves the dataset"):
        file_below(root, "link.png")
    assert file_below(linked, "own.png") == linked / "own.png"
    assert file_below(root, Path("train") / "new.png") == root / "train" / "new.png"
