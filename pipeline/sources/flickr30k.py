"""Flickr30k Entities: sentences whose phrases are linked to boxes.

Layout (github.com/BryanPlummer/flickr30k_entities): ``Sentences/<id>.txt`` has a sentence a line with phrases
as ``[/EN#<entity>/<type>/... the words]``, ``Annotations/<id>.xml`` has objects with the entities that they
are and a ``bndbox``, or none (``scene``, ``nobndbox``: nothing that a box could show; those are no objects
here). ``train.txt``, ``val.txt`` and ``test.txt`` list ids. A ``bndbox`` counts pixels from 1 and includes
its last (the dataset's own reader takes 1 off).
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.params import SourceParams
from pipeline.sources.boxes import is_finite
from pipeline.sources.listing import ListedSource, Listing, existing, in_folders
from pipeline.sources.pictures import file_below
from pipeline.sources.rows import Caption, Listed, Thing
from pipeline.tables import digests

_PHRASE = re.compile(r"\[/EN#(\d+)(/[^\s\]]*)?\s+([^\]]*)\]")
_TREE = "Sentences/<id>.txt, Annotations/<id>.xml, train.txt, val.txt, test.txt, flickr30k-images/<id>.jpg"
_NO_ENTITY = "0"  # what phrases that are no thing are linked to

Span = tuple[str, int, int]


def source(params: SourceParams) -> ListedSource:
    """Flickr30k Entities as a source."""
    return ListedSource(params, inputs, listing)


def inputs(params: SourceParams) -> list[Path]:
    """The lists of ids."""
    names = [f"{name}.txt" for name in params.flickr30k.splits]
    paths = existing(params.path, names, "source.flickr30k.splits", _TREE)
    for folder in ("Sentences", "Annotations"):
        if not (params.path / folder).is_dir():
            raise UserError(f"source.path is {params.path}: there is no folder {folder}. Expected: {_TREE}.")
    return paths


def listing(params: SourceParams) -> Listing:
    """The listed ids, in the lists' order."""
    root = params.path
    split_of: dict[str, str] = {}
    loose = []
    for path, split in zip(inputs(params), params.flickr30k.splits.values(), strict=True):
        for line in path.read_text(encoding="utf-8", errors="replace").split():
            if line in split_of:
                message = f"image {line} is listed again in {path.name}; the first is kept"
                loose.append((f"image:{line}", "duplicate_image_id", message))
            elif "/" in line or "\\" in line or line in (".", ".."):
                loose.append((f"image:{line}", "row_unreadable", f"{path.name}: {line!r} is no image's id"))
            else:
                split_of[line] = split
    ids = list(split_of)

    def read(first: int, last: int) -> list[Listed]:
        return [_listed(params, image_id, split_of[image_id]) for image_id in ids[first:last]]

    def pictures() -> list[tuple[str, ...]]:
        return [in_folders(params.flickr30k.images, f"{image_id}.jpg") for image_id in ids]

    return Listing(len(ids), read, loose, _digest(root), pictures)


def _digest(root: Path) -> list[str]:
    return [digests.of_files(root / "Sentences", "*.txt"), digests.of_files(root / "Annotations", "*.xml")]


def _listed(params: SourceParams, image_id: str, split: str) -> Listed:
    listed = Listed(image_id, split, in_folders(params.flickr30k.images, f"{image_id}.jpg"))
    spans: dict[str, list[Span]] = {}
    types: dict[str, str] = {}
    try:
        text = file_below(params.path, f"Sentences/{image_id}.txt").read_bytes().decode()
    except (OSError, UserError, UnicodeDecodeError):
        text = ""  # no usable caption: the image is rejected for that
    for number, line in enumerate(line for line in text.split("\n") if line.strip()):
        sentence, links = parse_sentence(line)
        listed.captions.append(Caption(str(number), sentence))
        for entity, kind, start, end in links:
            spans.setdefault(entity, []).append((str(number), start, end))
            types.setdefault(entity, kind)
    name = f"{image_id}.xml"
    try:
        content = file_below(params.path, f"Annotations/{name}").read_bytes()
        listed.things, listed.size = _annotations(ET.fromstring(content), spans, types)
    except FileNotFoundError:
        pass  # some images have sentences alone
    except (ET.ParseError, OSError, UserError, ValueError) as error:
        message = f"{name} is no whole XML file ({error}): fetch or copy it again"
        listed.rejects.append((f"file:{name}", "file_cut_short", message))
    return listed


def parse_sentence(line: str) -> tuple[str, list[tuple[str, str, int, int]]]:
    """A sentence without its marks, and (entity, type, start, end) of its phrases, in characters of it.

    Phrases that are linked to no entity (entity 0) carry no link here.
    """
    parts: list[str] = []
    links = []
    length = done = 0
    for match in _PHRASE.finditer(line):
        before, words = line[done : match.start()], match.group(3).strip()
        parts += [before, words]
        length += len(before)
        if match.group(1) != _NO_ENTITY and words:
            kind = (match.group(2) or "").strip("/").split("/")[0]
            links.append((match.group(1), kind, length, length + len(words)))
        length += len(words)
        done = match.end()
    return "".join([*parts, line[done:]]).rstrip(), links


def _annotations(
    tree: ET.Element, spans: Mapping[str, list[Span]], types: Mapping[str, str]
) -> tuple[list[Thing], tuple[Any, Any] | None]:
    """The boxes of an annotation file, and the image's size as it says, if it does."""
    things: list[Thing] = []
    for entry in tree.iter("object"):
        names = [name.text or "" for name in entry.findall("name")]
        for box in entry.findall("bndbox"):
            kinds = [types[name] for name in names if types.get(name)]
            x0, y0, x1, y1 = (_number(box.findtext(edge)) for edge in ("xmin", "ymin", "xmax", "ymax"))
            corners = (x0 - 1, y0 - 1, x1, y1)
            links = [span for name in names for span in spans.get(name, [])]
            # An entity that no sentence mentions has no type: it is a thing all the same.
            label = kinds[0] if kinds else "other"
            things.append(Thing(str(len(things)), label, corners, spans=tuple(sorted(set(links)))))
    width, height = (_number(tree.findtext(f"size/{side}")) for side in ("width", "height"))
    return things, (int(width), int(height)) if is_finite(width) and is_finite(height) else None


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")
