"""Importing in the window: dropped files, questions about chats that are here and about foreign state, and reports."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QMessageBox, QPushButton, QWidget

from app.core.conversation import ConversationTree
from app.core.errors import EmberError
from app.gui import dialogs_import
from app.gui.dialogs_import import ReportDialog
from app.protocol.answers import SavedAdopted, StoreOpened
from app.protocol.parts import AdoptedTip
from app.protocol.requests import AdoptSaved, Cancel, OpenStore
from app.services.window_socket import Found, ImportRequest, OpenRequest
from app.storage.archive import checked_archive
from app.storage.files import write_bytes_atomically
from app.storage.signing import installation_key
from tests.unit.gui.person import Person
from tests.unit.services.archives import FINGERPRINT, TIP, archive_with_state
from tests.unit.storage.imports import samples
from tests.unit.storage.made import CHAT, forked_tree, message, message_id, put

LEFT = Qt.MouseButton.LeftButton
NO_KEYS = Qt.KeyboardModifier.NoModifier


def files(*paths: Path) -> QMimeData:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return data


def drag_onto(widget: QWidget, data: QMimeData, at: QPoint = QPoint(40, 40)) -> bool:  # noqa: B008
    """Drag something over a widget; whether it would be taken."""
    event = QDragEnterEvent(at, Qt.DropAction.CopyAction, data, LEFT, NO_KEYS)
    QApplication.sendEvent(widget, event)
    return event.isAccepted()


def drop_onto(widget: QWidget, data: QMimeData) -> None:
    QApplication.sendEvent(widget, QDropEvent(QPointF(40, 40), Qt.DropAction.CopyAction, data, LEFT, NO_KEYS))


def plain(path: Path, tree: ConversationTree | None = None) -> Path:
    """An archive without state."""
    write_bytes_atomically(path, checked_archive(tree or forked_tree(), {}))
    return path


def longer() -> ConversationTree:
    """The forked conversation with a branch more."""
    tree = forked_tree()
    new = message(9, 1, "assistant", "Sand.")
    return ConversationTree(tree.conversation, {**tree.messages, new.id: new})


def drop(person: Person, *paths: Path) -> None:
    """Drop files on the window."""
    data = files(*paths)
    assert drag_onto(person.window, data)
    drop_onto(person.window.importing.target, data)


def wait_for_notice(person: Person, words: str) -> str:
    """The notice with these words, once it is there."""
    person.qtbot.waitUntil(lambda: any(words in notice for notice in person.notices))
    return next(notice for notice in person.notices if words in notice)


def question(person: Person) -> QMessageBox:
    """The question that is asked."""

    def asked() -> list[QMessageBox]:
        return [box for box in person.window.findChildren(QMessageBox) if box.isVisible()]

    person.qtbot.waitUntil(lambda: bool(asked()))
    return asked()[0]


def press(box: QMessageBox, words: str) -> None:
    """Press the button with these words."""
    (button,) = [each for each in box.buttons() if each.text().replace("&", "") == words]
    button.click()


def act(person: Person, words: str) -> None:
    """Press an action of the notice."""
    (button,) = [each for each in person.window.notices.buttons if each.text() == words and not each.isHidden()]
    button.click()


def report(person: Person) -> ReportDialog:
    person.qtbot.waitUntil(lambda: bool(person.window.findChildren(ReportDialog)))
    return person.window.findChildren(ReportDialog)[0]


def open_store(person: Person) -> None:
    person.engine.say(StoreOpened(id=person.engine.asked(OpenStore)[-1].id, budget=1 << 30))


def let_adopt(person: Person, trouble: str = "") -> None:
    """Let the engine take state that it is asked to take."""
    person.qtbot.waitUntil(lambda: bool(person.engine.asked(AdoptSaved)))
    tips = () if trouble else (AdoptedTip(tip=bytes.fromhex(TIP), root=bytes.fromhex(FINGERPRINT)),)
    asked = person.engine.asked(AdoptSaved)[-1]
    person.engine.say(SavedAdopted(id=asked.id, tips=tips, files=1, bytes=1000, trouble=trouble))


def stored(person: Person) -> list[str]:
    return [summary.title for summary in person.window.workspace.store.summaries()]


# --- one file ---------------------------------------------------------------------------------------------------------


def test_a_file_that_is_dropped_opens_its_chat_with_a_notice(person: Person, tmp_path: Path) -> None:
    drop(person, plain(tmp_path / "roads.ember"))
    told = wait_for_notice(person, "was imported")
    assert told == "“Roman roads” was imported. It has 6 messages."
    assert person.window.chat.conversation_id == CHAT
    assert "Deep foundations." in person.shown
    assert not person.window.findChildren(ReportDialog)


def test_a_file_that_is_none_of_ours_is_refused_in_a_notice(person: Person, tmp_path: Path) -> None:
    (tmp_path / "photo.json").write_text("{}")
    drop(person, tmp_path / "photo.json")
    assert "was not imported because" in wait_for_notice(person, "photo.json")
    assert stored(person) == []


def test_a_backup_that_is_dropped_is_tried_and_asked_about_and_the_chats_beside_it_are_imported(
    person: Person, tmp_path: Path
) -> None:
    workspace = person.window.workspace
    with person.qtbot.waitSignal(workspace.backups.finished):
        workspace.backups.back_up(tmp_path / "mine.emberbackup")
    drop(person, tmp_path / "mine.emberbackup", plain(tmp_path / "roads.ember"))
    dialog = person.window.backing_up.dialog
    assert dialog is not None
    person.qtbot.waitUntil(dialog.restore.restore.isVisible)
    wait_for_notice(person, "“Roman roads” was imported")
    assert stored(person) == ["Roman roads"]
    dialog.close()


def test_a_backup_by_another_name_is_refused_as_what_it_is(person: Person, tmp_path: Path) -> None:
    workspace = person.window.workspace
    with person.qtbot.waitSignal(workspace.backups.finished):
        workspace.backups.back_up(tmp_path / "mine.zip")
    drop(person, tmp_path / "mine.zip")
    assert "it is a backup of a whole library" in wait_for_notice(person, "mine.zip” was not imported")


def test_the_model_that_a_chat_was_written_with_is_named_where_it_is_not_known(person: Person, tmp_path: Path) -> None:
    tree = forked_tree()
    tree = ConversationTree(replace(tree.conversation, model_path="/far/away/Gemma.gguf"), tree.messages)
    drop(person, archive_with_state(tmp_path / "roads.ember", tree=tree))
    press(question(person), "Read the text instead")
    told = wait_for_notice(person, "Gemma.gguf")
    assert "“Gemma.gguf” (SHA-256 eeeeeeeeeeee…), which is not known here" in told
    act(person, "Models…")
    library = person.window.library.dialog
    assert library is not None and library.isVisible()
    library.reject()


def test_where_a_missing_model_came_from_is_told(person: Person, tmp_path: Path) -> None:
    tree = forked_tree()
    tree = ConversationTree(replace(tree.conversation, model_path="/far/away/Gemma.gguf"), tree.messages)
    (tmp_path / "roads.ember").write_bytes(checked_archive(tree, {}, "acme/Gemma-GGUF"))
    drop(person, tmp_path / "roads.ember")
    told = wait_for_notice(person, "was imported")
    assert "It was written with “Gemma.gguf” from “acme/Gemma-GGUF”, which is not known here." in told


def test_an_endless_title_is_shortened_in_what_is_said(person: Person, tmp_path: Path) -> None:
    tree = forked_tree()
    tree = ConversationTree(replace(tree.conversation, title="<b>\n" + "long " * 180), tree.messages)
    drop(person, plain(tmp_path / "roads.ember", tree))
    told = wait_for_notice(person, "was imported")
    assert told.startswith("“<b> long long") and len(told) < 160 and "\n" not in told


def test_ctrl_o_and_the_buttons_ask_for_files(person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [plain(tmp_path / "roads.ember")]
    monkeypatch.setattr(dialogs_import, "import_paths", lambda _parent: paths)
    monkeypatch.setattr(dialogs_import, "import_folder", lambda _parent: tmp_path)
    person.qtbot.keyClick(person.window, Qt.Key.Key_O, Qt.KeyboardModifier.ControlModifier)
    wait_for_notice(person, "was imported")
    person.window.header.import_folder_requested.emit()
    wait_for_notice(person, "nothing in the file was new")
    paths.clear()
    person.window.sidebar.import_requested.emit()  # the dialog was cancelled
    assert stored(person) == ["Roman roads"]


# --- the same chat once more ------------------------------------------------------------------------------------------


def test_a_chat_that_is_here_with_nothing_new_is_opened(person: Person, tmp_path: Path) -> None:
    put(person.window.workspace.store, forked_tree())
    drop(person, plain(tmp_path / "roads.ember"))
    assert "is here already, and nothing in the file was new" in wait_for_notice(person, "Roman roads")
    assert person.window.chat.conversation_id == CHAT
    assert stored(person) == ["Roman roads"]


@pytest.mark.parametrize("is_open", [False, True])
def test_new_branches_are_added_when_the_person_says_so_and_taken_back_by_undo(
    is_open: bool, person: Person, tmp_path: Path
) -> None:
    store = person.window.workspace.store
    put(store, forked_tree())
    if is_open:
        person.window.conversations.open(CHAT)
    drop(person, plain(tmp_path / "roads.ember", longer()))
    box = question(person)
    assert "the file has 1 branch that this chat does not have" in box.text()
    press(box, "Add 1 new branch to this chat")
    assert wait_for_notice(person, "added") == "1 new branch was added to “Roman roads”."
    assert message_id(9) in store.tree(CHAT).messages
    tree = person.window.chat.tree
    assert tree is not None and message_id(9) in tree.messages
    act(person, "Undo")
    assert store.tree(CHAT).messages == forked_tree().messages
    assert person.window.chat.tree is not None and message_id(9) not in person.window.chat.tree.messages


def test_branches_that_a_command_added_to_the_open_chat_are_shown(person: Person, tmp_path: Path) -> None:
    put(person.window.workspace.store, forked_tree())
    person.window.conversations.open(CHAT)
    request = ImportRequest(paths=(bytes(plain(tmp_path / "roads.ember", longer())),), merge=True)
    replies: list[object] = []
    person.window.commands._begin(request, replies.append)
    person.qtbot.waitUntil(lambda: any(isinstance(reply, Found) for reply in replies))
    tree = person.window.chat.tree
    assert tree is not None and message_id(9) in tree.messages


def test_a_second_start_brings_its_files_into_this_window(person: Person, tmp_path: Path) -> None:
    file = plain(tmp_path / "roads.ember")
    person.window.commands._begin(OpenRequest(paths=(bytes(file),)), lambda _reply: None)
    wait_for_notice(person, "was imported")
    assert person.window.chat.conversation_id == CHAT


def test_undo_leaves_what_was_gone_on_from(person: Person, tmp_path: Path) -> None:
    store = person.window.workspace.store
    put(store, forked_tree())
    drop(person, plain(tmp_path / "roads.ember", longer()))
    press(question(person), "Add 1 new branch to this chat")
    wait_for_notice(person, "added")
    store.add_message(message(10, 9, text="Go on."))
    act(person, "Undo")
    assert "has gone on from what was added" in wait_for_notice(person, "gone on")
    assert len(store.tree(CHAT).messages) == 8


def test_a_known_chat_comes_as_a_copy_when_the_person_says_so(person: Person, tmp_path: Path) -> None:
    put(person.window.workspace.store, forked_tree())
    drop(person, plain(tmp_path / "roads.ember", longer()))
    press(question(person), "Import as a copy")
    assert "“Roman roads (copy)” was imported as a copy" in wait_for_notice(person, "copy")
    assert sorted(stored(person)) == ["Roman roads", "Roman roads (copy)"]


def test_escape_leaves_a_known_chat_as_it_was(person: Person, tmp_path: Path) -> None:
    put(person.window.workspace.store, forked_tree())
    drop(person, plain(tmp_path / "roads.ember", longer()))
    person.qtbot.keyClick(question(person), Qt.Key.Key_Escape)
    wait_for_notice(person, "stays as it was; nothing was imported")
    assert person.window.workspace.store.tree(CHAT).messages == forked_tree().messages


def test_words_that_differ_can_only_come_as_a_copy(person: Person, tmp_path: Path) -> None:
    store = person.window.workspace.store
    put(store, forked_tree())
    store.update_reply(message_id(3), text="Other words.", finish_reason="stop")
    drop(person, plain(tmp_path / "roads.ember"))
    box = question(person)
    assert [button.text() for button in box.buttons() if button.text().startswith("Add")] == []
    press(box, "Import as a copy")
    wait_for_notice(person, "copy")
    assert store.tree(CHAT).messages[message_id(3)].text == "Other words."


# --- saved state ------------------------------------------------------------------------------------------------------


def test_our_own_state_is_taken_without_a_question(person: Person, tmp_path: Path) -> None:
    open_store(person)
    drop(person, archive_with_state(tmp_path / "a.ember", installation_key(person.window.workspace.data_dir.key)))
    let_adopt(person)
    told = wait_for_notice(person, "was imported")
    assert "Its state is kept until “a” is loaded here" in told  # no model had this fingerprint here
    assert [tip.tip.hex() for tip in person.window.workspace.roots.of(CHAT)] == [TIP]


def test_our_own_state_comes_back_to_a_chat_that_is_still_here(person: Person, tmp_path: Path) -> None:
    open_store(person)
    put(person.window.workspace.store, forked_tree())
    drop(person, archive_with_state(tmp_path / "a.ember", installation_key(person.window.workspace.data_dir.key)))
    let_adopt(person)
    assert "nothing in the file was new. Its state is kept" in wait_for_notice(person, "nothing in the file")
    assert stored(person) == ["Roman roads"]
    assert len(person.window.workspace.roots.of(CHAT)) == 1


def test_state_of_another_installation_is_asked_about_after_the_text_is_in_and_left_by_default(
    person: Person, tmp_path: Path
) -> None:
    open_store(person)
    drop(person, archive_with_state(tmp_path / "roads.ember"))
    box = question(person)
    assert stored(person) == ["Roman roads"]
    assert "another computer or by another installation" in box.informativeText()
    default, escape = box.defaultButton(), box.escapeButton()
    assert isinstance(default, QPushButton) and default is escape
    assert default.text() == "Read the text instead"
    default.click()
    assert "left out, as you chose" in wait_for_notice(person, "was imported")
    assert not person.engine.asked(AdoptSaved)


def test_state_that_the_person_trusts_is_taken(person: Person, tmp_path: Path) -> None:
    open_store(person)
    drop(person, archive_with_state(tmp_path / "roads.ember"))
    press(question(person), "Use it")
    let_adopt(person)
    wait_for_notice(person, "was imported")
    assert [tip.tip.hex() for tip in person.window.workspace.roots.of(CHAT)] == [TIP]


def test_a_file_that_was_exchanged_while_the_question_stood_is_not_trusted(person: Person, tmp_path: Path) -> None:
    open_store(person)
    drop(person, archive_with_state(tmp_path / "roads.ember"))
    box = question(person)
    archive_with_state(tmp_path / "roads.ember", bytes(31) + b"x", longer())
    press(box, "Use it")
    assert "the file is another one by now" in wait_for_notice(person, "was imported")
    assert not person.engine.asked(AdoptSaved)


def test_while_saving_is_off_nothing_is_asked_and_the_notice_says_so(person: Person, tmp_path: Path) -> None:
    open_store(person)
    person.window.workspace.saved.switch(False)
    drop(person, archive_with_state(tmp_path / "roads.ember"))
    assert "because saving of state is switched off" in wait_for_notice(person, "was imported")


def test_state_that_the_engine_refuses_leaves_the_text(person: Person, tmp_path: Path) -> None:
    open_store(person)
    drop(person, archive_with_state(tmp_path / "a.ember", installation_key(person.window.workspace.data_dir.key)))
    let_adopt(person, "a piece of it is damaged")
    assert "not taken because a piece of it is damaged" in wait_for_notice(person, "was imported")


def test_stop_while_state_is_taken_keeps_the_text_and_says_so(person: Person, tmp_path: Path) -> None:
    open_store(person)
    drop(person, archive_with_state(tmp_path / "a.ember", installation_key(person.window.workspace.data_dir.key)))
    person.qtbot.waitUntil(lambda: bool(person.engine.asked(AdoptSaved)))
    person.window.import_strip.cancel.click()
    adoption = person.engine.asked(AdoptSaved)[-1].id
    assert [each.request for each in person.engine.asked(Cancel)] == [adoption]
    person.fail_request(adoption, "cancelled", "It was stopped.")
    dialog = report(person)
    assert "You stopped it" in dialog.summary.text()
    assert "because it was stopped" in dialog.detail.text()
    assert stored(person) == ["Roman roads"]


def test_stop_while_the_engine_has_no_store_yet_ends_the_import(person: Person, tmp_path: Path) -> None:
    drop(person, archive_with_state(tmp_path / "a.ember", installation_key(person.window.workspace.data_dir.key)))
    person.qtbot.waitUntil(lambda: bool(person.window.workspace.saved._waiting))
    person.window.import_strip.cancel.click()
    assert "because it was stopped" in report(person).detail.text()
    assert not person.engine.asked(AdoptSaved)


# --- many -------------------------------------------------------------------------------------------------------------


def test_many_files_are_reported_the_refused_first_and_can_be_opened(person: Person, tmp_path: Path) -> None:
    (tmp_path / "chats.json").write_text(json.dumps([samples.CHATGPT, {"title": "Broken", "mapping": 7}]))
    drop(person, tmp_path / "chats.json", plain(tmp_path / "roads.ember"))
    dialog = report(person)
    assert dialog.summary.text() == "2 chats were imported. 1 could not be imported."
    model = dialog.table.model()
    rows = [[model.index(at, column).data() for column in range(3)] for at in range(model.rowCount())]
    assert rows == [["Broken", "–", "not imported"], ["Roads", "5", "imported"], ["Roman roads", "6", "imported"]]
    assert "“Broken” of “chats.json” was not imported because" in dialog.detail.text()
    assert not dialog.open_chat.isEnabled()
    dialog.table.selectRow(2)
    dialog.open_chat.click()
    assert person.window.chat.conversation_id == CHAT


def test_the_report_leads_to_the_library_for_a_chat_whose_model_is_missing(person: Person, tmp_path: Path) -> None:
    (tmp_path / "chat.json").write_text(json.dumps(samples.CHATGPT))
    tree = forked_tree()
    tree = ConversationTree(replace(tree.conversation, model_path="/far/away/Gemma.gguf"), tree.messages)
    (tmp_path / "roads.ember").write_bytes(checked_archive(tree, {}, "acme/Gemma-GGUF"))
    drop(person, tmp_path / "chat.json", tmp_path / "roads.ember")
    dialog = report(person)
    assert dialog.summary.text().endswith("1 chat was written with a model that is not known here.")
    assert dialog.models.isVisible() and not dialog.models.isEnabled()
    dialog.table.selectRow(1)
    assert "with “Gemma.gguf” from “acme/Gemma-GGUF”" in dialog.detail.text()
    dialog.models.click()
    library = person.window.library.dialog
    assert library is not None and library.isVisible()
    library.reject()


def test_a_report_without_a_missing_model_does_not_speak_of_models(person: Person, tmp_path: Path) -> None:
    (tmp_path / "chats.json").write_text(json.dumps([samples.CHATGPT, samples.LLAMA_WEB]))
    drop(person, tmp_path / "chats.json")
    dialog = report(person)
    assert dialog.summary.text() == "2 chats were imported."
    assert not dialog.models.isVisible()


def test_branches_that_were_added_to_several_chats_are_taken_back_together(person: Person, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(samples.LLAMA_WEB))
    drop(person, tmp_path / "one.json")
    wait_for_notice(person, "was imported")
    store = person.window.workspace.store
    put(store, forked_tree())
    reply = {"id": "9", "type": "text", "role": "assistant", "content": "Sand.", "parent": "2"}
    more = samples.LLAMA_WEB | {"messages": [*samples.LLAMA_WEB["messages"], reply]}
    (tmp_path / "one.json").write_text(json.dumps(more))
    before = {summary.id: summary.messages for summary in store.summaries()}
    drop(person, tmp_path / "one.json", plain(tmp_path / "roads.ember", longer()))
    box = question(person)
    assert "2 of the conversations are here already; the files have 2 branches" in box.text()
    press(box, "Add 2 new branches to these chats")
    assert "New branches were added to 2 chats." in report(person).summary.text()
    assert {summary.id: summary.messages for summary in store.summaries()} != before
    act(person, "Undo")
    assert {summary.id: summary.messages for summary in store.summaries()} == before


def test_a_second_drop_waits_for_the_first(person: Person, tmp_path: Path) -> None:
    put(person.window.workspace.store, forked_tree())
    (tmp_path / "one.json").write_text(json.dumps(samples.OPENAI))
    drop(person, plain(tmp_path / "roads.ember", longer()))
    box = question(person)
    drop(person, tmp_path / "one.json")
    assert stored(person) == ["Roman roads"]
    press(box, "Leave it")
    wait_for_notice(person, "“Why?” was imported")


def test_a_full_disk_is_said_with_what_is_in(person: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chats.json").write_text(json.dumps([samples.CHATGPT, samples.LLAMA_WEB]))
    store = person.window.workspace.store
    insert, calls = store.insert_tree, 0

    def full_at_the_second(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise EmberError("The disk is full.", "disk_full")
        insert(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "insert_tree", full_at_the_second)
    drop(person, tmp_path / "chats.json")
    assert wait_for_notice(person, "The disk is full.") == "The disk is full. 1 chat imported before that stays."
    assert stored(person) == ["Roads"]


# --- dragging ---------------------------------------------------------------------------------------------------------


def test_files_over_the_window_show_a_hint_until_they_leave(person: Person, tmp_path: Path) -> None:
    target = person.window.importing.target
    assert drag_onto(person.window, files(tmp_path))
    assert target.isVisible()
    assert target.geometry() == person.window.rect()
    drag_onto(target, files(tmp_path))
    QApplication.sendEvent(target, QDragLeaveEvent())
    assert not target.isVisible()


def test_a_drag_that_leaves_at_once_takes_the_hint_with_it(person: Person, tmp_path: Path) -> None:
    drag_onto(person.window, files(tmp_path))
    QApplication.sendEvent(person.window, QDragLeaveEvent())
    person.qtbot.waitUntil(lambda: not person.window.importing.target.isVisible())


def test_words_and_addresses_are_not_for_the_window(person: Person) -> None:
    words, address = QMimeData(), QMimeData()
    words.setText("some words")
    address.setUrls([QUrl("https://example.org/a.ember")])
    for data in (words, address):
        assert not drag_onto(person.window, data)
        assert not person.window.importing.target.isVisible()


def test_words_drop_into_the_message_and_files_do_not(person: Person, tmp_path: Path) -> None:
    field = person.composer.edit.viewport()
    words = QMimeData()
    words.setText("some words")
    assert drag_onto(field, words)
    drop_onto(field, words)
    assert person.composer.draft() == "some words"
    drag_onto(field, files(tmp_path / "roads.ember"))
    assert person.window.importing.target.isVisible()  # it went on to the window
    assert person.composer.draft() == "some words"
