"""The saved state of the live sequence: what the store has of it, what is still to be written, and restoring."""

import functools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from app.engine.chunk_reader import ChunkReader
from app.engine.chunk_writer import FULL_QUEUE, ChunkWriter, Link, WriteChunk, Written
from app.engine.context import Context
from app.engine.fingerprint import Root
from app.engine.rates import Rates
from app.engine.state import ContextState
from app.engine.state_blob import Mismatch
from app.kvstore.errors import Damaged, StoreUnavailable
from app.kvstore.keys import MAX_CHUNK_TOKENS, chunk_key
from app.kvstore.records import ChunkRow
from app.kvstore.store import Store

logger = logging.getLogger(__name__)

MIN_SAVED_TOKENS = 32
"""A shorter conversation is read again in a moment: it is not saved, as a whole."""
ROOT_PATIENCE = 2.0
"""Seconds that a turn waits for a changed model file to be hashed, where there is saved state at all."""
KEPT_TURNS = 2
"""Turns whose checkpoints are kept on a chain; older ones are thinned (KV_STATE, Key of a chunk)."""
ROOT_INTERVAL = 0.05
"""Seconds between two looks at whether something else is wanted, while a model's file is hashed."""
DAMAGED = "Its saved state was damaged; it was set aside."
REMOVED = "Its saved state was removed in the meantime."
NOT_WORTH_IT = "Reading it again is faster here than loading its saved state."


class SavedState:
    """Connects the live sequence of one context with the store."""

    def __init__(
        self,
        context: Context,
        state: ContextState,
        store: Store,
        writer: ChunkWriter,
        reader: ChunkReader,
        root: Root,
        rates: Rates,
    ) -> None:
        """All but the writer's and the reader's own work is done on the calling thread."""
        self._context = context
        self._state = state
        self._store = store
        self._writer = writer
        self._reader = reader
        self._root = root
        self.rates = rates
        self._links: list[Link] = []
        self._generation = store.generation
        self._is_behind = False
        """Whether the disk was too slow for what was last collected."""
        self.chunk_tokens = min(MAX_CHUNK_TOKENS, context.window or MAX_CHUNK_TOKENS)

    @property
    def needs_checkpoints(self) -> bool:
        """Whether a prefill must stop at boundaries, because their state cannot be had afterwards."""
        return self._state.has_checkpoints

    # --- the chain of the live sequence ------------------------------------------------------------------------------

    def trim(self, tokens: int) -> None:
        """The live sequence has only its first `tokens` now."""
        while self._links and self._links[-1].end > tokens:
            self._links.pop()

    @property
    def tip(self) -> bytes | None:
        """The key of the last chunk of the live sequence that is written, or about to be."""
        return next((link.key for link in reversed(self._links) if not link.failed), None)

    @property
    def root(self) -> bytes | None:
        """The fingerprint, if it is known by now."""
        return self._root.wait(0)

    def wait_for_root(self, stopped: Callable[[], bool]) -> None:
        """Wait until the model's file is hashed, or `stopped`."""
        while not self._root.is_known and not stopped():
            self._root.wait(ROOT_INTERVAL)

    def has_any(self) -> bool:
        """Whether anything is saved under the fingerprint, or may be."""
        try:
            return self.root in self._store.totals().roots
        except StoreUnavailable:
            return True

    @property
    def is_root_known(self) -> bool:
        """Whether the model's file is hashed, or cannot be."""
        return self._root.is_known

    def is_only_turned(self) -> bool:
        """Whether all that is saved of this model is for a context with flash attention the other way."""
        try:
            roots = self._store.totals().roots
        except StoreUnavailable as error:
            logger.warning("the saved state cannot be asked because %s", error.reason)
            return False
        return self.root not in roots and self._root.turned in roots

    @property
    def is_transposed(self) -> bool:
        """Whether values are saved as they lie without flash attention."""
        return self._state.is_transposed

    @property
    def _end(self) -> int:
        """Where the last link ends."""
        return self._links[-1].end if self._links else 0

    def _check_links(self) -> None:
        """Forget the links that could not be written or are no longer in the store."""
        broken = next((i for i, link in enumerate(self._links) if link.failed), len(self._links))
        del self._links[broken:]
        generation = self._store.generation
        if generation == self._generation:
            return
        written = [(link.key, link.start) for link in self._links if link.written and link.key is not None]
        try:
            held = self._store.held(key for key, _ in written)
        except StoreUnavailable as error:
            logger.warning("the saved state cannot be asked because %s", error.reason)
            return
        self._generation = generation
        self.trim(next((start for key, start in written if key not in held), self._end))

    # --- saving ------------------------------------------------------------------------------------------------------

    def after_slice(self, tokens: Sequence[int], boundaries: Iterable[int] = (), *, checkpoint: bool = False) -> None:
        """Tokens were read; take what cannot be had later: the state at a `checkpoint`, the rows of a window."""
        if checkpoint and self._state.has_checkpoints:
            self.collect(tokens, boundaries, final=True)
            return
        full = self._state.mode == "window" and len(tokens) - self._end >= self.chunk_tokens
        if full and not any(link.failed for link in self._links):  # the end of the turn tries again, not every token
            self.collect(tokens, boundaries, final=False)

    def collect(self, tokens: Sequence[int], boundaries: Iterable[int], *, final: bool) -> None:
        """Queue what the store lacks of the live sequence, cut at boundaries; `final` closes the last chunk too.

        A sequence whose rows cannot be taken out is not saved; that is logged, and costs a re-read later.
        """
        self._check_links()
        self._is_behind = False
        if len(tokens) < MIN_SAVED_TOKENS:
            return
        for end in self._cuts(self._end, len(tokens), boundaries, final):
            if self._queue(tokens, self._end, end).failed:
                return

    def catch_up(self, tokens: Sequence[int], boundaries: Iterable[int], wanted: Callable[[], bool]) -> None:
        """Queue what a slow disk left no room for at the end of a turn, until something else is `wanted`."""
        while self._is_behind and self._writer.wait_for_room(wanted):
            self.collect(tokens, boundaries, final=True)

    def _cuts(self, start: int, end: int, boundaries: Iterable[int], final: bool) -> Iterator[int]:
        """Where chunks end: at boundaries, full chunks, and at the very end if that is final."""
        stops = sorted({at for at in boundaries if start < at <= end} | ({end} if final and end > start else set()))
        for stop in stops:
            while stop - start > self.chunk_tokens:
                start += self.chunk_tokens
                yield start
            start = stop
            yield stop
        while end - start >= self.chunk_tokens:
            start += self.chunk_tokens
            yield start

    def _queue(self, tokens: Sequence[int], start: int, end: int) -> Link:
        part = tuple(tokens[start:end])
        parent = self._links[-1] if self._links else None
        link = Link(start, end, parent)
        self._links.append(link)
        try:
            rows, window = self._state.take(start, end) if self._state.has_rows else (b"", b"")
        except Mismatch as mismatch:
            logger.warning("tokens from %d on cannot be saved: %s", start, mismatch)
            link.failed = True
            return link
        above = parent.key if parent is not None else self._root.wait(0)
        if above is not None:
            link.key = chunk_key(above, part)
        checkpoint = self._state.checkpoint() if self._state.has_checkpoints and end == len(tokens) else b""
        self._is_behind = not self._writer.put(WriteChunk(self._root.wait, link, part, (rows, window, checkpoint)))
        return link

    def report(self, tokens: Sequence[int], call: Callable[[Written, bytes | None], None]) -> None:
        """Have `call` run on the writer's thread with what was written and the tip, once all is."""
        links = tuple(self._links)
        if self._state.has_checkpoints:
            self._writer.run(self._thin(tokens))
        self._pin()
        trouble = FULL_QUEUE if self._is_behind else ""
        self._writer.report(lambda written: call(written, _last_written(links)), trouble)

    def _pin(self) -> None:
        """Keep the live chain from being evicted."""
        links = tuple(self._links)

        def pin() -> None:
            tip = _last_written(links)
            self._store.pin([tip] if tip is not None else [])

        self._writer.run(pin)

    def _thin(self, tokens: Sequence[int]) -> Callable[[], None]:
        """Drop old checkpoints where reading again from the one before is faster than loading them."""

        tokens = tuple(tokens)

        def thin() -> None:
            root = self._root.wait()
            if root is None:
                return
            try:
                held = [row for row in self._store.find(root, tokens) if row.checkpoint_bytes]
                last = held[0].end if held else 0
                for row in held[1 : -2 * KEPT_TURNS]:
                    if self.rates.reading_wins(row.end - last, row.checkpoint_bytes):
                        self._store.drop_checkpoint(row.key)
                    else:
                        last = row.end
            except StoreUnavailable as error:
                logger.warning("old checkpoints stay because %s", error.reason)

        return thin

    # --- restoring ---------------------------------------------------------------------------------------------------

    def chain(self, tokens: Sequence[int]) -> list[ChunkRow]:
        """The longest saved prefix of `tokens` that can be restored, as chunks; empty where there is none."""
        try:
            root = self._root.wait(0)
            if root is None and self._store.totals().roots:
                root = self._root.wait(ROOT_PATIENCE)
            return self._restorable(self._store.find(root, tokens)) if root is not None else []
        except StoreUnavailable as error:
            logger.warning("the saved state cannot be asked because %s", error.reason)
            return []

    def _restorable(self, rows: list[ChunkRow]) -> list[ChunkRow]:
        """Cut a chain back to where its state is whole: a checkpoint, or all rows of the window."""
        while rows and not self._is_whole(rows):
            rows = rows[:-1]
        return rows

    def _is_whole(self, rows: list[ChunkRow]) -> bool:
        if self._state.has_checkpoints:
            return rows[-1].checkpoint_bytes > 0
        if self._state.mode == "window":
            return all(
                row.window_bytes > 0 or row.checkpoint_bytes > 0 for row in rows if self._is_windowed(row, rows[-1].end)
            )
        return True

    def _is_windowed(self, row: ChunkRow, end: int) -> bool:
        """Whether window rows of the chunk are needed: a token at `end` still attends to end - window + 1."""
        return self._state.mode == "window" and row.end - 1 >= end - self._context.window + 1

    def worth_restoring(self, rows: Sequence[ChunkRow], held: int) -> bool:
        """Whether restoring a chain is faster than reading on from the `held` tokens in memory."""
        needed = held if self._state.mode == "full" else 0  # on others what is in memory has to make room
        size = sum(row.bytes for row in rows if row.end > needed) + rows[-1].checkpoint_bytes
        if not self.rates.reading_wins(rows[-1].end - held, size):
            return True
        self.rates.skipped_restore()
        return False

    def restore(self, rows: list[ChunkRow], base: int, stopped: Callable[[], bool]) -> tuple[int, str]:
        """Put a chain into the context, which holds its first `base` tokens, the start of one of its chunks.

        The tokens that are there afterwards, and a sentence if the state was refused: then there are none.
        Raises StoreUnavailable, with the context cleared.
        """
        began, size, row, end = time.perf_counter(), 0, rows[-1], rows[-1].end
        set_aside = self._store.quarantine
        try:
            if self._state.has_rows:
                wanted = [row for row in rows if row.start >= base]
                for row, read in self._reader.chain(wanted, functools.partial(self._is_windowed, end=end)):
                    if stopped():
                        end = row.start
                        break
                    data, window = read.result()
                    self._state.append(data.buffer, data.rows_bytes, window, row.start, row.tokens)
                    size += row.bytes
            if self._state.has_checkpoints and end == rows[-1].end:
                row, set_aside = rows[-1], self._store.quarantine_checkpoint
                self._state.load_checkpoint(self._store.read_checkpoint(row), end)
                size += row.checkpoint_bytes
        except (Damaged, Mismatch) as refused:
            logger.warning("chunk %s at %d was refused: %s", row.key.hex(), row.start, refused)
            self._forget()
            return 0, DAMAGED if set_aside(row.key) else REMOVED
        except StoreUnavailable:
            self._forget()
            raise
        if end < rows[-1].end and self._state.mode != "full":  # half a window or hybrid is none
            self._forget()
            return 0, ""
        self.rates.measured_restore(size, time.perf_counter() - began)
        self._take_over([row for row in rows if row.end <= end])
        return end, ""

    def _take_over(self, rows: list[ChunkRow]) -> None:
        """The live sequence's chain is that one now."""
        self._links = []
        for row in rows:
            above = self._links[-1] if self._links else None
            self._links.append(Link(row.start, row.end, above, row.key, written=True))
        self._generation = self._store.generation
        self._pin()
        try:
            self._store.touch([row.key for row in rows])
        except StoreUnavailable as error:
            logger.warning("what was restored is not marked as used because %s", error.reason)

    def _forget(self) -> None:
        """Empty the context after a restore that failed."""
        self._context.clear()
        self.trim(0)


def _last_written(links: Sequence[Link]) -> bytes | None:
    """The key of the last link that the store has."""
    return next((link.key for link in reversed(links) if link.written), None)
