"""Conversations out of the app and back."""

from contextlib import closing
from pathlib import Path

import pytest

from app.core.conversation import Conversation, ConversationTree, new_conversation_id
from app.core.errors import EmberError
from app.services.transfer import export_all, export_conversation, file_name
from app.storage.archive import place, read_archive
from app.storage.archive_format import MESSAGE_TEXT_LIMIT
from app.storage.backup import write_backup
from app.storage.conversations import ConversationStore
from app.storage.database import Database
from app.storage.restore import restore_library
from tests.unit.storage.made import CHAT, forked_tree, message, message_id, put


def test_an_exported_conversation_comes_back_whole_in_another_data_folder(
    store: ConversationStore, tmp_path: Path
) -> None:
    tree = forked_tree()
    put(store, tree)
    export_conversation(store, CHAT, tmp_path / "roads.ember", "ember")
    database = Database.open(tmp_path / "other.db", tmp_path / "backups")
    other = ConversationStore(database)
    assert place(other, read_archive(tmp_path / "roads.ember")).conversation == CHAT
    assert other.tree(CHAT).messages == tree.messages
    database.close()


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Roads, bridges & “walls” (2)", "Roads, bridges & “walls” (2)"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("a\\b:c*d?", "a_b_c_d_"),
        ("line\nand \u202egnp.exe", "line_and _gnp.exe"),
        (" .. ", "chat"),
        ("nul", "nul_"),
        ("𠀀" * 90, "𠀀" * 50),
        ("\udcff", "_"),
    ],
)
def test_a_title_becomes_a_name_that_any_system_takes(title: str, name: str) -> None:
    assert file_name(title) == name


def test_markdown_holds_all_branches(store: ConversationStore, tmp_path: Path) -> None:
    put(store, forked_tree())
    export_conversation(store, CHAT, tmp_path / "roads.md", "markdown")
    text = (tmp_path / "roads.md").read_text(encoding="utf-8")
    assert "Why did Roman roads last?" in text
    assert "Why did Roman bridges last?" in text


def test_a_place_that_cannot_be_written_is_said_and_leaves_nothing(store: ConversationStore, tmp_path: Path) -> None:
    put(store, forked_tree())
    with pytest.raises(EmberError) as refused:
        export_conversation(store, CHAT, tmp_path / "absent" / "roads.ember", "ember")
    assert refused.value.kind == "cannot_write"
    assert not (tmp_path / "absent").exists()


def test_ember_s_own_files_are_never_replaced(store: ConversationStore, tmp_path: Path) -> None:
    put(store, forked_tree())
    before = store.database.path.read_bytes()
    with pytest.raises(EmberError, match="own files"):
        export_conversation(store, CHAT, tmp_path / "ember.db", "ember")
    with pytest.raises(EmberError, match="own files"):
        export_all(store, [CHAT], tmp_path / "kv", "markdown")
    assert store.database.path.read_bytes() == before
    assert not (tmp_path / "kv").exists()


def test_a_message_that_no_archive_holds_is_said_and_a_backup_holds_it(
    store: ConversationStore, tmp_path: Path
) -> None:
    text = "a" * (MESSAGE_TEXT_LIMIT + 1)
    long = ConversationTree(Conversation(CHAT, "Long"), {message_id(1): message(1, None, text=text)})
    put(store, long)
    store.create(Conversation(new_conversation_id(), "Short"))
    every = [summary.id for summary in store.summaries()]
    (left_out,) = export_all(store, every[::-1], tmp_path / "out", "ember")
    assert "one of its messages has 4,194,305 characters" in left_out.sentence
    assert "A backup of the library holds it as it is." in left_out.sentence
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["Short.ember"]
    assert export_all(store, [CHAT], tmp_path / "out", "markdown") == []
    assert text in (tmp_path / "out" / "Long.md").read_text()
    write_backup(store.database, tmp_path / "all.emberbackup", lambda _done, _total: None)
    home = tmp_path / "home" / "ember.db"
    home.parent.mkdir()
    restore_library(tmp_path / "all.emberbackup", home, home.parent, lambda _done, _total: None, key=bytes(32))
    with closing(Database.open(home, home.parent, readonly=True)) as database:
        assert ConversationStore(database).tree(CHAT).messages == long.messages
