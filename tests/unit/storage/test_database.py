"""Opening the database, transactions, and errors in plain words."""

import os
import sqlite3
import stat
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.core.errors import EmberError
from app.storage.database import Database
from app.storage.schema import MIGRATIONS
from tests.unit.storage.made import set_raw

ADD = "INSERT INTO settings (key, value) VALUES (?, '1')"


def keys(database: Database) -> list[str]:
    """What the tests here keep: the keys of the settings."""
    return [row["key"] for row in database.rows("SELECT key FROM settings ORDER BY key")]


def test_a_new_database_has_the_newest_version_and_safe_settings(database: Database) -> None:
    assert database.notice is None
    pragmas = {
        name: database.rows(f"PRAGMA {name}")[0][0]
        for name in ("user_version", "journal_mode", "foreign_keys", "synchronous", "secure_delete")
    }
    assert pragmas == {
        "user_version": len(MIGRATIONS),
        "journal_mode": "wal",
        "foreign_keys": 1,
        "synchronous": 2,
        "secure_delete": 1,
    }


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")
def test_its_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(Database.open(tmp_path / "ember.db", tmp_path / "backups")) as database:
            set_raw(database, "INSERT INTO settings VALUES ('a', '1')")
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"ember.db": 0o600, "ember.db-wal": 0o600, "ember.db-shm": 0o600}


def test_what_was_committed_is_there_after_a_restart_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a folder with ? # and ü" / "ember.db"
    path.parent.mkdir()
    with closing(Database.open(path, tmp_path)) as database, database.transaction():
        database.write(ADD, ("kept",))
    assert [file.name for file in path.parent.iterdir()] == ["ember.db"]
    with closing(Database.open(path, tmp_path)) as database:
        assert keys(database) == ["kept"]
        assert database.notice is None


def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    with pytest.raises(KeyError), database.transaction():
        database.write(ADD, ("lost",))
        raise KeyError
    assert keys(database) == []


def test_an_inner_transaction_can_fail_alone_and_falls_with_the_outer_one(database: Database) -> None:
    with database.transaction():
        database.write(ADD, ("outer",))
        with pytest.raises(KeyError), database.transaction():
            database.write(ADD, ("inner",))
            raise KeyError
    assert keys(database) == ["outer"]
    with pytest.raises(KeyError), database.transaction():
        with database.transaction():
            database.write(ADD, ("inner",))
        raise KeyError
    assert keys(database) == ["outer"]


def test_calls_wait_for_the_commit_and_are_forgotten_without_one(database: Database) -> None:
    heard: list[str] = []

    def later(word: str) -> Callable[[], None]:
        return lambda: heard.append(word)

    with database.transaction():
        database.after_commit(later("first"))
        with pytest.raises(KeyError), database.transaction():
            database.after_commit(later("inner, taken back"))
            raise KeyError
        database.after_commit(later("second"))
        assert heard == []
    with pytest.raises(KeyError), database.transaction():
        database.after_commit(later("never"))
        raise KeyError
    assert heard == ["first", "second"]


def test_a_write_outside_a_transaction_is_a_bug_and_refused(database: Database) -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        database.write(ADD, ("a",))
    with pytest.raises(RuntimeError, match="transaction"):
        database.after_commit(lambda: None)


def test_closing_twice_is_harmless(database: Database) -> None:
    database.close()
    database.close()


def test_a_reader_sees_each_commit_of_a_writer_and_cannot_write(database: Database) -> None:
    with closing(Database.open(database.path, database.path.parent, readonly=True)) as reader:
        with database.transaction():
            database.write(ADD, ("a",))
            assert keys(reader) == []
        assert keys(reader) == ["a"]
        with pytest.raises(EmberError, match="can only be read") as caught, reader.transaction():
            reader.write(ADD, ("b",))
        assert caught.value.kind == "database_readonly"
    assert keys(database) == ["a"]


def test_a_writer_can_close_while_a_reader_is_open(database: Database) -> None:
    with closing(Database.open(database.path, database.path.parent, readonly=True)) as reader:
        set_raw(database, "INSERT INTO settings VALUES ('a', '1')")
        database.close()
        assert keys(reader) == ["a"]
    with closing(Database.open(database.path, database.path.parent)) as again:
        assert (keys(again), again.notice) == (["a"], None)


def test_reading_a_database_that_does_not_exist_finds_nothing_and_makes_nothing(tmp_path: Path) -> None:
    with closing(Database.open(tmp_path / "ember.db", tmp_path / "backups", readonly=True)) as reader:
        assert keys(reader) == []
        with pytest.raises(EmberError, match="can only be read"), reader.transaction():
            reader.write(ADD, ("b",))
    assert list(tmp_path.iterdir()) == []


def test_reading_works_where_nothing_can_be_written(database: Database) -> None:
    with database.transaction():
        database.write(ADD, ("a",))
    database.close()
    database.path.with_name("ember.db-shm").mkdir()  # SQLite cannot make its file there, as on a read-only disk
    with closing(Database.open(database.path, database.path.parent, readonly=True)) as reader:
        assert keys(reader) == ["a"]


def test_a_second_writer_waits_and_then_says_so(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.storage.connection.BUSY_SECONDS", 0.0)
    with closing(Database.open(database.path, database.path.parent)) as second:
        taken = pytest.raises(EmberError, match="Another program")
        with database.transaction(), taken as caught, second.transaction():
            pass
        assert caught.value.kind == "database_busy"
        with second.transaction():
            second.write(ADD, ("later",))
    assert keys(database) == ["later"]


def test_a_full_disk_is_said_plainly_and_what_was_saved_stays(database: Database) -> None:
    set_raw(database, "INSERT INTO settings VALUES ('before', '1')")
    pages = database.rows("PRAGMA page_count")[0][0]
    database.rows(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(EmberError, match="disk is full") as caught, database.transaction():
        database.write("INSERT INTO settings (key, value) VALUES ('big', ?)", ("x" * 100_000,))
    assert caught.value.kind == "disk_full"
    assert keys(database) == ["before"]
    set_raw(database, "INSERT INTO settings VALUES ('small', '1')")


def test_a_folder_in_the_place_of_the_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ember.db").mkdir()
    with pytest.raises(EmberError) as caught:
        Database.open(tmp_path / "ember.db", tmp_path / "backups")
    assert caught.value.kind == "database_unavailable"
    assert (tmp_path / "ember.db").is_dir()


def test_a_missing_folder_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(EmberError, match="it does not exist") as caught:
        Database.open(tmp_path / "no" / "ember.db", tmp_path / "backups")
    assert caught.value.kind == "database_unavailable"


def test_a_mistake_in_sql_stays_a_mistake(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="syntax error"):
        database.rows("SELEKT 1")


def test_a_database_of_the_second_version_keeps_its_chats_and_none_is_pinned(tmp_path: Path) -> None:
    path = tmp_path / "ember.db"
    with closing(Database.open(path, tmp_path / "backups", migrations=MIGRATIONS[:2])) as old, old.transaction():
        old.write("INSERT INTO conversations (id, title, created, updated) VALUES ('a', 'Old', 1, 1)")
    with closing(Database.open(path, tmp_path / "backups")) as database:
        (row,) = database.rows("SELECT title, save_state, pin_state FROM conversations")
        assert tuple(row) == ("Old", 1, 0)
    (copy,) = (tmp_path / "backups").iterdir()
    assert copy.name.startswith("ember-v2-")
