"""Garbage with Qt objects in it goes on the thread that they belong to."""

import gc
import threading

import pytest
from PySide6.QtCore import QCoreApplication, QObject, Qt, QTimer
from pytestqt.qtbot import QtBot

from app.services.collecting import Collector, collect_if_due

MANY = 200_000


class Knot(QObject):
    """An object that only a collection removes, with a timer that must be stopped on its own thread."""

    def __init__(self, ends: list[threading.Thread]) -> None:
        super().__init__()
        self.itself = self
        self.timer = QTimer(self, interval=3_600_000)
        self.timer.start()
        self.destroyed.connect(lambda: ends.append(threading.current_thread()), Qt.ConnectionType.DirectConnection)


@pytest.fixture
def collector(qtbot: QtBot) -> Collector:
    application = QCoreApplication.instance()
    assert application is not None
    made = Collector(application)
    made.deleteLater()
    return made


def _allocate() -> list[list[int]]:
    """Enough for Python to collect several times over."""
    return [[number] for number in range(MANY)]


def test_work_on_another_thread_removes_no_qt_object(collector: Collector) -> None:
    ends: list[threading.Thread] = []
    Knot(ends)
    worker = threading.Thread(target=_allocate)
    worker.start()
    worker.join()
    assert ends == []


def test_this_thread_removes_it_once_enough_has_been_allocated(collector: Collector) -> None:
    ends: list[threading.Thread] = []
    gc.collect()
    Knot(ends)
    kept = _allocate()
    collect_if_due()
    assert ends == [threading.main_thread()]
    assert len(kept) == MANY


def test_nothing_is_collected_while_nothing_is_due(collector: Collector) -> None:
    ends: list[threading.Thread] = []
    gc.collect()
    Knot(ends)
    collect_if_due()
    assert ends == []
    gc.collect()
    assert ends == [threading.main_thread()]
