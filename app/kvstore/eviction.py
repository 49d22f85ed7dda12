"""The byte budget: what goes when it is full. Leaves first, so a prefix outlives what follows it."""

from collections.abc import Iterable
from typing import Final

from app.kvstore.access import BATCH, Access
from app.kvstore.index import Index
from app.kvstore.keys import Digest

_MOST: Final = 10 * 1024**3
_SHARE: Final = 10


def default_budget(free_bytes: int) -> int:
    """The smaller of 10 GiB and a tenth of what is free on the disk."""
    return min(_MOST, max(0, free_bytes) // _SHARE)


class Budget:
    """How many bytes chunks and checkpoints may take together, and which tips nothing is taken from."""

    def __init__(self, access: Access, limit: int) -> None:
        """Keep to `limit` bytes."""
        self._access = access
        self.limit = limit
        self.pinned: frozenset[Digest] = frozenset()
        """Chunks that stay. Those before them stay too, since only a chunk that no other follows is evicted."""
        self.kept: frozenset[Digest] = frozenset()
        """The same by the person's word, while the pinned ones change with each turn."""

    def excess(self, index: Index, needed: int = 0) -> int:
        """How far `needed` bytes more would go beyond the limit."""
        return index.total_bytes() + needed - self.limit

    def can_take(self, index: Index, needed: int, chain: Iterable[Digest]) -> bool:
        """Whether `needed` bytes fit once everything is gone that may go; `chain` may not."""
        safe: dict[Digest, int] = {}
        for tip in self.pinned.union(self.kept, chain):
            for row in index.path_to(tip):
                if row.key in safe:
                    break
                safe[row.key] = row.disk_bytes
        return sum(safe.values()) + needed <= self.limit

    def evict_some(self, index: Index, needed: int, chain: Iterable[Digest]) -> bool:
        """Remove the least recently used leaves until `needed` bytes fit, or a batch of them; whether there was one.

        Raises OSError.
        """
        safe = self.pinned.union(self.kept, chain)
        for number in range(BATCH):
            leaf = index.oldest_leaf(safe) if self.excess(index, needed) > 0 else None
            if leaf is None:
                return number > 0
            self._access.take_out(index, [leaf])
        return True

    def enforce(self) -> int:
        """Evict down to the limit, as far as pins allow; the bytes freed. Raises as `Access.locked`, and OSError."""
        freed = 0
        more = True
        while more:
            with self._access.locked() as index:
                before = index.total_bytes()
                more = self.evict_some(index, 0, ())
                freed += before - index.total_bytes()
            self._access.folder.empty_trash()
        return freed
