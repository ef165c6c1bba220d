"""What the page's addresses answer."""

from __future__ import annotations

import io
import shutil
import socket

import browse_made
import made_run
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from typer.testing import CliRunner

from pipeline.browse import commands, server, service, store
from pipeline.cli import commands as patchwords
from pipeline.errors import UserError
from pipeline.tables import dataset, schemas


def open_client(data, /, **compare):
    made = service.Service(data, data.parent / "raw", compare, browse_made.RULES)
    return TestClient(server.make(made), base_url="http://127.0.0.1:8365")


@pytest.fixture
def copied(data, tmp_path):
    """The dataset, to be spoilt."""
    shutil.copytree(data, tmp_path / "data")
    shutil.copytree(data.parent / "raw", tmp_path / "raw")
    return tmp_path / "data"


def rows_of(data, name):
    return dataset.read(data / name).to_pylist()


def test_the_gallery_counts_rows_and_gives_a_stretch(client, data):
    answer = client.get("/api/gallery", params={"offset": 1, "limit": 3}).json()
    assert (answer["images"], answer["patch_words"]) == (6, len(rows_of(data, "patch_words")))
    assert [card["image_id"] for card in answer["cards"]] == ["two", "three", "four"]
    assert [card["patch_words"] for card in answer["cards"]] == [2, 2, 2]
    assert answer["cards"][0]["caption"].startswith("\N{SLIGHTLY SMILING FACE} A red cup")


def test_tags_stand_where_captions_are_and_light_their_phrases(tmp_path):
    client = open_client(made_run.write(tmp_path / "data", made_run.tagged()))
    cards = client.get("/api/gallery").json()["cards"]
    said = ["A red cup, a wooden table, Two cups", "A dog", "An old car"]
    assert [card["caption"] for card in cards] == said
    (caption,) = client.get("/api/image", params={"id": "790"}).json()["captions"]
    assert caption["text"] == said[0]
    lit = {piece["text"]: piece["lights"] for piece in caption["segments"] if piece["word"]}
    assert lit["wooden"] == {"data": ["790/c41/p1"]} and lit["cups"] == {"data": ["790/c42/p0"]}


def test_cards_show_the_patches_that_the_filter_found(client, data):
    card = client.get("/api/gallery", params={"word": "red", "split": "validation"}).json()["cards"][0]
    row = next(row for row in rows_of(data, "patch_words") if row["phrase_id"] == "four/c0/p0")
    shares = [[p % 8 / 8, p // 8 / 8, 1 / 8, 1 / 8] for p in row["patches"]]
    assert card["lit"] == [{"phrase": "A red cup", "patches": shares, "coverage": row["coverage"]}]


def test_an_image_s_phrases_have_the_table_s_patches(client, data):
    answer = client.get("/api/image", params={"id": "dir/five six"}).json()
    phrases = {phrase["phrase_id"]: phrase for phrase in answer["sources"][0]["phrases"]}
    for row in rows_of(data, "patch_words"):
        if row["image_id"] == "dir/five six":
            assert phrases[row["phrase_id"]]["patches"] == row["patches"]
            assert phrases[row["phrase_id"]]["coverage"] == pytest.approx(row["coverage"], abs=1e-6)
    assert phrases["dir/five six/c0/p2"]["patches"] == []
    assert phrases["dir/five six/c0/p2"]["why_not"] == "nothing was found"
    assert answer["place"] == {"number": 4, "of": 6, "previous": "four", "next": "last"}
    assert answer["sources"][0]["x"] == [8 * i for i in range(9)]


def test_neighbours_are_those_that_the_filters_leave(client):
    place = client.get("/api/image", params={"id": "one", "rejects": "parse"}).json()["place"]
    assert place == {"number": 0, "of": 3, "previous": None, "next": "three"}
    other = client.get("/api/image", params={"id": "two", "rejects": "parse"}).json()["place"]
    assert other == {"number": None, "of": 3, "previous": "one", "next": "three"}


def test_annotators_that_were_united_stand_side_by_side(client, data):
    """The red cup's row rests on both; alone, each covers its own box, worked out by the stage's code."""
    both, owl, dino = client.get("/api/image", params={"id": "one"}).json()["sources"]
    assert [source["annotator"] for source in (both, owl, dino)] == [None, "owlv2", "grounding_dino"]
    red = [source["phrases"][0] for source in (both, owl, dino)]
    assert [len(phrase["regions"]) for phrase in red] == [2, 1, 1]
    assert [phrase["computed"] for phrase in red] == [False, True, True]
    assert set(red[0]["patches"]) == set(red[1]["patches"]) | set(red[2]["patches"])
    # grounding_dino's box is (4, 40, 20, 56): patches of 8 x 8 in rows 5 and 6, the first half covered.
    assert dict(zip(red[2]["patches"], red[2]["coverage"], strict=True)) == {
        40: 0.5, 41: 1.0, 42: 0.5, 48: 0.5, 49: 1.0, 50: 0.5
    }  # fmt: skip
    blue = [source["phrases"][1] for source in (both, owl, dino)]
    assert blue[1]["patches"] == blue[0]["patches"] and not blue[1]["computed"]
    assert blue[2]["patches"] == []


def test_a_dataset_to_compare_with_follows_and_is_lit_by_the_same_words(data, tmp_path):
    other = tmp_path / "boxes"
    for name in ("phrases", "regions"):
        shutil.copytree(data / name, other / name)
    rows = dataset.read(data / "patch_words")
    dataset.write_part(other / "patch_words", 0, rows.slice(0, 4), "patch_words", browse_made.MADE_FROM)
    answer = open_client(data, boxes=other).get("/api/image", params={"id": "two"}).json()
    assert [(source["dataset"], source["annotator"]) for source in answer["sources"]] == [
        ("data", "owlv2"), ("boxes", "owlv2"),
    ]  # fmt: skip
    red = next(piece for piece in answer["captions"][0]["segments"] if piece["text"] == "red")
    assert red["lights"] == {"data": ["two/c0/p0"], "boxes": ["two/c0/p0"]}
    assert answer["sources"][1]["x"] == answer["sources"][0]["x"]


def test_what_is_compared_needs_a_name_of_its_own(data):
    with pytest.raises(UserError, match="another NAME"):
        open_client(data, data=data)


def test_similarity_maps_of_both_arms(client):
    answer = client.get("/api/similarity", params={"phrase": "last/c0/p0"}).json()
    assert [each["name"] for each in answer["maps"]] == [
        "caption/similarity_maps", "caption/similarity_maps_finetuned",
        "patch_aligned/similarity_maps", "patch_aligned/similarity_maps_finetuned",
    ]  # fmt: skip
    assert answer["low"] == pytest.approx(0.1) and answer["high"] == pytest.approx(0.6)
    drawn = client.get(
        "/picture/similarity", params={"phrase": "last/c0/p0", "name": answer["maps"][2]["name"]}
    )
    assert drawn.headers["content-type"] == "image/png"
    assert min(Image.open(io.BytesIO(drawn.content)).size) >= 320
    assert client.get("/picture/similarity", params={"phrase": "one/c0/p0", "name": "x"}).status_code == 400


def test_thumbnails_are_the_pictures(client):
    for row in (0, 5):
        answer = client.get(f"/picture/thumbnail/{row}")
        shown = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))
        assert shown.shape == (64, 64, 3) and tuple(shown[20, 10]) == (200, 40, 40)
    assert client.get("/picture/thumbnail/6").status_code == 400


def test_an_overlay_is_the_report_s_own_drawing(client, data):
    from pipeline.patches.geometry import Geometry
    from pipeline.report import drawing, lookup

    phrase = lookup.phrases(data, ["two/c0/p0"])["two/c0/p0"]
    row = next(row for row in rows_of(data, "patch_words") if row["phrase_id"] == "two/c0/p0")
    picture = drawing.picture_of(phrase.image, data.parent / "raw")
    expected = drawing.draw_phrase(picture, phrase, row, Geometry.from_encoder(data / "models" / "encoder"))
    assert client.get("/picture/overlay", params={"phrase": "two/c0/p0"}).content == expected


def test_rejects_page_by_page_over_the_stages(client):
    every = client.get("/api/rejects", params={"limit": 500}).json()
    assert (
        every["rows"] == 10 and [row["stage"] for row in every["rejects"][:4]] == ["ingest"] + ["parse"] * 3
    )
    assert every["rejects"][0]["image_id"] is None and every["rejects"][1]["image_id"] == "one"
    paged = [
        client.get("/api/rejects", params={"limit": 3, "offset": o}).json()["rejects"] for o in (0, 3, 6, 9)
    ]
    assert [row for page in paged for row in page] == every["rejects"]
    assert client.get("/api/rejects", params={"stage": "ground", "reason": "not_found"}).json()["rows"] == 6


def test_an_image_that_was_moved_away_is_shown_as_a_row_that_says_what_is_missing(copied):
    (copied.parent / "raw" / browse_made.FILE).unlink()
    client = open_client(copied)
    assert client.get("/api/image", params={"id": "last"}).json()["image"]["path"] == browse_made.FILE
    answer = client.get("/picture/view/5")
    assert answer.status_code == 400 and browse_made.FILE in answer.json()["message"]


def test_a_path_that_leaves_the_root_is_not_read(copied, tmp_path):
    secret = tmp_path / "secret.png"
    Image.new("RGB", (4, 4)).save(secret)
    images = rows_of(copied, "images")
    images[5]["image"] = {"bytes": None, "path": "../secret.png"}
    shutil.rmtree(copied / "images")
    table = schemas.from_rows("images", images)
    dataset.write_part(copied / "images", 0, table, "images", browse_made.MADE_FROM)
    answer = open_client(copied).get("/picture/view/5")
    assert answer.status_code == 400 and "leaves the dataset" in answer.json()["message"]


@pytest.mark.parametrize("path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static//etc/passwd"])
def test_only_the_page_s_own_files_are_served(client, path):
    assert client.get(path).status_code == 404


def test_missing_tables_are_named_with_their_stage(copied):
    shutil.rmtree(copied / "patch_words")
    shutil.rmtree(copied / "models")
    client = open_client(copied)
    told = {table["name"]: table["problem"] for table in client.get("/api/dataset").json()["tables"]}
    assert "dvc repro patch_words" in told["patch_words"] and told["phrases"] is None
    assert client.get("/api/gallery").json()["images"] == 6
    answer = client.get("/api/gallery", params={"word": "red"})
    assert answer.status_code == 400 and "dvc repro patch_words" in answer.json()["message"]
    scene = client.get("/api/image", params={"id": "two"}).json()
    assert any("dvc repro patch_words" in problem for problem in scene["problems"])
    assert "dvc repro encoder" in scene["sources"][0]["problem"]
    assert [len(phrase["regions"]) for phrase in scene["sources"][0]["phrases"]] == [1, 1, 0]


def test_a_part_that_was_cut_short_is_named(copied):
    part = copied / "regions" / "part-00001.arrow"
    part.write_bytes(part.read_bytes()[:-200])
    told = {
        table["name"]: table["problem"] for table in open_client(copied).get("/api/dataset").json()["tables"]
    }
    assert "part-00001.arrow" in told["regions"]


def test_a_table_that_a_stage_replaces_is_opened_again(copied, monkeypatch):
    monkeypatch.setattr(service, "LOOK_EVERY", -1.0)
    client = open_client(copied)
    before = client.get("/api/gallery").json()["patch_words"]
    rows = dataset.read(copied / "patch_words")
    shutil.rmtree(copied / "patch_words")
    dataset.write_part(copied / "patch_words", 0, rows.slice(0, 3), "patch_words", browse_made.MADE_FROM)
    assert (before, client.get("/api/gallery").json()["patch_words"]) == (rows.num_rows, 3)


@pytest.mark.parametrize("kind", ["thumbnail", "view"])
def test_an_address_of_an_image_that_was_replaced_gives_no_other_picture(copied, monkeypatch, kind):
    monkeypatch.setattr(service, "LOOK_EVERY", -1.0)
    client = open_client(copied)
    card = client.get("/api/gallery").json()["cards"][1]
    path, of = f"/picture/{kind}/{card['row']}", {"of": card["sha256"]}
    assert card["sha256"] and "immutable" in client.get(path, params=of).headers["cache-control"]
    rows = rows_of(copied, "images")
    rows[0], rows[1] = rows[1], rows[0]
    shutil.rmtree(copied / "images")
    dataset.write_part(
        copied / "images", 0, schemas.from_rows("images", rows), "images", browse_made.MADE_FROM
    )
    answer = client.get(path, params=of)
    assert answer.status_code == 400 and "reload the page" in answer.json()["message"]
    assert answer.headers["cache-control"] == "no-store"
    # Without a digest in its address a picture may be another one tomorrow.
    assert client.get(path).headers["cache-control"] == "no-cache"


def test_bad_questions_are_answered_in_a_sentence(client):
    for path, part in (
        ("/api/gallery?where=scroe<1", "score"), ("/api/gallery?score_min=high", "score_min='high'"),
        ("/api/gallery?split=dev", "train, validation, test"), ("/api/image?id=nowhere", "'nowhere'"),
    ):  # fmt: skip
        answer = client.get(path)
        assert answer.status_code == 400 and part in answer.json()["message"], path


def test_other_sites_are_kept_out(client):
    assert client.get("/api/dataset", headers={"host": "evil.example:8365"}).status_code == 403
    assert client.post("/api/dataset").status_code == 405
    headers = client.get("/").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


def test_a_name_that_is_refused_is_told_how_else_to_open_the_page(served):
    remote = "by the machine's address, or start it with --host NAME"
    for is_remote, told in ((False, "as 127.0.0.1"), (True, remote)):
        client = TestClient(server.make(served, ["0.0.0.0"], is_remote), base_url="http://machine:8365")
        answer = client.get("/api/dataset")
        assert answer.status_code == 403 and answer.json()["message"].endswith(f"open it {told}.")


@pytest.mark.parametrize(
    ("options", "address"),
    [(["--host", "127.0.0.1"], "127.0.0.1"), (["--host", "0.0.0.0", "--allow-remote"], "127.0.0.1")],
)
def test_the_address_that_is_printed_can_be_opened(copied, monkeypatch, options, address):
    data = copied.rename(copied.with_name("[raw] :cup:"))
    listening = []
    monkeypatch.setattr(commands, "_serve", lambda _, found: listening.append(found))
    result = CliRunner().invoke(patchwords, ["browse", str(data), "--port", "0", "--no-open", *options])
    (found,) = listening
    port = found.getsockname()[1]
    found.close()
    assert f"{data} is open at http://{address}:{port}/ (ctrl-C ends it)\n" in result.output
    assert ("From other machines" in result.output) == ("--allow-remote" in options)


def test_a_folder_without_datasets_is_refused(tmp_path, data):
    with pytest.raises(UserError, match="There is no folder"):
        store.load(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"holds no datasets.*dvc repro"):
        store.load(tmp_path)
    with pytest.raises(UserError, match="folder above it"):
        store.load(data / "images")


def test_a_taken_port_is_told(data):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"port {port}.*--port 0"):
            commands.listen("127.0.0.1", port)
        result = CliRunner().invoke(patchwords, ["browse", str(data), "--port", str(port), "--no-open"])
        assert isinstance(result.exception, UserError)


def test_folders_to_compare_have_names(data):
    assert commands.named_folder("boxes=../other/data") == ("boxes", "../other/data")
    for text in ("boxes", "=x", "boxes="):
        with pytest.raises(UserError, match="NAME=PATH"):
            commands.named_folder(text)


def test_the_page_names_no_address_of_the_network():
    for file in server.STATIC.iterdir():
        text = file.read_text(encoding="utf-8")
        assert "https://" not in text, file.name
        assert text.replace("http://www.w3.org/2000/svg", "").count("http://") == 0, file.name
