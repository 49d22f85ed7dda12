"""Showing files and folders in the system's file manager, without a shell and without waiting for it."""

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject, QUrl
from PySide6.QtGui import QDesktopServices

logger = logging.getLogger(__name__)

_NAME: Final = "org.freedesktop.FileManager1"
_PATH: Final = "/org/freedesktop/FileManager1"
PATIENCE_MS: Final = 5000
"""After which a file manager that does not answer is given up and the folder is opened instead."""


def show_folder(folder: Path) -> bool:
    """Open a folder; False where no program shows folders."""
    return QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))


def show_file(path: Path, parent: QObject, failed: Callable[[], None] = lambda: None) -> None:
    """Open the folder of a file with the file chosen, where the system can do that; `failed` where nothing can."""

    def open_folder() -> None:
        if not show_folder(path.parent):
            failed()

    command = selecting(path, sys.platform)
    if command is None:
        _ask_file_manager(path, parent, open_folder)
        return
    try:
        subprocess.Popen(command)
    except OSError as error:
        logger.warning("no file manager could be started: %s", error)
        open_folder()


def selecting(path: Path, platform: str) -> str | list[str] | None:
    """The command by which a system shows a file; None where it is asked over a bus.

    Explorer's is one line, as it wants the quotes around the path alone.
    """
    if platform == "win32":
        return f'explorer.exe /select,"{path}"'
    return ["open", "-R", str(path)] if platform == "darwin" else None


def _ask_file_manager(path: Path, parent: QObject, failed: Callable[[], None]) -> None:
    """Ask over the session's bus, as freedesktop.org has it; `failed` where no file manager does it."""
    from PySide6.QtDBus import QDBusConnection, QDBusMessage, QDBusPendingCallWatcher

    bus = QDBusConnection.sessionBus()
    if not bus.isConnected():
        failed()
        return
    message = QDBusMessage.createMethodCall(_NAME, _PATH, _NAME, "ShowItems")
    address = QUrl.fromLocalFile(str(path)).toString(QUrl.ComponentFormattingOption.FullyEncoded)
    message.setArguments([[address], ""])
    watcher = QDBusPendingCallWatcher(bus.asyncCall(message, PATIENCE_MS), parent)

    def answered() -> None:
        if watcher.isError():
            logger.info("no file manager shows files: %s", watcher.error().message())
            failed()
        watcher.deleteLater()

    watcher.finished.connect(answered)
