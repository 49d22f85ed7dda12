"""Migrations: each in one transaction, with a copy of the database before."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.core.errors import EmberError
from app.storage import upgrade
from app.storage.database import Database
from app.storage.schema import Migration

TO_1: Migration = "CREATE TABLE notes (text TEXT); -- the first; with a semicolon; in a comment\n"
TO_2: Migration = """
ALTER TABLE notes ADD COLUMN stars INTEGER NOT NULL DEFAULT 3;
CREATE TRIGGER no_empty BEFORE INSERT ON notes WHEN new.text = '' BEGIN
    SELECT raise(ABORT, 'empty; note');
END;
"""


def to_3(connection: sqlite3.Connection) -> None:
    """A migration that is a function."""
    connection.execute("UPDATE notes SET text = upper(text)")


def broken(connection: sqlite3.Connection) -> None:
    """A migration that fails half way."""
    connection.execute("DELETE FROM notes")
    connection.execute("SELECT no_such_column FROM notes")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database of version 1, made by SQL as an older Ember would have."""
    path = tmp_path / "ember.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "PRAGMA journal_mode = WAL; CREATE TABLE notes (text TEXT);"
            "INSERT INTO notes VALUES ('hello'); PRAGMA user_version = 1;"
        )
    return path


def notes(path: Path) -> list[tuple[object, ...]]:
    """The rows of the table, read without Ember."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM notes").fetchall()


def version(path: Path) -> int:
    """The schema version, read without Ember."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_an_old_database_is_brought_up_to_date_after_a_copy_was_made(old: Path, tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    Database.open(old, backups, migrations=(TO_1, TO_2, to_3)).close()
    assert (version(old), notes(old)) == (3, [("HELLO", 3)])
    (copy,) = backups.iterdir()
    assert copy.name.startswith("ember-v1-") and copy.suffix == ".db"
    assert (version(copy), notes(copy)) == (1, [("hello",)])


def test_the_copy_holds_what_is_still_in_the_write_ahead_log(old: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("INSERT INTO notes VALUES ('late')")
        connection.commit()
        Database.open(old, tmp_path / "backups", migrations=(TO_1, TO_2)).close()
    (copy,) = (tmp_path / "backups").glob("*.db")
    assert notes(copy) == [("hello",), ("late",)]


def test_an_up_to_date_database_and_a_new_one_are_not_copied(old: Path, tmp_path: Path) -> None:
    Database.open(old, tmp_path / "backups", migrations=(TO_1,)).close()
    Database.open(tmp_path / "new.db", tmp_path / "backups", migrations=(TO_1, TO_2)).close()
    assert not (tmp_path / "backups").exists()


def test_a_failed_migration_leaves_the_database_at_its_version_with_its_rows(old: Path, tmp_path: Path) -> None:
    with pytest.raises(EmberError, match="nothing is lost") as caught:
        Database.open(old, tmp_path / "backups", migrations=(TO_1, TO_2, broken))
    assert caught.value.kind == "migration_failed"
    assert (version(old), notes(old)) == (2, [("hello", 3)])


def test_without_room_for_the_copy_nothing_is_migrated(old: Path, tmp_path: Path) -> None:
    (tmp_path / "backups").write_text("a file in the way")
    with pytest.raises(EmberError, match="Nothing was changed") as caught:
        Database.open(old, tmp_path / "backups", migrations=(TO_1, TO_2))
    assert caught.value.kind == "backup_failed"
    assert (version(old), notes(old)) == (1, [("hello",)])


def test_a_copy_for_which_the_disk_has_no_room_leaves_nothing(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backups = tmp_path / "backups"

    def on_a_full_disk(address: str) -> sqlite3.Connection:
        (backups / f"{Path(address).name}-journal").touch()  # as SQLite leaves it there
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(upgrade, "connect", on_a_full_disk)
    with closing(sqlite3.connect(old)) as connection, pytest.raises(EmberError, match="make room there") as caught:
        upgrade.back_up(connection, backups, 1)
    assert caught.value.kind == "backup_failed"
    assert list(backups.iterdir()) == []


def test_only_the_newest_five_copies_are_kept_and_other_files_left_alone(old: Path, tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    backups.mkdir()
    for day in range(1, 8):
        (backups / f"ember-v{20 - day}-2026010{day}-120000.db").touch()
    (backups / "my own copy.db").touch()
    with closing(sqlite3.connect(old)) as connection:
        new = upgrade.back_up(connection, backups, 1)
    kept = sorted(path.name for path in backups.iterdir() if path.name.startswith("ember-"))
    assert kept == sorted([new.name, *(f"ember-v{20 - day}-2026010{day}-120000.db" for day in range(4, 8))])
    assert (backups / "my own copy.db").exists()


def test_what_a_killed_copy_left_goes_with_the_next(old: Path, tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    backups.mkdir()
    (backups / "ember-v1-20260101-120000.db.tmp").touch()
    (backups / "ember-v1-20260101-120000.db.tmp-journal").touch()
    (backups / "ember-v1-mine.db.tmp").touch()
    with closing(sqlite3.connect(old)) as connection:
        new = upgrade.back_up(connection, backups, 1)
    assert sorted(path.name for path in backups.iterdir()) == sorted([new.name, "ember-v1-mine.db.tmp"])


def test_two_copies_in_one_second_do_not_overwrite_each_other(old: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(old)) as connection:
        copies = {upgrade.back_up(connection, tmp_path / "backups", 1) for _ in range(3)}
    assert len(copies) == 3
    assert all(notes(copy) == [("hello",)] for copy in copies)


@pytest.mark.parametrize("readonly", [False, True])
def test_a_database_of_a_newer_ember_is_refused_and_untouched(old: Path, tmp_path: Path, readonly: bool) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("PRAGMA user_version = 7")
    before = old.read_bytes()
    with pytest.raises(EmberError, match="newer Ember") as caught:
        Database.open(old, tmp_path / "backups", migrations=(TO_1, TO_2), readonly=readonly)
    assert caught.value.kind == "newer_database"
    assert old.read_bytes() == before
    assert not (tmp_path / "backups").exists()


def test_reading_an_older_database_is_refused_and_changes_nothing(old: Path, tmp_path: Path) -> None:
    before = old.read_bytes()
    with pytest.raises(EmberError, match="older Ember") as caught:
        Database.open(old, tmp_path / "backups", migrations=(TO_1, TO_2), readonly=True)
    assert caught.value.kind == "older_database"
    assert old.read_bytes() == before
