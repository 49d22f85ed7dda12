"""The thread that writes chunks to the store, behind a queue that is bounded in bytes."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from app.engine.state_blob import Buffer
from app.kvstore.errors import StoreUnavailable
from app.kvstore.records import Outcome
from app.kvstore.store import Store

logger = logging.getLogger(__name__)

MAX_QUEUED = 512 * 1024 * 1024
"""Bytes of payload that may wait for the disk, or for the model's file to be hashed."""
PATIENCE = 1.0
"""Seconds that a turn waits for room in the queue; then its reply comes, and the rest is saved after it."""
STUCK = 30.0
"""Seconds without room in the queue after which the disk is given up."""
LOOK = 0.05
"""Seconds between two looks at whether something else is wanted."""
REST = 1.0
"""Seconds without work after which the digest of a file is made, one at a time: a turn does not wait for these."""
FULL_QUEUE = "the disk is too slow for it"
NO_BUDGET = "its budget is used up by what must stay"
NO_FINGERPRINT = "the model's file could not be read through"
TOO_LARGE = "it is larger than a file of saved state may be"


@dataclass(slots=True)
class Link:
    """A chunk of a chain: tokens [start, end), behind `parent` (None: the first one)."""

    start: int
    end: int
    parent: "Link | None" = None
    key: bytes | None = None
    """The store's key, once the model's file is hashed."""
    written: bool = False
    """The store has it, or had it."""
    failed: bool = False
    """It could not be written, so nothing can be built on it."""


@dataclass(frozen=True, slots=True)
class WriteChunk:
    """A chunk to be written."""

    root: Callable[[], bytes | None]
    """Waits for the fingerprint of the model and its context; None where there is none."""
    link: Link
    tokens: tuple[int, ...]
    payload: tuple[Buffer, Buffer, Buffer]
    """Its rows, its window rows, and the checkpoint at its end; empty where there is none."""

    @property
    def size(self) -> int:
        """Bytes of its payload."""
        return sum(len(part) for part in self.payload)


@dataclass(slots=True)
class Written:
    """What was written since the last mark; bytes."""

    bytes: int = 0
    checkpoint_bytes: int = 0
    """The part of it that are checkpoints."""
    trouble: str = ""
    """Why something could not be written, the part of a sentence after "because"; empty if all was."""


Job = WriteChunk | Callable[[], None]


@dataclass(slots=True)
class _Queue:
    """What waits; guarded by the condition."""

    jobs: deque[Job] = field(default_factory=deque)
    size: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)


class ChunkWriter:
    """Writes in the order in which it is asked."""

    def __init__(self, store: Store) -> None:
        """Start the thread; its first work is to put the store in order."""
        self._store = store
        self._queue = _Queue()
        self._written = Written()
        self._without_digest: deque[bytes] = deque()
        """Keys of chunks that were written, whose digests are not made yet."""
        self.run(self._reconcile)
        threading.Thread(target=self._work, name="chunks", daemon=True).start()

    def put(self, chunk: WriteChunk) -> bool:
        """Queue a chunk; where too much is queued for too long, its link fails instead: False."""
        queue = self._queue
        with queue.changed:
            room = queue.changed.wait_for(lambda: not queue.size or queue.size + chunk.size <= MAX_QUEUED, PATIENCE)
            if room:
                queue.size += chunk.size
                queue.jobs.append(chunk)
                queue.changed.notify_all()
                return True
        chunk.link.failed = True
        return False

    def wait_for_room(self, wanted: Callable[[], bool]) -> bool:
        """Wait until half of the queue is free; False if something else is `wanted` before, or the disk is stuck."""
        queue, deadline = self._queue, time.monotonic() + STUCK
        while not wanted() and time.monotonic() < deadline:
            with queue.changed:
                if queue.changed.wait_for(lambda: queue.size <= MAX_QUEUED // 2, LOOK):
                    return True
        return False

    def report(self, call: Callable[[Written], None], trouble: str = "") -> None:
        """Have `call` run with the account since the last report, once all that waits is written.

        `trouble` is what kept the caller from queueing the rest.
        """

        def tell() -> None:
            written, self._written = self._written, Written()
            written.trouble = written.trouble or trouble
            call(written)

        self.run(tell)

    def run(self, call: Callable[[], None]) -> None:
        """Have `call` run on the writer's thread, in its turn."""
        with self._queue.changed:
            self._queue.jobs.append(call)
            self._queue.changed.notify_all()

    def flush(self, seconds: float | None = None) -> None:
        """Wait until all that waits is written, `seconds` at most."""
        done = threading.Event()
        self.run(done.set)
        done.wait(seconds)

    def _work(self) -> None:
        queue = self._queue
        while True:
            with queue.changed:
                has_work = queue.changed.wait_for(lambda: bool(queue.jobs), REST if self._without_digest else None)
                job = queue.jobs.popleft() if has_work else self._learn_digest
            if not isinstance(job, WriteChunk):
                job()
                continue
            self._write(job)
            with queue.changed:
                queue.size -= job.size
                queue.changed.notify_all()

    def _reconcile(self) -> None:
        try:
            logger.info("saved state: %s", self._store.reconcile())
        except StoreUnavailable as error:
            logger.warning("the saved state cannot be put in order because %s", error.reason)

    def _learn_digest(self) -> None:
        """What an archive of a chunk will need to know of its files; where that fails, the archive makes it."""
        try:
            self._store.learn_digests(self._without_digest.popleft())
        except StoreUnavailable as error:
            logger.info("a digest is not made now because %s", error.reason)

    def _write(self, chunk: WriteChunk) -> None:
        """Write one chunk; what cannot be written is noted, and the next report says so."""
        chunk.link.written = self._put(chunk)
        chunk.link.failed = not chunk.link.written

    def _put(self, chunk: WriteChunk) -> bool:
        """Whether the store has it now."""
        link, root, window = chunk.link, chunk.root(), chunk.payload[1]
        if root is None:
            self._written.trouble = NO_FINGERPRINT
            return False
        parent = link.parent.key if link.parent is not None else root
        if parent is None or (link.parent is not None and link.parent.failed):
            return False
        late = 0
        try:
            result = self._store.put(
                root, parent, link.start, chunk.tokens, *((part,) if len(part) else () for part in chunk.payload)
            )
            if result.outcome is Outcome.PRESENT and len(window):  # it may have been saved when they were gone
                late = self._store.add_window(result.key, (window,)).written
        except StoreUnavailable as error:
            self._written.trouble = error.reason
            return False
        except ValueError as error:  # the store's bound on one file
            logger.warning("a chunk of %d bytes cannot be saved: %s", chunk.size, error)
            self._written.trouble = TOO_LARGE
            return False
        link.key = result.key
        if result.outcome is Outcome.FULL:
            self._written.trouble = NO_BUDGET
        self._written.bytes += result.written + late
        if result.written or late:
            self._without_digest.append(result.key)
        if result.written:
            self._written.checkpoint_bytes += len(chunk.payload[2])
        return result.outcome in (Outcome.WRITTEN, Outcome.PRESENT)
