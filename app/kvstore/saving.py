"""Saving a chunk or a checkpoint: room made within the budget first, then the file, then the row."""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from app.kvstore import chunk_file
from app.kvstore.access import Access
from app.kvstore.chunk_file import MAX_FILE_BYTES, MAX_POSITION, Kind, Payload
from app.kvstore.eviction import Budget
from app.kvstore.index import Index
from app.kvstore.keys import DIGEST_BYTES, MAX_CHUNK_TOKENS, Digest, pack_tokens, packed_key
from app.kvstore.records import ChunkRow, Outcome, PutResult


@dataclass(frozen=True, slots=True)
class Draft:
    """A chunk with its checkpoint as it shall be saved, or (with no tokens) a checkpoint for a chunk that is there."""

    row: ChunkRow
    packed: bytes
    rows: Payload
    window: Payload
    checkpoint: Payload
    staged: tuple[Path, Digest] | None = None
    """A checked file that holds all of it, to be moved into its place instead of writing one, and its SHA-256."""

    def __post_init__(self) -> None:
        """Refuse, with ValueError, what no reader would accept."""
        digests = (self.row.root, self.row.parent, self.row.key)
        if any(len(digest) != DIGEST_BYTES for digest in digests):
            raise ValueError(f"a key has {DIGEST_BYTES} bytes")
        if not 1 <= self.row.tokens <= MAX_CHUNK_TOKENS:
            raise ValueError(f"a chunk holds 1 to {MAX_CHUNK_TOKENS} tokens, not {self.row.tokens}")
        if not 0 <= self.row.start <= MAX_POSITION or (self.row.parent == self.row.root) != (self.row.start == 0):
            raise ValueError(f"{self.row.start} is no start for this chunk")
        if max(self.row.bytes, self.row.checkpoint_bytes) > MAX_FILE_BYTES:
            raise ValueError(f"a file holds {MAX_FILE_BYTES} bytes at most")

    def size(self, kind: Kind) -> int:
        """The length of the file of that kind."""
        return self.row.bytes if kind is Kind.CHUNK else self.row.checkpoint_bytes

    def write(self, kind: Kind, path: Path) -> None:
        """Write the file of that kind; raises OSError."""
        if self.staged is not None:
            shutil.move(self.staged[0], path)
        elif kind is Kind.CHUNK:
            chunk_file.write_chunk(path, self.row, self.packed, self.rows, self.window)
        else:
            chunk_file.write_checkpoint(path, self.row, self.checkpoint)


def chunk_draft(
    root: Digest,
    parent: Digest,
    start: int,
    tokens: Sequence[int],
    payloads: tuple[Payload, Payload, Payload],
    now: float,
) -> Draft:
    """A new chunk with its rows, window rows and checkpoint (an empty one is none); raises ValueError."""
    rows, window, checkpoint = payloads
    packed = pack_tokens(tokens)
    row = ChunkRow(
        key=packed_key(parent, packed),
        parent=parent,
        root=root,
        start=start,
        tokens=len(tokens),
        bytes=chunk_file.chunk_bytes(len(tokens), rows, window),
        window_bytes=chunk_file.payload_bytes(window),
        checkpoint_bytes=_checkpoint_bytes(checkpoint),
        chain_bytes=0,
        used=now,
        created=now,
    )
    return Draft(row, packed, rows, window, checkpoint)


def checkpoint_draft(row: ChunkRow, checkpoint: Payload) -> Draft:
    """A checkpoint for a chunk that is there; raises ValueError."""
    return Draft(replace(row, checkpoint_bytes=_checkpoint_bytes(checkpoint)), b"", (), (), checkpoint)


def save(access: Access, budget: Budget, draft: Draft) -> PutResult:
    """Save what is not there yet, if the budget takes it; see `Outcome`.

    Raises StoreUnavailable, IndexLost and OSError, and leaves nothing half-written; ValueError if the chunk does not
    continue its parent.
    """
    key = draft.row.key
    with access.writing:
        while True:
            with access.locked(whole=True) as index:
                wanted = _missing(index, draft)
                if wanted is None:
                    return PutResult(Outcome.NO_PARENT, key)
                if not wanted:
                    index.touch([key], draft.row.used)
                    return PutResult(Outcome.PRESENT, key)
                size = sum(draft.size(kind) for kind in wanted)
                chain = {key, draft.row.parent}
                if budget.excess(index, size) <= 0:
                    break
                if not budget.can_take(index, size, chain) or not budget.evict_some(index, size, chain):
                    return PutResult(Outcome.FULL, key)
            access.folder.empty_trash()
        access.folder.empty_trash()
        outcome = _write(access, draft, wanted)
    return PutResult(outcome, key, size if outcome is Outcome.WRITTEN else 0)


def _checkpoint_bytes(payload: Payload) -> int:
    """The length of the checkpoint's file; 0 for an empty one, which is none."""
    return chunk_file.checkpoint_bytes(payload) if chunk_file.payload_bytes(payload) else 0


def _missing(index: Index, draft: Draft) -> list[Kind] | None:
    """Which files are to be written; None if the chunk that this one needs is not there."""
    row = draft.row
    known = index.row(row.key)
    if known is not None:
        return [Kind.CHECKPOINT] if row.checkpoint_bytes and not known.checkpoint_bytes else []
    if not draft.packed:
        return None
    if row.parent != row.root:
        above = index.row(row.parent)
        if above is None:
            return None
        if (above.root, above.end) != (row.root, row.start):
            raise ValueError("the chunk does not begin where its parent ends")
    return [Kind.CHUNK, Kind.CHECKPOINT] if row.checkpoint_bytes else [Kind.CHUNK]


def _write(access: Access, draft: Draft, wanted: list[Kind]) -> Outcome:
    """Write the files beside their places, then put them there together with the row."""
    row = draft.row
    with ExitStack() as unfinished, ExitStack() as placed:
        paths: list[Path] = []
        for kind in wanted:
            path = access.folder.unfinished(row.key, kind)
            unfinished.callback(_remove, path)
            draft.write(kind, path)
            paths.append(path)
        with access.locked(whole=True) as index:
            if _missing(index, draft) is None:
                return Outcome.NO_PARENT
            for kind, path in zip(wanted, paths, strict=True):
                # A file whose row is not committed would come back as a chunk that nobody was told of.
                placed.callback(_remove, path.replace(access.folder.file(row.key, kind)))
            _enter(index, draft, wanted)
            access.generation += 1
        placed.pop_all()
    return Outcome.WRITTEN


def _remove(path: Path) -> None:
    """Delete a file, if the disk lets it."""
    with suppress(OSError):
        path.unlink()


def _enter(index: Index, draft: Draft, wanted: list[Kind]) -> None:
    """Tell the index of the files."""
    row = draft.row
    if Kind.CHUNK in wanted:
        above = index.row(row.parent)
        index.add(replace(row, chain_bytes=row.bytes + (0 if above is None else above.chain_bytes)))
    else:
        index.set_checkpoint(row.key, row.checkpoint_bytes)
    if draft.staged is not None:
        index.remember(((row.key, kind), draft.staged[1]) for kind in wanted)
    index.count_written(sum(draft.size(kind) for kind in wanted))
