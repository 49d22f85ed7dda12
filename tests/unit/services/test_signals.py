"""Ctrl+C and its like while Qt's loop runs."""

import signal
from threading import Thread

from PySide6.QtCore import QEventLoop, QTimer
from pytestqt.qtbot import QtBot

from app.services.signals import call_on_signals

PATIENCE_MS = 10_000


def test_a_signal_is_seen_while_the_loop_runs_and_nothing_else_happens(qtbot: QtBot) -> None:
    before = signal.getsignal(signal.SIGINT)
    loop = QEventLoop()
    send = Thread(target=signal.raise_signal, args=(signal.SIGINT,))
    QTimer.singleShot(0, send.start)
    QTimer.singleShot(PATIENCE_MS, loop, lambda: loop.exit(1))
    watch = call_on_signals((signal.SIGINT,), loop.quit)
    try:
        assert loop.exec() == 0
    finally:
        watch.stop()
        signal.signal(signal.SIGINT, before)
        send.join()
