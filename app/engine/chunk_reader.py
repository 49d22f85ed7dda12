"""Reads the chunks of a chain from the disk on other threads, ahead of who puts them into a context."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial

from app.engine.helpers import Helpers
from app.engine.state import ContextState
from app.kvstore.records import ChunkData, ChunkRow
from app.kvstore.store import Store

READERS = 4
"""Chunks that are read at once while others are put into the context: one at a time is slower than a GPU."""
MAX_READ_AHEAD = 256 * 1024 * 1024
"""Bytes that they may be ahead, beside the chunk that is being put in; they are one chunk ahead in any case."""

Reading = Future[tuple[ChunkData, int]]
"""A chunk as a blob, and the bytes of the window rows in it."""


class ChunkReader:
    """Reads chunks as the blobs that one context takes."""

    def __init__(self, store: Store, state: ContextState, helpers: Helpers) -> None:
        """Read from `store` what shall be put into the context of `state`, on the threads of `helpers`."""
        self._store = store
        self._state = state
        self._helpers = helpers

    def chain(
        self, rows: Sequence[ChunkRow], windowed: Callable[[ChunkRow], bool]
    ) -> Iterator[tuple[ChunkRow, Reading]]:
        """The chunks in order, each read by another thread while those before are put into the context.

        Those that are `windowed` come with their window rows. Whoever asks for the next one is done with the one
        before: its buffer is used again.
        """
        ahead = max(1, min(READERS, MAX_READ_AHEAD // max((row.bytes for row in rows), default=1)))
        waiting: deque[tuple[ChunkRow, Reading]] = deque()
        spare: list[bytearray] = []
        for row in rows:
            into = spare.pop() if spare else None
            waiting.append((row, self._helpers.submit(partial(self._read, row, window=windowed(row), spare=into))))
            if len(waiting) > ahead:
                yield waiting[0]
                spare.append(waiting.popleft()[1].result()[0].buffer)
        yield from waiting

    def _read(self, row: ChunkRow, *, window: bool, spare: bytearray | None) -> tuple[ChunkData, int]:
        """A chunk as a blob, and the bytes of the window rows in it, which may have been saved later than the rest."""
        before, behind = self._state.frame(window=window)
        late = self._store.read_checkpoint(row) if window and not row.window_bytes else b""
        data = self._store.read(row, window=window, before=before, behind=late + behind, spare=spare)
        return data, data.window_bytes + len(late)
