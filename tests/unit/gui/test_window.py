"""The whole window on a data folder of its own, with an engine process that says what the test tells it to."""

import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtWidgets import QApplication

from app.core.errors import EmberError
from app.gui.dialogs import InstructionsDialog
from app.gui.main_window import MainWindow
from app.gui.notices import Notice
from app.protocol.answers import Failed
from app.services import engine_deaths
from app.services.workspace import Workspace
from tests.unit.gui.person import Person, export
from tests.unit.services.fakes import CRASHED, FakeProcess


def actions(person: Person, at: int) -> tuple[str, ...]:
    """What is offered for the message at a place."""
    return person.window.transcript._page.entries[at].message.actions


# --- a reply's actions ------------------------------------------------------------------------------------------------


def test_a_reply_that_was_stopped_before_its_first_word_offers_no_copy(talking: Person) -> None:
    talking.send("Hello")
    talking.fail("cancelled", "Cancelled.")
    assert "Stopped before the first word." in talking.shown
    assert actions(talking, 1) == ("regenerate",)


def test_a_reply_with_words_can_be_copied(talking: Person) -> None:
    talking.say("Hello", "Hello yourself.")
    assert actions(talking, 1) == ("copy", "regenerate")


# --- a model that cannot be loaded ------------------------------------------------------------------------------------


def test_a_file_that_is_no_model_is_named(person: Person) -> None:
    person.window.model.load(Path("/models/holiday.gguf"))
    load = person.engine.sent[-1]
    person.engine.say(Failed(id=load.id, kind="not_gguf", sentence="The file is not a GGUF model."))
    assert person.notices == ["“holiday.gguf” could not be loaded. The file is not a GGUF model."]


def test_the_page_names_the_model_that_is_loaded(person: Person) -> None:
    person.window.model.load(Path("/models/Big one.gguf"))
    assert person.window.empty.sentence.text() == "Big one is being loaded."
    person.engine.finish_load()
    assert person.window.empty.sentence.text() == "What would you like to ask Big one?"


def test_a_model_that_was_used_last_and_is_gone_is_named(person: Person, tmp_path: Path) -> None:
    person.window.workspace.library.opened(tmp_path / "Big one.gguf")
    person.window.model.load_at_start()
    assert person.notices == [
        f"“Big one.gguf”, the model you used last, is not in “{tmp_path}” any more. Your chats are kept."
    ]
    assert person.window.empty.sentence.text() == "Choose a model to begin."


def test_the_first_picture_shows_the_model_that_is_coming(tmp_path: Path, qapp: QApplication) -> None:
    workspace = Workspace(tmp_path / "data")
    model = tmp_path / "Big one.gguf"
    model.touch()
    workspace.library.opened(model)
    window = MainWindow(workspace)
    assert window.empty.sentence.text() == "Big one is being loaded."
    assert window.header.pill.words() == "Loading 0 %"
    assert window.composer.sentence.text() == ""
    window.close()
    workspace.close()
    window.deleteLater()
    workspace.deleteLater()
    qapp.processEvents()


# --- a full disk ------------------------------------------------------------------------------------------------------


def test_a_chat_that_cannot_be_deleted_stays_open(talking: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    talking.say("First?", "Yes.")
    here = talking.window.chat.conversation_id
    assert here is not None

    def refuse(_conversation: str) -> None:
        raise EmberError("The disk is full.", "disk_full")

    monkeypatch.setattr(talking.window.workspace.store, "delete", refuse)
    talking.window.conversations.delete(here)
    assert talking.notices == ["The disk is full."]
    assert talking.window.chat.conversation_id == here
    assert "Yes." in talking.shown


def test_instructions_that_cannot_be_kept_are_not_lost(talking: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    talking.say("First?", "Yes.")
    database = talking.window.workspace.store.database
    (pages,) = database.row("PRAGMA page_count") or (0,)
    assert database.row(f"PRAGMA max_page_count = {pages}") is not None  # what a full disk says
    told: list[str] = []

    def person(dialog: InstructionsDialog) -> int:
        """Saves, and gives up when the dialog comes back."""
        told.append(dialog._trouble.text())
        if len(told) == 1:
            dialog._edit.setPlainText("Be brief. " * 10_000)
            return 1
        assert dialog.text().startswith("Be brief.")
        return 0

    monkeypatch.setattr(InstructionsDialog, "exec", person)
    talking.window.conversations.edit_instructions()
    assert told[0] == "" and told[1].startswith("The disk is full")
    assert talking.window.chat.instructions == ""


def test_the_open_chat_is_remembered_also_without_a_close(talking: Person) -> None:
    settings = talking.window.workspace.settings
    talking.say("First?", "Yes.")
    assert settings.get("window.conversation", str, "") == talking.window.chat.conversation_id
    talking.window.conversations.new()
    assert settings.get("window.conversation", str, "?") == ""


# --- keys ------------------------------------------------------------------------------------------------------------


def test_the_keys_work_also_after_the_menus_that_show_them_were_open(talking: Person) -> None:
    window = talking.window
    menu = window.header.pill.menu()
    menu.popup(QPoint(0, 0))
    menu.close()
    window.activateWindow()
    talking.qtbot.waitUntil(window.isActiveWindow)
    keys = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    talking.qtbot.keyClick(talking.composer.edit, Qt.Key.Key_L, keys)
    assert window.library.dialog is not None
    window.library.dialog.close()


def test_the_arrow_keys_walk_through_the_list_of_chats(talking: Person) -> None:
    window, chats = talking.window, talking.window.sidebar._panel.list
    for question in ("First?", "Second?"):
        window.conversations.new()
        talking.say(question, "Yes.")
    talking.qtbot.waitUntil(lambda: chats.model().rowCount() == 3)
    chats.setFocus()
    talking.qtbot.keyClick(chats, Qt.Key.Key_Down)
    assert window.header.title.title() == "First?"
    assert chats.hasFocus()
    talking.qtbot.keyClick(chats, Qt.Key.Key_Return)
    assert talking.composer.edit.hasFocus()


def test_a_chat_that_a_search_found_opens_at_the_words(talking: Person) -> None:
    window, panel = talking.window, talking.window.sidebar._panel
    talking.say("First?", "Much text. " * 400 + "\n\nThe harbour was measured again.\n\n" + "And more. " * 400)
    found = window.chat.conversation_id
    window.conversations.new()
    panel.search.setText("harbour")
    talking.qtbot.waitUntil(lambda: panel.model.found(found or "") is not None)
    panel.list.open_first()
    assert window.transcript.textCursor().selectedText() == "harbour"
    assert not window.transcript.at_end


def test_f2_opens_the_title_from_wherever_the_keyboard_is(talking: Person) -> None:
    talking.say("First?", "Yes.")
    talking.qtbot.keyClick(talking.composer.edit, Qt.Key.Key_F2)
    assert talking.window.header.title.is_editing()


# --- a narrow window --------------------------------------------------------------------------------------------------


def test_a_long_notice_is_shown_whole(person: Person) -> None:
    window = person.window
    window.resize(480, 640)
    window.notices.show_notice(Notice("A sentence that is as long as a path. " * 4, actions=[("Show", lambda: None)]))
    words = window.notices.words
    person.qtbot.waitUntil(lambda: words.height() >= words.heightForWidth(words.width()))
    assert words.height() > 2 * words.fontMetrics().height()


@pytest.mark.parametrize("how", ["escape", "a click beside it", "a wider window"])
def test_when_the_laid_over_list_closes_the_keyboard_is_at_the_message(person: Person, how: str) -> None:
    window, sidebar = person.window, person.window.sidebar
    window.resize(700, 600)
    window.activateWindow()
    person.qtbot.waitUntil(lambda: sidebar.is_collapsed() and window.isActiveWindow())
    sidebar.open_drawer()
    if how == "escape":
        person.qtbot.keyClick(sidebar._panel.list, Qt.Key.Key_Escape)
    elif how == "a click beside it":
        person.qtbot.mouseClick(sidebar._panel.parentWidget(), Qt.MouseButton.LeftButton, pos=QPoint(600, 100))
    else:
        window.resize(1000, 600)
    person.qtbot.waitUntil(person.composer.edit.hasFocus)


# --- an engine that dies ----------------------------------------------------------------------------------------------


def test_while_the_engine_starts_again_the_header_says_so_until_its_model_is_back(talking: Person) -> None:
    pill = talking.window.header.pill
    talking.engine.die()
    assert pill.words() == "Starting again…"
    assert talking.window.empty.sentence.text() == "a is being loaded."
    talking.restart()
    assert pill.words() == "Loading 0 %"
    talking.engine.finish_load()
    assert pill.words() == "a · on the CPU"


def test_an_engine_that_is_given_up_can_be_started_by_hand(talking: Person) -> None:
    for _ in engine_deaths.RESTART_DELAYS_MS:
        made = len(FakeProcess.made)
        talking.engine.die()
        talking.qtbot.waitUntil(lambda made=made: len(FakeProcess.made) > made)
    talking.engine.die()
    assert talking.window.header.pill.words() == "Choose a model"
    (notice,) = talking.window.notices.notices()
    assert notice.text.startswith(CRASHED.sentence)
    assert [words for words, _ in notice.actions] == ["Start again"]


def test_a_restart_without_its_model_can_be_chosen(talking: Person) -> None:
    talking.engine.die()
    talking.window.header.cancel_load.emit()
    assert talking.window.header.pill.words() == "Choose a model"
    talking.restart()
    assert talking.window.empty.sentence.text() == "Choose a model to begin."


def test_a_death_that_the_reply_tells_is_not_told_again(talking: Person) -> None:
    talking.send("Hello")
    talking.engine.die()
    assert CRASHED.sentence in talking.shown
    assert talking.notices == ["The engine is being started again; your chats and what had come of the reply are kept."]


def test_a_death_without_a_reply_is_told_once(talking: Person) -> None:
    talking.engine.die()
    assert talking.notices == [f"{CRASHED.sentence} It is being started again; your chats are kept."]


def test_a_death_while_loading_is_told_once(person: Person) -> None:
    person.window.model.load(Path("/models/big.gguf"))
    person.send("Hello")  # which waits for the model
    person.engine.die()
    assert person.notices == [
        f"{CRASHED.sentence} It was loading “big.gguf”, which may be damaged or too large for this computer."
    ]
    assert person.composer.draft() == "Hello"


# --- the tokens that are left -----------------------------------------------------------------------------------------


def test_too_long_a_first_message_says_so_and_offers_no_new_chat(talking: Person) -> None:
    talking.write("word " * 5000, tokens=5001)
    assert talking.composer.sentence.text().startswith("This message is too long: it has 5,001 tokens, and 4,032 fit.")
    assert not talking.composer.button.isEnabled()
    assert not talking.composer.new_chat_button.isVisible()
    talking.composer.edit.send_pressed.emit()
    assert talking.composer.draft() == "word " * 5000
    assert talking.notices == []
    assert talking.window.workspace.store.summaries() == []


def test_a_message_that_does_not_fit_into_a_chat_goes_into_a_new_one_with_the_same_instructions(
    talking: Person,
) -> None:
    talking.window.chat.set_instructions("Be brief.")
    talking.say("Hello", "Hello yourself.", prompt=2000, generated=32)
    talking.write("word " * 3000, tokens=3001)
    talking.composer.new_chat_button.click()
    assert talking.window.chat.conversation_id is None
    assert talking.window.chat.instructions == "Be brief."
    assert talking.composer.draft() == "word " * 3000


def test_a_short_message_can_be_sent_at_once_after_too_long_a_one(talking: Person) -> None:
    talking.write("word " * 5000, tokens=5001)
    talking.send("Hello")
    assert talking.asked().messages[-1].text == "Hello"


def test_what_the_engine_refuses_as_too_long_offers_no_new_chat_where_none_would_help(talking: Person) -> None:
    talking.send("word " * 5000)
    talking.fail("context_full", "It does not fit.")
    assert talking.composer.draft() == "word " * 5000
    (notice,) = talking.window.notices.notices()
    assert not notice.actions
    talking.write("word " * 5001, tokens=5002)
    assert talking.notices == []  # by now the composer says it, with figures


def test_composer_and_gauge_agree_on_what_is_left(talking: Person) -> None:
    def left() -> tuple[str, str]:
        line: str = talking.window.strip.context.reading().lines[0]
        return talking.composer.tokens.text(), line.rpartition(" · ")[2]

    assert left() == ("4,032 left", "4,032 left")
    talking.say("Hello", "Hello yourself.", prompt=1000, generated=32)
    assert left() == ("3,000 left", "3,000 left")
    talking.write("word " * 100, tokens=100)
    assert left() == ("100 tokens · 2,900 left", "2,900 left")


# --- a data folder that goes away -------------------------------------------------------------------------------------

GONE = "was moved or removed"


def folder(person: Person) -> Path:
    """The data folder."""
    return person.window.workspace.data_dir.root


def told_gone(person: Person) -> int:
    """How often the window says that the folder is gone."""
    return sum(GONE in notice for notice in person.notices)


def test_a_removed_folder_is_said_once_when_something_is_stored(talking: Person) -> None:
    shutil.rmtree(folder(talking))
    talking.say("Hello", "Hello yourself.")
    talking.composer.set_draft("What is new.")
    talking.window.chat.store_draft()
    assert told_gone(talking) == 1
    assert "Hello yourself." in talking.shown
    assert talking.composer.draft() == "What is new."
    talking.window.close()  # the window would take the words with it
    assert talking.window.isVisible()


def test_a_removed_folder_is_said_when_the_window_becomes_active(person: Person) -> None:
    shutil.rmtree(folder(person))
    QApplication.sendEvent(person.window, QEvent(QEvent.Type.ActivationChange))
    assert told_gone(person) == 1


def test_a_folder_that_is_put_back_is_no_longer_missed(talking: Person) -> None:
    talking.say("Hello", "Hello yourself.")
    root = folder(talking)
    away = root.rename(root.with_name("elsewhere"))
    assert not talking.window.folder.check()
    away.rename(root)
    talking.window.chat.set_instructions("Be brief.")
    assert told_gone(talking) == 0
    assert talking.window.close()


def test_a_chat_can_still_be_exported_when_its_folder_is_gone(talking: Person, tmp_path: Path) -> None:
    talking.say("Hello", "Hello yourself.")
    shutil.rmtree(folder(talking))
    export(talking.window, talking.qtbot, tmp_path / "hello.md", "markdown")
    assert "Hello yourself." in (tmp_path / "hello.md").read_text()
