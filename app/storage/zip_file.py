"""What the readers of zip files share, and members that are stored as they are, copied without zipfile's sums."""

import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, BinaryIO, Final

END: Final = struct.Struct("<4s4H2LH")
"""The end of a zip file: signature, two disk numbers, entries on this disk, entries, size and offset of the directory,
length of the comment (APPNOTE.TXT 4.3.16)."""
END_SIGNATURE: Final = b"PK\x05\x06"
LOCATOR: Final = struct.Struct("<4sLQL")
"""Stands before it and announces the 64-bit one (4.3.15)."""
LOCATOR_SIGNATURE: Final = b"PK\x06\x07"

ZIP_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,  # encrypted; its NotImplementedError is another version or kind of packing
    ValueError,
    OverflowError,
    struct.error,
)
"""What zipfile raises for a damaged file."""

_LOCAL: Final = struct.Struct("<4s5H3L2H")
"""Before a member: signature, five numbers, its CRC-32 and sizes, lengths of its name and of more (4.3.7)."""
_LOCAL_SIGNATURE: Final = b"PK\x03\x04"
_PIECE: Final = 1024 * 1024


def store_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, source: Path, stored: Callable[[int], None]) -> None:
    """Add a file as it is, by the CRC-32 and size in `info`; one that zipfile itself writes must follow.

    `stored` gets the bytes of each piece. Raises EOFError where the file is not of that size, and OSError.
    """
    target = archive.fp
    assert target is not None
    target.seek(archive.start_dir)
    info.header_offset, info.compress_size = archive.start_dir, info.file_size
    target.write(info.FileHeader(zip64=False))
    with source.open("rb", buffering=0) as file:
        _copy(file, target, info.file_size, stored)
        if file.read(1):
            raise EOFError(f"{source} is longer than it was")
    archive.start_dir = target.tell()
    archive.filelist.append(info)
    archive.NameToInfo[info.filename] = info


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: BinaryIO) -> None:
    """Write a member that is stored as it is to `target`; who wants to know compares a digest, not the CRC-32.

    Raises EOFError, struct.error and zipfile.BadZipFile where it is not there, and OSError.
    """
    file = archive.fp
    assert file is not None
    file.seek(info.header_offset)
    signature, *_, name, more = _LOCAL.unpack(file.read(_LOCAL.size))
    if signature != _LOCAL_SIGNATURE or file.read(name) != info.orig_filename.encode():
        raise zipfile.BadZipFile("it is another member")
    file.seek(more, os.SEEK_CUR)
    _copy(file, target, info.file_size, _nothing)


def _copy(source: IO[bytes], target: IO[bytes], size: int, copied: Callable[[int], None]) -> None:
    """Copy so many bytes; raises EOFError if there are not as many."""
    while size:
        piece = source.read(min(size, _PIECE))
        if not piece:
            raise EOFError("it is cut off")
        target.write(piece)
        size -= len(piece)
        copied(len(piece))


def _nothing(_bytes: int) -> None:
    """For who does not want to know."""
