"""Work off the main thread: its outcome arrives on the main one."""

import threading

from PySide6.QtCore import QObject, QThreadPool
from pytestqt.qtbot import QtBot

from app.core.errors import EmberError
from app.services.background import run_in_background, wait_for_background


def outcome_of(qtbot: QtBot, work: object) -> list[object]:
    """What became of the work: its result or its failure, and the thread that was told."""
    told: list[object] = []
    parent = QObject()

    def take(outcome: object) -> None:
        told.extend((outcome, threading.current_thread()))

    run_in_background(parent, work, take, take)  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: bool(told))
    return told


def test_a_result_comes_back_to_the_main_thread(qtbot: QtBot) -> None:
    worker, told_on = outcome_of(qtbot, threading.current_thread)
    assert worker is not threading.main_thread()
    assert told_on is threading.main_thread()


def test_a_failure_for_the_person_comes_back_as_it_is(qtbot: QtBot) -> None:
    failure = EmberError("The disk is full.", "disk_full")

    def fail() -> None:
        raise failure

    assert outcome_of(qtbot, fail) == [failure, threading.main_thread()]


def test_a_bug_is_told_too_and_does_not_hang(qtbot: QtBot) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    error, _ = outcome_of(qtbot, fail)
    assert isinstance(error, EmberError)
    assert error.kind == "bug"


def test_closing_waits_for_what_still_works(qtbot: QtBot) -> None:
    go_on, done = threading.Event(), threading.Event()

    def work() -> None:
        go_on.wait(10)
        done.set()

    parent = QObject()
    run_in_background(parent, work, lambda _: None, lambda _: None)
    go_on.set()
    wait_for_background()
    assert done.is_set()


def test_one_that_takes_long_holds_up_no_other_even_with_a_single_core(qtbot: QtBot) -> None:
    QThreadPool.globalInstance().setMaxThreadCount(1)
    both = threading.Barrier(2, timeout=10)
    told: list[object] = []
    parent = QObject()
    for _ in range(2):
        run_in_background(parent, both.wait, told.append, told.append)
    qtbot.waitUntil(lambda: len(told) == 2)
    assert sorted(map(str, told)) == ["0", "1"]
