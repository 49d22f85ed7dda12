"""What is kept beside a download: where it comes from, how it must come out, and whether it is whole."""

import contextlib
import hashlib
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from app.core.errors import EmberError
from app.core.hub_files import Repository, Variant
from app.paths import plain_reason
from app.services.folder_walk import files_below
from app.storage.files import write_bytes_atomically

logger = logging.getLogger(__name__)

ENDING: Final = ".ember.json"
PART: Final = ".part"
LOCKS: Final = ".locks"
LONGEST_NAME: Final = 180
_UNSAFE = re.compile(r"[^\w.()+ -]", re.ASCII)
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
"""Names that Windows keeps for devices."""


class RecordedFile(msgspec.Struct, frozen=True):
    """One file of a download."""

    path: str
    """In the repository."""
    name: str
    """In the record's folder."""
    size: int
    sha256: str


class DownloadRecord(msgspec.Struct, frozen=True):
    """A download, finished or not."""

    repository: str
    commit: str
    label: str
    licence: str
    files: tuple[RecordedFile, ...]
    added: float
    is_done: bool = False
    """Whether all files are there and their checksums agreed."""
    problem: str = ""
    """Why it stopped by itself the last time."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def plan(models: Path, repository: Repository, variant: Variant) -> tuple[Path, DownloadRecord]:
    """Where the record of a download belongs, and the record; nothing is written yet.

    Raises EmberError (no_checksum) where the hub names no checksum that a file could be held against.
    """
    if not all(re.fullmatch(r"[0-9a-f]{64}", file.sha256) and file.size > 0 for file in variant.files):
        raise EmberError(
            "The hub names no checksum for this file, so it could not be verified. Nothing was downloaded.",
            "no_checksum",
        )
    folder = models.joinpath(*map(_safe, repository.id.split("/")))
    folders = [_safe(part) for part in variant.files[0].path.split("/")[:-1]]
    files = tuple(RecordedFile(file.path, _safe(file.name), file.size, file.sha256) for file in variant.files)
    record = DownloadRecord(repository.id, repository.commit, variant.label, repository.licence, files, time.time())
    return folder.joinpath(*folders, files[0].name + ENDING), record


def begin(models: Path, repository: Repository, variant: Variant) -> tuple[Path, DownloadRecord]:
    """Where the record of a download lies, and the record, written down; one that was begun before goes on.

    Raises EmberError: "is_there", "is_older" where another version is there, "is_other", "no_checksum", "cannot_write".
    """
    path, record = plan(models, repository, variant)
    before = read_record(path) if path.exists() else None
    there = [file for file in files_of(path, record) if file.exists()]
    name, is_same = record.files[0].name, before is not None and before.files == record.files
    if before is not None and before.is_done and there:
        if is_same and len(there) == len(record.files):
            raise EmberError(f"{name} is downloaded already.", "is_there")
        if not is_same:
            raise EmberError(
                f"Another version of {name} is there. Remove it first, then download this one.", "is_older"
            )
    if before is None and there:
        raise EmberError(f"A file that Ember did not download is in the way: {there[0]}. Move it first.", "is_other")
    if before is not None and is_same and not before.is_done:
        return path, before
    if before is not None and not before.is_done:
        remove_partial(path, before)
    write_record(path, record)
    return path, record


def _safe(name: str) -> str:
    """A name from a hub as a file's name on any system, never one that leads elsewhere or is hidden."""
    kept = _UNSAFE.sub("_", name).strip(" .")[:LONGEST_NAME].rstrip(" .") or "_"
    return f"_{kept}" if _RESERVED.match(kept) else kept


def write_record(path: Path, record: DownloadRecord) -> None:
    """Keep a record; raises EmberError where the disk refuses."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EmberError(
            f"The folder “{path.parent}” cannot be made because {plain_reason(error)}. Nothing was downloaded.",
            "cannot_write",
        ) from error
    write_bytes_atomically(path, msgspec.json.encode(record))


def read_record(path: Path) -> DownloadRecord | None:
    """The record in a file; None where it is none, which is logged."""
    try:
        record = msgspec.json.decode(path.read_bytes(), type=DownloadRecord)
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        logger.warning("the record of a download cannot be read: %s: %s", path, error)
        return None
    is_sound = bool(record.files) and all(file.name == _safe(file.name) for file in record.files)
    return record if is_sound else None


def records(models: Path) -> Iterator[tuple[Path, DownloadRecord]]:
    """All downloads below the folder of models, links not followed: a window waits for this at its start."""
    for path in files_below(models, ENDING, follows_links=False):
        record = read_record(path)
        if record is not None:
            yield path, record


def files_of(path: Path, record: DownloadRecord) -> tuple[Path, ...]:
    """Where the whole files of a download lie, or will."""
    return tuple(path.parent / file.name for file in record.files)


def partial(file: Path) -> Path:
    """Where a file lies until its checksum agreed."""
    return file.with_name(file.name + PART)


def bytes_there(path: Path, record: DownloadRecord) -> int:
    """The bytes of a download that are on the disk already."""
    there = 0
    for file, recorded in zip(files_of(path, record), record.files, strict=True):
        for place in (file, partial(file)):
            try:
                there += min(recorded.size, place.stat().st_size)
                break
            except OSError:
                continue
    return there


def remove_partial(path: Path, record: DownloadRecord) -> None:
    """Remove what came of a download that nobody wants any more, with its record; raises EmberError."""
    try:
        if not record.is_done:
            for file in files_of(path, record):
                partial(file).unlink(missing_ok=True)
                file.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    except OSError as error:
        raise EmberError(
            f"What was downloaded cannot be removed because {plain_reason(error)}. It lies in “{path.parent}”.",
            "cannot_remove",
        ) from error


def remove_empty_folders(models: Path, folder: Path) -> None:
    """Remove a repository's folder and those around it while they are empty, never `models` or what is elsewhere."""
    own = models.resolve()
    with contextlib.suppress(OSError):  # it holds something, or is a link
        while own in folder.resolve().parents:
            folder.rmdir()
            folder = folder.parent


def lock_path(models: Path, path: Path) -> Path:
    """The file whose lock says that a process works on this download."""
    return models / LOCKS / hashlib.sha256(str(path.relative_to(models)).encode()).hexdigest()[:16]
