"""Writing a file so that it is the old one or the new one, also after a power cut; opening only what is a file."""

import logging
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from app.core.errors import EmberError
from app.paths import plain_reason
from app.storage.archive_format import RefusedError

_log = logging.getLogger(__name__)

_PREFIX: Final = ".ember-"
_SUFFIX: Final = ".tmp"
_NAME: Final = re.compile(rf"{re.escape(_PREFIX)}[0-9a-f]{{16}}{re.escape(_SUFFIX)}")
"""Of temporary files."""
_DEAD_AFTER: Final = 24 * 3600.0
"""Seconds in which nobody has written to one whose process lives."""

# A pipe is opened without waiting for who writes to it. Windows has neither pipes among its files, nor the flag.
_HOW: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: Path) -> BinaryIO:
    """Open a file to be read; RefusedError for a pipe or a device, which would block or never end. Raises OSError.

    What is open is looked at once more: another thing may have come to stand there since.
    """
    _check_regular(path.stat())
    handle = os.open(path, _HOW)
    try:
        _check_regular(os.fstat(handle))
        return os.fdopen(handle, "rb")
    except (RefusedError, OSError):
        os.close(handle)
        raise


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError("it is not a file")


def write_bytes_atomically(path: Path, data: bytes) -> None:
    """Write `data` to a temporary file beside `path`, force it to the disk and rename it into place.

    Raises EmberError of kind "cannot_write"; whatever stood at `path` is then unchanged.
    """
    with written_atomically(path) as file:
        file.write(data)


@contextmanager
def written_atomically(path: Path) -> Iterator[BinaryIO]:
    """A temporary file beside `path`, open for writing and reading, which takes its place if nothing is raised.

    Raises EmberError of kind "cannot_write" for an OSError, also of the body; what stood at `path` is then unchanged.
    """
    # A short name of its own: the name asked for may already be as long as the file system takes.
    temporary = path.parent / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
    try:
        try:
            with temporary.open("x+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise EmberError(
            f"The file “{path}” could not be written because {why_not_written(path, error)}. "
            "Nothing was changed; choose another place for it.",
            kind="cannot_write",
        ) from error


def why_not_written(path: Path, error: OSError) -> str:
    """Why nothing could be written to `path`, as the part of a sentence that follows "because"."""
    if isinstance(error, FileNotFoundError) and not path.parent.exists():
        return "its folder does not exist"
    return plain_reason(error)


def remove_dead_temporaries(folder: Path) -> None:
    """Remove what killed processes left in `folder` of files that they wrote atomically: untouched for a day."""
    try:
        for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            if _NAME.fullmatch(path.name) and time.time() - path.lstat().st_mtime > _DEAD_AFTER:
                path.unlink(missing_ok=True)
    except OSError as error:  # it is not what was asked for, and what was may still go well
        _log.info("What killed processes left in %s was not removed: %s", folder, error)


def sync_folder(folder: Path) -> None:
    """Force a renamed entry of `folder` to the disk, where the system can (not on Windows)."""
    if sys.platform == "win32":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:  # some network file systems refuse it; the renamed file itself is safe
        _log.info("The folder %s could not be forced to the disk: %s", folder, error)
