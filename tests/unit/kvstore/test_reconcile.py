"""Index and files brought together: whatever a kill, a lost index or a stranger left, the store is consistent."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.kvstore.records import Outcome, Reconciled
from app.kvstore.store import Store
from tests.unit.kvstore.made import (
    OTHER_ROOT,
    PLENTY,
    ROOT,
    Clock,
    all_sound,
    disk_bytes,
    files,
    found,
    ids,
    save,
    tip_of,
)


@pytest.fixture
def filled(store: Store, folder: Path) -> Path:
    """The folder of a closed store with two conversations of one model and one of another."""
    save(store, "system one two", checkpoint=[b"state"])
    save(store, "system three")
    save(store, "system", OTHER_ROOT)
    store.close()
    return folder


@pytest.fixture
def reopen(folder: Path) -> Iterator[Callable[[], Store]]:
    """Opens the store of the folder again."""
    stores = []

    def opened() -> Store:
        stores.append(Store(folder, PLENTY, Clock(2000.0)))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


def chunk_path(folder: Path, words: str, suffix: str = ".chunk") -> Path:
    """Where the last of these words is."""
    name = tip_of(words).hex()
    return folder / "chunks" / name[:2] / (name + suffix)


def is_whole(store: Store) -> bool:
    """Whether everything that `filled` saved is there."""
    return (
        [found(store, text) for text in ("system one two", "system three")] == ["system one two", "system three"]
        and found(store, "system", OTHER_ROOT) == "system"
        and store.read_checkpoint(store.find(ROOT, ids("systemonetwo"))[-1]) == b"state"
        and all_sound(store)
    )


def test_nothing_is_to_be_done_after_a_clean_end(filled: Path, reopen: Callable[[], Store]) -> None:
    store = reopen()
    generation = store.generation
    assert store.reconcile() == Reconciled(0, 0, 0)
    assert store.generation == generation
    assert is_whole(store)


class TestLeftovers:
    """Every kind of leftover of a kill."""

    @pytest.mark.parametrize("suffix", [".chunk.tmp", ".checkpoint.tmp"])
    def test_an_unfinished_file_is_deleted(self, filled: Path, reopen: Callable[[], Store], suffix: str) -> None:
        unfinished = chunk_path(filled, "system one", suffix)
        unfinished.write_bytes(b"half of i")
        store = reopen()
        assert store.reconcile().swept == 1
        assert not unfinished.exists()
        assert is_whole(store)

    def test_a_sound_file_without_row_is_adopted(self, filled: Path, reopen: Callable[[], Store]) -> None:
        with closing(sqlite3.connect(filled / "index.db")) as db, db:
            db.execute("DELETE FROM chunk WHERE key = ?", (tip_of("system one two"),))
        store = reopen()
        assert found(store, "system one two") == "system one"
        assert store.reconcile() == Reconciled(adopted=2, swept=0, lost=0)
        assert is_whole(store)

    def test_a_row_without_file_is_forgotten_with_what_follows(self, filled: Path, reopen: Callable[[], Store]) -> None:
        chunk_path(filled, "system one").unlink()
        store = reopen()
        assert store.reconcile() == Reconciled(adopted=0, swept=0, lost=2)
        assert found(store, "system one two") == "system"
        assert found(store, "system three") == "system three"
        assert len(files(filled)) == 3
        assert all_sound(store)

    def test_a_child_without_parent_is_deleted(self, filled: Path, reopen: Callable[[], Store]) -> None:
        chunk_path(filled, "system one").unlink()
        (filled / "index.db").unlink()
        store = reopen()
        assert store.reconcile() == Reconciled(adopted=3, swept=2, lost=0)
        assert len(files(filled)) == 3
        assert all_sound(store)

    def test_a_checkpoint_without_chunk_is_deleted(self, filled: Path, reopen: Callable[[], Store]) -> None:
        orphan = chunk_path(filled, "never saved", ".checkpoint")
        orphan.parent.mkdir(exist_ok=True)
        shutil.copy(chunk_path(filled, "system one two", ".checkpoint"), orphan)
        store = reopen()
        assert store.reconcile() == Reconciled(adopted=0, swept=1, lost=0)
        assert not orphan.exists()

    def test_a_checkpoint_that_is_gone_is_forgotten(self, filled: Path, reopen: Callable[[], Store]) -> None:
        chunk_path(filled, "system one two", ".checkpoint").unlink()
        store = reopen()
        store.reconcile()
        assert store.totals().all.checkpoint_bytes == 0
        assert found(store, "system one two") == "system one two"
        assert all_sound(store)

    def test_a_file_of_another_length_is_deleted(self, filled: Path, reopen: Callable[[], Store]) -> None:
        path = chunk_path(filled, "system three")
        path.write_bytes(path.read_bytes()[:-1])
        store = reopen()
        assert store.reconcile() == Reconciled(adopted=0, swept=1, lost=1)
        assert all_sound(store)

    def test_a_file_under_another_name_is_deleted(self, filled: Path, reopen: Callable[[], Store]) -> None:
        copy = chunk_path(filled, "never saved")
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(chunk_path(filled, "system three"), copy)
        (copy.parent / "no-key.chunk").write_bytes(b"")
        store = reopen()
        assert store.reconcile().swept == 2
        assert is_whole(store)

    def test_what_was_removed_but_not_yet_deleted_is_deleted(self, filled: Path, reopen: Callable[[], Store]) -> None:
        (filled / "trash" / "a folder").mkdir(parents=True)
        (filled / "trash" / "a folder" / "x").write_bytes(b"private")
        (filled / "trash" / "y").write_bytes(b"private")
        store = reopen()
        store.reconcile()
        assert list((filled / "trash").iterdir()) == []

    @pytest.mark.parametrize("lie", ["parent = key", "parent = root", "start = start + 1", f"root = x'{'00' * 32}'"])
    def test_an_index_that_does_not_hold_together_is_made_anew(
        self, filled: Path, reopen: Callable[[], Store], lie: str
    ) -> None:
        with closing(sqlite3.connect(filled / "index.db")) as db, db:
            db.execute(f"UPDATE chunk SET {lie} WHERE key = ?", (tip_of("system one"),))
        store = reopen()
        assert store.reconcile() == Reconciled(adopted=6, swept=0, lost=0)
        assert is_whole(store)

    def test_wrong_sums_are_put_right(self, filled: Path, reopen: Callable[[], Store]) -> None:
        with closing(sqlite3.connect(filled / "index.db")) as db, db:
            db.execute("UPDATE total SET bytes = 7, chunks = 7")
            db.execute("UPDATE chunk SET children = 7")
        store = reopen()
        store.reconcile()
        assert is_whole(store)
        assert store.set_budget(0) > 0
        assert store.totals().all.chunks == 0


def without(folder: Path) -> None:
    """The index is deleted, its log is left."""
    (folder / "index.db-wal").write_bytes(b"what a kill left")
    (folder / "index.db").unlink()


def garbage(folder: Path) -> None:
    """The index is overwritten."""
    (folder / "index.db").write_bytes(os.urandom(8192))


def nothing_in_it(folder: Path) -> None:
    """A power cut left the index with no byte."""
    (folder / "index.db").write_bytes(b"")


def nuls(folder: Path) -> None:
    """A power cut left nothing but NULs."""
    path = folder / "index.db"
    path.write_bytes(bytes(path.stat().st_size))


def cut_off(folder: Path) -> None:
    """Half of the index is gone."""
    path = folder / "index.db"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwritten_inside(folder: Path) -> None:
    """A whole header, but other pages are garbage."""
    path = folder / "index.db"
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xa5" * (len(data) - 4096))


def no_text(folder: Path) -> None:
    """A byte of the tables' SQL is none of a text, and SQLite's words quote it."""
    path = folder / "index.db"
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE total", b"CRE\x80TE TABLE total"))


def other_version(folder: Path) -> None:
    """An index of another Ember."""
    with closing(sqlite3.connect(folder / "index.db")) as db:
        db.execute("PRAGMA user_version = 9999")


def other_tables(folder: Path) -> None:
    """Our version, but not our tables."""
    with closing(sqlite3.connect(folder / "index.db")) as db, db:
        db.execute("ALTER TABLE chunk RENAME COLUMN used TO unused")


def half_rebuilt(folder: Path) -> None:
    """A kill in the middle of making the index anew."""
    with closing(sqlite3.connect(folder / "index.db")) as db, db:
        db.execute("DELETE FROM chunk WHERE key <> ?", (tip_of("system"),))
        db.execute("UPDATE state SET complete = 0")


LOSSES = [
    without,
    garbage,
    nothing_in_it,
    nuls,
    cut_off,
    overwritten_inside,
    no_text,
    other_version,
    other_tables,
    half_rebuilt,
]


@pytest.mark.parametrize("lose", LOSSES)
class TestLostIndex:
    """An index that cannot be used is made anew from the files."""

    def test_by_looking_through_the_folder(
        self, filled: Path, reopen: Callable[[], Store], lose: Callable[[Path], None]
    ) -> None:
        lose(filled)
        store = reopen()
        store.reconcile()
        assert is_whole(store)
        assert store.totals().bytes_written >= store.totals().all.bytes

    def test_before_anything_is_saved(
        self, filled: Path, reopen: Callable[[], Store], lose: Callable[[Path], None]
    ) -> None:
        lose(filled)
        store = reopen()
        result = store.put(ROOT, tip_of("system three"), 11, ids("four"), [b"rows"])
        assert result.outcome is Outcome.WRITTEN
        assert is_whole(store)

    def test_before_anything_is_dropped(
        self, filled: Path, reopen: Callable[[], Store], lose: Callable[[Path], None]
    ) -> None:
        lose(filled)
        store = reopen()
        store.drop([tip_of("system one two")], [tip_of("system three"), tip_of("system", OTHER_ROOT)])
        assert len(files(filled)) == 3
        assert store.reconcile() == Reconciled(0, 0, 0)


def test_an_index_deleted_while_the_store_is_open_is_made_anew(filled: Path, reopen: Callable[[], Store]) -> None:
    store = reopen()
    assert is_whole(store)
    generation = store.generation
    (filled / "index.db").unlink()
    assert store.find(ROOT, ids("system")) == []
    assert store.generation != generation
    save(store, "system four")
    assert is_whole(store)


def test_damage_that_shows_only_while_working_is_repaired(filled: Path, reopen: Callable[[], Store]) -> None:
    with closing(sqlite3.connect(filled / "index.db")) as db, db:
        db.execute("UPDATE chunk SET start = start + 1 WHERE key = ?", (tip_of("system one"),))
    store = reopen()
    assert store.set_budget(PLENTY) == 0
    store.drop([tip_of("system one two")], [tip_of("system three"), tip_of("system", OTHER_ROOT)])
    assert found(store, "system three") == "system three"
    assert found(store, "system one") == "system"
    assert all_sound(store)


def test_a_file_of_another_format_is_deleted_never_read(filled: Path, reopen: Callable[[], Store]) -> None:
    for path in (filled / "chunks").rglob("*.chunk"):
        data = bytearray(path.read_bytes())
        data[8] += 1
        path.write_bytes(data)
    other_version(filled)
    store = reopen()
    assert store.reconcile() == Reconciled(adopted=0, swept=6, lost=0)
    assert files(filled) == set()
    assert found(store, "system") == ""


def test_a_rebuilt_store_keeps_to_its_budget(filled: Path) -> None:
    without(filled)
    with closing(Store(filled, 2 * disk_bytes("system"), Clock(2000.0))) as store:
        store.reconcile()
        assert store.totals().all.bytes <= 2 * disk_bytes("system")
        assert all_sound(store)


def test_age_is_kept_when_the_index_is_rebuilt(filled: Path, reopen: Callable[[], Store]) -> None:
    os.utime(chunk_path(filled, "system one two"), (50, 50))
    os.utime(chunk_path(filled, "system three"), (40, 40))
    without(filled)
    store = reopen()
    store.reconcile()
    assert [row.used for row in store.find(ROOT, ids("systemonetwo"))][-1] == 50
    assert store.find(ROOT, ids("systemthree"))[-1].used == 40


def test_the_folder_deleted_while_running_is_made_again(filled: Path, reopen: Callable[[], Store]) -> None:
    store = reopen()
    assert is_whole(store)
    shutil.rmtree(filled)
    assert store.find(ROOT, ids("system")) == []
    assert store.totals().all.chunks == 0
    shutil.rmtree(filled)
    save(store, "system one")
    assert found(store, "system one") == "system one"
    assert all_sound(store)
