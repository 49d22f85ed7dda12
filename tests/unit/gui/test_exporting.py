"""Exporting from the window: how it is asked, what is offered, what is said while it is written and afterwards."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.core.conversation import ConversationId
from app.core.errors import EmberError
from app.gui.dialogs_export import FORMS, STATE_ABOUT, ExportChoice, ExportDialog, StateOffer
from app.gui.exporting import outcome_words
from app.gui.progress_strip import ProgressStrip
from app.protocol.answers import Failed, SavedExported
from app.protocol.requests import Cancel, ExportSaved
from app.services.exports import Exported, ExportOrder, ExportReport
from app.services.transfer import ExportFormat
from app.storage.archive import read_archive
from tests.unit.gui.person import Person, export
from tests.unit.gui.test_saved_window import MIB, TIP, Saving
from tests.unit.services.archives import exported

Shown = Callable[..., QWidget]
CHAT = ConversationId("c" * 32)
STATE = b"k" * 3000


@pytest.fixture
def dialog(shown: Shown) -> ExportDialog:
    """The dialog for a chat with 92 MiB of saved state."""
    made = ExportDialog("“Roads”", ExportChoice(), shown(QWidget(), 700, 700))
    made.show_state(StateOffer(92 * MIB))
    made.open()
    return made


def choose(dialog: ExportDialog, form: ExportFormat) -> None:
    dialog._rows[form].button.click()


@pytest.fixture
def saving(talking: Person) -> Saving:
    """The window with one chat of which 5 MiB are saved."""
    return Saving(talking)


def open_dialog(person: Person) -> ExportDialog:
    person.window.header.export_requested.emit()
    dialog = person.window.exporting.dialog
    assert dialog is not None
    return dialog


# --- the dialog -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [form.key for form in FORMS])
def test_branches_are_a_choice_where_the_format_holds_both(form: ExportFormat, dialog: ExportDialog) -> None:
    choose(dialog, form)
    both = form in ("markdown", "json", "text")
    assert (dialog.all_branches.isEnabled(), dialog.one_branch.isEnabled()) == (both, both)
    assert (dialog.choice().branches is not None) == both
    assert dialog.all_branches.isChecked() == (form in ("ember", "markdown"))


def test_one_branch_is_what_is_chosen_until_the_format_changes(dialog: ExportDialog) -> None:
    choose(dialog, "markdown")
    dialog.one_branch.click()
    assert dialog.choice() == ExportChoice("markdown", "one")
    choose(dialog, "text")
    choose(dialog, "markdown")
    assert dialog.choice() == ExportChoice("markdown", "all")


def test_the_sizes_are_shown_before(dialog: ExportDialog) -> None:
    dialog.show_text_size(40 << 10)
    assert dialog.size_line.text() == "Text 40 KiB"
    dialog.state.click()
    assert dialog.size_line.text() == "Text 40 KiB, state 92 MiB"
    assert dialog.choice() == ExportChoice("ember", None, True)
    choose(dialog, "html")
    assert dialog.choice() == ExportChoice("html")
    assert "92 MiB" not in dialog.size_line.text()
    assert dialog.state_about.text() == "Only an Ember archive can carry it."
    choose(dialog, "ember")
    assert dialog.choice().with_state


def test_state_that_cannot_go_along_is_no_choice_and_the_reason_stands_there(dialog: ExportDialog) -> None:
    dialog.state.click()
    dialog.show_state(StateOffer(why_not="Nothing is saved of this chat."))
    assert not dialog.state.isEnabled() and not dialog.choice().with_state
    assert dialog.state_about.text() == dialog.state.accessibleDescription() == "Nothing is saved of this chat."
    dialog.show_state(StateOffer(92 * MIB))
    assert dialog.choice().with_state
    assert dialog.state_about.text() == STATE_ABOUT


def test_what_cannot_be_exported_like_this_says_so(dialog: ExportDialog) -> None:
    dialog.refuse("It is too large.")
    assert not dialog.export.isEnabled() and dialog.refusal.text() == "It is too large."
    dialog.refuse("")
    assert dialog.export.isEnabled() and not dialog.refusal.isVisible()


def test_a_click_on_the_line_of_a_format_chooses_it_and_the_arrows_go_through_them(dialog: ExportDialog) -> None:
    row = dialog._rows["json"]
    QtBot.mouseClick(row, Qt.MouseButton.LeftButton, pos=row.rect().bottomLeft())
    assert dialog.choice().form == "json"
    QtBot.keyClick(row.button, Qt.Key.Key_Down)
    assert dialog.choice().form == "text"


# --- the window -------------------------------------------------------------------------------------------------------


def test_ctrl_e_asks_and_shows_what_there_is(saving: Saving) -> None:
    person = saving.person
    person.qtbot.keyClick(person.window, Qt.Key.Key_E, Qt.KeyboardModifier.ControlModifier)
    dialog = person.window.exporting.dialog
    assert dialog is not None
    person.qtbot.waitUntil(lambda: dialog.size_line.text().endswith(" B") or "KiB" in dialog.size_line.text())
    assert dialog.state.text() == "With the saved state, 5.0 MiB"
    dialog.reject()
    assert person.window.exporting.dialog is None


def test_a_new_chat_has_nothing_to_export(person: Person) -> None:
    person.window.header.export_requested.emit()
    assert person.window.exporting.dialog is None


def off(saving: Saving) -> str:
    saving.saved.switch(False)
    return "Saving is switched off in the settings of saved state."


def never(saving: Saving) -> str:
    saving.saved.set_may_save(saving.chat, False)
    saving.saved._usage = {}
    return "This chat's state is never saved."


def nothing(saving: Saving) -> str:
    saving.saved._usage = {}
    return "Nothing is saved of this chat."


def no_engine(saving: Saving) -> str:
    saving.engine.die()
    return "What is saved is not known just now; wait a moment."


@pytest.mark.parametrize("make", [off, never, nothing, no_engine])
def test_why_no_state_can_go_along_is_said(make: Callable[[Saving], str], saving: Saving) -> None:
    words = make(saving)
    dialog = open_dialog(saving.person)
    assert not dialog.state.isEnabled()
    assert dialog.state_about.text() == words


@pytest.mark.parametrize(
    ("form", "begins"),
    [("ember", b"PK"), ("markdown", b"# "), ("json", b"{"), ("text", b"Hello"), ("html", b"<!D"), ("pdf", b"%PDF-")],
)
def test_each_format_is_written_and_the_notice_leads_to_the_folder(
    form: ExportFormat, begins: bytes, talking: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    talking.say("Hello", "Hello yourself.")
    file = tmp_path / "hello"
    export(talking.window, talking.qtbot, file, form)
    (written,) = tmp_path.glob("hello.*")
    assert written.read_bytes().startswith(begins)
    notice = talking.window.notices.notices()[-1]
    assert notice.text.startswith(f"Exported to {written} (text ")
    notice.actions[0][1]()
    assert opened == [str(tmp_path)]
    assert open_dialog(talking).choice().form == form, "it is remembered"


def test_the_name_that_is_proposed_is_the_chats(talking: Person) -> None:
    talking.say("Hello / yourself", "Hello.")
    open_dialog(talking).accept()
    place = talking.window.exporting.place
    assert place is not None
    assert [Path(name).name for name in place.selectedFiles()] == ["Hello _ yourself.ember"]
    place.reject()
    assert talking.window.exporting.run is None


def begin_with_state(saving: Saving, to: Path) -> ExportSaved:
    """Export with state, as far as what the engine is asked."""
    dialog = open_dialog(saving.person)
    dialog.state.setChecked(True)
    dialog.accept()
    place = saving.window.exporting.place
    assert place is not None
    place.fileSelected.emit(str(to))
    place.reject()
    saving.person.qtbot.waitUntil(lambda: bool(saving.engine.asked(ExportSaved)))
    asked: ExportSaved = saving.engine.asked(ExportSaved)[-1]
    return asked


def wait_for_notice(person: Person) -> str:
    person.qtbot.waitUntil(lambda: person.window.exporting.run is None)
    return person.notices[-1]


def test_a_chat_goes_out_with_its_state(saving: Saving, tmp_path: Path) -> None:
    asked = begin_with_state(saving, tmp_path / "hello.ember")
    name = f"{TIP.hex()}.chunk"
    (Path(asked.folder) / name).write_bytes(STATE)
    saving.engine.say(SavedExported(id=asked.id, files=(exported(Path(asked.folder) / name),), hashes=(None,)))
    assert wait_for_notice(saving.person).endswith(", state 2.9 KiB).")
    manifest = read_archive(tmp_path / "hello.ember").manifest
    assert manifest is not None and manifest.state is not None


def test_without_an_engine_the_text_is_written_and_the_notice_says_why(saving: Saving, tmp_path: Path) -> None:
    begin_with_state(saving, tmp_path / "hello.ember")
    saving.engine.die()
    words = wait_for_notice(saving.person)
    assert "The file is without its state. The engine" in words
    assert saving.window.notices.notices()[-1].kind == "warning"
    assert read_archive(tmp_path / "hello.ember").manifest is None


def test_cancel_on_the_strip_leaves_nothing(saving: Saving, tmp_path: Path) -> None:
    asked = begin_with_state(saving, tmp_path / "hello.ember")
    strip = saving.window.export_strip
    saving.person.qtbot.waitUntil(strip.isVisible)
    assert strip.words.text() == "Exporting “Hello”"
    strip.cancel.click()
    assert saving.engine.asked(Cancel)[-1].request == asked.id
    saving.engine.say(Failed(id=asked.id, kind="cancelled", sentence="It was stopped."))
    assert wait_for_notice(saving.person) == "The export was cancelled; nothing was written."
    assert not strip.isVisible()
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert list(saving.window.workspace.data_dir.staging.iterdir()) == []


def test_a_second_export_waits_for_the_first(saving: Saving, tmp_path: Path) -> None:
    begin_with_state(saving, tmp_path / "hello.ember")
    saving.window.header.export_requested.emit()
    assert saving.window.exporting.dialog is None
    assert saving.person.notices[-1].startswith("An export is being written.")


def test_closing_the_window_in_the_middle_leaves_nothing(saving: Saving, tmp_path: Path) -> None:
    begin_with_state(saving, tmp_path / "hello.ember")
    saving.window.close()
    saving.window.workspace.close()
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert list(saving.window.workspace.data_dir.staging.iterdir()) == []


def test_a_chat_in_which_nothing_can_be_written_as_ember_is_refused_in_the_dialog(
    talking: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.storage.archive.CONVERSATION_LIMIT", 10)
    talking.say("Hello", "Hello yourself.")
    dialog = open_dialog(talking)
    talking.qtbot.waitUntil(lambda: bool(dialog.refusal.text()))
    assert not dialog.export.isEnabled()
    choose(dialog, "markdown")
    assert dialog.export.isEnabled()


def test_all_chats_go_into_a_folder(talking: Person, tmp_path: Path) -> None:
    for text in ("Hello", "Good evening"):
        talking.window.conversations.new()
        talking.say(text, "Hello yourself.")
    (tmp_path / "out").mkdir()
    talking.window.sidebar.export_all_requested.emit()
    dialog = talking.window.exporting.dialog
    assert dialog is not None
    assert dialog.size_line.text() == "2 files in a folder"
    choose(dialog, "markdown")
    dialog.accept()
    place = talking.window.exporting.place
    assert place is not None
    place.fileSelected.emit(str(tmp_path / "out"))
    place.reject()
    assert wait_for_notice(talking).startswith(f"2 chats exported to {tmp_path / 'out'} (text ")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["Good evening.md", "Hello.md"]


def test_with_no_chats_there_is_nothing_to_export(person: Person) -> None:
    person.window.sidebar.export_all_requested.emit()
    assert person.window.exporting.dialog is None
    assert person.notices == ["There are no chats to export yet."]


def test_a_place_that_cannot_be_written_is_said(talking: Person, tmp_path: Path) -> None:
    talking.say("Hello", "Hello yourself.")
    (tmp_path / "gone").mkdir()
    open_dialog(talking).accept()
    place = talking.window.exporting.place
    assert place is not None
    shutil.rmtree(tmp_path / "gone")
    place.fileSelected.emit(str(tmp_path / "gone" / "hello.ember"))
    place.reject()
    assert "could not be written because its folder does not exist" in wait_for_notice(talking)
    assert talking.window.notices.notices()[-1].kind == "error"


# --- what is said -----------------------------------------------------------------------------------------------------


def test_what_came_of_many_is_told_in_one_notice() -> None:
    order = ExportOrder((CHAT,) * 3, Path("/out"), into_folder=True)
    one = Exported(CHAT, Path("/out/a.ember"), 1000, 0, "The engine is not running.")
    two = Exported(CHAT, Path("/out/b.ember"), 24, 2048)
    assert outcome_words(ExportReport((one, two), (EmberError("It is too large.", "too_large"),)), order) == (
        "2 of 3 chats exported to /out (text 1.0 KiB, state 2.0 KiB). 1 without state. The engine is not running. "
        "It is too large."
    )
    cancelled = ExportReport((two,), (EmberError("It was cancelled.", "cancelled"),))
    assert outcome_words(cancelled, order).endswith(
        "1 of 3 chats exported to /out (text 24 B, state 2.0 KiB). The rest was cancelled."
    )


def test_a_strip_that_ends_soon_never_shows(shown: Shown) -> None:
    page = QWidget()
    strip = ProgressStrip(page)
    shown(page)
    strip.begin("Exporting")
    assert not strip.isVisible()
    strip.end()
    assert not strip._patience.isActive()
