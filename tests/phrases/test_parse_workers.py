"""Parsing in several processes. One story in order: beginning workers takes seconds."""

import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from pipeline.errors import LostProcessError, UserError
from pipeline.params import ParseParams
from pipeline.phrases import workers

ONE = ParseParams(model="en_core_web_sm", batch_size=4, processes=1)
TWO = ONE.model_copy(update={"processes": 2})
TEXTS = [f"{n} {noun}s on a red table" for n in ("two", "the", "some") for noun in ("cup", "box", "old boat")]


def helpers() -> set[int]:
    """The living worker processes of this one."""
    return {
        child.pid
        for child in psutil.Process().children(recursive=True)
        if "LokyProcess" in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE
    }


def test_workers_give_the_same_in_order_are_kept_and_when_killed_told_and_replaced() -> None:
    expected = workers.parse_all(TEXTS, ONE)
    assert workers.parse_all(TEXTS, TWO) == expected
    kept = helpers()
    assert len(kept) == 2
    # Fewer texts than processes, and none at all.
    for few in (TEXTS[:1], []):
        assert workers.parse_all(few, TWO) == workers.parse_all(few, ONE)
    assert helpers() == kept

    with ThreadPoolExecutor(1) as thread:
        work = thread.submit(workers.parse_all, [f"{i} cups" for i in range(50_000)], TWO)
        one = psutil.Process(min(kept))
        before = one.cpu_times().user
        while one.cpu_times().user < before + 0.2:  # until it is in the middle of it
            assert not work.done()
            time.sleep(0.01)
        one.kill()
        with pytest.raises(LostProcessError, match=r"parse\.processes \(found 2\)"):
            work.result()
    assert workers.parse_all(TEXTS, TWO) == expected
    assert len(helpers() - kept) == 2

    missing = TWO.model_copy(update={"model": "en_core_web_xx"})
    with pytest.raises(UserError, match=r"parse\.model.*'en_core_web_xx'"):
        workers.parse_all(TEXTS, missing)
