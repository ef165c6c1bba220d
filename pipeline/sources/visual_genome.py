"""Visual Genome: descriptions of regions, and objects.

Layout (homes.cs.washington.edu/~ranjay/visualgenome, version 1.2 and later): ``region_descriptions.json`` is
a list of ``{"id", "regions": [{"region_id", "x", "y", "width", "height", "phrase"}]}``, ``image_data.json``
of ``{"image_id", "width", "height", ...}``, ``objects.json`` of ``{"image_id", "objects": [{"object_id",
"names", "x", "y", "w", "h"}]}``; pictures are ``VG_100K/<id>.jpg`` and ``VG_100K_2/<id>.jpg``.

A region's phrase is a caption, its box an object that the first words of the phrase name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.params import SourceParams
from pipeline.sources.boxes import corners_of
from pipeline.sources.index import RowIndex
from pipeline.sources.listing import ListedSource, Listing, existing, in_folders
from pipeline.sources.referents import span_of
from pipeline.sources.rows import Caption, Listed, Reject, Thing, split_of, text_of
from pipeline.sources.stream import CutShortError, json_elements, read_json

_TREE = "region_descriptions.json, image_data.json, objects.json, VG_100K/<id>.jpg, VG_100K_2/<id>.jpg"


def source(params: SourceParams) -> ListedSource:
    """Visual Genome as a source."""
    return ListedSource(params, inputs, listing)


def inputs(params: SourceParams) -> list[Path]:
    """The JSON files: regions, images, and objects if they are wanted."""
    settings = params.visual_genome
    names = [settings.regions, settings.image_data, *([settings.objects] if settings.objects else [])]
    return existing(params.path, names, "source.visual_genome", _TREE)


def listing(params: SourceParams) -> Listing:
    """The images that have descriptions, in their order; those of `image_data` alone are left out."""
    settings = params.visual_genome
    paths = inputs(params)
    loose: list[Reject] = []
    regions, sizes, objects = (_index(path, loose) for path in [*paths, None][:3])
    keys = regions.keys
    for key in objects.keys if settings.objects else ():
        if key not in regions:
            message = f"{paths[2].name} has objects of image {key}, which has no descriptions"
            loose += [(f"object:{key}", "annotation_without_image", message)]

    def read(first: int, last: int) -> list[Listed]:
        indices = (regions, sizes, objects)
        return [
            _listed(params, key, *(_row(file, index, key) for file, index in enumerate(indices)))
            for key in keys[first:last]
        ]

    def _row(file: int, index: RowIndex, key: str) -> dict[str, Any]:
        places = index.rows(key)
        if not places:
            return {}
        with paths[file].open("rb") as opened:
            return read_json(opened, *places[0][1:])

    def pictures() -> list[tuple[str, ...]]:
        return [in_folders(settings.images, f"{key}.jpg") for key in keys]

    return Listing(len(keys), read, loose, pictures=pictures)


def _index(path: Path | None, loose: list[Reject]) -> RowIndex:
    """Where each image's row lies in a file; an image's second row is a reject."""
    index = RowIndex()
    if path is None:
        return index
    try:
        for number, (_, start, end, value) in enumerate(json_elements(path)):
            row = value if isinstance(value, dict) else {}
            key = row.get("image_id", row.get("id"))
            if not isinstance(key, (int, str)) or not _is_name(str(key)):
                message = f"{path.name}, entry {number}: no id of an image in {str(value)[:200]}"
                loose.append((f"image:{path.stem}/{number}", "row_unreadable", message))
            elif str(key) in index:
                message = f"image {key} is listed again in {path.name}; the first is kept"
                loose.append((f"image:{key}", "duplicate_image_id", message))
            else:
                index.add(str(key), (0, start, end))
    except CutShortError as error:
        loose.append((f"file:{path.name}", "file_cut_short", str(error)))
    return index


def _is_name(key: str) -> bool:
    return bool(key) and "/" not in key and "\\" not in key


def _listed(
    params: SourceParams, key: str, regions: dict[str, Any], image: dict[str, Any], objects: dict[str, Any]
) -> Listed:
    settings = params.visual_genome
    listed = Listed(
        key,
        split_of(key, settings.test_share, settings.validation_share),
        in_folders(settings.images, f"{key}.jpg"),
        size=(image.get("width"), image.get("height")) if image else None,
    )
    for number, row in enumerate(_rows(regions, "regions")):
        if not isinstance(row, dict):
            message = f"region {number} is {str(row)[:200]}"
            listed.rejects.append((f"caption:{key}/{number}", "row_unreadable", message))
            continue
        name, phrase = str(row.get("region_id", f"n{number}")), row.get("phrase")
        listed.captions.append(Caption(name, phrase))
        spans = ((name, *span_of(phrase)),) if isinstance(phrase, str) and text_of(phrase) else ()
        box = corners_of([row.get(side) for side in ("x", "y", "width", "height")])
        listed.things.append(Thing(f"r{name}", phrase, box, spans=spans))
    for number, row in enumerate(_rows(objects, "objects")):
        if not isinstance(row, dict):
            message = f"object {number} is {str(row)[:200]}"
            listed.rejects.append((f"object:{key}/{number}", "row_unreadable", message))
            continue
        names = row.get("names")
        label = names[0] if isinstance(names, list) and names else names
        attributes = row.get("attributes")
        box = corners_of([row.get(side) for side in ("x", "y", "w", "h")])
        known = tuple(attributes) if isinstance(attributes, list) else ()
        listed.things.append(Thing(str(row.get("object_id", f"n{number}")), label, box, attributes=known))
    return listed


def _rows(entry: Any, name: str) -> list[Any]:
    found = entry.get(name) if isinstance(entry, dict) else None
    return found if isinstance(found, list) else []
