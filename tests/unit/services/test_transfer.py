"""Conversations out of the app and back."""

from pathlib import Path

import pytest

from app.core.errors import EmberError
from app.services.transfer import export_conversation, file_name
from app.storage.archive import place, read_archive
from app.storage.conversations import ConversationStore
from app.storage.database import Database
from tests.unit.storage.made import CHAT, forked_tree, put


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
