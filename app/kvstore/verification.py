"""A check of every file of the store."""

from collections.abc import Callable

from app.kvstore.errors import Damaged
from app.kvstore.keys import Digest
from app.kvstore.reconcile import BRANCHES
from app.kvstore.records import ChunkRow, Verified
from app.kvstore.store import Store


def verify(store: Store, progress: Callable[[int, int], None], cancelled: Callable[[], bool]) -> Verified:
    """Read every file, and set aside what is damaged; `progress` gets the chunks read and all there are.

    Index and files are brought together before: what a kill left of a removal is not damaged. Raises StoreUnavailable.
    """
    store.reconcile()
    total = store.totals().all.chunks
    chunks = checkpoints = size = 0
    damaged: list[Digest] = []
    for branch in BRANCHES:
        for row in store.branch(branch):
            if cancelled():
                return Verified(chunks, checkpoints, size, tuple(damaged), finished=False)
            if not _is_sound(store, row):
                damaged.append(row.key)
            chunks += 1
            checkpoints += bool(row.checkpoint_bytes)
            size += row.disk_bytes
            progress(chunks, max(chunks, total))
    return Verified(chunks, checkpoints, size, tuple(damaged), finished=True)


def _is_sound(store: Store, row: ChunkRow) -> bool:
    """Read a chunk's files, and set aside what is damaged; what was dropped meanwhile is not."""
    try:
        store.read(row, window=True)
    except Damaged:
        return not store.quarantine(row.key)
    try:
        if row.checkpoint_bytes:
            store.read_checkpoint(row)
    except Damaged:
        return not store.quarantine_checkpoint(row.key)
    return True
