"""A private folder for files that are being made, which a killed process cannot leave behind for good."""

import errno
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from app.folder_lock import FolderLock

_PREFIX: Final = ".ember-work-"
_LOCK: Final = "lock"
_TRIES: Final = 10


@contextmanager
def working_folder(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`, gone after the block; what killed processes left there goes first. Raises OSError."""
    remove_leftovers(parent)
    folder, lock = _made(parent)
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _made(parent: Path) -> tuple[Path, FolderLock]:
    """A new folder, locked; raises OSError.

    Before it is locked another process may take it for what a killed one left, and remove it: then there is another.
    """
    for _ in range(_TRIES):
        folder = parent / f"{_PREFIX}{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700)
        lock = FolderLock(folder / _LOCK)
        try:
            if lock.acquire() and (folder / _LOCK).exists():
                return folder, lock
        except FileNotFoundError:
            continue
        lock.release()
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(parent))


def remove_leftovers(parent: Path) -> None:
    """Remove the folders in `parent` whose process has ended; raises OSError where it cannot be read."""
    for folder in parent.glob(f"{_PREFIX}*"):
        if folder.is_symlink() or not folder.is_dir():
            continue
        lock = FolderLock(folder / _LOCK)
        try:
            is_left = lock.acquire()
        except OSError:  # another account's, or going at this moment
            continue
        if sys.platform == "win32":  # which removes no open file
            lock.release()
        if is_left:
            shutil.rmtree(folder, ignore_errors=True)  # locked, so that nobody who has just made it goes on in it
        lock.release()
