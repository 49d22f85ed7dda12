"""Storing replies: every second while one grows, and again each second while the database cannot be written."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.conversation import Message
from app.core.errors import EmberError
from app.services.turns import RunningTurn
from app.storage.conversations import ConversationStore

PARTIAL_INTERVAL_MS = 1000
"""How often a streaming reply is stored: a killed window loses at most this much of it."""


class ReplyStoring(QObject):
    """Keeps what has come of a reply, whatever the disk does."""

    trouble = Signal(str)
    """Why a reply cannot be stored now; storing is tried again every second. Empty when it could be again."""

    def __init__(self, store: ConversationStore, parent: QObject | None = None) -> None:
        """Write to `store`."""
        super().__init__(parent)
        self._store = store
        self._running: RunningTurn | None = None
        self._unstored: deque[Callable[[], None]] = deque()
        """What could not be written to the database, oldest first."""
        self._told = ""
        self._timer = QTimer(self)
        self._timer.setInterval(PARTIAL_INTERVAL_MS)
        self._timer.timeout.connect(self._store_partial)

    def follow(self, running: RunningTurn) -> None:
        """Store what comes of this turn's reply, until `release`."""
        self._running = running
        self._timer.start()

    def release(self) -> None:
        """The reply is over; what could not be written yet is still tried."""
        self._running = None
        if not self._unstored:
            self._timer.stop()

    def close(self) -> None:
        """Try once more, and then no more."""
        self._store_waiting()
        self._timer.stop()

    def later(self, write: Callable[[], None]) -> None:
        """Write to the database now, or, if it cannot be written, again every second until it can."""
        self._unstored.append(write)
        self._store_waiting()

    def _store_waiting(self) -> None:
        """Write what waits, in order."""
        while self._unstored:
            try:
                self._unstored[0]()
            except EmberError as error:
                if error.kind != "no_message":  # a reply that was deleted for good has nowhere to be written
                    self._tell(error.sentence)
                    self._timer.start()
                    return
            self._unstored.popleft()
        self._tell("")
        if self._running is None:
            self._timer.stop()

    def _tell(self, trouble: str) -> None:
        """Report a trouble with the database once, and its end."""
        if trouble != self._told:
            self._told = trouble
            self.trouble.emit(trouble)

    def _store_partial(self) -> None:
        running = self._running
        if self._unstored:
            self._store_waiting()
        elif running is not None and len(running.token_ids) > running.stored:
            grown = replace(running.reply, text=running.text, finish_reason=None, error=None)
            try:
                self.write_reply(grown, running, running.ids)
            except EmberError as error:  # the whole reply is still in memory: the next second tries again
                self._tell(error.sentence)
            else:
                self._tell("")
                running.stored = len(running.token_ids)

    def write_reply(self, reply: Message, running: RunningTurn, ids: tuple[int, ...] | None) -> None:
        """Store what a reply is by now, with its exact ids where they are known."""
        self._store.update_reply(
            reply.id,
            text=reply.text,
            finish_reason=reply.finish_reason,
            figures=reply.figures,
            error=reply.error,
            tokenizer=running.tokenizer if ids is not None else None,
            token_ids=ids,
        )
