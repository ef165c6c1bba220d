"""Every table of the pipeline: the one place where a column is defined.

Conventions that hold everywhere:

- Boxes are ``(x0, y0, x1, y1)``, float32 pixels of the image as displayed (EXIF orientation applied),
  half-open: a box that covers the whole of a 640 x 480 image is ``(0, 0, 640, 480)``.
- Masks are COCO compressed RLE (column-major runs) of the image as displayed, ``size`` = (height, width).
- Ids are strings and nest, so that a row can be traced by eye:
  image ``790`` > caption ``790/c41`` > phrase ``790/c41/p2`` > region ``790/c41/p2/r0``.
- ``split`` is one of ``train``, ``validation``, ``test``.
- Part *i* of every table is about the same images: stages work shard by shard and memory stays flat.
"""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = "1"
SPLITS = ("train", "validation", "test")
# What ends the name of a caption that is no text of the source's but an image's tags, and what joins them.
TAGS_CAPTION, BETWEEN_TAGS = "/tags", ", "
WORD_ROLES = ("head", "compound", "attribute", "number")

BOX = pa.list_(pa.float32(), 4)
MASK = pa.struct([pa.field("size", pa.list_(pa.int32(), 2)), pa.field("counts", pa.binary())])
SPAN = pa.struct(
    [
        pa.field("caption_id", pa.string()),
        pa.field("start", pa.int32()),
        pa.field("end", pa.int32()),
    ]
)
WORD = pa.struct(
    [
        pa.field("text", pa.string()),
        pa.field("lemma", pa.string()),
        pa.field("role", pa.string()),
        pa.field("start", pa.int32()),
        pa.field("end", pa.int32()),
    ]
)
TURN = pa.struct([pa.field("role", pa.string()), pa.field("text", pa.string())])


def _column(name: str, kind: pa.DataType, doc: str, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"doc": doc})


def _table(doc: str, *columns: pa.Field) -> pa.Schema:
    return pa.schema(columns, metadata={"doc": doc})


SCHEMAS: dict[str, pa.Schema] = {
    "images": _table(
        "A row is an image.",
        _column("image_id", pa.string(), "the image's name, unique in the dataset"),
        _column(
            "image",
            pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())]),
            "encoded bytes (made images), or a path below the source's root (images of the user's own)",
        ),
        _column("sha256", pa.string(), "SHA-256 of the encoded bytes, hexadecimal"),
        _column("width", pa.int32(), "pixels, as displayed"),
        _column("height", pa.int32(), "pixels, as displayed"),
        _column("split", pa.string(), "train, validation or test"),
    ),
    "captions": _table(
        "A row is a caption; an image may have several.",
        _column("caption_id", pa.string(), "the caption's name"),
        _column("image_id", pa.string(), "the image that it describes"),
        _column("text", pa.string(), "the caption, as written"),
    ),
    "objects": _table(
        "A row is an object that a person (or the renderer) annotated.",
        _column("object_id", pa.string(), "the object's name"),
        _column("image_id", pa.string(), "the image that it is in"),
        _column("label", pa.string(), "its category, as the source names it"),
        _column("attributes", pa.list_(pa.string()), "its attributes, where the source has them"),
        _column("box", BOX, "x0, y0, x1, y1 in pixels, half-open"),
        _column("mask", MASK, "its visible pixels, COCO compressed RLE", nullable=True),
        _column("is_crowd", pa.bool_(), "the region holds many of the label that were not told apart"),
        _column(
            "phrase",
            pa.list_(SPAN),
            "the spans of characters that name it, where the source links them; end is exclusive",
        ),
    ),
    "conversations": _table(
        "A row is an example for fine-tuning or evaluation.",
        _column("conversation_id", pa.string(), "the example's name"),
        _column("image_id", pa.string(), "the image that it is about"),
        _column("task", pa.string(), "caption, referring, region, question, instruction or chat"),
        _column("kind", pa.string(), "the form within the task, such as colour or count", nullable=True),
        _column("turns", pa.list_(TURN), "user and assistant in turn; the last is the assistant's"),
        _column("answer", pa.string(), "the text of the last turn"),
        _column("box", BOX, "the box that the example is about, in pixels", nullable=True),
        _column("split", pa.string(), "train, validation or test"),
    ),
    "phrases": _table(
        "A row is a noun phrase found in a caption.",
        _column("phrase_id", pa.string(), "the phrase's name"),
        _column("caption_id", pa.string(), "the caption that it is in"),
        _column("image_id", pa.string(), "the image that the caption describes"),
        _column("text", pa.string(), "the characters start:end of the caption"),
        _column("start", pa.int32(), "first character, counted from 0"),
        _column("end", pa.int32(), "one past the last character"),
        _column("is_plural", pa.bool_(), "the head names several things, or a crowd"),
        _column(
            "words",
            pa.list_(WORD),
            "the words that carry meaning, in order of the caption: head, compound, attribute or number,"
            " with their own characters (a predicate adjective lies outside start:end)",
        ),
    ),
    "regions": _table(
        "A row is a place that a phrase was grounded to.",
        _column("region_id", pa.string(), "the region's name"),
        _column("phrase_id", pa.string(), "the phrase that it grounds"),
        _column("image_id", pa.string(), "the image that it is in"),
        _column("box", BOX, "x0, y0, x1, y1 in pixels, half-open"),
        _column("mask", MASK, "its pixels, COCO compressed RLE", nullable=True),
        _column("score", pa.float32(), "the annotation source's confidence, 0 to 1"),
        _column("annotator", pa.string(), "the annotation source"),
    ),
    "patch_words": _table(
        "A row is a phrase on the patch grid: which patches show it, and how much of each.",
        _column("image_id", pa.string(), "the image"),
        _column("phrase_id", pa.string(), "the phrase"),
        _column("split", pa.string(), "train, validation or test"),
        _column("region_ids", pa.list_(pa.string()), "the regions that were united"),
        _column("phrase", pa.string(), "the phrase's text"),
        _column(
            "words",
            pa.list_(
                pa.struct(
                    [
                        pa.field("text", pa.string()),
                        pa.field("lemma", pa.string()),
                        pa.field("role", pa.string()),
                    ]
                )
            ),
            "the words that the patches carry, with their roles",
        ),
        _column("grid", pa.list_(pa.int32(), 2), "rows and columns of the encoder's patch grid"),
        _column("patches", pa.list_(pa.int32()), "patches that show the phrase: row * columns + column"),
        _column("coverage", pa.list_(pa.float32()), "share of each patch's area that is covered, 0 to 1"),
        _column("score", pa.float32(), "the highest score of the regions"),
        _column("annotator", pa.string(), "the annotation source"),
    ),
    "rejects": _table(
        "A row is something that a stage could not use. Rows in = rows out + rejects.",
        _column("stage", pa.string(), "the stage that rejected it"),
        _column("key", pa.string(), "what was rejected: kind and id, such as image:790"),
        _column("reason", pa.string(), "a fixed code, to count by"),
        _column("message", pa.string(), "what was found and how to mend it"),
    ),
    "features": _table(
        "A row is an image as the frozen vision encoder sees it: a cache, shared by arms and seeds.",
        _column("image_id", pa.string(), "the image"),
        _column("split", pa.string(), "train, validation or test"),
        _column("shape", pa.list_(pa.int32(), 2), "vision tokens, width of each"),
        _column("tokens", pa.large_binary(), "float16, row by row: one token after another"),
    ),
    "predictions": _table(
        "A row is what a model answered to one example of the test split.",
        _column("conversation_id", pa.string(), "the example"),
        _column("image_id", pa.string(), "the image"),
        _column("task", pa.string(), "caption, referring, region, question or instruction"),
        _column("kind", pa.string(), "the form within the task", nullable=True),
        _column("prompt", pa.string(), "what was asked"),
        _column("answer", pa.string(), "the reference answer"),
        _column("prediction", pa.string(), "what the model said"),
        _column("box", BOX, "the reference box, pixels", nullable=True),
        _column("predicted_box", BOX, "the box read from the answer, pixels", nullable=True),
        _column("score", pa.float32(), "the example's score under the task's rule, 0 to 1"),
    ),
    "similarity_maps": _table(
        "A row is a phrase of the test split and how much each vision token resembles its words.",
        _column("image_id", pa.string(), "the image"),
        _column("phrase_id", pa.string(), "the phrase"),
        _column("phrase", pa.string(), "the phrase's text"),
        _column("grid", pa.list_(pa.int32(), 2), "rows and columns of the patch grid"),
        _column("similarity", pa.list_(pa.float32()), "cosine of token and words, a value a patch"),
        _column("coverage", pa.list_(pa.float32()), "share of each patch that the phrase really covers"),
    ),
    "measures": _table(
        "A row is what one metric says of one example: `metrics.json` holds the means.",
        _column("metric", pa.string(), "the metric, such as alignment.cosine"),
        _column("example", pa.string(), "phrase_id of a region, image_id of an image's tokens"),
        _column("value", pa.float64(), "the metric's value; 0 or 1 where it is a share"),
    ),
    "patch_labels": _table(
        "A row is an image of the test split and the word that each of its vision tokens is nearest to.",
        _column("image_id", pa.string(), "the image"),
        _column("grid", pa.list_(pa.int32(), 2), "rows and columns of the patch grid"),
        _column("words", pa.list_(pa.string()), "of the language model's whole vocabulary, a word a patch"),
        _column("similarity", pa.list_(pa.float32()), "cosine of token and word, a value a patch"),
    ),
    "audit": _table(
        "A row is a phrase whose true boxes are known, and what an annotation source made of it.",
        _column("phrase_id", pa.string(), "the phrase"),
        _column("image_id", pa.string(), "the image"),
        _column("noun", pa.string(), "lemma of the phrase's head"),
        _column("truth", pa.string(), "linked: the dataset says which objects; named: their label does"),
        _column("true_boxes", pa.list_(BOX), "boxes that people drew, pixels"),
        _column("true_ious", pa.list_(pa.float32()), "of each, its overlap with the region closest to it"),
        _column("found", pa.list_(pa.bool_()), "of each, whether a region of its own shows it"),
        _column("boxes", pa.list_(BOX), "the source's regions, pixels, highest score first"),
        _column("scores", pa.list_(pa.float32()), "of each, the source's confidence"),
        _column("right", pa.list_(pa.bool_()), "of each, whether it shows a true box of its own"),
        _column("iou", pa.float32(), "the first region's overlap with the true box closest to it, or 0"),
        _column("hit", pa.bool_(), "the first region overlaps a true box by half or more"),
        _column("pointed", pa.bool_(), "the first region's centre lies in a true box"),
    ),
}


def empty(name: str) -> pa.Table:
    """An empty table of the named schema."""
    return SCHEMAS[name].empty_table()


def from_rows(name: str, rows: list[dict]) -> pa.Table:
    """Rows (dicts by column name) as a table of the named schema.

    Raises:
        pyarrow.ArrowInvalid: a value does not fit its column.
    """
    return pa.Table.from_pylist(rows, schema=SCHEMAS[name])
