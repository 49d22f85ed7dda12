"""Holding model files against the checksums that they must have."""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from app.core.errors import EmberError
from app.paths import plain_reason

BLOCK: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Check:
    """What a verification found."""

    verdict: Literal["right", "wrong", "unknown"]
    """"unknown": no checksum is known, so only the digests are told."""
    sentence: str
    digests: tuple[str, ...]
    """The sha256 of each file, hexadecimal."""


def verify(
    files: tuple[Path, ...],
    checksums: tuple[str, ...],
    progress: Callable[[int, int], None],
    stop: threading.Event,
) -> Check | None:
    """Read the files through; None if it was stopped. Raises EmberError (unreadable)."""
    digests: list[str] = []
    done = 0
    try:
        total = sum(path.stat().st_size for path in files)
        for path in files:
            digest = hashlib.sha256()
            with path.open("rb", buffering=0) as file:
                while block := file.read(BLOCK):
                    if stop.is_set():
                        return None
                    digest.update(block)
                    done += len(block)
                    progress(done, total)
            digests.append(digest.hexdigest())
    except OSError as error:
        raise EmberError(
            f"{files[0].name} cannot be read because {plain_reason(error, reading=True)}.", "unreadable"
        ) from error
    return _judged(files, checksums, tuple(digests))


def _judged(files: tuple[Path, ...], checksums: tuple[str, ...], digests: tuple[str, ...]) -> Check:
    name = files[0].name
    if not checksums:
        return Check("unknown", f"No checksum is known that {name} could be held against.", digests)
    wrong = [path.name for path, digest, right in zip(files, digests, checksums, strict=False) if digest != right]
    if wrong or len(checksums) != len(files):
        return Check(
            "wrong",
            f"{', '.join(wrong) or name} is not what was published: it is damaged or was changed. Download it again.",
            digests,
        )
    return Check("right", f"{name} is what was published.", digests)
