"""Chains made for tests: each letter is a token, each word a chunk."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from app.kvstore.chunk_file import HEADER_BYTES
from app.kvstore.keys import Digest, chunk_key
from app.kvstore.records import Outcome
from app.kvstore.store import Store
from app.kvstore.verification import verify

ROOT = hashlib.sha256(b"a model and its settings").digest()
OTHER_ROOT = hashlib.sha256(b"another model").digest()
PLENTY = 10**9


class Clock:
    """Says 1001, 1002 …, one more each time it is asked."""

    def __init__(self, now: float = 1000.0) -> None:
        """Begin at `now`."""
        self.now = now

    def __call__(self) -> float:
        """The time, a second later than before."""
        self.now += 1
        return self.now


def ids(text: str) -> list[int]:
    """A token for each letter."""
    return [ord(letter) for letter in text]


def rows_of(word: str, size: int = 100) -> bytes:
    """`size` bytes that belong to a word."""
    return hashlib.shake_128(word.encode()).digest(size)


def keys_of(words: str, root: Digest = ROOT) -> list[Digest]:
    """The keys of the chunks that these words make, one after the other."""
    keys = []
    parent = root
    for word in words.split():
        parent = chunk_key(parent, ids(word))
        keys.append(parent)
    return keys


def tip_of(words: str, root: Digest = ROOT) -> Digest:
    """The key of the last of them."""
    return keys_of(words, root)[-1]


def save(store: Store, words: str, root: Digest = ROOT, size: int = 100, checkpoint: Sequence[bytes] = ()) -> Digest:
    """Save a chain of words, each with `size` bytes of rows, the last with the checkpoint; its tip."""
    parent = root
    start = 0
    parts = words.split()
    for number, word in enumerate(parts, start=1):
        last = checkpoint if number == len(parts) else ()
        result = store.put(root, parent, start, ids(word), [rows_of(word, size)], (), last)
        assert result.outcome in (Outcome.WRITTEN, Outcome.PRESENT), result
        parent = result.key
        start += len(word)
    return parent


def found(store: Store, text: str, root: Digest = ROOT) -> str:
    """The words of the longest chain that begins this text, as they stand in the files."""
    chain = store.find(root, ids(text.replace(" ", "")))
    return " ".join("".join(map(chr, store.read(row, window=True).tokens)) for row in chain)


def disk_bytes(word: str, size: int = 100) -> int:
    """What the chunk of a word takes."""
    return HEADER_BYTES + 4 * len(word) + size


def files(folder: Path) -> set[str]:
    """The names of the store's chunk and checkpoint files, leftovers included."""
    return {path.name for path in (folder / "chunks").rglob("*") if path.is_file()}


def all_sound(store: Store) -> bool:
    """Whether a check of every file finds nothing, and the sums are those of the files."""
    report = verify(store, lambda done, of: None, lambda: False)
    totals = store.totals().all
    return not report.damaged and (report.chunks, report.bytes) == (totals.chunks, totals.bytes)
