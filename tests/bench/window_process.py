"""Ember's own window in a process of its own, which reports on stdout when something can be seen.

`python -m tests.bench.window_process DATA_DIR` runs what `python -m app --data-dir DATA_DIR` runs, and writes a line
at each of: `painted` (the window's first paint is done), `loaded` (the model), `word` (the first words of a reply to
the message that is sent as soon as the window is painted); then it closes the window.
"""

import sys
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication

from app.gui.application import make_application, run_window

MESSAGE = "Hello! Who are you?"


def _tell(what: str) -> None:
    """One line for the process that watches."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


class Watcher(QObject):
    """Waits for the main window's first paint, then sends a message as a person would."""

    def __init__(self, application: QApplication) -> None:
        super().__init__(application)
        self._application = application
        application.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let everything pass, and note the first paint of the main window."""
        from app.gui.main_window import MainWindow

        if event.type() == QEvent.Type.Paint and isinstance(watched, MainWindow):
            self._application.removeEventFilter(self)
            QTimer.singleShot(0, lambda: self._painted(watched))  # its children are painted with it, before that
        return False

    def _painted(self, window: QObject) -> None:
        from app.gui.main_window import MainWindow

        assert isinstance(window, MainWindow)
        _tell("painted")
        workspace = window.workspace
        workspace.engine.model_changed.connect(lambda model: _tell("loaded") if model is not None else None)
        workspace.chats.text_added.connect(lambda _reply, _text: self._answered(window))
        workspace.chats.turn_ended.connect(lambda _outcome: window.close())
        self._send(window)

    def _send(self, window: QObject) -> None:
        """Write and press Enter; until the window has begun to load the model, a moment later."""
        from app.gui.main_window import MainWindow

        assert isinstance(window, MainWindow)
        engine = window.workspace.engine
        if engine.model is None and not engine.is_loading:
            QTimer.singleShot(0, lambda: self._send(window))
            return
        edit = window.composer.edit
        window.composer.set_draft(MESSAGE)
        for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
            QCoreApplication.postEvent(edit, _enter(kind))

    def _answered(self, window: QObject) -> None:
        _tell("word")
        QTimer.singleShot(0, lambda: window.workspace.chats.stop())  # type: ignore[attr-defined]


def _enter(kind: QEvent.Type) -> QEvent:
    from PySide6.QtGui import QKeyEvent

    return QKeyEvent(kind, Qt.Key.Key_Return, Qt.KeyboardModifier.NoModifier)


def main(folder: Path) -> int:
    """Run the window until the first word has come; the exit status."""
    Watcher(make_application())
    return run_window(folder)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
