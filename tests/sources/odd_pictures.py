"""Pictures as people have them: of every kind that decoders meet, and what they are as displayed."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from coco_folders import HEIGHT, WIDTH
from PIL import Image

Size = tuple[int, int]


def _encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _noise(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    return Image.fromarray(np.random.default_rng(width).integers(0, 255, (height, width, 3), np.uint8))


def _turned(orientation: int) -> bytes:
    """Stored so that it is WIDTH x HEIGHT once its EXIF orientation is applied."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = _noise(HEIGHT, WIDTH) if orientation >= 5 else _noise()
    return _encoded(stored, "JPEG", exif=exif)


def _bomb() -> bytes:
    """A PNG of a few hundred bytes that says it is 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


_palette = _noise().convert("P", palette=Image.Palette.ADAPTIVE)
_grey16 = Image.fromarray(np.linspace(0, 65535, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH).astype(np.uint16))

GOOD: dict[str, tuple[bytes, Size]] = {
    **{f"EXIF orientation {n}": (_turned(n), (WIDTH, HEIGHT)) for n in range(1, 9)},
    "CMYK": (_encoded(_noise().convert("CMYK"), "JPEG"), (WIDTH, HEIGHT)),
    "16 bits, PNG": (_encoded(_grey16, "PNG"), (WIDTH, HEIGHT)),
    "16 bits, TIFF": (_encoded(_grey16, "TIFF"), (WIDTH, HEIGHT)),
    "grey": (_encoded(_noise().convert("L"), "JPEG"), (WIDTH, HEIGHT)),
    "one bit": (_encoded(_noise().convert("1"), "PNG"), (WIDTH, HEIGHT)),
    "palette": (_encoded(_palette, "PNG"), (WIDTH, HEIGHT)),
    "palette, one colour see-through": (_encoded(_palette, "PNG", transparency=3), (WIDTH, HEIGHT)),
    "alpha": (_encoded(_noise().convert("RGBA"), "PNG"), (WIDTH, HEIGHT)),
    "grey with alpha": (_encoded(_noise().convert("LA"), "PNG"), (WIDTH, HEIGHT)),
    "animated GIF": (
        _encoded(_palette, "GIF", save_all=True, append_images=[_noise()] * 2),
        (WIDTH, HEIGHT),
    ),
    "animated WebP": (
        _encoded(_noise(), "WEBP", save_all=True, append_images=[_noise().rotate(180)]),
        (WIDTH, HEIGHT),
    ),
    "one pixel": (_encoded(_noise(1, 1), "PNG"), (1, 1)),
    "20,000 pixels wide": (_encoded(Image.new("RGB", (20_000, 3)), "PNG"), (20_000, 3)),
}
"""Kind -> (file, width and height as displayed)."""

_whole = _encoded(_noise(), "JPEG")
BAD: dict[str, bytes | None] = {
    "not there": None,
    "zero bytes": b"",
    "zeros": bytes(500),
    "a page of HTML": b"<html><body>404</body></html>",
    "JPEG cut short": _whole[: len(_whole) // 2],
    "PNG cut short": _encoded(_noise(), "PNG")[:-30],
    "GIF cut short": _encoded(_palette, "GIF")[:200],
    "WebP cut short": _encoded(_noise(), "WEBP")[:60],
    "a decompression bomb": _bomb(),
}
"""Kind -> file that cannot be used; None: there is no file."""
