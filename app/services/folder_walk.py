"""Finding files below a folder, links to other folders included: each folder once, and never without an end."""

import logging
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

DEEPEST: Final = 8
"""Folders below the first one that are looked into, those behind links included."""
MOST_FOLDERS: Final = 20_000
"""How many folders of one place are looked into: a link may lead to a whole disk."""


def files_below(folder: Path, ending: str, *, follows_links: bool = True) -> Iterator[Path]:
    """The files below a folder whose names end so, whatever the case; hidden folders are left out.

    Links to folders are followed after all that lies in the folder itself, so that a file has its own path first.
    """
    seen: set[tuple[int, int]] = set()
    tops = deque([(folder, 0)])
    while tops:
        top, above = tops.popleft()
        for root, folders, names in os.walk(top):
            here = Path(root)
            if not _is_new(here, seen):
                folders.clear()
                continue
            if len(seen) > MOST_FOLDERS:
                logger.warning("more than %d folders in %s; the others are not looked into", MOST_FOLDERS, folder)
                return
            depth = above + len(here.relative_to(top).parts)
            inner = sorted(name for name in folders if not name.startswith(".")) if depth < DEEPEST else []
            links = [name for name in inner if (here / name).is_symlink()]
            tops.extend((here / name, depth + 1) for name in links if follows_links)
            folders[:] = [name for name in inner if name not in links]
            yield from (here / name for name in sorted(names) if name.lower().endswith(ending))


def _is_new(folder: Path, seen: set[tuple[int, int]]) -> bool:
    """Whether a folder was not looked into yet, on whatever path; False for one that is gone."""
    try:
        status = folder.stat()
    except OSError:
        return False
    identity = (status.st_dev, status.st_ino)
    if identity in seen:
        return False
    seen.add(identity)
    return True
