"""The backups that there are: scheduled copies, the person's own, and what was kept before a restore or an update."""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from app.storage.upgrade import kept_copies

SUFFIX: Final = ".emberbackup"
STAMP: Final = "%Y%m%d-%H%M%S"
_NAME: Final = re.compile(rf"Ember-(?P<when>\d{{8}}-\d{{6}})(-\d+)?{re.escape(SUFFIX)}")


@dataclass(frozen=True, slots=True)
class Copy:
    """A file that the library can be restored from, as its folder tells of it."""

    path: Path
    when: float
    """Unix time."""
    bytes: int
    kind: Literal["scheduled", "own", "kept"]


def scheduled_copies(folder: Path) -> list[tuple[float, Path]]:
    """The scheduled copies in a folder with their Unix times, the oldest first; raises OSError if it is unreadable."""
    if not folder.exists():
        return []
    found = []
    for path in folder.iterdir():
        match = _NAME.fullmatch(path.name)
        try:
            if match is not None and path.is_file():
                found.append((time.mktime(time.strptime(match["when"], STAMP)), path))
        except (ValueError, OverflowError):  # nobody's date: not one of ours
            continue
    return sorted(found)


def copies(folder: Path, kept_in: Path, own: Iterable[Path]) -> list[Copy]:
    """All copies, the newest first: those in the schedule's `folder`, those kept in `kept_in`, and the person's `own`.

    What cannot be reached, such as a disk that is not plugged in, is left out.
    """
    found = {path: Copy(path, when, 0, "scheduled") for when, path in _listed(folder)}
    for path in [*_backups_in(folder), *own]:
        found.setdefault(path, Copy(path, 0.0, 0, "own"))
    for path in _kept(kept_in):
        found[path] = Copy(path, 0.0, 0, "kept")
    seen = [each for copy in found.values() if (each := _looked_at(copy)) is not None]
    return sorted(seen, key=lambda copy: copy.when, reverse=True)


def _looked_at(copy: Copy) -> Copy | None:
    """With its size, and its time where the name does not tell; None for what is gone."""
    try:
        status = copy.path.stat()
    except OSError:
        return None
    return Copy(copy.path, copy.when or status.st_mtime, status.st_size, copy.kind)


def _listed(folder: Path) -> list[tuple[float, Path]]:
    try:
        return scheduled_copies(folder)
    except OSError:
        return []


def _backups_in(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.suffix == SUFFIX and path.is_file()]
    except OSError:
        return []


def _kept(folder: Path) -> list[Path]:
    try:
        return kept_copies(folder)
    except OSError:
        return []
