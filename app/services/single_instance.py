"""One window to a data folder: the second one raises the first."""

import hashlib
import logging
import os
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from app.core.errors import EmberError
from app.folder_lock import FolderLock
from app.paths import plain_reason

logger = logging.getLogger(__name__)

RAISE = b"raise\n"
TIMEOUT_MS = 2000
LOCK_NAME = "ember.lock"


def _socket_name(root: Path) -> str:
    """A name for the data folder's socket, short enough wherever the folder lies."""
    digest = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:24]
    return f"ember-{digest}"


class SingleInstance(QObject):
    """Holds the data folder's lock and listens for a second window."""

    raise_requested = Signal()

    def __init__(self, root: Path, parent: QObject | None = None) -> None:
        """For the data folder `root`; nothing is locked yet."""
        super().__init__(parent)
        self._root = root
        self._lock = FolderLock(root / LOCK_NAME)
        self._name = _socket_name(root)
        self._server: QLocalServer | None = None

    def acquire(self) -> bool:
        """Take the lock; False if another Ember writes in this folder. Raises EmberError (data_folder)."""
        try:
            return self._lock.acquire()
        except OSError as error:
            raise EmberError(
                f"Ember cannot keep its data in the folder “{self._root}” because {plain_reason(error)} ({LOCK_NAME}). "
                "Nothing was changed; make that folder writable or choose another one.",
                "data_folder",
            ) from error

    def listen(self) -> None:
        """Answer second windows from now on."""
        QLocalServer.removeServer(self._name)  # left by one that was killed; the lock says that nobody lives
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._connected)
        if not self._server.listen(self._name):
            logger.warning("a second window cannot reach this one: %s", self._server.errorString())

    def _connected(self) -> None:
        assert self._server is not None
        while (socket := self._server.nextPendingConnection()) is not None:
            socket.readyRead.connect(lambda socket=socket: self._read(socket))
            socket.disconnected.connect(socket.deleteLater)

    def _read(self, socket: QLocalSocket) -> None:
        if socket.bytesAvailable() <= 64 and bytes(socket.readAll().data()).startswith(RAISE):
            self.raise_requested.emit()
        socket.disconnectFromServer()

    def raise_other(self) -> bool:
        """Ask the window that holds the folder to come to the front; whether it could be reached."""
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        if not socket.waitForConnected(TIMEOUT_MS):
            return False
        socket.write(RAISE)
        socket.waitForBytesWritten(TIMEOUT_MS)
        socket.waitForDisconnected(TIMEOUT_MS)
        return True

    def release(self) -> None:
        """Give up the lock and the socket."""
        if self._server is not None:
            self._server.close()
        self._lock.release()


def in_use(root: Path) -> EmberError:
    """The sentence for a command that would write while a window has the folder."""
    return EmberError(
        f"Ember is open on “{root}”, in its window or in another command. Close that first, or use another --data-dir.",
        "in_use",
    )
