"""Backups that lie: each is refused in a sentence, and the library is as it was."""

import hashlib
import io
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.core.errors import EmberError
from app.storage.backup import write_backup
from app.storage.conversations import ConversationStore
from app.storage.database import Database
from app.storage.settings import SettingsStore
from tests.unit.storage.made import forked_tree, put
from tests.unit.storage.test_backup import KEY, opened, restored, silently

Json = dict[str, Any]


@pytest.fixture
def saved(store: ConversationStore, tmp_path: Path) -> Path:
    """A sound backup."""
    put(store, forked_tree())
    write_backup(store.database, tmp_path / "x", silently)
    return tmp_path / "x"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A data folder with a library that must stay."""
    folder = tmp_path / "data"
    folder.mkdir()
    with closing(opened(folder)) as database:
        SettingsStore(database).set("mine", 1)
    return folder


def refusal(path: Path, library: Path) -> str:
    """Why a backup is refused; the library is the same afterwards, to the byte."""
    before = (library / "ember.db").read_bytes()
    with pytest.raises(EmberError) as caught:
        restored(path, library)
    assert caught.value.kind == "bad_backup"
    assert "Nothing was changed" in caught.value.sentence and "\n" not in caught.value.sentence
    assert [each.name for each in library.iterdir()] == ["ember.db"]
    assert (library / "ember.db").read_bytes() == before
    return caught.value.sentence


def parts(path: Path) -> tuple[bytes, Json]:
    """The database and the manifest of a backup."""
    with zipfile.ZipFile(path) as archive:
        return archive.read("ember.db"), msgspec.json.decode(archive.read("manifest.json"))


def packed(path: Path, data: bytes, manifest: Json | bytes, packing: int = zipfile.ZIP_DEFLATED) -> Path:
    """A backup of these parts."""
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("ember.db", data)
        archive.writestr("manifest.json", manifest if isinstance(manifest, bytes) else msgspec.json.encode(manifest))
    return path


def with_manifest(saved: Path, change: Callable[[Json], object]) -> Path:
    """The backup with another manifest."""
    data, manifest = parts(saved)
    change(manifest)
    return packed(saved, data, manifest)


def with_database(saved: Path, data: bytes) -> Path:
    """The backup with another database, whose size and checksum are right."""
    manifest = parts(saved)[1]
    manifest["files"] = [{"name": "ember.db", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}]
    return packed(saved, data, manifest)


def changed_by(saved: Path, *statements: str) -> Path:
    """The backup with a database in which that SQL was run."""
    copy = saved.with_name("changed.db")
    copy.write_bytes(parts(saved)[0])
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    return with_database(saved, copy.read_bytes())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.update(version=3, surprise=1), "newer Ember"),
        (lambda m: m.update(format="ember-conversation"), "another format"),
        (lambda m: m.update(conversations=2), "another number"),
        (lambda m: m.update(messages=5), "another number"),
        (lambda m: m.update(messages=-1), "manifest.json"),
        (lambda m: m.update(schema=2), "another version"),
        (lambda m: m.update(surprise=1), "manifest.json"),
        (lambda m: m.pop("files"), "manifest.json"),
        (lambda m: m["files"].append(m["files"][0]), "manifest.json"),
        (lambda m: m["files"][0].update(name="../ember.db"), "not the one"),
        (lambda m: m["files"][0].update(bytes=7), "not the one"),
        (lambda m: m["files"][0].update(sha256="0" * 64), "checksum"),
    ],
    ids=[*map(str, range(12))],
)
def test_a_manifest_that_lies_is_refused(
    change: Callable[[Json], object], words: str, saved: Path, library: Path
) -> None:
    assert words in refusal(with_manifest(saved, change), library)


@pytest.mark.parametrize("manifest", [b"", b"[]", b"{", b"[" * 5000, b"\xff", b'{"format": 3}', b" " * 70_000])
def test_a_manifest_that_is_none_is_refused(manifest: bytes, saved: Path, library: Path) -> None:
    refusal(packed(saved, parts(saved)[0], manifest), library)


@pytest.mark.parametrize(
    "name", ["../escape", "/etc/escape", "C:\\escape", "ember.db-wal", "EMBER.DB", "folder/", "manifest.json"]
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_any_other_member_is_refused(name: str, saved: Path, library: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(saved, "a") as archive:
        archive.writestr(name, b"")
    assert "nothing else" in refusal(saved, library)
    assert not (tmp_path / "escape").exists()


@pytest.mark.parametrize("name", ["../ember.db", "/ember.db", "ember.db ", "x"])
def test_a_database_of_another_name_is_refused(name: str, saved: Path, library: Path) -> None:
    data, manifest = parts(saved)
    with zipfile.ZipFile(saved, "w") as archive:
        archive.writestr(name, data)
        archive.writestr("manifest.json", msgspec.json.encode(manifest))
    assert "do not belong" in refusal(saved, library)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_manifests_are_refused(saved: Path, library: Path) -> None:
    with zipfile.ZipFile(saved, "w") as archive:
        archive.writestr("manifest.json", b"{}")
        archive.writestr("manifest.json", b"{}")
    assert "nothing else" in refusal(saved, library)


def test_a_link_is_refused(saved: Path, library: Path) -> None:
    manifest = parts(saved)[1]
    link = zipfile.ZipInfo("ember.db")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(saved, "w") as archive:
        archive.writestr(link, b"/etc/passwd")
        archive.writestr("manifest.json", msgspec.json.encode(manifest))
    assert "not a file" in refusal(saved, library)


def test_what_unpacks_to_far_more_than_its_size_is_refused(saved: Path, library: Path) -> None:
    assert "far more" in refusal(with_database(saved, b"SQLite format 3\0" + bytes(20_000_000)), library)


def test_another_packing_is_refused(saved: Path, library: Path) -> None:
    data, manifest = parts(saved)
    assert "packed in a way" in refusal(packed(saved, data, manifest, zipfile.ZIP_BZIP2), library)


@pytest.mark.parametrize("what", [b"", b"x", b"SQLite format 3\0", b"SQLite format 3\0" + bytes(range(256)) * 40])
def test_a_database_that_is_none_is_refused(what: bytes, saved: Path, library: Path) -> None:
    refusal(with_database(saved, what), library)


def test_a_database_with_pages_missing_is_refused(saved: Path, library: Path) -> None:
    assert "cut off" in refusal(with_database(saved, parts(saved)[0][:-4096]), library)


def test_a_database_with_damaged_pages_is_refused(saved: Path, library: Path) -> None:
    data = parts(saved)[0]
    for page in range(1, len(data) // 4096):
        torn = data[: page * 4096] + b"\xa5" * 64 + data[page * 4096 + 64 :]
        refusal(with_database(saved, torn), library)


def test_a_database_of_a_newer_ember_is_refused_with_its_own_words(saved: Path, library: Path) -> None:
    assert "newer Ember" in refusal(changed_by(saved, "PRAGMA user_version = 99"), library)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER x AFTER INSERT ON settings BEGIN DELETE FROM messages; END",
        "CREATE VIEW x AS SELECT 1",
        "CREATE TABLE x (y)",
        "CREATE INDEX x ON messages (text)",
        "CREATE INDEX x ON messages (length(text)) WHERE length(text) > 1",
        "CREATE VIRTUAL TABLE x USING fts5 (y)",
        "DROP TRIGGER message_added",
        "DROP INDEX kv_roots_of_conversation",
        "ALTER TABLE messages ADD COLUMN x GENERATED ALWAYS AS (length(text)) VIRTUAL",
        "ALTER TABLE settings RENAME TO x",
        "DROP TABLE kv_drops",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = -3",
        "PRAGMA user_version = 1",
    ],
)
def test_a_schema_that_is_not_ours_is_refused(statement: str, saved: Path, library: Path) -> None:
    assert "tables of an Ember library" in refusal(changed_by(saved, statement), library)


def test_a_view_that_was_exchanged_behind_sqlite_s_back_is_refused(saved: Path, library: Path) -> None:
    exchanged = changed_by(
        saved,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = 'CREATE VIEW searchable_messages AS SELECT position, id AS text FROM messages' "
        "WHERE name = 'searchable_messages'",
    )
    assert "tables of an Ember library" in refusal(exchanged, library)


def test_two_tables_on_the_same_pages_are_refused(saved: Path, library: Path) -> None:
    shared = changed_by(
        saved,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'messages') "
        "WHERE name = 'settings'",
    )
    assert "damaged" in refusal(shared, library)


def test_a_search_index_that_lies_is_made_anew(saved: Path, library: Path) -> None:
    restored(changed_by(saved, "DELETE FROM message_search_data WHERE id > 10"), library)
    with closing(opened(library)) as database:
        assert ConversationStore(database).search("bridges")


def test_messages_in_a_circle_become_branches_of_their_own(saved: Path, library: Path) -> None:
    circle = "UPDATE messages SET parent = (SELECT id FROM messages ORDER BY position DESC LIMIT 1)"
    restored(changed_by(saved, circle), library)
    with closing(opened(library)) as database:
        assert database.row("SELECT 1 FROM messages WHERE parent IS NOT NULL") is None


@pytest.mark.parametrize("keep", [0, 10, 22, 500, -1, -10, -22, -60])
def test_a_file_that_was_cut_off_is_refused(keep: int, saved: Path, library: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    refusal(saved, library)


def test_a_file_with_something_before_or_after_it_is_refused(saved: Path, library: Path) -> None:
    data = saved.read_bytes()
    for wrapped in (b"#!/bin/sh\n" + data, data + b"more"):
        saved.write_bytes(wrapped)
        refusal(saved, library)


def test_every_changed_byte_is_refused_or_does_not_matter(saved: Path, library: Path) -> None:
    data = saved.read_bytes()
    for place in range(0, len(data), 97):
        damaged = bytearray(data)
        damaged[place] ^= 0x5A
        saved.write_bytes(damaged)
        try:
            restored(saved, library)
        except EmberError as error:
            assert error.kind == "bad_backup"
    with closing(opened(library)) as database:
        assert database.notice is None


def test_a_folder_and_a_missing_file_are_said(library: Path, tmp_path: Path) -> None:
    assert "it is not a file" in refusal(tmp_path, library)
    assert "it does not exist" in refusal(tmp_path / "absent", library)


def test_a_signature_of_another_content_is_none(store: ConversationStore, tmp_path: Path, library: Path) -> None:
    write_backup(store.database, tmp_path / "x", silently, KEY)
    assert restored(tmp_path / "x", library).with_token_ids
    swapped = changed_by(tmp_path / "x", "DELETE FROM kv_drops", "VACUUM", "INSERT INTO settings VALUES ('a', 'b')")
    assert not restored(swapped, library).with_token_ids


def test_a_conversation_s_archive_is_no_backup(saved: Path, library: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("manifest.json", b'{"format": "ember-conversation", "version": 1}')
        archive.writestr("conversation.json", b"{}")
    saved.write_bytes(buffer.getvalue())
    assert "another format" in refusal(saved, library)


def test_a_schema_of_very_many_tables_is_refused_before_it_is_read_whole(saved: Path, library: Path) -> None:
    many = [f"CREATE VIEW v{number} AS SELECT 1" for number in range(2000)]
    refusal(changed_by(saved, "BEGIN", *many, "COMMIT"), library)


def test_the_library_of_the_tests_is_sound(saved: Path, library: Path) -> None:
    restored(with_database(saved, parts(saved)[0]), library)
    with closing(Database.open(library / "ember.db", library, readonly=True)) as database:
        assert ConversationStore(database).summaries()
