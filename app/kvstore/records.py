"""The values that the store takes and gives. Sizes are bytes on the disk, times Unix times in seconds."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from app.kvstore.keys import Digest


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """What the index knows of a chunk."""

    key: Digest
    parent: Digest
    """The key of the chunk before it; the root for the first one."""
    root: Digest
    start: int
    """How many tokens stand before it."""
    tokens: int
    """How many it holds."""
    bytes: int
    """The size of its chunk file, header included."""
    window_bytes: int
    """How much of that are sliding-window rows; 0 if it has none."""
    checkpoint_bytes: int
    """The size of its checkpoint file; 0 if it has none."""
    chain_bytes: int
    """The chunk files from the root to this one, together."""
    used: float
    created: float
    children: int = 0

    @property
    def end(self) -> int:
        """The position after its last token."""
        return self.start + self.tokens

    @property
    def disk_bytes(self) -> int:
        """Its chunk file and its checkpoint."""
        return self.bytes + self.checkpoint_bytes


@dataclass(frozen=True, slots=True)
class ChunkData:
    """A chunk as read from its file, checked against its row, its key and its checksums."""

    tokens: tuple[int, ...]
    buffer: bytearray
    """What the reader wanted before, the rows, the window rows if asked for, and what it wanted behind: in one piece,
    so that nobody has to copy it together."""
    begin: int
    """Where the rows begin in it."""
    rows_bytes: int
    window_bytes: int

    @property
    def rows(self) -> memoryview:
        """The rows."""
        return memoryview(self.buffer)[self.begin : self.begin + self.rows_bytes]

    @property
    def window(self) -> memoryview:
        """The window rows; empty if they were not asked for."""
        end = self.begin + self.rows_bytes
        return memoryview(self.buffer)[end : end + self.window_bytes]


@dataclass(frozen=True, slots=True)
class PlacedFile:
    """A file of the store under a second name, with the sums over all of it."""

    path: Path
    bytes: int
    sha256: Digest
    crc32: int


class Outcome(Enum):
    """What became of a wish to save."""

    WRITTEN = "written"
    PRESENT = "present"
    """It was on the disk already."""
    FULL = "full"
    """The budget does not take it: what may be evicted is not enough, so nothing was."""
    NO_PARENT = "no parent"
    """The chain it belongs to was dropped meanwhile."""


@dataclass(frozen=True, slots=True)
class PutResult:
    """The outcome of saving, the chunk's key, and the bytes that were written for it."""

    outcome: Outcome
    key: Digest
    written: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What one group of tips takes: chunks on no other group's path, the rest, and the tokens of both."""

    own_bytes: int
    shared_bytes: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Held:
    """A chain that is there from the root to its tip: its tokens, and its chunk files with the tip's checkpoint."""

    tokens: int
    bytes: int


@dataclass(frozen=True, slots=True)
class RootTotals:
    """What is kept under one root."""

    chunks: int = 0
    tokens: int = 0
    chunk_bytes: int = 0
    checkpoint_bytes: int = 0

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.chunk_bytes + self.checkpoint_bytes


@dataclass(frozen=True, slots=True)
class Totals:
    """What the whole store keeps; damaged files set aside count apart, in no budget."""

    roots: Mapping[Digest, RootTotals]
    budget: int
    quarantined_bytes: int
    bytes_written: int
    """Ever since the store was made; after a lost index at least what is kept."""

    @property
    def all(self) -> RootTotals:
        """The sum over the roots."""
        parts = self.roots.values()
        return RootTotals(
            sum(part.chunks for part in parts),
            sum(part.tokens for part in parts),
            sum(part.chunk_bytes for part in parts),
            sum(part.checkpoint_bytes for part in parts),
        )


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a look through the folder put right."""

    adopted: int
    """Sound files taken into the index."""
    swept: int
    """Files deleted: unfinished, unsound, of another format, or without their parent."""
    lost: int
    """Chunks forgotten because a file of theirs, or of their chain's, was gone."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a check of every file found."""

    chunks: int
    checkpoints: int
    bytes: int
    damaged: tuple[Digest, ...]
    """The keys of those that were set aside."""
    finished: bool
    """False if it was cancelled before the end."""
