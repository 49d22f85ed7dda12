"""What the disk may do to any work of the store: a lost index is repaired and the work done once more."""

from collections.abc import Callable
from typing import TypeVar

from app.kvstore.errors import IndexLost, StoreUnavailable
from app.kvstore.folder import Folder
from app.paths import plain_reason

_T = TypeVar("_T")


class Attempts:
    """Does work on the folder and its index; each method raises StoreUnavailable if the disk does not allow it."""

    def __init__(self, folder: Folder, reconcile: Callable[[], object]) -> None:
        """`reconcile` makes a lost index anew from the files of `folder`."""
        self._folder = folder
        self._reconcile = reconcile

    def once(self, work: Callable[[], _T]) -> _T:
        """Do what needs no index."""
        try:
            return work()
        except OSError as error:
            raise StoreUnavailable(plain_reason(error)) from error

    def ask(self, work: Callable[[], _T]) -> _T:
        """Do what needs the index as it is: a lost one is begun anew, and empty until it is made from the files."""
        return self._twice(work, _nothing)

    def change(self, work: Callable[[], _T]) -> _T:
        """Do what needs the whole index: a lost one is made anew from the files first."""
        return self._twice(work, self._reconcile)

    def _twice(self, work: Callable[[], _T], repair: Callable[[], object]) -> _T:
        """Do it, and once more if the index turns out to be lost, or if there is room on the disk that was not used."""
        try:
            return self.once(work)
        except IndexLost:
            pass
        except StoreUnavailable:
            # On a full disk the rows of removed chunks cannot go before their files are deleted.
            if not self.once(self._folder.empty_trash):
                raise
        try:
            self.once(repair)
            return self.once(work)
        except IndexLost as error:
            raise StoreUnavailable("its index is lost again and again") from error


def _nothing() -> None:
    """What is done where nothing is to be repaired."""
