"""Backups that lie: each is refused in a sentence, and the library is as it was."""

import hashlib
import io
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.conversation import ConversationTree
from app.core.errors import EmberError
from app.storage.backup import write_backup
from app.storage.connection import connect
from app.storage.conversations import ConversationStore
from app.storage.database import Database
from app.storage.library_copy import LONGEST_VALUE
from app.storage.restore import Prepared, prepare_library
from app.storage.schema import MIGRATIONS
from app.storage.settings import SettingsStore
from app.storage.upgrade import migrate
from tests.unit.storage.made import CHAT, forked_tree, message, message_id, put
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


def prepared(path: Path, library: Path) -> Prepared:
    """A backup that was tried on a copy, to be put in the place of that library."""
    return prepare_library(path, library / "ember.db", library / "backups", silently, key=KEY)


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


def with_database(saved: Path, data: bytes, packing: int = zipfile.ZIP_DEFLATED) -> Path:
    """The backup with another database, whose size and checksum are right."""
    manifest = parts(saved)[1]
    manifest["files"] = [{"name": "ember.db", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}]
    return packed(saved, data, manifest, packing)


def changed_by(saved: Path, *statements: str) -> Path:
    """The backup with a database in which that SQL was run."""
    copy = saved.with_name("changed.db")
    copy.write_bytes(parts(saved)[0])
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    return with_database(saved, copy.read_bytes(), zipfile.ZIP_STORED)


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


def test_a_database_with_damaged_pages_is_refused_unless_all_rows_can_be_read(saved: Path, library: Path) -> None:
    data = parts(saved)[0]
    sentences = set()
    for page in range(1, len(data) // 4096):
        torn = data[: page * 4096] + b"\xa5" * 64 + data[page * 4096 + 64 :]
        try:
            with prepared(with_database(saved, torn), library) as taken, closing(sqlite3.connect(taken.copy)) as copy:
                texts = [row[0] for row in copy.execute("SELECT text FROM messages ORDER BY position")]
                assert texts == [message.text for message in forked_tree().messages.values()]
        except EmberError as error:
            sentences.add(error.sentence)
    assert sentences == {"“x” was not restored because its database is damaged. Nothing was changed."}


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


def test_an_index_that_lies_is_not_read(saved: Path, library: Path) -> None:
    exchanged = (
        "UPDATE sqlite_master SET rootpage = (SELECT sum(rootpage) FROM sqlite_master AS other WHERE other.name IN "
        "('messages_of_conversation', 'kv_roots_of_conversation')) - rootpage "
        "WHERE name IN ('messages_of_conversation', 'kv_roots_of_conversation')"
    )
    restored(changed_by(saved, "PRAGMA writable_schema = ON", exchanged), library)
    with closing(opened(library)) as database:
        assert ConversationStore(database).tree(CHAT) == forked_tree()
        assert database.row("PRAGMA integrity_check")["integrity_check"] == "ok"  # type: ignore[index]


def test_settings_of_the_search_and_sizes_of_pages_and_caches_are_not_taken_over(saved: Path, library: Path) -> None:
    """A search that writes nothing to the disk before its end would take any memory, and so would a cache."""
    hostile = changed_by(
        saved,
        "INSERT INTO message_search (message_search, rank) VALUES ('hashsize', 2000000000)",
        "INSERT INTO message_search (message_search, rank) VALUES ('rank', 'bm25(10.0)')",
        "PRAGMA page_size = 65536",
        "VACUUM",
        "PRAGMA default_cache_size = 1000000000",
        "PRAGMA application_id = 7",
    )
    restored(hostile, library)
    with closing(opened(library)) as database:
        assert [row["k"] for row in database.rows("SELECT k FROM message_search_config")] == ["version"]
        found = [
            database.rows(f"PRAGMA {name}")[0][0] for name in ("page_size", "default_cache_size", "application_id")
        ]
    assert found == [4096, -2000, 0]


def test_a_schema_that_is_no_text_is_refused(saved: Path, library: Path) -> None:
    data = parts(saved)[0]
    torn = data.replace(b"CREATE INDEX messages_of", b"CREATE INDEX \x80essages_of").replace(
        b"CREATE TABLE s", b"CRE\x80TE TABLE s"
    )
    assert torn != data
    assert "damaged" in refusal(with_database(saved, torn), library)


def test_a_database_of_another_encoding_is_refused(saved: Path, library: Path) -> None:
    wide = saved.with_name("wide.db")
    with closing(connect(str(wide))) as connection:
        connection.execute("PRAGMA encoding = 'UTF-16le'")
        migrate(connection, MIGRATIONS)
    refusal(with_database(saved, wide.read_bytes()), library)


def test_the_last_number_of_all_does_not_keep_new_messages_from_their_place(saved: Path, library: Path) -> None:
    last = f"UPDATE messages SET position = {2**63 - 1} WHERE position = (SELECT max(position) FROM messages)"
    restored(changed_by(saved, last), library)
    with closing(opened(library)) as database:
        ConversationStore(database).add_message(message(7, 6, "assistant", "They had arches."))
        assert list(ConversationStore(database).tree(CHAT).messages)[-1] == message_id(7)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE conversations SET title = hex(zeroblob(700000))", "far longer"),
        ("UPDATE messages SET id = hex(zeroblob(700000)) WHERE position = 2", "far longer"),
        ("INSERT INTO settings (key, value) VALUES (hex(zeroblob(700000)), 'x')", "far longer"),
        (f"UPDATE messages SET text = hex(zeroblob({LONGEST_VALUE // 2})) WHERE position = 2", "larger than Ember"),
    ],
    ids=["title", "id", "setting", "text"],
)
def test_a_value_that_is_too_large_for_its_place_is_refused(
    change: str, words: str, saved: Path, library: Path
) -> None:
    assert words in refusal(changed_by(saved, change), library)


def test_a_long_draft_of_a_new_chat_which_is_a_setting_comes_back(
    store: ConversationStore, tmp_path: Path, library: Path
) -> None:
    SettingsStore(store.database).set("draft", "word " * 500_000)
    write_backup(store.database, tmp_path / "x", silently)
    restored(tmp_path / "x", library)
    with closing(opened(library)) as database:
        assert SettingsStore(database).get("draft", str, "") == "word " * 500_000


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


# --- memory --------------------------------------------------------------------------------------------------------

MEASURE = """
import sys
from pathlib import Path
from app.storage.restore import restore_library
folder = Path(sys.argv[1])
restore_library(Path(sys.argv[2]), folder / "ember.db", folder / "backups", lambda *_: None, key=bytes(32))
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""
NEARLY = LONGEST_VALUE - 1024 * 1024


def words(size: int) -> str:
    """Words that are all different, which take the search the most memory for each byte."""
    return " ".join(f"{number:x}" for number in range(size // 6))[:size]


LARGE: dict[str, tuple[str, Callable[[], list[str | bytes]]]] = {
    "a long message": ("UPDATE messages SET text = ? WHERE position = 1", lambda: [words(NEARLY)]),
    "a message of wide letters": (
        "UPDATE messages SET text = ? WHERE position = 1",
        lambda: [" ".join(chr(0x20000 + number // 200) + chr(0x20000 + number % 200) for number in range(NEARLY // 9))],
    ),
    "a draft and a system prompt": (
        "UPDATE conversations SET draft = ?, system_prompt = ?",
        lambda: ["𠀀" * (NEARLY // 8), "𠀀" * (NEARLY // 8)],
    ),
    "token ids": (f"INSERT INTO message_tokens VALUES ('{message_id(2)}', 't', ?)", lambda: [bytes(NEARLY)]),
}


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("what", LARGE)
def test_a_backup_with_the_largest_values_takes_less_than_300_mib(what: str, saved: Path, library: Path) -> None:
    statement, values = LARGE[what]
    copy = saved.with_name("changed.db")
    copy.write_bytes(parts(saved)[0])
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        (trigger,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'message_changed'").fetchone()
        connection.execute("DROP TRIGGER message_changed")  # which would take up the text, and the time for that
        connection.execute(statement, values())
        connection.execute(trigger)
    with_database(saved, copy.read_bytes(), zipfile.ZIP_STORED)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(library), str(saved)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 300 * 1024


# --- anything ------------------------------------------------------------------------------------------------------

VALUES = (
    None,
    "",
    b"\xff\x00",
    "../../x",
    -1,
    2**63 - 1,
    float("inf"),
    "\ud83d".encode("utf-16", "surrogatepass"),
    "9" * 999,
)
COLUMNS = [
    f"{table} SET {column}"
    for table, columns in {
        "conversations": "id title created updated leaf model_path sampler draft deleted_at pin_state save_state",
        "messages": "position id conversation parent text created model finish_reason figures error",
        "settings": "key value",
    }.items()
    for column in columns.split()
]
BYTES = st.lists(st.tuples(st.integers(0, 2**20), st.binary(min_size=1, max_size=3)), min_size=1, max_size=4)
CHANGES = st.one_of(
    st.tuples(st.just("file"), BYTES),
    st.tuples(st.just("database"), BYTES),
    st.tuples(st.just("value"), st.tuples(st.sampled_from(COLUMNS), st.sampled_from(VALUES))),
)


def mutated(saved: Path, kind: str, change: Any) -> None:
    """Change some bytes of the file or of its database, or a value in a row."""
    if kind == "value":
        copy = saved.with_name("changed.db")
        copy.write_bytes(parts(saved)[0])
        number_that_is_none = suppress(sqlite3.IntegrityError)
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection, number_that_is_none:
            connection.execute(f"UPDATE OR IGNORE {change[0]} = ? WHERE rowid = 1", (change[1],))
        with_database(saved, copy.read_bytes())
        return
    data = bytearray(saved.read_bytes() if kind == "file" else parts(saved)[0])
    for at, piece in change:
        data[at % len(data) : at % len(data) + len(piece)] = piece
    if kind == "file":
        saved.write_bytes(data)
    else:
        with_database(saved, bytes(data))


@settings(
    max_examples=300,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(CHANGES)
def test_a_mutated_backup_is_refused_or_a_sound_library(saved: Path, library: Path, how: tuple[str, Any]) -> None:
    good, before = saved.read_bytes(), (library / "ember.db").read_bytes()
    mutated(saved, *how)
    try:
        with prepared(saved, library) as taken, closing(Database.open(taken.copy, library, readonly=True)) as database:
            store = ConversationStore(database)
            assert database.rows("PRAGMA integrity_check")[0][0] == "ok"
            assert len(store.summaries()) == taken.holds.conversations
            for summary in store.summaries():
                assert holds_together(store.tree(summary.id))
            store.search("bridges")
    except EmberError as error:
        assert error.kind == "bad_backup" and error.sentence.endswith("Nothing was changed.")
    finally:
        saved.write_bytes(good)
    assert [each.name for each in library.iterdir()] == ["ember.db"]
    assert (library / "ember.db").read_bytes() == before


def holds_together(tree: ConversationTree) -> bool:
    """Whether parents stand before their children."""
    seen: set[str | None] = {None}
    return all(each.parent in seen and not seen.add(each.id) for each in tree.messages.values())  # type: ignore[func-returns-value]
