"""What is saved in all, as somebody sees it who has neither the lock nor the store."""

import sqlite3
from contextlib import closing
from pathlib import Path

from app.kvstore.folder import INDEX
from app.kvstore.schema import INDEX_VERSION
from app.kvstore.store import Store
from app.kvstore.totals import bytes_by_root
from tests.unit.kvstore.made import OTHER_ROOT, ROOT, save


def test_each_models_bytes_are_those_of_the_store_while_it_is_open(store: Store, folder: Path) -> None:
    save(store, "the first chat", checkpoint=[b"a checkpoint"])
    save(store, "the other", OTHER_ROOT)
    found = bytes_by_root(folder)
    assert found == {root: each.bytes for root, each in store.totals().roots.items()}
    assert found is not None and found[ROOT] > found[OTHER_ROOT] > 0


def test_where_nothing_was_ever_saved_there_are_no_bytes(tmp_path: Path) -> None:
    assert bytes_by_root(tmp_path / "kv") == {}
    assert not (tmp_path / "kv").exists()


def test_an_index_that_cannot_be_read_is_no_figure_and_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_bytes(b"something else" * 100)
    assert bytes_by_root(tmp_path) is None
    assert (tmp_path / INDEX).read_bytes() == b"something else" * 100


def test_the_bytes_of_an_index_that_an_older_ember_left_are_told_before_an_engine_has_opened_it(
    store: Store, folder: Path
) -> None:
    save(store, "the first chat")
    expected = {root: each.bytes for root, each in store.totals().roots.items()}
    store.close()
    with closing(sqlite3.connect(folder / INDEX)) as index:
        index.executescript(f"DROP TABLE digest; PRAGMA user_version = {INDEX_VERSION - 1}")
    assert bytes_by_root(folder) == expected


def test_an_index_whose_schema_is_no_text_is_no_figure(store: Store, folder: Path) -> None:
    save(store, "the first chat")
    store.close()
    path = folder / INDEX
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE total", b"CRE\x80TE TABLE total"))
    assert bytes_by_root(folder) is None
