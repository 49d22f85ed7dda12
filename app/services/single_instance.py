"""One window to a data folder: the second one raises the first, and commands ask it what only it may do."""

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from app.core.errors import EmberError
from app.folder_lock import FolderLock
from app.paths import LOCK_NAME, plain_reason

logger = logging.getLogger(__name__)

RAISE = b"raise"
TIMEOUT_MS = 2000
LONGEST_REQUEST = 16 * 1024
"""Bytes of a request's line; a longer one is no request."""
LONGEST_ANSWER = 64 * 1024 * 1024
REQUEST_MS = 5000
"""How long a connection may take to say what it wants, and afterwards to read its answer to the end."""
ANSWER_MS = 60_000
"""How long a command waits for the next line of an answer."""
MOST_CALLERS = 8
"""More connections than these at a time are refused."""


def _socket_name(root: Path) -> str:
    """A name for the data folder's socket, short enough wherever the folder lies."""
    digest = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:24]
    return f"ember-{digest}"


class Caller(QObject):
    """A connection to this window: one line that asks, lines that answer."""

    asked = Signal(bytes)
    """The line, without its end."""
    gone = Signal()
    """Nobody waits for the answer any more."""

    def __init__(self, socket: QLocalSocket, parent: QObject) -> None:
        """Take over the socket; a caller deletes itself once it is gone."""
        super().__init__(parent)
        self._socket = socket
        self._has_asked = False
        socket.setParent(self)
        socket.setReadBufferSize(LONGEST_REQUEST + 1)
        self._patience = QTimer(self, singleShot=True, interval=REQUEST_MS)
        self._patience.timeout.connect(self._send_away)
        self._patience.start()
        socket.readyRead.connect(self._read)
        socket.disconnected.connect(self._ended)

    def begin(self) -> None:
        """Read what has come before anybody listened; a connection that has ended meanwhile goes."""
        self._read()
        if self._socket.state() == QLocalSocket.LocalSocketState.UnconnectedState:
            self._ended()

    def answer(self, line: bytes) -> None:
        """Write one line of the answer."""
        self._socket.write(line + b"\n")

    def end(self) -> None:
        """The answer is whole."""
        self._patience.start()
        self._socket.disconnectFromServer()

    def _read(self) -> None:
        """Take the first line; whoever sends no line in time, too long a one, or more than one, is sent away."""
        if self._has_asked:
            return
        if self._socket.canReadLine():
            self._has_asked = True
            line = bytes(self._socket.readLine().data())
            if len(line) <= LONGEST_REQUEST and not self._socket.bytesAvailable():
                self._patience.stop()
                self.asked.emit(line.rstrip(b"\r\n"))
                return
        elif self._socket.bytesAvailable() <= LONGEST_REQUEST:
            return
        self._send_away()

    def _send_away(self) -> None:
        self._socket.abort()

    def _ended(self) -> None:
        self._patience.stop()
        self.gone.emit()
        self.deleteLater()


class SingleInstance(QObject):
    """Holds the data folder's lock and listens for a second window, and for commands."""

    raise_requested = Signal()
    asked = Signal(object, bytes)
    """(Caller, its request): a command's; whoever takes it answers and ends the call."""

    def __init__(self, root: Path, parent: QObject | None = None) -> None:
        """For the data folder `root`; nothing is locked yet."""
        super().__init__(parent)
        self._root = root
        self._lock = FolderLock(root / LOCK_NAME)
        self._name = _socket_name(root)
        self._server: QLocalServer | None = None
        self._callers = 0

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
        """Answer second windows and commands from now on."""
        QLocalServer.removeServer(self._name)  # left by one that was killed; the lock says that nobody lives
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._connected)
        if not self._server.listen(self._name):
            logger.warning("a second window cannot reach this one: %s", self._server.errorString())

    def _connected(self) -> None:
        assert self._server is not None
        while (socket := self._server.nextPendingConnection()) is not None:
            if self._callers >= MOST_CALLERS:
                socket.abort()
                socket.deleteLater()
                continue
            self._callers += 1
            caller = Caller(socket, self._server)
            caller.asked.connect(lambda line, caller=caller: self._take(caller, line))
            caller.gone.connect(self._gone)
            caller.begin()

    def _gone(self) -> None:
        self._callers -= 1

    def _take(self, caller: Caller, line: bytes) -> None:
        if line == RAISE:
            caller.answer(RAISE)
            caller.end()
            self.raise_requested.emit()
        else:
            self.asked.emit(caller, line)

    # --- asking the window that holds the folder ---------------------------------------------------------------------

    def raise_other(self) -> bool:
        """Ask the window that holds the folder to come to the front; whether it said that it does.

        One that is being closed takes the connection, and goes without a word.
        """
        answers: list[bytes] = []

        def take(line: bytes) -> bool:
            answers.append(line)
            return True

        self.ask_other(RAISE, take)
        return bool(answers)

    def ask_other(self, request: bytes, take: Callable[[bytes], bool]) -> bool:
        """Ask the window that holds the folder; `take` gets each line of the answer until it returns True.

        Whether it could be reached; it may have gone before the whole answer had come. `request` is one line.
        """
        socket = self._call(request)
        if socket is None:
            return False
        socket.setReadBufferSize(LONGEST_ANSWER)
        while socket.canReadLine() or socket.waitForReadyRead(ANSWER_MS):
            while socket.canReadLine():
                if take(bytes(socket.readLine().data())):
                    return True
            if socket.bytesAvailable() >= LONGEST_ANSWER:
                break
        return True

    def _call(self, request: bytes) -> QLocalSocket | None:
        """A connection over which the request was sent; None where nobody listens."""
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        if not socket.waitForConnected(TIMEOUT_MS):
            return None
        socket.write(request + b"\n")
        socket.waitForBytesWritten(TIMEOUT_MS)
        return socket

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
