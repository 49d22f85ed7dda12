"""The signature that says that an archive was written by this very installation: HMAC-SHA256 with a key of its own."""

import hashlib
import hmac
import logging
import os
import secrets
from pathlib import Path
from typing import Final

from app.core.errors import EmberError
from app.paths import plain_reason

_log = logging.getLogger(__name__)

KEY_BYTES: Final = 32


def installation_key(path: Path) -> bytes:
    """The key in the file `path`, made with mode 0600 on first use; raises EmberError of kind "data_folder".

    A file that holds no key is replaced: archives that were signed before then count as another installation's.
    """
    try:
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            return _make(path)
        if len(key) == KEY_BYTES:
            return key
        _log.warning("%s holds no key and is made anew", path)
        return _make(path)
    except OSError as error:
        raise EmberError(
            f"The key “{path}” that archives are signed with cannot be used because {plain_reason(error)}. "
            "All texts are safe; make that file readable, or delete it to have another one made.",
            kind="data_folder",
        ) from error


def _make(path: Path) -> bytes:
    """A new key in its place, whole or not at all; raises OSError."""
    key = secrets.token_bytes(KEY_BYTES)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return key


def sign(key: bytes, data: bytes) -> str:
    """The signature of `data`, in hexadecimal digits."""
    return hmac.new(key, data, hashlib.sha256).hexdigest()


def is_signed(key: bytes, data: bytes, signature: str | None) -> bool:
    """Whether the signature is that of `data` with this key."""
    return signature is not None and hmac.compare_digest(sign(key, data), signature)
