"""Ember's own window in a process of its own, which reports on stdout when something can be seen.

`python -m tests.bench.window_process DATA_DIR` runs what `python -m app --data-dir DATA_DIR` runs, and writes a line
at each of: `painted` (the window's first paint is done), `loaded` (the model), `word` (the first words of a reply to
the message that is sent as soon as the window is painted); then it closes the window.
"""

import sys
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication

from app.gui.application import make_application, run_window
from app.gui.main_window import MainWindow

MESSAGE = "Hello! Who are you?"


def _tell(what: str) -> None:
    """One line for the process that watches."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


class Watcher(QObject):
    """Waits for the main window's first paint, then sends a message as a person would."""

    def __init__(self, application: QApplication) -> None:
        """See every event until the window is painted."""
        super().__init__(application)
        self._application = application
        application.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let everything pass, and note the first paint of the main window."""
        if event.type() == QEvent.Type.Paint and isinstance(watched, MainWindow):
            self._application.removeEventFilter(self)
            QTimer.singleShot(0, lambda: self._painted(watched))  # its children are painted with it, before that
        return False

    def _painted(self, window: MainWindow) -> None:
        _tell("painted")
        chats = window.workspace.chats
        window.workspace.engine.model_changed.connect(lambda model: _tell("loaded") if model is not None else None)
        chats.text_added.connect(lambda _reply, _text: _tell("word"))
        chats.text_added.connect(lambda _reply, _text: QTimer.singleShot(0, chats.stop))
        chats.turn_ended.connect(lambda _outcome: window.close())
        self._send(window)

    def _send(self, window: MainWindow) -> None:
        """Write and press Enter, as soon as the window has begun to load the model."""
        engine = window.workspace.engine
        if engine.model is None and not engine.is_loading:
            QTimer.singleShot(0, lambda: self._send(window))
            return
        window.composer.set_draft(MESSAGE)
        enter = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Return, Qt.KeyboardModifier.NoModifier)
        QCoreApplication.sendEvent(window.composer.edit, enter)


def main(folder: Path) -> int:
    """Run the window until the first word has come; the exit status."""
    Watcher(make_application())
    return run_window(folder)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
