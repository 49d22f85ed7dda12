"""What is saved in all, read from the index without the folder's lock, also while another process works there."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from app.kvstore.folder import INDEX
from app.kvstore.schema import KNOWN_VERSIONS

_log = logging.getLogger(__name__)


def bytes_by_root(folder: Path) -> dict[bytes, int] | None:
    """The bytes saved under each fingerprint in a store's folder; None where its index cannot be read now."""
    index = folder / INDEX
    if not index.exists():
        return {}
    try:
        with closing(sqlite3.connect(f"{index.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version not in KNOWN_VERSIONS:
                return None  # the next engine begins it anew
            return dict(connection.execute("SELECT root, bytes + checkpoint_bytes FROM total"))
    except (sqlite3.Error, UnicodeDecodeError) as error:  # SQLite's words quote a schema that is no text
        _log.warning("what is saved cannot be counted: %s", error)
        return None
