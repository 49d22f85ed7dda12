"""The store's own files outside of it: linked into a folder for an archive, and taken from one, fully checked."""

import errno
import logging
import os
import shutil
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from app.kvstore import chunk_file
from app.kvstore.chunk_file import Header, Kind
from app.kvstore.errors import Damaged
from app.kvstore.folder import Folder, key_of_name
from app.kvstore.index import File, Index
from app.kvstore.keys import Digest
from app.kvstore.records import ChunkRow, PlacedFile
from app.kvstore.saving import Draft

_log = logging.getLogger(__name__)

# A file system without hard links, or another one than the store's; then the bytes are copied.
_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file that is no part of the store yet: read through, its checksums right and its key that of its tokens."""

    path: Path
    header: Header
    packed: bytes
    """Its tokens; empty for a checkpoint."""
    sha256: Digest
    """Of the whole file."""


def paths_to(index: Index, tips: Iterable[Digest]) -> list[ChunkRow]:
    """The chunks on the paths to these tips, parents first; of a tip that is not there nothing."""
    rows: dict[Digest, ChunkRow] = {}
    for tip in tips:
        for row in index.path_to(tip):
            if row.key in rows:
                break
            rows[row.key] = row
    return sorted(rows.values(), key=lambda row: row.start)


def digests_of(folder: Folder, row: ChunkRow, known: Container[File]) -> list[tuple[File, Digest]]:
    """The SHA-256 of the files of a chunk that are not `known`, read through; raises OSError.

    What is removed meanwhile, or found damaged, has none.
    """
    found: list[tuple[File, Digest]] = []
    for kind in _kinds(row):
        file = (row.key, kind)
        if file not in known:
            with suppress(Damaged):
                found.append((file, chunk_file.check_file(folder.file(row.key, kind), kind)[2]))
    return found


def _kinds(row: ChunkRow) -> tuple[Kind, ...]:
    """The kinds of files that a chunk has."""
    return (Kind.CHUNK, Kind.CHECKPOINT) if row.checkpoint_bytes else (Kind.CHUNK,)


def link_out(
    folder: Folder,
    rows: Iterable[ChunkRow],
    digests: Mapping[File, Digest],
    target: Path,
    progress: Callable[[int], None],
) -> dict[File, PlacedFile]:
    """Put the files of these chunks, parents first, into `target`; `progress` gets each chunk's bytes. Raises OSError.

    Whose digest is not known is read through. What is removed meanwhile, or found damaged, is left out, with all that
    follows it.
    """
    placed: dict[File, PlacedFile] = {}
    for row in rows:
        if row.parent == row.root or (row.parent, Kind.CHUNK) in placed:
            for kind in _kinds(row):
                file = (row.key, kind)
                try:
                    place = _link(folder.file(row.key, kind), target)
                    placed[file] = _placed(place, row, kind, digests.get(file))
                except (FileNotFoundError, Damaged) as error:
                    _log.warning("%s of chunk %s is left out: %s", kind.name, row.key.hex(), error)
                    break
        progress(row.disk_bytes)
    return placed


def _placed(place: Path, row: ChunkRow, kind: Kind, digest: Digest | None) -> PlacedFile:
    """A file with its sums, read through only where its digest is not known; raises Damaged and OSError."""
    if digest is None:
        header, packed, digest = chunk_file.check_file(place, kind)
    else:
        header, packed = chunk_file.read_head(place, kind)
    if not header.is_of(row):
        raise Damaged("it belongs to another chunk")
    return PlacedFile(place, header.file_bytes, digest, header.file_crc(packed))


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
        return Draft(staged.header.row(now), staged.packed, (), (), (), (staged.path, staged.sha256))
    except ValueError as error:
        raise Damaged("its place among the tokens is impossible") from error


def checkpoint_draft(staged: StagedFile, row: ChunkRow, now: float) -> Draft:
    """A staged checkpoint of the chunk `row`, saved by moving its file; raises Damaged where it is of another one."""
    if not staged.header.is_of(row):
        raise Damaged("it belongs to another piece of state")
    row = replace(row, checkpoint_bytes=staged.header.file_bytes, used=now)
    return Draft(row, b"", (), (), (), (staged.path, staged.sha256))
