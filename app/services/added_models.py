"""The model files that a person added where they lie: a list in a file, so that a command can add beside a window."""

import logging
from pathlib import Path
from typing import Final

import msgspec

from app.paths import DataDir
from app.storage.files import write_bytes_atomically

logger = logging.getLogger(__name__)

MOST_ADDED: Final = 1000


def added_models(data_dir: DataDir) -> list[Path]:
    """The files that were added where they lie."""
    try:
        names = msgspec.json.decode(data_dir.added_models.read_bytes(), type=list[str])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        logger.warning("the list of added models cannot be read: %s", error)
        return []
    return [Path(name) for name in names]


def remember_added(data_dir: DataDir, path: Path) -> None:
    """Put a file on the list, first; raises EmberError where the list cannot be written."""
    _write(data_dir, [path, *(each for each in added_models(data_dir) if each != path)])


def forget_added(data_dir: DataDir, path: Path) -> None:
    """Take a file off the list; the file stays. Raises EmberError where the list cannot be written."""
    _write(data_dir, [each for each in added_models(data_dir) if each != path])


def _write(data_dir: DataDir, paths: list[Path]) -> None:
    data_dir.root.mkdir(parents=True, exist_ok=True)
    names = [str(path).encode("utf-8", "replace").decode() for path in paths[:MOST_ADDED]]
    write_bytes_atomically(data_dir.added_models, msgspec.json.encode(names))
