"""The whole library to one file and back: everything is there again, or nothing was changed."""

import errno
import sqlite3
import zipfile
from collections import namedtuple
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from app.core.errors import EmberError
from app.storage import backup, restore
from app.storage.backup import write_backup
from app.storage.backup_format import look_into
from app.storage.connection import connect
from app.storage.conversations import ConversationStore
from app.storage.database import Database
from app.storage.records import pack_ids
from app.storage.restore import Restored, restore_library
from app.storage.schema import MIGRATIONS
from app.storage.settings import SettingsStore
from app.storage.upgrade import migrate
from tests.unit.storage.made import CHAT, forked_tree, message_id, put

KEY = b"k" * 32
IDS = {"tokenizer": {message_id(2): pack_ids([5, 6, 7])}}


def silently(_done: int, _to_do: int) -> None:
    """Progress that nobody looks at."""


def restored(source: Path, folder: Path, keep: tuple[str, ...] = (), trust: bool = False) -> Restored:
    """Restore over the library in a folder."""
    return restore_library(
        source, folder / "ember.db", folder / "backups", silently, key=KEY, keep_settings=keep, trust_token_ids=trust
    )


def opened(folder: Path) -> Database:
    """The library in a folder."""
    return Database.open(folder / "ember.db", folder / "backups")


@pytest.fixture
def saved(store: ConversationStore, tmp_path: Path) -> Path:
    """A backup of a library with a conversation, its token ids and a setting."""
    store.insert_tree(forked_tree(), IDS)
    SettingsStore(store.database).set("theme", "dark")
    path = tmp_path / "library.emberbackup"
    write_backup(store.database, path, silently)
    return path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another data folder, with a library of its own."""
    folder = tmp_path / "other"
    folder.mkdir()
    with closing(opened(folder)) as database:
        SettingsStore(database).set("theme", "light")
        SettingsStore(database).set("mine", [1, 2])
    return folder


def test_everything_is_there_again_in_another_folder(saved: Path, other: Path) -> None:
    done = restored(saved, other)
    assert (done.conversations, done.messages, done.notice) == (1, 6, None)
    with closing(opened(other)) as database:
        store = ConversationStore(database)
        assert store.tree(CHAT) == forked_tree()
        assert store.search("bridges")
        assert SettingsStore(database).get("theme", str, "") == "dark"


def test_settings_of_this_machine_stay_as_they_were(saved: Path, other: Path) -> None:
    restored(saved, other, keep=("mine", "theme"))
    with closing(opened(other)) as database:
        settings = SettingsStore(database)
        assert settings.get("mine", list[int], []) == [1, 2]
        assert settings.get("theme", str, "") == "light"


@pytest.mark.parametrize(("trust", "left"), [(False, {}), (True, IDS)])
def test_token_ids_come_back_only_if_they_are_trusted(trust: bool, left: object, saved: Path, other: Path) -> None:
    restored(saved, other, trust=trust)
    with closing(opened(other)) as database:
        assert ConversationStore(database).packed_token_ids(CHAT) == left


@pytest.mark.parametrize(("key", "left"), [(KEY, IDS), (b"x" * 32, {})])
def test_token_ids_come_back_where_this_installation_wrote_them(
    key: bytes, left: object, store: ConversationStore, tmp_path: Path, other: Path
) -> None:
    store.insert_tree(forked_tree(), IDS)
    write_backup(store.database, tmp_path / "x", silently, key)
    assert restored(tmp_path / "x", other).with_token_ids is (left == IDS)
    with closing(opened(other)) as database:
        assert ConversationStore(database).packed_token_ids(CHAT) == left


def test_the_library_that_was_replaced_is_kept(saved: Path, other: Path) -> None:
    kept = restored(saved, other).kept
    assert kept.parent == other / "backups"
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT value FROM settings WHERE key = 'theme'").fetchone() == ('"light"',)
    assert sorted(path.name for path in other.iterdir()) == ["backups", "ember.db"]


def test_a_damaged_library_is_set_aside_and_the_backup_takes_its_place(saved: Path, other: Path) -> None:
    (other / "ember.db").write_bytes(b"nothing that SQLite knows" * 1000)
    done = restored(saved, other)
    assert done.notice is not None and "damaged" in done.notice
    with closing(opened(other)) as database:
        assert ConversationStore(database).tree(CHAT) == forked_tree()


def test_a_backup_holds_what_another_process_has_just_written(store: ConversationStore, tmp_path: Path) -> None:
    put(store, forked_tree())  # in the write-ahead log still
    with closing(Database.open(store.database.path, tmp_path, readonly=True)) as reading:
        manifest = write_backup(reading, tmp_path / "x", silently)
    assert (manifest.conversations, manifest.messages) == (1, 6)


def test_what_is_written_meanwhile_neither_stops_the_backup_nor_is_half_in_it(
    store: ConversationStore, tmp_path: Path
) -> None:
    put(store, forked_tree())
    written: list[int] = []

    def write_more(done: int, _to_do: int) -> None:
        written.append(done)
        SettingsStore(store.database).set(f"key {len(written)}", "x" * 100_000)

    with closing(Database.open(store.database.path, tmp_path, readonly=True)) as reading:
        write_backup(reading, tmp_path / "x", write_more)
    assert written
    folder = tmp_path / "other"
    folder.mkdir()
    restored(tmp_path / "x", folder)
    with closing(opened(folder)) as database:
        assert SettingsStore(database).get("key 1", str, None) is None


def test_a_backup_is_an_ordinary_zip_file_for_this_account_alone(saved: Path) -> None:
    assert saved.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(saved) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["ember.db", "manifest.json"]
        manifest = msgspec.json.decode(archive.read("manifest.json"))
    assert (manifest["format"], manifest["conversations"], manifest["messages"]) == ("ember-library", 1, 6)


def test_what_packs_too_well_is_stored_so_that_it_can_be_restored(database: Database, tmp_path: Path) -> None:
    SettingsStore(database).set("zeros", "0" * 8_000_000)
    write_backup(database, tmp_path / "x", silently)
    assert look_into(tmp_path / "x").database.bytes > 8_000_000


def test_a_backup_with_the_64_bit_records_of_a_very_large_one_comes_back(
    store: ConversationStore, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, forked_tree())
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
    write_backup(store.database, tmp_path / "x", silently)
    monkeypatch.undo()
    assert b"PK\x06\x06" in (tmp_path / "x").read_bytes()
    restored(tmp_path / "x", other)
    with closing(opened(other)) as database:
        assert ConversationStore(database).tree(CHAT) == forked_tree()


class Cancelled(Exception):
    """What a test's progress raises."""


@pytest.mark.parametrize("at", [1, 2])
def test_a_cancelled_backup_leaves_what_stood_there(at: int, store: ConversationStore, tmp_path: Path) -> None:
    folder = tmp_path / "usb"
    folder.mkdir()
    (folder / "x").write_text("the last one")
    calls: list[int] = []

    def cancel(done: int, _to_do: int) -> None:
        calls.append(done)
        if len(calls) == at:
            raise Cancelled

    with pytest.raises(Cancelled):
        write_backup(store.database, folder / "x", cancel)
    assert [path.name for path in folder.iterdir()] == ["x"]
    assert (folder / "x").read_text() == "the last one"
    put(store, forked_tree())  # the library can be written to as before


def test_a_cancelled_restore_leaves_the_library(saved: Path, other: Path) -> None:
    def cancel(_done: int, _to_do: int) -> None:
        raise Cancelled

    before = (other / "ember.db").read_bytes()
    with pytest.raises(Cancelled):
        restore_library(saved, other / "ember.db", other / "backups", cancel, key=KEY)
    assert (other / "ember.db").read_bytes() == before
    assert [path.name for path in other.iterdir()] == ["ember.db"]


Usage = namedtuple("Usage", "total used free")


def test_too_little_room_is_said_before_anything_is_written(
    saved: Path, other: Path, store: ConversationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (backup, restore):
        monkeypatch.setattr(module.shutil, "disk_usage", lambda _: Usage(2**30, 2**30, 2**20))
    with pytest.raises(EmberError, match=r"16 MiB are needed and 1\.0 MiB are free") as caught:
        write_backup(store.database, other / "x", silently)
    assert caught.value.kind == "backup_failed"
    with pytest.raises(EmberError, match="free some space") as caught:
        restored(saved, other)
    assert caught.value.kind == "restore_failed"
    assert [path.name for path in other.iterdir()] == ["ember.db"]


@pytest.mark.parametrize("name", ["ember.db", "ember.db-wal", "ember.lock", "archive.key"])
def test_a_backup_never_replaces_the_library_itself(name: str, store: ConversationStore, tmp_path: Path) -> None:
    put(store, forked_tree())
    with pytest.raises(EmberError, match="choose another name"):
        write_backup(store.database, tmp_path / name, silently)
    assert store.tree(CHAT) == forked_tree()


def test_a_folder_that_is_not_there_is_said(store: ConversationStore, tmp_path: Path) -> None:
    with pytest.raises(EmberError, match="its folder does not exist; choose another place"):
        write_backup(store.database, tmp_path / "absent" / "x", silently)
    assert not (tmp_path / "absent").exists()


def test_a_backup_of_an_older_ember_is_brought_up_to_date(tmp_path: Path, other: Path) -> None:
    old = tmp_path / "old.db"
    with closing(connect(str(old))) as connection:
        migrate(connection, MIGRATIONS[:1])
        connection.execute("INSERT INTO conversations (id, title, created, updated) VALUES (?, 'Old', 1, 2)", (CHAT,))
        write_backup(Database(connection, old), tmp_path / "x", silently)
    assert look_into(tmp_path / "x").schema == 1
    restored(tmp_path / "x", other)
    with closing(opened(other)) as database:
        assert ConversationStore(database).get(CHAT).title == "Old"


def test_a_reader_in_the_way_is_said_and_the_library_stays(saved: Path, other: Path) -> None:
    with closing(connect(str(other / "ember.db"))) as reader:
        reader.execute("PRAGMA journal_mode = WAL")
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM settings").fetchall()
        with closing(opened(other)) as database:
            SettingsStore(database).set("later", 1)
        with pytest.raises(EmberError, match="another program is reading"):
            restored(saved, other)
    with closing(opened(other)) as database:
        assert SettingsStore(database).get("later", int, 0) == 1
        assert SettingsStore(database).get("theme", str, "") == "light"


def test_the_old_library_is_put_back_if_the_new_one_does_not_open(
    saved: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.replace

    def torn(path: Path, target: Path) -> Path:
        """The disk loses what was written, the moment it is put in place."""
        if path.name == "ember.db":
            path.write_bytes(b"torn" * 5000)
        return real(path, target)

    monkeypatch.setattr(Path, "replace", torn)
    with pytest.raises(EmberError, match="the one before was put back"):
        restored(saved, other)
    with closing(opened(other)) as database:
        assert SettingsStore(database).get("mine", list[int], []) == [1, 2]


@pytest.mark.parametrize("room", [True, False])
def test_the_old_library_comes_back_whole_where_the_new_one_does_not_open(
    saved: Path, other: Path, monkeypatch: pytest.MonkeyPatch, room: bool
) -> None:
    real = Database.open
    tried: list[Path] = []

    def full(*_given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fails(path: Path, backups_dir: Path) -> Database:
        """The second time the disk is full, and a log that holds something of the new library stays beside it."""
        tried.append(path)
        if len(tried) == 1:
            return real(path, backups_dir)
        log = path.with_name("ember.db-wal")
        with closing(real(path, backups_dir)) as database:
            SettingsStore(database).set("theme", "of the new one")
            data = log.read_bytes()
        log.write_bytes(data)
        if not room:
            monkeypatch.setattr(restore.shutil, "copyfile", full)
        raise EmberError("The disk is full.", "disk_full")

    monkeypatch.setattr(restore.Database, "open", fails)
    with pytest.raises(EmberError, match=r"the one before was put back\. The disk is full."):
        restored(saved, other)
    monkeypatch.undo()
    with closing(opened(other)) as database:
        assert database.notice is None
        assert SettingsStore(database).get("theme", str, "") == "light"
        assert SettingsStore(database).get("mine", list[int], []) == [1, 2]
    assert sorted(path.name for path in other.iterdir()) == ["backups", "ember.db"]


def test_a_folder_for_what_is_replaced_that_cannot_be_used_is_named(saved: Path, other: Path) -> None:
    (other / "backups").touch()
    with pytest.raises(EmberError) as refused:
        restored(saved, other)
    assert refused.value.kind == "restore_failed"
    assert "a file stands where a folder should be" in refused.value.sentence
    assert "could not be opened" not in refused.value.sentence


def test_a_try_is_cancelled_also_while_the_search_is_made_anew(
    saved: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore, "_INSTRUCTIONS", 10)
    after: list[int] = []

    def progress(done: int, to_do: int) -> None:
        after.append(done)
        if after.count(to_do) > 1:  # the first is the last of the unpacking
            raise EmberError("It was cancelled.", "cancelled")

    with pytest.raises(EmberError) as refused:
        restore.prepare_library(saved, other / "ember.db", other / "backups", progress, key=KEY)
    assert refused.value.kind == "cancelled"
    assert sorted(path.name for path in other.iterdir()) == ["ember.db"]


def test_a_try_is_cancelled_also_while_the_rows_are_checked(
    saved: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checking: list[str] = []
    real = restore.check_rows

    def check(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(
            lambda statement: checking.append(statement) if "quick_check" in statement else None
        )
        real(connection)
        pytest.fail("nobody asked whether it shall go on")

    def progress(_done: int, _to_do: int) -> None:
        if checking:
            raise EmberError("It was cancelled.", "cancelled")

    monkeypatch.setattr(restore, "_INSTRUCTIONS", 10)
    monkeypatch.setattr(restore, "check_rows", check)
    with pytest.raises(EmberError) as refused:
        restore.prepare_library(saved, other / "ember.db", other / "backups", progress, key=KEY)
    assert refused.value.kind == "cancelled"
    assert sorted(path.name for path in other.iterdir()) == ["ember.db"]
