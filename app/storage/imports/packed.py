"""The exports that come as a zip file: ChatGPT's, and several conversations of llama.cpp's web UI."""

import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from app.core.units import format_bytes
from app.storage.archive import MANIFEST, RATIO_LIMIT
from app.storage.archive_format import RefusedError
from app.storage.imports.bounds import FILE_LIMIT, opened
from app.storage.zip_file import END, END_SIGNATURE, LOCATOR, LOCATOR_SIGNATURE, ZIP_ERRORS

DIRECTORY_LIMIT: Final = 2 * 1024 * 1024
"""Bytes of the zip's directory, about 15,000 files: an export has the person's images in it too."""
TOTAL_LIMIT: Final = 1024**3
"""Unpacked bytes of all that is read, one document after the other."""
_CHATGPT: Final = re.compile(r"conversations(-\d{1,6})?\.json")
_LINES: Final = ".jsonl"
_PIECE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a zip file."""

    name: str
    """Without its folders."""
    read: Callable[[], bytes]
    """Unpacks it; raises RefusedError."""


def documents_in(path: Path) -> Iterator[Document] | None:
    """The documents with conversations of a zip file, nothing of it unpacked before it is asked for.

    None for another zip file, such as an Ember archive. Raises RefusedError for what cannot be read.
    """
    with opened(path) as file:
        if not _has_plain_directory(file):
            return None
        try:
            with zipfile.ZipFile(file) as archive:
                names = _wanted(archive)
        except ZIP_ERRORS as error:
            raise RefusedError("it is damaged") from error
    return _documents(path, names) if names else None


def _has_plain_directory(file: BinaryIO) -> bool:
    """Whether the file ends with a directory that may be read; RefusedError for one that is too large."""
    size = file.seek(0, 2)
    file.seek(max(0, size - LOCATOR.size - END.size))
    tail = file.read()
    if len(tail) < END.size:
        return False
    signature, _, _, _, _, length, _, _ = END.unpack(tail[-END.size :])
    if signature != END_SIGNATURE:
        return False
    if length > DIRECTORY_LIMIT or tail[: -END.size].startswith(LOCATOR_SIGNATURE):
        raise RefusedError("it holds too many files; unpack it, and import the conversations that are in it")
    return True


def _wanted(archive: zipfile.ZipFile) -> list[str]:
    """The members with conversations; none for what is not an export."""
    names = sorted({info.filename for info in archive.infolist() if not info.is_dir()})
    chatgpt = [name for name in names if _CHATGPT.fullmatch(PurePosixPath(name).name)]
    if chatgpt or MANIFEST in names:
        return chatgpt
    return [name for name in names if name.endswith(_LINES)]


def _documents(path: Path, names: list[str]) -> Iterator[Document]:
    left = TOTAL_LIMIT
    with opened(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                for name in names:

                    def read(name: str = name) -> bytes:
                        nonlocal left
                        data = _unpacked(archive, name, min(left, FILE_LIMIT))
                        left -= len(data)
                        return data

                    yield Document(PurePosixPath(name).name, read)
        except ZIP_ERRORS as error:
            raise RefusedError("it is damaged") from error


def _unpacked(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """The bytes of a member, counted while they are unpacked; raises RefusedError."""
    info = archive.getinfo(name)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RefusedError("it is packed in a way that Ember does not read")
    if info.file_size > RATIO_LIMIT * max(info.compress_size, 1):
        raise RefusedError("it unpacks to far more than its size")
    data = bytearray()
    try:
        with archive.open(info) as member:
            while piece := member.read(_PIECE):
                data += piece
                if len(data) > limit:
                    raise RefusedError(f"it is larger than {format_bytes(limit)}")
    except (*ZIP_ERRORS, OSError) as error:  # it may send us to before the beginning
        raise RefusedError("it is damaged") from error
    return bytes(data)
