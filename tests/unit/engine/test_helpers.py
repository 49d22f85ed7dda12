"""Threads that stand ready: no work waits for another, and none is started while one is free."""

import threading

import pytest

from app.engine.helpers import Helpers

LONG = 10.0
"""Seconds after which a test has failed."""


def test_work_goes_to_threads_that_are_there_already(monkeypatch: pytest.MonkeyPatch) -> None:
    helpers = Helpers(2)

    def refuse(_self: Helpers) -> None:
        raise AssertionError("a thread was started")

    monkeypatch.setattr(Helpers, "_add", refuse)
    both = threading.Barrier(2, timeout=LONG)
    futures = [helpers.submit(both.wait) for _ in range(2)]
    assert {future.result(LONG) for future in futures} == {0, 1}


def test_nothing_waits_for_what_takes_long() -> None:
    helpers, over = Helpers(1), threading.Event()
    slow = [helpers.submit(lambda: over.wait(LONG)) for _ in range(3)]
    assert helpers.submit(lambda: "at once").result(LONG) == "at once"
    over.set()
    assert all(future.result(LONG) for future in slow)


def test_what_work_raises_comes_to_whoever_wants_its_result() -> None:
    helpers = Helpers(1)

    def fail() -> None:
        raise OSError("no such file")

    with pytest.raises(OSError, match="no such file"):
        helpers.submit(fail).result(LONG)
    assert helpers.submit(lambda: 3).result(LONG) == 3
