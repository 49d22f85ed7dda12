"""Conversations out of the app and back."""

import json
from pathlib import Path

import pytest

from app.core.errors import EmberError
from app.services import transfer
from app.services.transfer import export_conversation, file_name, import_conversation, import_files
from app.storage.conversations import ConversationStore
from app.storage.database import Database
from tests.unit.storage.imports import samples
from tests.unit.storage.made import CHAT, forked_tree, put


def test_an_exported_conversation_comes_back_whole_in_another_data_folder(
    store: ConversationStore, tmp_path: Path
) -> None:
    tree = forked_tree()
    put(store, tree)
    export_conversation(store, CHAT, tmp_path / "roads.ember", "ember")
    database = Database.open(tmp_path / "other.db", tmp_path / "backups")
    other = ConversationStore(database)
    assert import_conversation(other, tmp_path / "roads.ember") == CHAT
    assert other.tree(CHAT).messages == tree.messages
    database.close()


def test_a_conversation_that_is_there_already_comes_back_as_a_copy_that_says_so(
    store: ConversationStore, tmp_path: Path
) -> None:
    put(store, forked_tree())
    export_conversation(store, CHAT, tmp_path / "roads.ember", "ember")
    copy = import_conversation(store, tmp_path / "roads.ember")
    assert copy != CHAT
    assert store.get(copy).title.startswith("Roman roads")
    assert store.get(copy).title != store.get(CHAT).title
    assert len(store.tree(copy).messages) == len(store.tree(CHAT).messages)


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


def test_a_file_that_is_no_conversation_changes_nothing(store: ConversationStore, tmp_path: Path) -> None:
    (tmp_path / "x.ember").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(EmberError):
        import_conversation(store, tmp_path / "x.ember")
    assert store.summaries() == []


def test_a_place_that_cannot_be_written_is_said_and_leaves_nothing(store: ConversationStore, tmp_path: Path) -> None:
    put(store, forked_tree())
    with pytest.raises(EmberError) as refused:
        export_conversation(store, CHAT, tmp_path / "absent" / "roads.ember", "ember")
    assert refused.value.kind == "cannot_write"
    assert not (tmp_path / "absent").exists()


def test_a_folder_is_imported_with_all_that_is_read_in_it(store: ConversationStore, tmp_path: Path) -> None:
    thread = tmp_path / "in" / "threads" / "one"
    thread.mkdir(parents=True)
    (thread / "thread.json").write_text(json.dumps(samples.JAN_THREAD))
    (thread / "messages.jsonl").write_text("\n".join(map(json.dumps, samples.JAN_MESSAGES)))
    (tmp_path / "in" / "a.conversation.json").write_text(json.dumps(samples.LM_STUDIO))
    (tmp_path / "in" / "photo.png").write_bytes(b"x")
    report = import_files(store, [tmp_path / "in"])
    assert [(one.file.name, one.messages) for one in report.taken] == [
        ("a.conversation.json", 3),
        ("messages.jsonl", 2),
    ]
    assert report.not_taken == ()


def test_an_empty_folder_is_said(store: ConversationStore, tmp_path: Path) -> None:
    (told,) = import_files(store, [tmp_path]).not_taken
    assert "holds no file that Ember reads" in told.sentence


def test_a_folder_of_too_many_files_is_said_and_the_others_are_taken(
    store: ConversationStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "FILES_LIMIT", 1)
    (tmp_path / "in").mkdir()
    for name in ("a.json", "b.json", "in/c.json", "in/d.json"):
        (tmp_path / name).write_text(json.dumps(samples.OPENAI))
    report = import_files(store, [tmp_path / "in", tmp_path / "a.json"])
    assert len(report.taken) == 1
    assert "more than 1 files" in report.not_taken[0].sentence


def test_a_link_in_a_folder_is_not_followed(store: ConversationStore, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text(json.dumps(samples.OPENAI))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.json").symlink_to(tmp_path / "secret.json")
    assert import_files(store, [tmp_path / "in"]).taken == ()


def test_the_conversations_of_a_file_before_and_after_a_broken_one_are_taken(
    store: ConversationStore, tmp_path: Path
) -> None:
    (tmp_path / "many.json").write_text(
        json.dumps([samples.CHATGPT, {"title": "Broken", "mapping": 7}, samples.OPENAI])
    )
    told: list[str] = []
    report = import_files(store, [tmp_path / "many.json"], lambda one: told.append(one.title))
    assert told == ["Roads", "Why?"]
    assert [refused.title for refused in report.not_taken] == ["Broken"]
    assert {summary.title for summary in store.summaries()} == {"Roads", "Why?"}


def test_what_is_imported_a_second_time_is_a_copy_that_says_so(store: ConversationStore, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(samples.LLAMA_WEB))
    titles = [import_files(store, [tmp_path / "one.json"]).taken[0].title for _ in range(2)]
    assert titles == ["Roads", "Roads (copy)"]


def test_a_conversation_that_cannot_be_stored_leaves_nothing_of_it(
    store: ConversationStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise EmberError("The disk is full.", kind="disk_full")

    (tmp_path / "one.json").write_text(json.dumps(samples.LLAMA_WEB))
    monkeypatch.setattr(store.database, "write_many", fails)
    with pytest.raises(EmberError):
        import_files(store, [tmp_path / "one.json"])
    assert store.summaries() == []
