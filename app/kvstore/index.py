"""The index: one row a chunk, in SQLite. It only remembers where the files are, so it may vanish at any time."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from app.kvstore.chunk_file import Kind
from app.kvstore.keys import DIGEST_BYTES, Digest
from app.kvstore.records import ChunkRow, RootTotals
from app.kvstore.schema import open_index

File: TypeAlias = tuple[Digest, Kind]
"""A file of the store: its chunk's key, and which of the two."""

_COLUMNS: Final = ", ".join(field.name for field in fields(ChunkRow))
_MARKS: Final = ", ".join("?" for _ in fields(ChunkRow))
_VALUES: Final = attrgetter(*(field.name for field in fields(ChunkRow)))

# One seek in the index per length, however many children have it.
_CHILD_LENGTHS: Final = """
WITH RECURSIVE length(n) AS (
    SELECT max(tokens) FROM chunk WHERE parent = :parent AND tokens <= :most
    UNION
    SELECT (SELECT max(tokens) FROM chunk WHERE parent = :parent AND tokens < length.n) FROM length
    WHERE length.n IS NOT NULL
)
SELECT n FROM length WHERE n IS NOT NULL
"""
_SUBTREE: Final = f"""
WITH RECURSIVE below(key) AS (
    VALUES (?) UNION SELECT chunk.key FROM chunk JOIN below ON chunk.parent = below.key
)
SELECT {_COLUMNS} FROM chunk JOIN below USING (key) ORDER BY start DESC
"""
_TORN: Final = """
SELECT 1 FROM chunk WHERE CASE WHEN parent = root THEN start <> 0 ELSE NOT EXISTS (
    SELECT 1 FROM chunk above
    WHERE above.key = chunk.parent AND above.root = chunk.root AND above.start + above.tokens = chunk.start
) END LIMIT 1
"""


class Link(NamedTuple):
    """What sums over paths need of a chunk (a tuple, because a hundred thousand are made at once)."""

    parent: Digest
    disk_bytes: int
    tokens: int


class Index:
    """One connection to the index; not safe for threads by itself. Every method raises sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        """Open the index at `path`, begun anew if it cannot be used; raises sqlite3.Error and OSError."""
        self._path = path
        self._db = open_index(path)
        status = path.stat()
        self._identity = (status.st_dev, status.st_ino)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def is_in_place(self) -> bool:
        """Whether its file is still there: SQLite goes on writing to one that was deleted."""
        try:
            status = self._path.stat()
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing."""
        self._db.execute("BEGIN")
        with self._db:  # commits, or rolls back
            yield

    def settle(self) -> None:
        """Commit what was done so far, whatever becomes of the rest of the transaction."""
        self._db.execute("COMMIT")
        self._db.execute("BEGIN")

    @property
    def complete(self) -> bool:
        """Whether every file in the folder was looked at since the index was begun."""
        (complete,) = self._db.execute("SELECT complete FROM state").fetchone()
        return bool(complete)

    def set_complete(self) -> None:
        """Say so. What is kept was written once, so an index that was lost counts at least that."""
        self._db.execute("UPDATE state SET complete = 1, bytes_written = max(bytes_written, ?)", (self.total_bytes(),))

    @property
    def bytes_written(self) -> int:
        """What was ever written to files."""
        (written,) = self._db.execute("SELECT bytes_written FROM state").fetchone()
        return int(written)

    def count_written(self, number: int) -> None:
        """Add to what was ever written."""
        self._db.execute("UPDATE state SET bytes_written = bytes_written + ?", (number,))

    # Looking chunks up

    def row(self, key: Digest) -> ChunkRow | None:
        """The chunk with that key."""
        found = self._db.execute(f"SELECT {_COLUMNS} FROM chunk WHERE key = ?", (key,)).fetchone()
        return None if found is None else ChunkRow(*found)

    def rows(self, keys: Sequence[Digest]) -> list[ChunkRow]:
        """Those of the chunks that are there (at most 999 keys, which every SQLite takes)."""
        marks = ", ".join("?" for _ in keys)
        found = self._db.execute(f"SELECT {_COLUMNS} FROM chunk WHERE key IN ({marks})", keys)
        return [ChunkRow(*row) for row in found]

    def branch(self, name: str) -> list[ChunkRow]:
        """The chunks whose keys begin with these two hexadecimal digits."""
        found = self._db.execute(f"SELECT {_COLUMNS} FROM chunk WHERE key BETWEEN ? AND ?", _keys_of(name))
        return [ChunkRow(*row) for row in found]

    def children(self, parent: Digest, limit: int) -> list[ChunkRow]:
        """The children of a chunk or root, at most `limit` of them."""
        found = self._db.execute(f"SELECT {_COLUMNS} FROM chunk WHERE parent = ? LIMIT ?", (parent, limit))
        return [ChunkRow(*row) for row in found]

    def child_lengths(self, parent: Digest, most: int) -> list[int]:
        """The different lengths in tokens, up to `most`, of the children of a chunk or root, the longest first."""
        return [length for (length,) in self._db.execute(_CHILD_LENGTHS, {"parent": parent, "most": most})]

    def path_to(self, key: Digest) -> Iterator[ChunkRow]:
        """The chunk and all before it, the last first; nothing if it is not there."""
        row = self.row(key)
        while row is not None:
            yield row
            above = None if row.parent == row.root else self.row(row.parent)
            torn = row.start != 0 if above is None else above.end != row.start or above.root != row.root
            if torn:
                raise sqlite3.DatabaseError("a chain is torn")
            row = above

    def subtree(self, key: Digest) -> list[ChunkRow]:
        """The chunk and all after it, the farthest from the root first."""
        return [ChunkRow(*row) for row in self._db.execute(_SUBTREE, (key,))]

    def under(self, root: Digest) -> list[ChunkRow]:
        """The chunks under a root, the farthest from it first."""
        found = self._db.execute(f"SELECT {_COLUMNS} FROM chunk WHERE root = ? ORDER BY start DESC", (root,))
        return [ChunkRow(*row) for row in found]

    def oldest_leaf(self, safe: Collection[Digest]) -> ChunkRow | None:
        """The least recently used chunk that no other follows and that is not in `safe`."""
        found = self._db.execute(
            f"SELECT {_COLUMNS} FROM chunk WHERE children = 0 ORDER BY used, key LIMIT ?", (len(safe) + 1,)
        ).fetchall()
        return next((row for row in (ChunkRow(*values) for values in found) if row.key not in safe), None)

    def digests(self, keys: Sequence[Digest]) -> dict[File, Digest]:
        """The SHA-256 of the files of these chunks (at most 999), as far as they are known."""
        marks = ", ".join("?" for _ in keys)
        found = self._db.execute(f"SELECT key, kind, sha256 FROM digest WHERE key IN ({marks})", keys)
        return {(key, Kind(kind)): digest for key, kind, digest in found}

    def remember(self, digests: Iterable[tuple[File, Digest]]) -> None:
        """Keep the SHA-256 of files of chunks that are there, unless theirs is known; of others nothing."""
        self._db.executemany(
            "INSERT OR IGNORE INTO digest SELECT key, ?, ? FROM chunk WHERE key = ?",
            ((kind, digest, key) for (key, kind), digest in digests),
        )

    def links(self, name: str) -> list[tuple[Digest, Link]]:
        """The chunks of a branch (see `branch`) with what sums over paths need."""
        found = self._db.execute(
            "SELECT key, parent, bytes + checkpoint_bytes, tokens FROM chunk WHERE key BETWEEN ? AND ?", _keys_of(name)
        )
        return [(key, Link(*link)) for key, *link in found]

    # Sums

    def totals(self) -> dict[Digest, RootTotals]:
        """What is kept under each root."""
        found = self._db.execute("SELECT root, chunks, tokens, bytes, checkpoint_bytes FROM total")
        return {root: RootTotals(*sums) for root, *sums in found}

    def total_bytes(self) -> int:
        """What is kept altogether."""
        (total,) = self._db.execute("SELECT coalesce(sum(bytes + checkpoint_bytes), 0) FROM total").fetchone()
        return int(total)

    def check(self) -> None:
        """Raise sqlite3.DatabaseError if a chunk does not continue another one, and make all sums anew."""
        if self._db.execute(_TORN).fetchone():
            raise sqlite3.DatabaseError("a chain is torn")
        self._db.execute(
            "UPDATE chunk SET children = (SELECT count(*) FROM chunk below WHERE below.parent = chunk.key) "
            "WHERE children <> (SELECT count(*) FROM chunk below WHERE below.parent = chunk.key)"
        )
        self._db.execute("DELETE FROM total")
        self._db.execute(
            "INSERT INTO total SELECT root, count(*), sum(tokens), sum(bytes), sum(checkpoint_bytes) "
            "FROM chunk GROUP BY root"
        )

    # Changing

    def add(self, row: ChunkRow) -> None:
        """Take a chunk in, which no other follows yet."""
        self._db.execute(f"INSERT INTO chunk ({_COLUMNS}) VALUES ({_MARKS})", _VALUES(row))

    def remove(self, key: Digest) -> None:
        """Forget a chunk."""
        self._db.execute("DELETE FROM chunk WHERE key = ?", (key,))

    def set_checkpoint(self, key: Digest, size: int) -> None:
        """Say how large the checkpoint of a chunk is; 0 for none."""
        self._db.execute("UPDATE chunk SET checkpoint_bytes = ? WHERE key = ?", (size, key))

    def touch(self, keys: Iterable[Digest], now: float) -> None:
        """Say that these chunks were of use at `now`."""
        self._db.executemany("UPDATE chunk SET used = max(used, ?) WHERE key = ?", ((now, key) for key in keys))


def _keys_of(name: str) -> tuple[Digest, Digest]:
    """The first and the last key that begin with these two hexadecimal digits."""
    first = bytes.fromhex(name)
    return first + bytes(DIGEST_BYTES - 1), first + b"\xff" * (DIGEST_BYTES - 1)
