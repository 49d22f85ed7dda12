"""A disk that is full, read-only or gone: a plain reason, nothing half-written, nothing lost, and on it goes after."""

import errno
import math
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from app.kvstore.errors import StoreUnavailable
from app.kvstore.store import Store
from tests.unit.kvstore.made import PLENTY, ROOT, all_sound, files, found, ids, rows_of, save, tip_of

resource = pytest.importorskip("resource", reason="no such limits on Windows")


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """The system takes no byte beyond this length of any file, as a disk that fills up in the middle of one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def refuse(code: int) -> Callable[..., NoReturn]:
    """A call of the system that fails so."""

    def failing(*_: object, **__: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    return failing


def test_a_disk_that_fills_up_in_the_middle_of_a_chunk(store: Store, folder: Path) -> None:
    save(store, "system one")
    before = files(folder)
    with no_file_longer_than(100_000), pytest.raises(StoreUnavailable):
        store.put(ROOT, tip_of("system one"), 9, ids("two"), [bytes(1000), bytes(200_000)])
    assert files(folder) == before
    assert found(store, "system one two") == "system one"
    save(store, "system one two")
    assert found(store, "system one two") == "system one two"
    assert all_sound(store)


@pytest.mark.parametrize(
    ("code", "reason"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "the disk is read-only")]
)
@pytest.mark.parametrize("call", ["os.write", "os.open", "pathlib.Path.replace"])
def test_a_full_or_read_only_disk(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, reason: str
) -> None:
    save(store, "system one")
    before = files(folder)
    with monkeypatch.context() as patch:
        patch.setattr(call, refuse(code))
        with pytest.raises(StoreUnavailable, match=reason):
            store.put(ROOT, tip_of("system one"), 9, ids("two"), [rows_of("two")], (), [b"state"])
    assert files(folder) == before
    assert found(store, "system one two") == "system one"
    save(store, "system one two", checkpoint=[b"state"])
    assert found(store, "system one two") == "system one two"
    assert all_sound(store)


def test_a_disk_that_takes_the_chunk_but_not_its_row(store: Store, folder: Path) -> None:
    save(store, "system one")
    before = files(folder)
    # The log of the index is the longest file by now.
    with no_file_longer_than((folder / "index.db-wal").stat().st_size), pytest.raises(StoreUnavailable):
        store.put(ROOT, tip_of("system one"), 9, ids("two"), [rows_of("two")])
    assert files(folder) == before
    save(store, "system one two")
    assert found(store, "system one two") == "system one two"
    assert all_sound(store)


def test_dropping_makes_room_on_a_disk_that_has_none_for_its_own_rows(store: Store, folder: Path) -> None:
    tip = save(store, "system one two")
    freed = store.totals().all.bytes
    with no_file_longer_than((folder / "index.db-wal").stat().st_size):
        assert store.drop([tip], []) == freed
    assert files(folder) == set()
    assert store.totals().all.chunks == 0


@pytest.mark.parametrize("renames", [0, 1, 2])
@pytest.mark.parametrize("reopened", [False, True])
def test_a_drop_that_is_broken_off_is_carried_out_later(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch, renames: int, reopened: bool
) -> None:
    tip = save(store, "system one two three")
    kept = save(store, "system red")
    moved: list[Path] = []
    rename = Path.rename

    def only_some(path: Path, target: Path) -> Path:
        if path.suffix != ".chunk":
            return rename(path, target)
        if len(moved) == renames:
            raise OSError(errno.EROFS, "read-only")
        result = rename(path, target)
        moved.append(path)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", only_some)
        with pytest.raises(StoreUnavailable, match="read-only"):
            store.drop([tip], [kept])
    if reopened:
        store.close()
        store = Store(folder, PLENTY)
        store.reconcile()
    # The drop that is still owed: its tip may be gone already.
    store.drop([tip], [kept])
    assert found(store, "system one two three") == "system"
    assert found(store, "system red") == "system red"
    assert len(files(folder)) == 2
    assert all_sound(store)
    store.close()


def test_a_sweep_that_is_broken_off_goes_on_next_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.drop([save(store, "old")], [])  # there is a trash now, so each chunk is one rename
    save(store, "system one two three")
    kept = save(store, "system red")
    rename, moves = Path.rename, iter([True])

    def only_one(path: Path, target: Path) -> Path:
        if path.suffix == ".chunk" and not next(moves, False):
            raise OSError(errno.EROFS, "read-only")
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", only_one)
        with pytest.raises(StoreUnavailable, match="read-only"):
            store.sweep([kept], math.inf)
    assert found(store, "system one two three") == "system one two"
    store.sweep([kept], math.inf)
    assert found(store, "system one two three") == "system"
    assert found(store, "system red") == "system red"
    assert all_sound(store)


def test_room_that_cannot_be_made_costs_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    save(store, "old")
    store.set_budget(store.totals().all.bytes)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse(errno.EROFS))
        with pytest.raises(StoreUnavailable):
            store.put(ROOT, ROOT, 0, ids("new"), [rows_of("new")])
    assert found(store, "old") == "old"
    save(store, "new")
    assert found(store, "new") == "new"


def test_a_file_where_the_folder_should_be(folder: Path) -> None:
    folder.write_text("in the way")
    store = Store(folder, PLENTY)
    with pytest.raises(StoreUnavailable, match="a file stands where a folder should be"):
        store.find(ROOT, ids("system"))
    folder.unlink()
    save(store, "system")
    assert found(store, "system") == "system"
    store.close()


def test_an_index_that_cannot_be_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: object, **__: object) -> NoReturn:
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise error

    store = Store(folder, PLENTY)
    save(store, "system")
    store.close()
    again = Store(folder, PLENTY)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", locked)
        with pytest.raises(StoreUnavailable, match="its index cannot be opened"):
            again.find(ROOT, ids("system"))
    assert found(again, "system") == "system"
    again.close()


def test_a_read_that_fails_for_want_of_handles_is_no_damage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    save(store, "system")
    (row,) = store.find(ROOT, ids("system"))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse(errno.EMFILE))
        with pytest.raises(StoreUnavailable):
            store.read(row, window=False)
    assert found(store, "system") == "system"
