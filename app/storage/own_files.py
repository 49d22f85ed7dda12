"""Which files are Ember's own, so that nothing that is written for the person takes their place."""

import os
import re
import stat
from pathlib import Path
from typing import Final

from app.core.errors import EmberError
from app.paths import DataDir, plain_reason
from app.storage.upgrade import is_kept_copy

_MODEL: Final = b"GGUF"
"""What a model's file begins with."""
_TEMPORARY: Final = re.compile(r"\.ember-|ember\.damaged-", re.IGNORECASE)


def check_place(path: Path, root: Path) -> None:
    """Raise EmberError of kind "cannot_write" where `path` is no place for a file of the person's.

    That is what Ember lives by in the data folder `root`, also under another name, a model wherever it lies, and a
    pipe or a device. Any other file is the person's to replace.
    """
    try:
        why = _why_not(path, DataDir(root))
    except OSError as error:
        why = plain_reason(error)
    if why:
        raise EmberError(
            f"“{path.name}” was not written because {why}. Nothing was changed; choose another name.", "cannot_write"
        )


def _why_not(path: Path, data_dir: DataDir) -> str:
    """What speaks against it, as the part of a sentence that follows “because”; raises OSError."""
    place, root = path.parent.resolve() / path.name, data_dir.root.resolve()
    folders = (data_dir.kv, data_dir.staging, data_dir.logs, data_dir.models)
    if any(_is_in(place, folder.resolve()) for folder in folders) or _is_named_as_ours(place, root, data_dir):
        return "that is one of Ember's own files"
    try:
        status = place.stat()
    except FileNotFoundError:
        return ""
    if any(os.path.samestat(status, own.stat()) for own in _files(data_dir) if own.exists()):
        return "that is one of Ember's own files"
    if stat.S_ISDIR(status.st_mode):
        return ""  # said by who writes
    if not stat.S_ISREG(status.st_mode):
        return "a device or a pipe stands there"
    with place.open("rb") as file:
        return "that is the file of a model" if file.read(len(_MODEL)) == _MODEL else ""


def _files(data_dir: DataDir) -> tuple[Path, ...]:
    return data_dir.database, data_dir.key, data_dir.model_headers, data_dir.added_models, data_dir.lock


def _is_named_as_ours(place: Path, root: Path, data_dir: DataDir) -> bool:
    """Whether the name is one that Ember gives in its folder: some file systems know no upper and lower case."""
    if is_kept_copy(place, data_dir.backups):
        return True
    name = place.name.casefold()
    database = data_dir.database.name
    return place.parent == root and (
        name in {file.name for file in _files(data_dir)}
        or name.startswith((f"{database}-", f"{database}."))
        or _TEMPORARY.match(name) is not None
    )


def _is_in(place: Path, folder: Path) -> bool:
    return place == folder or folder in place.parents
