"""Bringing index and files together: after a kill, after a lost index, and whatever else befell the folder.

The files are what counts. The index is locked for a moment at a time, never while files are read.
"""

import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from app.kvstore.access import BATCH, Access
from app.kvstore.chunk_file import Header, Kind, read_head
from app.kvstore.errors import Damaged, IndexLost
from app.kvstore.folder import Found
from app.kvstore.index import Index
from app.kvstore.keys import Digest
from app.kvstore.records import ChunkRow, Reconciled

_log = logging.getLogger(__name__)

BRANCHES: Final = tuple(f"{number:02x}" for number in range(256))
"""The folders of chunks: the first two hexadecimal digits of their keys."""


def reconcile(access: Access, now: float) -> Reconciled:
    """Look at every file once: adopt what is sound and has its parent, delete what is not, forget what is gone.

    Raises StoreUnavailable, IndexLost and OSError.
    """
    with access.writing:
        access.folder.empty_trash()
        _check(access)
        strays: list[Found] = []
        gone: list[ChunkRow] = []
        swept = sum(_compare(access, branch, strays, gone) for branch in BRANCHES)
        gone.sort(key=lambda row: row.start)
        lost = sum(_forget(access, row.key) for row in gone)
        sound, unsound = _headers(strays)
        adopted, refused = _adopt(access, sound, now)
        for path in unsound + refused:
            path.unlink(missing_ok=True)
        with access.locked() as index:
            index.set_complete()
        access.suspect = False
    result = Reconciled(adopted, swept + len(unsound) + len(refused), lost)
    _log.info("The saved state was looked through: %s", result)
    return result


def _check(access: Access) -> None:
    """Look over the index; one that does not hold together is left, and the next one begins empty."""
    with suppress(IndexLost), access.locked() as index:
        index.check()


def _forget(access: Access, key: Digest) -> int:
    """Remove a chunk with all that follows it; how many."""
    with access.locked() as index:
        rows = index.subtree(key)
    access.remove([row.key for row in rows], whole=False)
    return len(rows)


def _compare(access: Access, branch: str, strays: list[Found], gone: list[ChunkRow]) -> int:
    """Compare one folder of chunks with the index: collect files without row and rows without file; files deleted."""
    found = access.folder.files(branch)
    useless: list[Path] = []
    with access.locked() as index:
        rows = {row.key: row for row in index.branch(branch)}
        chunks: set[Digest] = set()
        checkpoints: set[Digest] = set()
        for file in found:
            row = None if file.key is None else rows.get(file.key)
            expected = row and (row.bytes if file.kind is Kind.CHUNK else row.checkpoint_bytes)
            if file.key is None or (expected and expected != file.bytes):
                useless.append(file.path)
            elif not expected:
                strays.append(file)
            else:
                (chunks if file.kind is Kind.CHUNK else checkpoints).add(file.key)
        for row in rows.values():
            if row.key not in chunks:
                gone.append(row)
            elif row.checkpoint_bytes and row.key not in checkpoints:
                index.set_checkpoint(row.key, 0)
                access.generation += 1
    for path in useless:
        path.unlink(missing_ok=True)
    return len(useless)


def _headers(strays: list[Found]) -> tuple[list[tuple[Header, Found]], list[Path]]:
    """The headers of files that are sound, parents before children and chunks before checkpoints; and the others."""
    sound = []
    unsound = []
    for file in strays:
        try:
            header, _ = read_head(file.path, file.kind)
        except Damaged as error:
            _log.info("%s is deleted: %s", file.path.name, error)
            unsound.append(file.path)
            continue
        if header.key == file.key:
            sound.append((header, file))
        else:
            unsound.append(file.path)
    sound.sort(key=lambda pair: (pair[0].start, pair[0].kind))
    return sound, unsound


def _adopt(access: Access, sound: list[tuple[Header, Found]], now: float) -> tuple[int, list[Path]]:
    """Take the files into the index whose parent is there; how many, and the others."""
    refused = []
    for first in range(0, len(sound), BATCH):
        with access.locked() as index:
            for header, file in sound[first : first + BATCH]:
                take = _adopt_chunk if header.kind is Kind.CHUNK else _adopt_checkpoint
                if not take(index, header, file, now):
                    refused.append(file.path)
            access.generation += 1
    return len(sound) - len(refused), refused


def _adopt_chunk(index: Index, header: Header, file: Found, now: float) -> bool:
    """Take a chunk in, if it continues one that is there (or a root)."""
    above = None if header.parent == header.root else index.row(header.parent)
    if above is None:
        fits = header.parent == header.root and header.start == 0
    else:
        fits = (above.root, above.end) == (header.root, header.start)
    if not fits or not file.path.exists():
        return False
    row = header.row(min(file.modified, now))
    index.add(replace(row, chain_bytes=row.bytes + (0 if above is None else above.chain_bytes)))
    return True


def _adopt_checkpoint(index: Index, header: Header, file: Found, now: float) -> bool:
    """Take a checkpoint in, if its chunk is there."""
    row = index.row(header.key)
    if row is None or not header.is_of(row) or not file.path.exists():
        return False
    index.set_checkpoint(header.key, header.file_bytes)
    return True
