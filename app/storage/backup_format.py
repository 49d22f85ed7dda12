"""What stands in a backup of the whole library: a zip file with a manifest and the database, read as hostile input.

The format is described in README.md beside this file.
"""

import datetime
import hashlib
import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import msgspec

from app.core.errors import EmberError
from app.core.units import format_bytes
from app.paths import plain_reason
from app.storage.archive_format import ManifestHead, Name, RefusedError, Version, parse
from app.storage.zip_file import END, END_SIGNATURE, LOCATOR, LOCATOR_SIGNATURE, ZIP_ERRORS

FORMAT: Final = "ember-library"
VERSION: Final = 1
MANIFEST: Final = "manifest.json"
DATABASE: Final = "ember.db"
MANIFEST_LIMIT: Final = 64 * 1024
RATIO_LIMIT: Final = 200
"""Unpacked over packed bytes of the database; what packs better is stored unpacked."""
PIECE: Final = 1024 * 1024
_DIRECTORY_LIMIT: Final = 4096
"""Bytes of the zip's directory; that of two members takes some 200."""

# The end of a zip file (APPNOTE.TXT 4.3.14 to 4.3.16). A file beyond 2 GiB has the 64-bit record and its locator too.
_END_64: Final = struct.Struct("<4sQ2H2L4Q")


Progress = Callable[[int, int], None]
"""Told the bytes done and those to do; may raise to cancel: what it raises passes through, and nothing is left."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class BackupFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the backup beside the manifest."""

    name: Name
    bytes: _Count
    sha256: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class BackupManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """manifest.json."""

    format: Name
    version: Version
    app: Name
    """The version of the Ember that wrote it."""
    written: datetime.datetime
    schema: Version
    """The version of the database's tables."""
    conversations: _Count
    """Those that were deleted and not yet removed for good are not counted."""
    messages: _Count
    """All rows of the table."""
    files: Annotated[list[BackupFile], msgspec.Meta(min_length=1, max_length=1)]
    """The database alone in format 1; saved state would follow it in a later one."""
    signature: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")] | None = None
    """Of everything else here, by the installation that wrote it; see `signing.py`."""

    def signed_part(self) -> bytes:
        """What the signature is of."""
        return msgspec.json.encode(msgspec.structs.replace(self, signature=None))

    @property
    def database(self) -> BackupFile:
        """The library's database."""
        return self.files[0]


def read_manifest(file: BinaryIO) -> BackupManifest:
    """The manifest of an open backup, after its directory was checked; raises RefusedError and OSError."""
    _check_directory(file)
    try:
        with zipfile.ZipFile(file) as archive:
            return _checked_manifest(archive)
    except ZIP_ERRORS as error:
        raise RefusedError("it is damaged") from error


def look_into(path: Path) -> BackupManifest:
    """The manifest of the backup at `path`; raises EmberError of kind "bad_backup"."""
    try:
        with open_regular(path) as file:
            return read_manifest(file)
    except OSError as error:
        raise unreadable(path, error) from error
    except RefusedError as error:
        raise refused(path, error) from error


def open_regular(path: Path) -> BinaryIO:
    """Open a file to be read; RefusedError for a pipe or a device, which would block or never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise RefusedError("it is not a file")
    return path.open("rb")


def unreadable(path: Path, error: OSError) -> EmberError:
    """The sentence for a backup that the system does not let be read."""
    return EmberError(
        f"“{path.name}” cannot be read because {plain_reason(error)}. Nothing was changed.", kind="bad_backup"
    )


def refused(path: Path, error: RefusedError) -> EmberError:
    """The sentence for a file that is not taken."""
    return EmberError(f"“{path.name}” was not restored because {error}. Nothing was changed.", kind="bad_backup")


def unpack_database(file: BinaryIO, manifest: BackupManifest, target: Path, progress: Progress) -> None:
    """Write the database of an open backup to `target`; raises RefusedError and OSError.

    Counted and hashed while it is unpacked, and given up at the first bytes that do not begin a database of that size.
    """
    size, digest, done = manifest.database.bytes, hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(file) as archive, archive.open(DATABASE) as member, target.open("wb") as out:
            while piece := member.read(PIECE):
                if done == 0:
                    _check_head(piece, size)
                done += len(piece)
                if done > size:
                    raise RefusedError("its database is larger than it says")
                digest.update(piece)
                out.write(piece)
                progress(done, size)
    except ZIP_ERRORS as error:
        raise RefusedError("it is damaged") from error
    if done != size or digest.hexdigest() != manifest.database.sha256:
        raise RefusedError("its database does not match its checksum")


def _check_head(piece: bytes, size: int) -> None:
    """Raise RefusedError unless these are the first bytes of an SQLite database of `size` bytes (fileformat2.html)."""
    if not piece.startswith(b"SQLite format 3\0") or len(piece) < 100:
        raise RefusedError("it holds no database")
    page = int.from_bytes(piece[16:18], "big")
    pages = int.from_bytes(piece[28:32], "big")
    if (65536 if page == 1 else page) * pages != size:
        raise RefusedError("its database is cut off")


def _check_directory(file: BinaryIO) -> None:
    """Raise RefusedError unless the file ends with a plain directory of two members; zipfile would read any."""
    size = file.seek(0, io.SEEK_END)
    if size < END.size:
        raise RefusedError("it is not a backup of Ember")
    file.seek(max(0, size - END.size - LOCATOR.size - _END_64.size))
    tail = file.read()
    signature, disk, first_disk, here, entries, length, offset, comment = END.unpack(tail[-END.size :])
    if signature != END_SIGNATURE or comment:
        raise RefusedError("it is not a backup of Ember, or its end is missing")
    end = size - END.size
    rest = tail[: -END.size]
    if rest[-LOCATOR.size :].startswith(LOCATOR_SIGNATURE):
        end -= LOCATOR.size + _END_64.size
        record = _END_64.unpack(rest[: -LOCATOR.size][-_END_64.size :].rjust(_END_64.size, b"\0"))
        _, _, place, _ = LOCATOR.unpack(rest[-LOCATOR.size :])
        if record[0] != b"PK\x06\x06" or place != end:
            raise RefusedError("it is damaged")
        _, _, _, _, disk, first_disk, here, entries, length, offset = record
    if disk or first_disk or here != entries or offset + length != end:
        raise RefusedError("it is damaged")
    if entries != 2 or length > _DIRECTORY_LIMIT:
        raise RefusedError("it is not a backup of Ember: it must hold a manifest and a database, nothing else")


def _checked_manifest(archive: zipfile.ZipFile) -> BackupManifest:
    """The manifest, held against the members; RefusedError with its own reason for a backup of a newer Ember."""
    if archive.namelist().count(MANIFEST) != 1:
        raise RefusedError("it is not a backup of Ember: it has no manifest")
    for info in archive.infolist():
        _check_member(info)
    with archive.open(MANIFEST) as member:
        data = member.read(MANIFEST_LIMIT + 1)
    if len(data) > MANIFEST_LIMIT:
        raise RefusedError(f"its {MANIFEST} is larger than {format_bytes(MANIFEST_LIMIT)}")
    head = parse(data, ManifestHead, MANIFEST)
    if head.format != FORMAT:
        raise RefusedError("it is not a backup of Ember: its manifest names another format")
    if head.version > VERSION:
        raise RefusedError(
            f"it was written by a newer Ember (format {head.version}; this one reads up to {VERSION}), "
            "so Ember must be updated first"
        )
    if sorted(archive.namelist()) != sorted((DATABASE, MANIFEST)):
        raise RefusedError("it holds files that do not belong to a backup")
    manifest = parse(data, BackupManifest, MANIFEST)
    if manifest.database.name != DATABASE or manifest.database.bytes != archive.getinfo(DATABASE).file_size:
        raise RefusedError("its database is not the one that its manifest names")
    return manifest


def _check_member(info: zipfile.ZipInfo) -> None:
    """Raise RefusedError for a link or a folder, for other packing, and for what unpacks to far more than its size."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.is_dir() or kind not in (0, stat.S_IFREG):
        raise RefusedError("it holds something that is not a file")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RefusedError("it is packed in a way that Ember does not use")
    if info.file_size > RATIO_LIMIT * info.compress_size:
        raise RefusedError("it unpacks to far more than its size")
