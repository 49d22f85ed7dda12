"""The one way to the folders that Ember keeps its data in."""

import errno
import os
import stat
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_data_dir

from app.core.errors import EmberError

LOCK_NAME = "ember.lock"

_REASONS = {
    errno.EACCES: "this account may not write there",
    errno.EPERM: "this account may not write there",
    errno.EROFS: "the disk is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk is full",
    errno.ENOTDIR: "a file stands where a folder should be",
    errno.EEXIST: "a file stands where a folder should be",
    errno.EISDIR: "a folder stands where the file should be",
    errno.ENOENT: "it does not exist",
    errno.ENAMETOOLONG: "its name is too long",
}


def plain_reason(error: OSError, *, reading: bool = False) -> str:
    """Why the system refused to write, or to read, as the part of a sentence that follows "because"."""
    if reading and error.errno in (errno.EACCES, errno.EPERM):
        return "this account may not read it"
    known = _REASONS.get(error.errno) if error.errno is not None else None
    return known or f"the system says “{error.strerror or error}”"


def default_root() -> Path:
    """The folder for Ember's data that the system prescribes."""
    return Path(user_data_dir("Ember", appauthor=False))


@dataclass(frozen=True, slots=True)
class DataDir:
    """The folder with everything Ember keeps, and the places in it; none of them is made by looking at it."""

    root: Path = field(default_factory=default_root)

    @property
    def database(self) -> Path:
        """The conversations and settings."""
        return self.root / "ember.db"

    @property
    def logs(self) -> Path:
        """The folder of the rotating log files."""
        return self.root / "logs"

    @property
    def kv(self) -> Path:
        """The folder of the saved state, which the engine alone opens."""
        return self.root / "kv"

    @property
    def staging(self) -> Path:
        """The folder in which saved state waits on its way into an archive or out of one."""
        return self.root / "staging"

    @property
    def key(self) -> Path:
        """The key that archives with state are signed with."""
        return self.root / "archive.key"

    @property
    def lock(self) -> Path:
        """The lock of the process that uses this folder."""
        return self.root / LOCK_NAME

    @property
    def models(self) -> Path:
        """The folder of the downloaded models."""
        return self.root / "models"

    @property
    def model_headers(self) -> Path:
        """What was read of models' headers, so that each is read once."""
        return self.root / "model-headers.json"

    @property
    def added_models(self) -> Path:
        """The list of model files that were added where they lie."""
        return self.root / "added-models.json"

    @property
    def backups(self) -> Path:
        """The folder of the copies made before a migration."""
        return self.root / "backups"


def open_data_dir(path: Path | None = None) -> DataDir:
    """Make the data folder (default: the system's place for it), private to this account, and try it out.

    Raises EmberError of kind "data_folder" if it cannot be made or written.
    """
    root = default_root() if path is None else path.expanduser().absolute()
    try:
        _make_private(root)
        # Only writing tells: permissions say nothing to root, nor on a read-only disk.
        handle, probe = tempfile.mkstemp(prefix=".probe-", dir=root)
        os.close(handle)
        Path(probe).unlink()
    except OSError as error:
        raise EmberError(
            f"Ember cannot keep its data in the folder “{root}” because {plain_reason(error)}. "
            "Nothing was changed; make that folder writable or choose another one.",
            kind="data_folder",
        ) from error
    return DataDir(root)


def read_data_dir(path: Path | None = None) -> DataDir:
    """The data folder to be read only: nothing is made or written, so a full or read-only disk is no matter.

    Raises EmberError of kind "data_folder" where a file stands in its place, or it may not be looked into.
    """
    root = default_root() if path is None else path.expanduser().absolute()
    try:
        if not stat.S_ISDIR(root.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise EmberError(
            f"Ember cannot read its data in “{root}” because {plain_reason(error)}. Choose another folder.",
            kind="data_folder",
        ) from error
    return DataDir(root)


def _make_private(root: Path) -> None:
    """Make `root` with mode 0700; an existing folder is tightened only if it is clearly meant for Ember.

    A folder with other contents (someone may name /tmp or a home folder) keeps its permissions.
    """
    try:
        root.mkdir(mode=0o700, parents=True)
        return
    except FileExistsError:
        if not root.is_dir():
            raise
    if sys.platform == "win32":
        return
    status = root.stat()
    ours = status.st_uid == os.getuid() and not status.st_mode & stat.S_ISVTX
    if ours and stat.S_IMODE(status.st_mode) != 0o700 and (root == default_root() or not any(root.iterdir())):
        root.chmod(0o700)
