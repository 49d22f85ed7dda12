"""The folder of the store: where each file lies, how files leave it, and the quarantine."""

import os
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.kvstore.chunk_file import Kind
from app.kvstore.keys import DIGEST_BYTES, Digest

QUARANTINE_FILES: Final = 8
QUARANTINE_BYTES: Final = 64 * 1024 * 1024

INDEX: Final = "index.db"
_SUFFIXES: Final = {Kind.CHUNK: ".chunk", Kind.CHECKPOINT: ".checkpoint"}
_UNFINISHED: Final = ".tmp"
_PRIVATE: Final = 0o700


@dataclass(frozen=True, slots=True)
class Found:
    """A file in one of the folders of chunks."""

    path: Path
    key: Digest | None
    """None for a leftover: an unfinished file, or one whose name is no key."""
    kind: Kind
    bytes: int
    modified: float


class Folder:
    """The files of a store. Every method raises OSError for what the disk refuses."""

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is made yet."""
        self.path = path
        self.index = path / INDEX
        self._chunks = path / "chunks"
        self._trash = path / "trash"
        self._quarantine = path / "quarantine"

    def make(self) -> None:
        """Make the folder, private to this account, where it is missing; not the one around it, if that was removed."""
        self.path.mkdir(mode=_PRIVATE, exist_ok=True)

    def file(self, key: Digest, kind: Kind) -> Path:
        """Where the chunk or the checkpoint with that key lies."""
        name = key.hex()
        return self._chunks / name[:2] / (name + _SUFFIXES[kind])

    def unfinished(self, key: Digest, kind: Kind) -> Path:
        """Where it is written before it is complete; its folder is made."""
        path = self.file(key, kind)
        for folder in (self.path, self._chunks, path.parent):
            folder.mkdir(mode=_PRIVATE, exist_ok=True)
        return path.with_name(path.name + _UNFINISHED)

    def remove(self, key: Digest, kind: Kind) -> None:
        """Take a file out of its place, if it is there; `empty_trash` frees its bytes.

        A rename is quick however large the file is, so it may be done while the index is locked.
        """
        self._move_to_trash(self.file(key, kind))

    def remove_chunk(self, key: Digest) -> None:
        """Take a chunk and its checkpoint out of their places."""
        self.remove(key, Kind.CHECKPOINT)
        self.remove(key, Kind.CHUNK)

    def remove_all(self) -> None:
        """Take all chunks out of their places at once, and everything in quarantine."""
        self._move_to_trash(self._chunks)
        self._move_to_trash(self._quarantine)

    def remove_quarantined(self) -> None:
        """Take everything in quarantine away."""
        self._move_to_trash(self._quarantine)

    def empty_trash(self) -> bool:
        """Delete what was removed; whether there was anything. A folder that the disk keeps stays for the next time."""
        entries: list[Path] = []
        with suppress(FileNotFoundError):
            entries += self._trash.iterdir()
            for entry in entries:
                if entry.is_dir():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    with suppress(FileNotFoundError):  # another thread was here before
                        entry.unlink()
        return bool(entries)

    def quarantine(self, key: Digest, kind: Kind) -> bool:
        """Set a damaged file aside, and let the oldest go beyond the bounds; False if it is not there."""
        self._quarantine.mkdir(mode=_PRIVATE, exist_ok=True)
        path = self.file(key, kind)
        aside = self._quarantine / path.name
        try:
            path.replace(aside)
        except FileNotFoundError:
            return False
        with suppress(FileNotFoundError):
            os.utime(aside)  # from now on its age is the time in quarantine
        total = 0
        for number, file in enumerate(self._quarantined(), start=1):
            total += file.stat().st_size
            if number > QUARANTINE_FILES or total > QUARANTINE_BYTES:
                self._move_to_trash(file)
        return True

    def quarantined_bytes(self) -> int:
        """What lies in quarantine."""
        return sum(path.stat().st_size for path in self._quarantined())

    def files(self, branch: str) -> list[Found]:
        """The store's files in one folder of chunks, leftovers included; other names are not ours."""
        found = []
        with suppress(FileNotFoundError), os.scandir(self._chunks / branch) as entries:
            for entry in entries:
                stem, dot, suffix = entry.name.partition(".")
                kind = next((kind for kind, name in _SUFFIXES.items() if suffix.startswith(name[1:])), None)
                if kind is None or not dot or entry.is_dir(follow_symlinks=False):
                    continue
                whole = "." + suffix == _SUFFIXES[kind] and stem.startswith(branch)
                status = entry.stat(follow_symlinks=False)
                key = _digest(stem) if whole else None
                found.append(Found(Path(entry.path), key, kind, status.st_size, status.st_mtime))
        return found

    def _quarantined(self) -> list[Path]:
        """The files in quarantine, the newest first."""
        with suppress(FileNotFoundError):
            return sorted(self._quarantine.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        return []

    def _move_to_trash(self, path: Path) -> None:
        """Rename a file or a folder into the trash, if it is there."""
        aside = self._trash / secrets.token_hex(8)
        try:
            path.rename(aside)
        except FileNotFoundError:
            if not path.exists():
                return
            self._trash.mkdir(mode=_PRIVATE, exist_ok=True)
            path.rename(aside)


def key_of_name(name: str) -> tuple[Digest | None, Kind | None]:
    """The key and the kind that the name of a whole file says; None for what it does not say."""
    stem, _, suffix = name.partition(".")
    return _digest(stem), next((kind for kind, ending in _SUFFIXES.items() if "." + suffix == ending), None)


def _digest(name: str) -> Digest | None:
    """The key that a file name spells in lower-case hexadecimal digits."""
    try:
        key = bytes.fromhex(name)
    except ValueError:
        return None
    return key if len(key) == DIGEST_BYTES and key.hex() == name else None
