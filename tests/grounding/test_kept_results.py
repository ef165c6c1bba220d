"""What a model said is kept by content: nothing is asked twice, and nothing depends on what was kept."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from threading import Barrier

import kept_writer
import numpy as np
import pytest
from counting_source import PHRASES, annotator, big, shard

from pipeline.errors import UserError
from pipeline.grounding import candidates, kept
from pipeline.grounding.candidates import Candidates
from pipeline.grounding.kept import Kept


def asked(folder: Path) -> list[str]:
    """Images that went through the model, in order, by the brightness that names them."""
    log = folder / "asked"
    return log.read_text().split() if log.exists() else []


def ground(inputs, root, **settings):
    return annotator(root, **settings).ground(inputs)


def same(a, b) -> bool:
    return all(a[name].equals(b[name]) for name in ("regions", "rejects"))


def test_a_second_run_asks_nothing_and_gives_the_same_tables(tmp_path):
    inputs = shard(range(6))
    fresh = ground(inputs, tmp_path / "none", keep=False)
    first = ground(inputs, tmp_path)
    assert len(asked(tmp_path)) == 6
    second = ground(inputs, tmp_path)
    assert len(asked(tmp_path)) == 6
    assert fresh["regions"].num_rows > 6
    assert same(fresh, first)
    assert same(first, second)


def test_new_images_alone_go_through_the_model_wherever_they_stand(tmp_path):
    ground(shard(range(100)), tmp_path)
    # One new image in front: every other one has another place in its batch.
    more = shard([200, *range(100)])
    warm = ground(more, tmp_path)
    assert asked(tmp_path)[100:] == ["200"]
    assert same(warm, ground(more, tmp_path / "fresh"))


def test_another_name_of_an_image_changes_nothing_and_other_phrases_ask_again(tmp_path):
    ground(shard(range(4)), tmp_path)
    ground(shard(range(4), prefix="renamed-"), tmp_path)
    assert len(asked(tmp_path)) == 4
    ground(shard(range(4), texts=[*PHRASES, "a hat"]), tmp_path)
    assert len(asked(tmp_path)) == 8


@pytest.mark.parametrize("change", [{"box_threshold": 0.6}, {"text_threshold": 0.5}, {"nms_iou": 0.05}])
def test_settings_that_apply_after_the_model_ask_nothing(tmp_path, change):
    inputs = shard(range(5))
    before = ground(inputs, tmp_path)
    after = ground(inputs, tmp_path, **change)
    assert len(asked(tmp_path)) == 5
    assert not same(before, after)
    assert same(after, ground(inputs, tmp_path / "fresh", **change))


def test_a_threshold_below_the_floor_asks_once_more_and_loses_no_box(tmp_path):
    inputs = shard(range(5))
    every = {"text_threshold": 0.0, "nms_iou": 1.0}
    ground(inputs, tmp_path)
    low = ground(inputs, tmp_path, box_threshold=0.01, **every)
    assert len(asked(tmp_path)) == 10
    assert same(low, ground(inputs, tmp_path / "none", keep=False, box_threshold=0.01, **every))
    assert min(low["regions"]["score"].to_pylist()) < candidates.FLOOR
    ground(inputs, tmp_path, box_threshold=0.02, **every)
    assert len(asked(tmp_path)) == 10


def test_another_model_and_another_size_of_batches(tmp_path):
    inputs = shard(range(5))
    first = ground(inputs, tmp_path)
    ground(inputs, tmp_path, model="another")
    assert len(asked(tmp_path)) == 10
    assert same(first, ground(inputs, tmp_path, batch_size=1))
    assert len(asked(tmp_path)) == 10


def test_an_unreadable_image_is_rejected_whatever_was_kept(tmp_path):
    inputs = shard([0, 1, 2], broken=[1])
    first = ground(inputs, tmp_path)
    assert set(first["rejects"]["reason"].to_pylist()) == {"image_unreadable"}
    assert same(first, ground(inputs, tmp_path))
    assert asked(tmp_path) == ["0", "2"]


def test_processes_that_write_at_once_all_see_who_was_first(tmp_path):
    with get_context("spawn").Pool(3) as pool:
        found = pool.starmap(kept_writer.write, [(str(tmp_path), who) for who in range(3)])
    assert found[0] == found[1] == found[2]
    assert len(Kept(tmp_path)) == 300


def test_threads_that_open_a_folder_at_once_all_find_it(tmp_path):
    for attempt in range(20):
        gate = Barrier(8)

        def opened(gate=gate, root=tmp_path / str(attempt)):
            gate.wait()
            return kept.open_kept(root, {"source": "one"}).folder

        with ThreadPoolExecutor(8) as pool:
            folders = {future.result() for future in [pool.submit(opened) for _ in range(8)]}
        (folder,) = folders
        assert [file.name for file in folder.iterdir()] == [kept.ABOUT]


PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from counting_source import annotator, big
annotator(Path({folder!r}), seconds=0.05).ground(big())
"""


def test_killed_in_the_middle_no_image_is_annotated_twice(tmp_path):
    program = PROGRAM.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 60
    while len(asked(tmp_path)) < 12 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = asked(tmp_path)
    stored = sum(len(Kept(folder)) for folder, _, _ in kept.listing(tmp_path / "kept"))
    assert 8 <= stored <= len(before) < 60
    resumed = ground(big(), tmp_path)
    again = asked(tmp_path)[len(before) :]
    # All that had been kept was not asked again; what the kill lost is one batch of four at most.
    assert len(before) - stored <= 4
    assert len(again) == 60 - stored
    assert set(again).isdisjoint(before[:stored])
    assert same(resumed, ground(big(), tmp_path / "fresh"))


def test_packing_loses_nothing():
    random = np.random.default_rng(0)
    found = [
        Candidates(float(np.float32(0.9)), float(np.float32(0.5)), random.random((3, 6), np.float32)),
        None,
        Candidates(0.0, 0.0, np.empty((0, 6), np.float32)),
    ]
    size, back = candidates.unpack(candidates.pack((640, 480), found), 3)
    assert (size, back[1]) == ((640, 480), None)
    for one, other in ((found[0], back[0]), (found[2], back[2])):
        assert one[:2] == other[:2]
        assert np.array_equal(one.rows, other.rows)
    assert candidates.unpack(candidates.pack((1, 1), []), 0) == ((1, 1), [])


def test_who_was_first_stays(tmp_path):
    store = Kept(tmp_path)
    one, two = kept.key("a" * 64, "dog"), kept.key("a" * 64, "cat")
    assert store.add({one: b"first"}) == {one: b"first"}
    assert store.add({one: b"second", two: b"cat"}) == {one: b"first", two: b"cat"}
    assert store.read([two, one, kept.key("b" * 64)]) == {one: b"first", two: b"cat"}
    many = {kept.key("c" * 64, n): bytes([n % 256]) for n in range(1203)}  # more than a query takes
    assert store.add(many) == many
    assert len(store) == 1205


def test_an_image_without_a_digest_is_never_kept():
    with pytest.raises(ValueError, match="without its sha256"):
        kept.key("", "dog")


def test_the_list_says_what_is_kept_and_pruning_deletes_what_was_used_last(tmp_path):
    old = kept.open_kept(tmp_path, {"source": "old"})
    new = kept.open_kept(tmp_path, {"source": "new"})
    for store, at in ((old, 1000), (new, 2000)):
        store.add({kept.key("a" * 64): bytes(5000)})
        os.utime(store.folder, (at, at))
    listed = kept.listing(tmp_path)
    assert [about["source"] for _, about, _ in listed] == ["new", "old"]
    assert kept.prune(tmp_path, 10**9) == []
    assert kept.prune(tmp_path, listed[0][2]) == [old.folder]
    assert [folder for folder, _, _ in kept.listing(tmp_path)] == [new.folder]
    assert kept.listing(tmp_path / "nowhere") == []


def test_a_damaged_file_is_told(tmp_path):
    store = Kept(tmp_path)
    store.add({kept.key("a" * 64): b"x"})
    (tmp_path / kept.FILE).write_bytes(b"no database" * 1000)
    with pytest.raises(UserError, match=r"kept\.sqlite is damaged .*Delete .*go through the model again"):
        store.read([kept.key("a" * 64)])
