"""The store's own files outside of it: linked into a folder for an archive, and taken from one, fully checked."""

import errno
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from app.kvstore import chunk_file
from app.kvstore.chunk_file import Header, Kind
from app.kvstore.errors import Damaged
from app.kvstore.folder import Folder, key_of_name
from app.kvstore.index import Index
from app.kvstore.keys import Digest
from app.kvstore.records import ChunkRow
from app.kvstore.saving import Draft

# A file system without hard links, or another one than the store's; then the bytes are copied.
_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file that is no part of the store yet: read through, its checksums right and its key that of its tokens."""

    path: Path
    header: Header
    packed: bytes
    """Its tokens; empty for a checkpoint."""
    sha256: str
    """Of the whole file, in hexadecimal digits."""


def paths_to(index: Index, tips: Iterable[Digest]) -> list[ChunkRow]:
    """The chunks on the paths to these tips, parents first; of a tip that is not there nothing."""
    rows: dict[Digest, ChunkRow] = {}
    for tip in tips:
        for row in index.path_to(tip):
            if row.key in rows:
                break
            rows[row.key] = row
    return sorted(rows.values(), key=lambda row: row.start)


def link_out(folder: Folder, rows: Iterable[ChunkRow], target: Path, progress: Callable[[int], None]) -> list[Path]:
    """Put the files of these chunks, parents first, into `target`; `progress` gets each file's bytes. Raises OSError.

    What is removed meanwhile is left out, with all that follows it.
    """
    placed: list[Path] = []
    there: set[Digest] = set()
    for row in rows:
        if row.parent != row.root and row.parent not in there:
            continue
        with suppress(FileNotFoundError):
            placed.append(_link(folder.file(row.key, Kind.CHUNK), target))
            there.add(row.key)
            if row.checkpoint_bytes:
                placed.append(_link(folder.file(row.key, Kind.CHECKPOINT), target))
        progress(row.disk_bytes)
    return placed


def _link(source: Path, target: Path) -> Path:
    """The same file in another folder: a second name, which costs nothing, because no file is written to again."""
    place = target / source.name
    try:
        os.link(source, place)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(source, place)
    return place


def inspect(path: Path) -> StagedFile:
    """Read a file of a staging folder through; raises Damaged unless it is a sound file of the store, OSError."""
    key, kind = key_of_name(path.name)
    if key is None or kind is None:
        raise Damaged("its name is none of a piece of state")
    header, packed, digest = chunk_file.check_file(path, kind)
    if header.key != key:
        raise Damaged("it is another piece than its name says")
    return StagedFile(path, header, packed, digest)


def chunk_draft(staged: StagedFile, now: float) -> Draft:
    """A staged chunk as it shall be saved, by moving its file; raises Damaged where it cannot stand at that place."""
    try:
        return Draft(staged.header.row(now), staged.packed, (), (), (), staged.path)
    except ValueError as error:
        raise Damaged("its place among the tokens is impossible") from error


def checkpoint_draft(staged: StagedFile, row: ChunkRow, now: float) -> Draft:
    """A staged checkpoint of the chunk `row`, saved by moving its file; raises Damaged where it is of another one."""
    if not staged.header.is_of(row):
        raise Damaged("it belongs to another piece of state")
    return Draft(replace(row, checkpoint_bytes=staged.header.file_bytes, used=now), b"", (), (), (), staged.path)
