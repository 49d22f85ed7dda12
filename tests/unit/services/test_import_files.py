"""Conversations of files and folders into the database."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app.core.conversation import ConversationTree, MessageId
from app.core.errors import EmberError
from app.services import import_files as importing
from app.services.import_files import (
    ImportHooks,
    ImportOrder,
    ImportReport,
    StateOutcome,
    import_files,
)
from app.services.transfer import export_conversation
from app.storage.archive_format import StateManifest
from app.storage.conversations import ConversationStore
from app.storage.merge import compare
from tests.unit.storage.imports import samples
from tests.unit.storage.made import CHAT, forked_tree, message, message_id, put


def no_state(_file: Path, _state: StateManifest, _names: Mapping[MessageId, MessageId]) -> StateOutcome:
    raise AssertionError("no archive here has state")


def hooks(**others: Any) -> ImportHooks:
    return ImportHooks(**({"key": lambda: bytes(32), "may_save": lambda _id: True, "adopt": no_state} | others))


def take(store: ConversationStore, *paths: Path, **rest: Any) -> ImportReport:
    return import_files(store, ImportOrder(paths, **rest), hooks())


def exported(store: ConversationStore, tree: ConversationTree, path: Path) -> Path:
    """An .ember file of a conversation that is not kept."""
    put(store, tree)
    export_conversation(store, tree.conversation.id, path, "ember")
    store.delete(tree.conversation.id)
    store.purge_deleted(1e12)
    return path


def test_a_folder_is_imported_with_all_that_is_read_in_it(store: ConversationStore, tmp_path: Path) -> None:
    thread = tmp_path / "in" / "threads" / "one"
    thread.mkdir(parents=True)
    (thread / "thread.json").write_text(json.dumps(samples.JAN_THREAD))
    (thread / "messages.jsonl").write_text("\n".join(map(json.dumps, samples.JAN_MESSAGES)))
    (tmp_path / "in" / "a.conversation.json").write_text(json.dumps(samples.LM_STUDIO))
    (tmp_path / "in" / "photo.png").write_bytes(b"x")
    report = take(store, tmp_path / "in")
    assert [(one.file.name, one.messages) for one in report.taken] == [
        ("a.conversation.json", 3),
        ("messages.jsonl", 2),
    ]
    assert report.not_taken == ()


def test_an_empty_folder_is_said(store: ConversationStore, tmp_path: Path) -> None:
    (told,) = take(store, tmp_path).not_taken
    assert "holds no file that Ember reads" in told.sentence


def test_a_folder_of_too_many_files_is_said_and_the_others_are_taken(
    store: ConversationStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "FILES_LIMIT", 1)
    (tmp_path / "in").mkdir()
    for name in ("a.json", "b.json", "in/c.json", "in/d.json"):
        (tmp_path / name).write_text(json.dumps(samples.OPENAI))
    report = take(store, tmp_path / "in", tmp_path / "a.json")
    assert len(report.taken) == 1
    assert "more than 1 files" in report.not_taken[0].sentence


def test_a_link_in_a_folder_is_not_followed(store: ConversationStore, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text(json.dumps(samples.OPENAI))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.json").symlink_to(tmp_path / "secret.json")
    assert take(store, tmp_path / "in").taken == ()


def test_the_conversations_of_a_file_before_and_after_a_broken_one_are_taken(
    store: ConversationStore, tmp_path: Path
) -> None:
    (tmp_path / "many.json").write_text(
        json.dumps([samples.CHATGPT, {"title": "Broken", "mapping": 7}, samples.OPENAI])
    )
    told: list[str] = []
    order = ImportOrder((tmp_path / "many.json",))
    report = import_files(store, order, hooks(told=lambda one: told.append(one.title)))
    assert told == ["Roads", "Why?"]
    assert [refused.title for refused in report.not_taken] == ["Broken"]
    assert {summary.title for summary in store.summaries()} == {"Roads", "Why?"}


def test_what_is_imported_a_second_time_is_a_copy_that_says_so(store: ConversationStore, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(samples.LLAMA_WEB))
    titles = [take(store, tmp_path / "one.json").taken[0].title for _ in range(2)]
    assert titles == ["Roads", "Roads (copy)"]


def test_a_conversation_that_cannot_be_stored_leaves_nothing_of_it(
    store: ConversationStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise EmberError("The disk is full.", kind="disk_full")

    (tmp_path / "one.json").write_text(json.dumps(samples.LLAMA_WEB))
    monkeypatch.setattr(store.database, "write_many", fails)
    with pytest.raises(EmberError):
        take(store, tmp_path / "one.json")
    assert store.summaries() == []


# --- a conversation that is here already ------------------------------------------------------------------------------


def longer() -> ConversationTree:
    """The forked conversation with another reply and a branch that went on."""
    tree = forked_tree()
    new = [message(7, 1, "assistant", "Sand."), message(8, 2, text="Go on.")]
    return ConversationTree(tree.conversation, {**tree.messages, **{each.id: each for each in new}})


def test_asked_about_a_known_conversation_nothing_is_stored_of_it(store: ConversationStore, tmp_path: Path) -> None:
    file = exported(store, longer(), tmp_path / "roads.ember")
    put(store, forked_tree())
    report = take(store, file, known="ask")
    (undecided,) = report.undecided
    assert report.taken == ()
    assert (undecided.id, undecided.title, undecided.difference.branches) == (CHAT, "Roman roads", 2)
    assert len(store.tree(CHAT).messages) == 6


@pytest.mark.parametrize("known", ["ask", "merge"])
def test_an_identical_conversation_is_recognised(known: str, store: ConversationStore, tmp_path: Path) -> None:
    file = exported(store, forked_tree(), tmp_path / "roads.ember")
    put(store, forked_tree())
    (one,) = take(store, file, known=known).taken
    assert (one.outcome, one.id, one.added) == ("same", CHAT, ())
    assert len(store.summaries()) == 1


def test_new_branches_are_added_where_that_was_chosen(store: ConversationStore, tmp_path: Path) -> None:
    file = exported(store, longer(), tmp_path / "roads.ember")
    put(store, forked_tree())
    (one,) = take(store, file, known="merge").taken
    assert (one.outcome, one.added, one.branches) == ("merged", (message_id(7), message_id(8)), 2)
    assert len(store.tree(CHAT).messages) == 8


def test_where_words_differ_a_copy_comes_instead(store: ConversationStore, tmp_path: Path) -> None:
    file = exported(store, longer(), tmp_path / "roads.ember")
    put(store, forked_tree())
    store.update_reply(message_id(2), text="Something else.", finish_reason="stop")
    (one,) = take(store, file, known="merge").taken
    assert (one.outcome, one.title) == ("copy", "Roman roads (copy)")


def test_a_chat_that_is_changed_while_it_is_compared_is_left_alone_and_the_others_are_taken(
    store: ConversationStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = exported(store, longer(), tmp_path / "a.ember")
    (tmp_path / "b.json").write_text(json.dumps(samples.OPENAI))
    put(store, forked_tree())

    def compared(*arguments: Any) -> Any:
        found = compare(*arguments)
        store.update_reply(message_id(2), text="Just changed.", finish_reason="stop")
        return found

    monkeypatch.setattr(importing, "compare", compared)
    report = take(store, file, tmp_path / "b.json", known="merge")
    assert [one.title for one in report.taken] == ["Why?"]
    assert "reads differently here" in report.not_taken[0].sentence
    assert len(store.tree(CHAT).messages) == 6


def test_of_files_that_are_read_again_only_what_was_asked_for_is_taken(
    store: ConversationStore, tmp_path: Path
) -> None:
    (tmp_path / "many.json").write_text(json.dumps([samples.CHATGPT, samples.OPENAI]))
    first = take(store, tmp_path / "many.json").taken
    again = take(store, tmp_path / "many.json", only=frozenset([(tmp_path / "many.json", first[1].id)])).taken
    assert [one.title for one in again] == [f"{first[1].title} (copy)"]


def test_a_file_that_was_exchanged_since_it_was_asked_about_is_said(store: ConversationStore, tmp_path: Path) -> None:
    file = tmp_path / "many.json"
    file.write_text(json.dumps([samples.CHATGPT, samples.OPENAI]))
    asked = frozenset((file, one.id) for one in take(store, file).taken)
    file.write_text(json.dumps(samples.LLAMA_WEB))
    report = take(store, file, only=asked)
    assert not report.taken
    assert [each.sentence for each in report.not_taken] == [
        "“many.json” was not imported because it is another file by now."
    ]
    file.unlink()
    assert "does not exist" in " ".join(each.sentence for each in take(store, file, only=asked).not_taken)


# --- progress, stopping, and paths ------------------------------------------------------------------------------------


def test_progress_counts_conversations_as_the_files_tell_them(store: ConversationStore, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([samples.CHATGPT, samples.LLAMA_WEB, samples.OPENAI]))
    (tmp_path / "b.json").write_text(json.dumps(samples.LM_STUDIO))
    told: list[tuple[int, int]] = []
    order = ImportOrder((tmp_path / "a.json", tmp_path / "b.json"))
    import_files(store, order, hooks(progressed=lambda done, total: told.append((done, total))))
    assert list(dict.fromkeys(told)) == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_what_is_in_stays_when_it_is_stopped_and_the_rest_is_not_begun(
    store: ConversationStore, tmp_path: Path
) -> None:
    (tmp_path / "many.json").write_text(json.dumps([samples.CHATGPT, samples.LLAMA_WEB, samples.OPENAI]))
    taken: list[str] = []
    order = ImportOrder((tmp_path / "many.json",))
    stopping = hooks(told=lambda one: taken.append(one.id), is_stopped=lambda: len(taken) == 2)
    report = import_files(store, order, stopping)
    assert report.was_stopped
    assert [one.id for one in report.taken] == taken
    assert len(store.summaries()) == 2


@pytest.mark.parametrize("name", ["no such file.ember", "x" * 300 + ".ember", "nul\0.json", "-rf", "a\nb"])
def test_a_path_that_leads_nowhere_is_only_said(name: str, store: ConversationStore, tmp_path: Path) -> None:
    (told,) = take(store, tmp_path / name).not_taken
    assert told.sentence.endswith(".")
    assert store.summaries() == []
