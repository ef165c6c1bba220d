"""WebDataset tars, Parquet and Arrow files, Visual Genome and folders: what is particular to each."""

from __future__ import annotations

import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from format_folders import PICTURE, Sample, made, opened, put, put_json, read, reasons

from pipeline.errors import UserError


def write_tar(path, *members: tuple[str, bytes | None], kind: str = "w") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, kind) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content or b""))


def test_a_samples_text_wins_over_its_json_and_other_members_are_passed_over(tmp_path):
    described = json.dumps({"caption": ["one", "two"], "url": "x"}).encode()
    write_tar(
        tmp_path / "0.tar",
        ("d/1.jpg", PICTURE),
        ("d/1.json", described),
        ("d/1.txt", b" text "),
        ("d/1.cls", b"3"),
        ("2.json", described),
        ("2.seg.png", PICTURE),
        ("2.PNG", PICTURE),
    )
    rows = read(opened("webdataset", tmp_path))
    assert [row["image_id"] for row in rows["images"]] == ["d/1", "2"]
    assert [row["text"] for row in rows["captions"]] == ["text", "one", "two"]
    assert rows["images"][0]["image"] == {"bytes": PICTURE, "path": None} and not rows["rejects"]


def test_samples_that_cannot_be_are_rejected(tmp_path):
    write_tar(
        tmp_path / "0.tar",
        ("1.jpg", PICTURE),
        ("1.txt", b"A dog."),
        ("2.txt", b"No picture."),
        ("3.jpg", None),
        ("3.txt", b"A link."),
        ("4.jpg", PICTURE),
        ("4.png", PICTURE),
        ("4.json", b"[]"),
        ("5.jpg", PICTURE),
        ("5.txt", b"\xff\xfe"),
    )
    write_tar(tmp_path / "1.tar", ("1.jpg", PICTURE), ("1.txt", b"Again."))
    source = opened("webdataset", tmp_path)
    assert [(row["key"], row["reason"]) for row in read(source)["rejects"]] == [
        ("caption:2/c0", "annotation_without_image"),
        ("image:3", "row_unreadable"),
        ("caption:3/c0", "annotation_without_image"),
        ("image:4", "duplicate_image_id"),
        ("image:1", "duplicate_image_id"),
        ("caption:1/c0", "image_rejected"),
        ("caption:4/c0", "row_unreadable"),
        ("image:4", "image_without_captions"),
        ("image:5", "image_without_captions"),
        ("caption:5/c0", "caption_empty"),
    ]
    assert source.rows_in(0) == 12
    kept = read(opened("webdataset", tmp_path, require_captions=False))
    assert [row["image_id"] for row in kept["images"]] == ["1", "4", "5"]


@pytest.mark.parametrize("length", [0, 100, 700, 2600])
def test_a_tar_cut_short_gives_what_is_whole_and_a_reject(tmp_path, length):
    write_tar(tmp_path / "0.tar", ("1.txt", b"A dog."), ("1.jpg", PICTURE), ("2.jpg", PICTURE))
    whole = (tmp_path / "0.tar").read_bytes()
    (tmp_path / "0.tar").write_bytes(whole[:length])
    rows = read(opened("webdataset", tmp_path))
    assert "file_cut_short" in {row["reason"] for row in rows["rejects"]}
    assert len(rows["images"]) == (length == 2600)


def test_a_compressed_tar_says_what_to_do(tmp_path):
    write_tar(tmp_path / "0.tar", ("1.jpg", PICTURE), kind="w:gz")
    (row,) = read(opened("webdataset", tmp_path))["rejects"]
    assert row["reason"] == "file_cut_short" and "has to be unpacked" in row["message"]


def arrow_table(*rows: dict) -> pa.Table:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    kind = pa.schema([("image", image), ("text", pa.string()), ("name", pa.string())])
    return pa.Table.from_pylist(list(rows), kind)


ROWS = [
    {"image": {"bytes": PICTURE, "path": "gone.jpg"}, "text": "One.", "name": "a"},
    {"image": {"bytes": None, "path": "here.jpg"}, "text": "Two.", "name": "b"},
    {"image": {"bytes": PICTURE, "path": None}, "text": "Three.", "name": "a"},
    {"image": None, "text": "Four.", "name": "c"},
]


@pytest.mark.parametrize("kind", ["parquet", "file", "stream"])
@pytest.mark.parametrize("named", [True, False])
def test_parquet_arrow_files_and_streams_read_alike(tmp_path, kind, named):
    put(tmp_path / "here.jpg", PICTURE)
    table = arrow_table(*ROWS)
    path = tmp_path / f"part.{'parquet' if kind == 'parquet' else 'arrow'}"
    if kind == "parquet":
        pq.write_table(table, path, row_group_size=3)
    else:
        with (pa.ipc.new_file if kind == "file" else pa.ipc.new_stream)(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    source = opened("parquet", tmp_path, 2, files=path.name, id="name" if named else None)
    rows = read(source)
    ids = ["a", "b", "a", "c"] if named else [f"part/{row}" for row in range(4)]
    kept = [0, 1] if named else [0, 1, 2]
    assert [row["image_id"] for row in rows["images"]] == [ids[row] for row in kept]
    assert [row["text"] for row in rows["captions"]] == [ROWS[row]["text"] for row in kept]
    assert [row["image"]["path"] for row in rows["images"]][:2] == [None, "here.jpg"]
    lost = {row["key"]: row["reason"] for row in rows["rejects"] if row["key"].startswith("image:")}
    expected = {"image:a": "duplicate_image_id"} if named else {}
    assert lost == {**expected, f"image:{ids[3]}": "image_missing"}
    assert sum(map(source.rows_in, range(source.shard_count()))) == 8


def test_a_missing_column_is_told_with_those_that_there_are(tmp_path):
    pq.write_table(arrow_table(*ROWS), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="no column caption; it has image, text, name"):
        opened("parquet", tmp_path, caption="caption").shard_count()


def test_visual_genomes_objects_are_listed_beside_the_regions(tmp_path):
    made("visual_genome", tmp_path, [Sample("1"), Sample("2")])
    things = [
        {"object_id": 5, "names": ["red cup"], "x": 1, "y": 2, "w": 3, "h": 4, "attributes": ["red", 3]},
        {"object_id": 6, "names": [], "x": 1, "y": 2, "w": 3, "h": 4},
        "thing",
    ]
    put_json(tmp_path / "objects.json", [{"image_id": 1, "objects": things}, {"image_id": 9, "objects": []}])
    rows = read(opened("visual_genome", tmp_path, objects="objects.json"))
    found = {row["object_id"]: (row["label"], row["box"], row["attributes"]) for row in rows["objects"]}
    assert found["1/o5"] == ("red cup", [1, 2, 4, 6], ["red"]) and set(found) == {"1/or0", "2/or0", "1/o5"}
    assert [row["reason"] for row in rows["rejects"]] == [
        "annotation_without_image",
        "row_unreadable",
        "label_empty",
    ]


def test_visual_genomes_ids_are_taken_once_and_are_no_paths(tmp_path):
    made("visual_genome", tmp_path, [Sample("1")])
    file = tmp_path / "region_descriptions.json"
    rows = json.loads(file.read_text())
    put_json(file, [*rows, *rows, {"id": "../1", "regions": []}, 7])
    assert list(reasons(opened("visual_genome", tmp_path)).values()) == [
        "duplicate_image_id",
        "row_unreadable",
        "row_unreadable",
    ]


def test_a_folder_is_read_with_its_subfolders_and_a_caption_a_line(tmp_path):
    put(tmp_path / "b/cat.jpeg", PICTURE)
    put(tmp_path / "b/cat.txt", "A cat.\r\n\nTwo cats.\n")
    put(tmp_path / "a.PNG", PICTURE)
    put(tmp_path / ".hidden/x.jpg", PICTURE)
    put(tmp_path / "notes.txt", "nothing beside")
    rows = read(opened("folder", tmp_path))
    assert [(row["image_id"], row["text"]) for row in rows["captions"]] == [
        ("b/cat.jpeg", "A cat."),
        ("b/cat.jpeg", "Two cats."),
    ]
    assert {row["key"]: row["reason"] for row in rows["rejects"]} == {
        "caption:notes.txt": "annotation_without_image",
        "image:a.PNG": "image_without_captions",
    }
    kept = read(opened("folder", tmp_path, require_captions=False))
    assert [row["image_id"] for row in kept["images"]] == ["a.PNG", "b/cat.jpeg"]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    put(tmp_path / "secret.jpg", PICTURE)
    put(tmp_path / "secret.txt", "A secret.")
    put(tmp_path / "d/a.txt", "A dog.")
    put(tmp_path / "d/b.jpg", PICTURE)
    (tmp_path / "d/a.jpg").symlink_to(tmp_path / "secret.jpg")
    (tmp_path / "d/b.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "d/more").symlink_to(tmp_path)
    assert reasons(opened("folder", tmp_path / "d")) == {
        "image:a.jpg": "image_missing",
        "caption:a.jpg/c0": "image_rejected",
        "image:b.jpg": "image_without_captions",
        "caption:b.jpg/c0": "caption_empty",
    }


@pytest.mark.parametrize("name", ["captions.csv", "captions.jsonl"])
def test_tables_of_captions_read_alike(tmp_path, name):
    put(tmp_path / "ä.jpg", PICTURE)
    rows = [("ä.jpg", 'A "dog",\nand a cat.'), ("b.jpg", "Gone."), ("ä.jpg", "A dog.")]
    if name.endswith("csv"):
        lines = [
            "file,id,caption\r\n",
            *(f'{file},7,"{text.replace(chr(34), chr(34) * 2)}"\r\n' for file, text in rows),
        ]
    else:
        lines = [json.dumps({"file": file, "caption": text}) + "\n" for file, text in rows]
    put(tmp_path / name, "".join(lines))
    source = opened("folder", tmp_path, table=name)
    tables = read(source)
    assert [row["text"] for row in tables["captions"]] == [rows[0][1], rows[2][1]]
    assert reasons(source) == {"image:b.jpg": "image_missing", "caption:b.jpg/c0": "image_rejected"}


def test_a_table_of_other_columns_is_told(tmp_path):
    put(tmp_path / "captions.csv", "image,text\na.jpg,A dog.\n")
    with pytest.raises(UserError, match="has the columns image, text; it takes `file` and `caption`"):
        opened("folder", tmp_path, table="captions.csv").shard_count()


def test_a_listing_is_made_anew_when_a_run_starts(tmp_path):
    put(tmp_path / "d/a.jpg", PICTURE)
    put(tmp_path / "d/a.txt", "A dog.")
    source = opened("folder", tmp_path)
    before = source.digest()
    put(tmp_path / "d/b.jpg", PICTURE)
    assert source.digest() != before and source.rows_in(0) == 3
