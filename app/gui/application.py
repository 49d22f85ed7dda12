"""The window's process: the application object, the data folder, and the event loop."""

import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QEvent, QEventLoop
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication, QProgressDialog

import app
from app import __version__
from app.core.errors import EmberError
from app.gui import theme
from app.gui.notices import Notice
from app.paths import open_data_dir

if TYPE_CHECKING:
    from app.gui.backing_up import Replacement
    from app.gui.main_window import MainWindow
    from app.services.workspace import Workspace
    from app.storage.restore import Restored

logger = logging.getLogger(__name__)

ICON = Path(app.__file__).resolve().parent / "resources" / "icons" / "ember.svg"

PATIENCE = 5.0
"""Seconds that a second start waits for the window that has the folder and cannot be reached."""
BETWEEN_TRIES = 0.1
SHOWN_AFTER_MS = 300
"""A restore that takes longer than that shows that it is at work."""


def check_display() -> None:
    """Raise EmberError where no window can open; Qt itself would abort the process."""
    if sys.platform.startswith("linux") and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    ):
        raise EmberError(
            "There is no display to open a window on (neither DISPLAY nor WAYLAND_DISPLAY is set). "
            "Start Ember in a desktop session, or use its commands without a window: python -m app --help.",
            "no_display",
        )


def make_application() -> QApplication:
    """The application object, dressed; made once per process."""
    application = QApplication.instance()
    if not isinstance(application, QApplication):
        application = QApplication(sys.argv[:1])
    application.setApplicationName("Ember")
    application.setApplicationDisplayName("Ember")
    application.setApplicationVersion(__version__)
    application.setDesktopFileName("ember")
    application.setWindowIcon(QIcon(str(ICON)))
    theme.install(application)
    return application


def _tell_of_bugs(window: "MainWindow", logs: Path) -> None:
    """An exception that nobody caught goes to the log and is said in the window, which goes on."""

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        logger.critical("uncaught exception", exc_info=(kind, error, trace))
        sentence = error.sentence if isinstance(error, EmberError) else "Something went wrong in Ember."
        text = f"{sentence} Your chats are kept; the log in {logs} has the details."
        window.notices.show_notice(Notice(text, "error", key="bug"))

    sys.excepthook = report


def run_window(root: Path | None, files: Sequence[Path] = ()) -> int:
    """Open the window on a data folder, import `files`, and run until it is closed; the exit status.

    A window that closes for a backup to be put in place opens again. A second one on the same folder brings the first
    to the front, and hands the files over. Raises EmberError.
    """
    check_display()
    application = make_application()
    from app.services.collecting import Collector

    Collector(application)
    outcome: Restored | EmberError | None = None
    downloads: Sequence[Path] = ()
    while True:
        workspace = open_workspace(root, files)
        if workspace is None:
            return 0
        status, replacement = _run(application, workspace, outcome, files, downloads)
        if replacement is None:
            return status
        outcome, files, downloads = _put_in_place(application, replacement, root), (), replacement.downloads


def open_workspace(root: Path | None, files: Sequence[Path]) -> "Workspace | None":
    """The data folder, opened; None where the window that has it came to the front and took the files.

    A window that only now opens or closes cannot be reached for a moment, and is waited for. Raises EmberError.
    """
    from app.services.import_command import hand_over
    from app.services.single_instance import SingleInstance
    from app.services.workspace import Workspace

    until = time.monotonic() + PATIENCE
    while True:
        try:
            return Workspace(root)
        except EmberError as error:
            if error.kind != "in_use":
                raise
            in_use = error
        try:
            if hand_over(files, root) if files else SingleInstance(open_data_dir(root).root).raise_other():
                return None
        except EmberError as error:
            if error.kind != "in_use":
                raise
        if time.monotonic() > until:
            raise in_use
        time.sleep(BETWEEN_TRIES)


def _run(
    application: QApplication,
    workspace: "Workspace",
    outcome: "Restored | EmberError | None",
    files: Sequence[Path],
    downloads: Sequence[Path],
) -> tuple[int, "Replacement | None"]:
    """Run a window on an open workspace until it is closed; the exit status, and what shall take its library's place.

    `outcome` is what came of such a replacement before, and `downloads` were at work until then.
    """
    from app.gui.main_window import MainWindow, prepare
    from app.services.signals import call_on_signals

    try:
        prepare(workspace)
        window = MainWindow(workspace)
        _tell_of_bugs(window, workspace.data_dir.logs)
        window.library.go_on(downloads)
        window.start()
        if files:
            window.importing.take([file.absolute() for file in files])
        workspace.model_settings.measure_when_idle()
        if outcome is not None:
            window.backing_up.tell(outcome)
        workspace.backups.follow_schedule()
        signals = call_on_signals((signal.SIGINT, signal.SIGTERM), window.close)
        status = application.exec()
        signals.stop()
        replacement = window.backing_up.replacement
        if replacement is not None:
            window.deleteLater()
            workspace.deleteLater()
        return status, replacement
    finally:
        workspace.close()


def _put_in_place(application: QApplication, replacement: "Replacement", root: Path | None) -> "Restored | EmberError":
    """Put a backup in the library's place while no window is open, and show that; what came of it."""
    from app.services.background import run_in_background
    from app.services.restoring import put_in_place

    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)  # the window that was closed goes first
    outcomes: list[Restored | EmberError] = []
    waiting = QProgressDialog("The backup is put in the library's place…", "", 0, 0)
    waiting.setWindowTitle("Ember")
    waiting.setCancelButton(None)
    waiting.setMinimumDuration(SHOWN_AFTER_MS)
    waiting.setValue(0)
    loop = QEventLoop()

    def ended(outcome: "Restored | EmberError") -> None:
        outcomes.append(outcome)
        loop.quit()

    application.setQuitOnLastWindowClosed(False)
    try:
        with replacement.prepared:
            data_dir = open_data_dir(root)
            work = partial(put_in_place, data_dir, replacement.prepared, trust=replacement.trust)
            run_in_background(waiting, work, ended, ended)
            loop.exec()
    except EmberError as error:
        outcomes.append(error)
    finally:
        waiting.close()
        waiting.deleteLater()
        application.setQuitOnLastWindowClosed(True)
    return outcomes[0]
