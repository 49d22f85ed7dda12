"""What is known of model files by their headers, remembered by path, size and time, so that each is read once."""

import logging
import os
from pathlib import Path

import msgspec

from app.core.errors import EmberError
from app.core.gguf_cursor import GgufError
from app.core.gguf_header import GgufHeader, parse
from app.core.model_facts import ModelFacts, facts_of, whole_header
from app.paths import plain_reason
from app.storage.files import write_bytes_atomically

logger = logging.getLogger(__name__)

REMEMBERED = 5000
"""Models, more than one place may have (`MOST_FILES`); the oldest are forgotten."""


class KnownHeader(msgspec.Struct, frozen=True):
    """What was read of a model's files, and what the system said of them then."""

    stamp: str
    facts: ModelFacts | None
    problem: str = ""
    """Why it cannot be used, where the header could not be read."""
    was_replaced: bool = False
    """Whether other files stood here when it was first read."""


class HeaderCache:
    """Reads headers, and remembers them in one file; for one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Remember in the file `path`, which may not exist yet."""
        self._path = path
        self._known: dict[str, KnownHeader] | None = None
        self._is_changed = False

    def look(self, files: tuple[Path, ...]) -> KnownHeader:
        """What the files of one model say, read anew only where they changed."""
        known, key = self._load(), _key(files[0])
        try:
            stats = [path.stat() for path in files]
        except OSError as error:
            return KnownHeader("", None, f"The file cannot be read because {plain_reason(error, reading=True)}.")
        stamp = ";".join(f"{stat.st_size}.{stat.st_mtime_ns}" for stat in stats)
        before = known.pop(key, None)
        if before is None or before.stamp != stamp:
            before = _read(files, stamp, was_replaced=before is not None and before.facts is not None)
            self._is_changed = True
        known[key] = before  # the latest last
        return before

    def forget(self, path: Path) -> None:
        """Know nothing of a model any more, so that one that comes in its place is not taken for a replaced one."""
        self._is_changed |= self._load().pop(_key(path), None) is not None

    def save(self) -> None:
        """Write what was read; a disk that refuses is logged, and the headers are read again the next time."""
        if not self._is_changed:
            return
        kept = dict(list(self._load().items())[-REMEMBERED:])
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes_atomically(self._path, msgspec.json.encode(kept))
            self._is_changed = False
        except (OSError, EmberError) as error:
            logger.warning("what models' headers say cannot be kept: %s", error)

    def _load(self) -> dict[str, KnownHeader]:
        if self._known is None:
            self._known = {}
            try:
                self._known = msgspec.json.decode(self._path.read_bytes(), type=dict[str, KnownHeader])
            except FileNotFoundError:
                pass
            except (OSError, msgspec.DecodeError, RecursionError) as error:
                logger.warning("what models' headers say is read again: %s", error)
        return self._known


def _key(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _read(files: tuple[Path, ...], stamp: str, *, was_replaced: bool) -> KnownHeader:
    try:
        facts = facts_of(whole_header(tuple(read_header(path) for path in files)))
    except GgufError as error:
        return KnownHeader(stamp, None, error.sentence, was_replaced)
    except OSError as error:
        return KnownHeader("", None, f"The file cannot be read because {plain_reason(error, reading=True)}.")
    return KnownHeader(stamp, facts, was_replaced=was_replaced)


def read_header(path: Path) -> GgufHeader:
    """The header of one file; raises GgufError and OSError."""
    with path.open("rb") as file:
        size = path.stat().st_size

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        return parse(read, size)
