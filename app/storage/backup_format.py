"""What stands in a backup of the whole library: a zip file with manifest, database and state, read as hostile input.

The format is described in README.md beside this file.
"""

import datetime
import hashlib
import io
import re
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
from app.storage.archive import STATE_FOLDER
from app.storage.archive_format import LIBRARY_FORMAT, ManifestHead, Name, RefusedError, Version, parse
from app.storage.files import open_regular
from app.storage.zip_file import END, END_SIGNATURE, LOCATOR, LOCATOR_SIGNATURE, ZIP_ERRORS

FORMAT: Final = LIBRARY_FORMAT
VERSION: Final = 2
TEXT_VERSION: Final = 1
"""Of a backup without saved state, which the first Ember reads too."""
MANIFEST: Final = "manifest.json"
DATABASE: Final = "ember.db"
STATE_LIST: Final = "state.json"
MANIFEST_LIMIT: Final = 64 * 1024
STATE_FILE_LIMIT: Final = 50_000
"""Files of saved state; each takes about a kilobyte of memory while the backup is read."""
RATIO_LIMIT: Final = 200
"""Unpacked over packed bytes of the database; what packs better is stored unpacked."""
PIECE: Final = 1024 * 1024
_DIRECTORY_LIMIT: Final = 4096
"""Bytes of the zip's directory without state; that of two members takes some 200."""
_DIRECTORY_LIMIT_WITH_STATE: Final = 256 * STATE_FILE_LIMIT
_NOTHING_ELSE: Final = "it is not a backup of Ember: it must hold a manifest and a database, nothing else"

# The end of a zip file (APPNOTE.TXT 4.3.14 to 4.3.16). A file beyond 2 GiB has the 64-bit record and its locator too.
_END_64: Final = struct.Struct("<4sQ2H2L4Q")


Progress = Callable[[int, int], None]
"""Told the bytes done and those to do; may raise to cancel: what it raises passes through, and nothing is left."""

_STATE_MEMBER: Final = re.compile(re.escape(STATE_FOLDER) + r"[0-9a-f]{64}\.(chunk|checkpoint)")
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class BackupFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the backup beside the manifest."""

    name: Name
    bytes: _Count
    sha256: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class BackupState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The saved state that a backup carries; what it consists of stands in state.json."""

    files: Annotated[int, msgspec.Meta(ge=1, le=STATE_FILE_LIMIT)]
    bytes: _Count
    """Of all of them."""
    sha256: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    """Of state.json."""


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
    """The database alone."""
    state: BackupState | msgspec.UnsetType = msgspec.UNSET
    """In format 2 only."""
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
    """Raise RefusedError unless the file ends with a plain directory of a bounded size; zipfile would read any."""
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
    most = _DIRECTORY_LIMIT if entries == 2 else _DIRECTORY_LIMIT_WITH_STATE
    if not 2 <= entries <= STATE_FILE_LIMIT + 3 or length > most:
        raise RefusedError(_NOTHING_ELSE)


def _checked_manifest(archive: zipfile.ZipFile) -> BackupManifest:
    """The manifest, held against the members; RefusedError with its own reason for a backup of a newer Ember."""
    names = archive.namelist()
    if len(set(names)) != len(names) or (len(names) != 2 and STATE_LIST not in names):
        raise RefusedError(_NOTHING_ELSE)
    if MANIFEST not in names:
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
    if not {DATABASE, MANIFEST} <= set(names) or any(not _belongs(name, head.version) for name in names):
        raise RefusedError("it holds files that do not belong to a backup")
    manifest = parse(data, BackupManifest, MANIFEST)
    if (manifest.state is not msgspec.UNSET) != (manifest.version > TEXT_VERSION):
        raise RefusedError("its manifest says another version than it is of")
    if manifest.database.name != DATABASE or manifest.database.bytes != archive.getinfo(DATABASE).file_size:
        raise RefusedError("its database is not the one that its manifest names")
    if isinstance(manifest.state, BackupState):
        _check_state(archive, manifest.state)
    return manifest


def _check_state(archive: zipfile.ZipFile, said: BackupState) -> None:
    """Raise RefusedError unless the members of saved state are as many bytes and files as is said, not packed."""
    members = [info for info in archive.infolist() if info.filename.startswith(STATE_FOLDER)]
    is_packed = any(info.compress_type != zipfile.ZIP_STORED for info in members)
    if is_packed or (len(members), sum(info.file_size for info in members)) != (said.files, said.bytes):
        raise RefusedError("its saved state is not what its manifest says")


def _belongs(name: str, version: int) -> bool:
    """Whether a member may stand in a backup of that version."""
    return name in (DATABASE, MANIFEST) or (
        version > TEXT_VERSION and (name == STATE_LIST or _STATE_MEMBER.fullmatch(name) is not None)
    )


def _check_member(info: zipfile.ZipInfo) -> None:
    """Raise RefusedError for a link or a folder, for other packing, and for what unpacks to far more than its size."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.is_dir() or kind not in (0, stat.S_IFREG):
        raise RefusedError("it holds something that is not a file")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RefusedError("it is packed in a way that Ember does not use")
    if info.file_size > RATIO_LIMIT * info.compress_size:
        raise RefusedError("it unpacks to far more than its size")
