"""A lock on a folder that only one process may use."""

import errno
import os
import sys
from pathlib import Path


class FolderLock:
    """A lock of the operating system's on a file: it ends with the process that holds it, however that ends.

    Not QLockFile, which trusts the process id in its file: after a kill in a container the next process has the
    same id and is locked out for good, and another host's lock on a shared disk is taken away.
    """

    def __init__(self, path: Path) -> None:
        """For the file at `path`, which is made and stays."""
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take it; False if somebody has it. Raises OSError where the file cannot be made or locked."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                return False
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give it up, if it is held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _lock(descriptor: int) -> None:
    """Lock an open file for this process without waiting; raises OSError."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
