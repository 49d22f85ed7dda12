"""Reading what another program wrote: how much of it, and JSON that cannot take more memory than it may."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import msgspec

from app.core.units import format_bytes
from app.paths import plain_reason
from app.storage.archive_format import RefusedError
from app.storage.files import open_regular
from app.storage.records import LATEST_TIME

FILE_LIMIT: Final = 96 * 1024 * 1024
"""Bytes of a file; it may hold many conversations, which are decoded one after the other."""
CONVERSATION_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of JSON of one conversation."""
STRING_LIMIT: Final = 400_000
"""Strings of one conversation, keys included."""
OBJECT_LIMIT: Final = 200_000
"""Objects and lists of one conversation."""
FILE_OBJECT_LIMIT: Final = 2_500_000
"""Objects of one file; 96 MiB of short messages have a million."""
ITEM_LIMIT: Final = 100_000
"""Conversations of one file."""
LINE_LIMIT: Final = 100_000
_MILLISECONDS: Final = 1e11
"""A Unix time beyond this (the year 5138) counts milliseconds."""

_BOM: Final = b"\xef\xbb\xbf"

_T = TypeVar("_T")


def read_file(path: Path) -> bytes:
    """The bytes of a file of at most FILE_LIMIT, without a byte order mark; raises RefusedError."""
    with opened(path) as file:
        if file.read(len(_BOM)) != _BOM:
            file.seek(0)
        data = file.read(FILE_LIMIT + 1)
    if len(data) > FILE_LIMIT:
        raise RefusedError(f"it is larger than {format_bytes(FILE_LIMIT)}")
    return data


def begin_of(path: Path) -> bytes:
    """The first bytes of a file, by which packed ones are known; raises RefusedError."""
    with opened(path) as file:
        return file.read(4)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file, open to be read; raises RefusedError for what is none, or cannot be."""
    try:
        with open_regular(path) as file:
            yield file
    except OSError as error:
        raise RefusedError(plain_reason(error)) from error
    except ValueError as error:
        raise RefusedError("that is no name of a file") from error


def decode(data: bytes | msgspec.Raw, kind: type[_T]) -> _T:
    """One conversation's JSON as `kind`, of which unknown fields are skipped; raises RefusedError."""
    raw = bytes(data)
    if len(raw) > CONVERSATION_LIMIT:
        raise RefusedError(f"it is larger than {format_bytes(CONVERSATION_LIMIT)}")
    strings = raw.count(b'"') - raw.count(b'\\"')
    if strings > 2 * STRING_LIMIT or raw.count(b"{") + raw.count(b"[") > OBJECT_LIMIT:
        raise RefusedError("it has more parts than any conversation")
    return decode_unbounded(raw, kind)


def decode_unbounded(data: bytes, kind: type[_T]) -> _T:
    """JSON as a `kind` that is small whatever the JSON holds, such as its raw parts; raises RefusedError."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise RefusedError("it is not built as that kind of conversation is") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError("it is not readable JSON") from error


class _AnyObject(msgspec.Struct, frozen=True, gc=False):
    """Any JSON object, with nothing kept of it."""


def items_of(data: bytes) -> list[msgspec.Raw]:
    """The objects of a JSON list, undecoded; raises RefusedError."""
    _check_objects(data)
    # Counted first: undecoded parts take more memory each, and a list of numbers far more than its bytes.
    if len(decode_unbounded(data, list[_AnyObject])) > ITEM_LIMIT:
        raise RefusedError(f"it holds more than {ITEM_LIMIT:,} conversations")
    return decode_unbounded(data, list[msgspec.Raw])


def lines_of(data: bytes) -> list[bytes]:
    """The lines of a file with JSON on each; raises RefusedError."""
    _check_objects(data)
    if data.count(b"\n") > LINE_LIMIT:
        raise RefusedError(f"it has more than {LINE_LIMIT:,} lines")
    return [line for each in data.split(b"\n") if (line := each.strip())]


def _check_objects(data: bytes) -> None:
    if data.count(b"{") > FILE_OBJECT_LIMIT:
        raise RefusedError("it has more parts than any collection of conversations")


def unix_time(value: float | str | None) -> float | None:
    """Seconds since 1970 from seconds, milliseconds or an ISO date; None for what cannot be a time."""
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
            value = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    if value is None:
        return None
    seconds = value / 1000 if value > _MILLISECONDS else value
    return seconds if 0 <= seconds <= LATEST_TIME else None
