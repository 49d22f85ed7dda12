"""A damaged database: set aside with everything beside it, never overwritten, and the work goes on."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.core.errors import EmberError
from app.storage import damage
from app.storage.conversations import ConversationStore
from app.storage.database import Database
from tests.unit.storage.made import forked_tree, put

PAGE = 4096


def filled(folder: Path) -> Path:
    """The path of a closed database with one conversation."""
    path = folder / "ember.db"
    with closing(Database.open(path, folder / "backups")) as database:
        put(ConversationStore(database), forked_tree())
    return path


def not_a_database(data: bytes) -> bytes:
    """What a power cut on some file systems leaves: only NULs."""
    return bytes(len(data))


def cut_off(data: bytes) -> bytes:
    """Half of it."""
    return data[: len(data) // 2]


def overwritten_inside(data: bytes) -> bytes:
    """A whole header, but other pages are garbage."""
    return data[: 2 * PAGE] + b"\xa5" * (4 * PAGE) + data[6 * PAGE :]


def schema_that_is_no_text(data: bytes) -> bytes:
    """SQLite's words of it quote it, and Python cannot read them."""
    return data.replace(b"CREATE TABLE settings", b"CRE\x80TE TABLE settings")


DAMAGES = [not_a_database, cut_off, overwritten_inside, schema_that_is_no_text]


@pytest.mark.parametrize("harm", DAMAGES)
def test_a_damaged_database_is_set_aside_unchanged_and_a_new_one_begun(tmp_path: Path, harm: object) -> None:
    path = filled(tmp_path)
    assert callable(harm)
    harmed = harm(path.read_bytes())
    path.write_bytes(harmed)
    with closing(Database.open(path, tmp_path / "backups")) as database:
        (kept,) = tmp_path.glob("ember.damaged-*.db")
        assert kept.read_bytes() == harmed
        assert database.notice is not None
        assert kept.name in database.notice
        store = ConversationStore(database)
        assert store.summaries() == []
        put(store, forked_tree())
    with closing(Database.open(path, tmp_path / "backups")) as database:
        assert database.notice is None
        assert len(ConversationStore(database).summaries()) == 1


def test_a_log_beside_it_is_kept_with_it(tmp_path: Path) -> None:
    path = filled(tmp_path)
    path.write_bytes(b"x" * 5000)
    (tmp_path / "ember.db-wal").write_bytes(b"the log")
    with closing(Database.open(path, tmp_path / "backups")):
        (log,) = tmp_path.glob("ember.damaged-*.db-wal")
        assert log.read_bytes() == b"the log"


def test_two_in_one_second_do_not_overwrite_each_other(tmp_path: Path) -> None:
    for content in (b"first" * 1000, b"second" * 1000):
        (tmp_path / "ember.db").write_bytes(content)
        Database.open(tmp_path / "ember.db", tmp_path / "backups").close()
    assert sorted(path.read_bytes()[:5] for path in tmp_path.glob("ember.damaged-*.db")) == [b"first", b"secon"]


def test_earlier_copies_are_mentioned(tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    (tmp_path / "backups" / "ember-v1-20260101-120000.db").touch()
    (tmp_path / "ember.db").write_bytes(b"x" * 5000)
    with closing(Database.open(tmp_path / "ember.db", tmp_path / "backups")) as database:
        assert "Earlier copies lie in" in str(database.notice)


def test_another_programs_database_is_set_aside_too(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ember.db")) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    with closing(Database.open(tmp_path / "ember.db", tmp_path / "backups")) as database:
        assert database.notice is not None
    (kept,) = tmp_path.glob("ember.damaged-*.db")
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]


def test_an_empty_file_is_simply_a_new_database(tmp_path: Path) -> None:
    (tmp_path / "ember.db").touch()
    with closing(Database.open(tmp_path / "ember.db", tmp_path / "backups")) as database:
        assert database.notice is None


def test_reading_a_damaged_database_says_so_and_leaves_it(tmp_path: Path) -> None:
    path = filled(tmp_path)
    path.write_bytes(b"x" * 5000)
    with pytest.raises(EmberError, match="is damaged") as caught:
        Database.open(path, tmp_path / "backups", readonly=True)
    assert caught.value.kind == "damaged_database"
    assert [file.name for file in tmp_path.glob("ember*") if file.suffix == ".db"] == ["ember.db"]
    assert path.read_bytes() == b"x" * 5000


def test_damage_met_in_a_large_file_is_said_and_makes_the_next_start_check_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(damage, "CHECKED_AT_EACH_START_BYTES", 0)
    path = filled(tmp_path)
    path.write_bytes(overwritten_inside(path.read_bytes()))
    with closing(Database.open(path, tmp_path / "backups")) as database:
        assert database.notice is None
        with pytest.raises(EmberError, match="start Ember again") as caught:
            ConversationStore(database).tree(forked_tree().conversation.id)
        assert caught.value.kind == "damaged_database"
    with closing(Database.open(path, tmp_path / "backups")) as database:
        assert database.notice is not None
    assert not damage.was_suspected(path)


def test_a_false_suspicion_costs_nothing_but_the_check_and_renews_the_search(tmp_path: Path) -> None:
    path = filled(tmp_path)
    damage.suspect(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO message_search (message_search) VALUES ('delete-all')")
        connection.commit()
    with closing(Database.open(path, tmp_path / "backups")) as database:
        assert database.notice is None
        assert len(ConversationStore(database).search("foundations")) == 1
    assert not damage.was_suspected(path)
