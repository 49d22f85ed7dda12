"""The folder and its index for several threads: the lock, opening and reopening, and removing chunks."""

import logging
import math
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from app.kvstore.errors import IndexLost, StoreUnavailable
from app.kvstore.folder import Folder
from app.kvstore.index import Index
from app.kvstore.keys import Digest
from app.kvstore.records import ChunkRow
from app.kvstore.schema import disk_reason, remove_index

_log = logging.getLogger(__name__)

BATCH: Final = 64
"""How many chunks are changed before other threads get their turn."""


class Access:
    """One index on one folder, opened when it is first needed and again after it was lost."""

    def __init__(self, folder: Folder) -> None:
        """Name the folder; the disk is not touched yet."""
        self.folder = folder
        self.writing = threading.RLock()
        """Held by whoever writes files; taken before the index is locked, never after."""
        self.generation = 0
        self.suspect = False
        """Whether a removal was broken off, so that rows may be left without their files."""
        self._lock = threading.Lock()
        self._index: Index | None = None
        self._closed = False

    def close(self) -> None:
        """Close the index; from now on nothing works, and a file that is being written is not kept."""
        with self._lock:
            self._closed = True
            self._let_go()

    @contextmanager
    def locked(self, *, whole: bool = False) -> Iterator[Index]:
        """The index for one piece of work, as one transaction; payloads are never read or written in here.

        Raises StoreUnavailable if the disk does not allow it, and IndexLost if the index has to be reconciled with
        the files: it was damaged, or `whole` is asked for and it may differ from them.
        """
        with self._lock:
            before = self.generation
            try:
                index = self._opened()
                with index.transaction():
                    if whole and (self.suspect or not index.complete):
                        raise IndexLost
                    yield index
            except sqlite3.Error as error:
                self._let_go()
                if self.generation != before:  # files are gone whose rows could not be removed
                    self.suspect = True
                reason = disk_reason(error)
                if reason is not None:
                    raise StoreUnavailable(reason) from error
                _log.warning("The index is damaged (%s) and is made anew from the files", error)
                remove_index(self.folder.index)
                self.generation += 1
                raise IndexLost from error

    def take_out(self, index: Index, rows: Iterable[ChunkRow]) -> int:
        """Remove chunks that no other follows, files first; the bytes that the next `empty_trash` frees.

        Raises OSError; what was removed until then stays so.
        """
        freed = 0
        for row in rows:
            try:
                self.folder.remove_chunk(row.key)
            except OSError:
                index.settle()
                raise
            # Killed here, a row is left without its file, which `reconcile` forgets. The other way round a deleted
            # conversation would come back.
            index.remove(row.key)
            self.generation += 1
            freed += row.disk_bytes
        return freed

    def remove(self, keys: Sequence[Digest], *, whole: bool = True, since: float = math.inf) -> int:
        """Remove chunks, given so that none stands before those that follow it; the bytes freed.

        One with other followers stays, and one that was used `since` then. Raises StoreUnavailable, IndexLost, OSError.
        """
        freed = 0
        try:
            for first in range(0, len(keys), BATCH):
                with self.locked(whole=whole) as index:
                    known = (index.row(key) for key in keys[first : first + BATCH])
                    going = (row for row in known if row is not None and row.children == 0 and row.used < since)
                    freed += self.take_out(index, going)
                self.folder.empty_trash()
        except (StoreUnavailable, IndexLost, OSError):
            self.suspect = True
            raise
        return freed

    def drop(self, plan: Callable[[Index], Sequence[ChunkRow]]) -> Sequence[ChunkRow]:
        """Remove whole subtrees, planned in the order of `remove`, and what is in quarantine; what was planned.

        Once a subtree has lost the file at its top, `reconcile` removes the rest of it. So a drop that is broken off
        is carried out in the end, although the tips that named it may be gone. Raises as `remove` does.
        """
        with self.writing:
            with self.locked(whole=True) as index:
                rows = plan(index)
            going = {row.key for row in rows}
            try:
                for row in rows:
                    if row.parent not in going:
                        self.folder.remove_chunk(row.key)
                self.folder.remove_quarantined()
            except OSError:
                self.suspect = True
                raise
            self.folder.empty_trash()
            self.remove([row.key for row in rows])
        return rows

    def clear(self) -> int:
        """Remove everything at once, and begin a new index; the bytes freed. Raises as `remove` does."""
        with self.writing:
            with self.locked() as index:
                written = index.bytes_written
                freed = index.total_bytes()
                self.folder.remove_all()
            with self._lock:
                self._let_go()
                remove_index(self.folder.index)
                self.generation += 1
            with self.locked() as index:
                index.count_written(written)
                index.set_complete()
            self.folder.empty_trash()
        return freed

    def _opened(self) -> Index:
        """The index; one whose file was deleted or replaced is let go, and another opened or begun."""
        if self._closed:
            raise StoreUnavailable("it is closed")
        if self._index is not None and not self._index.is_in_place():
            _log.warning("The index %s is gone and is made anew from the files", self.folder.index)
            self._let_go()
            self.generation += 1
        if self._index is None:
            self.folder.make()
            self._index = Index(self.folder.index)
        return self._index

    def _let_go(self) -> None:
        """Close the connection, so that the next work opens another."""
        if self._index is not None:
            self._index.close()
            self._index = None
