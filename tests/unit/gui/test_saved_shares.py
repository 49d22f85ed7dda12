"""The cache page: every chat's and model's share, and what a person does with them there."""

from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMessageBox, QTableView

from app.core.conversation import Conversation, ConversationId
from app.gui.budget_slider import SMALLEST, STEPS
from app.gui.dialogs_saved import SavedStateDialog
from app.gui.gauges.clearing import WRITING
from app.gui.saved_shares_model import CHATS, SIZE, Share, SharesModel, clean_title
from app.protocol.answers import Failed, SavedDropped, SavedPinned
from app.protocol.requests import ClearSaved, PinSaved
from app.storage.saved_roots import UNTOLD
from tests.unit.gui.person import Person
from tests.unit.gui.test_saved_window import GIB, MIB, ROOT, TIP, Saving, saving  # noqa: F401

COSTS = "Clearing frees 3.0 MiB. 2.0 MiB more is shared with other chats and stays. "
PIN, NEVER = 5, 6


def opened(saving: Saving) -> SavedStateDialog:  # noqa: F811
    """The page of the chats, its only row chosen."""
    dialog = saving.open_settings()
    dialog.tabs.setCurrentWidget(dialog.chats)
    dialog.chats.table.selectRow(0)
    return dialog


def shown(table: QTableView) -> list[list[str]]:
    """The words of the table's rows."""
    model = table.model()
    return [
        [str(model.index(row, column).data() or "") for column in range(model.columnCount())]
        for row in range(model.rowCount())
    ]


def box(dialog: SavedStateDialog) -> QMessageBox:
    return dialog.findChildren(QMessageBox)[-1]


def press(dialog: SavedStateDialog, words: str) -> None:
    """A button of the question."""
    next(button for button in box(dialog).buttons() if button.text() == words).click()


def tick(dialog: SavedStateDialog, column: int) -> None:
    """The keyboard's way: walk to the cell, press Space."""
    table = dialog.chats.table
    table.setFocus()
    table.setCurrentIndex(table.model().index(0, column))
    QTest.keyClick(table, Qt.Key.Key_Space)


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_every_chat_and_every_model_is_there_with_its_share(saving: Saving) -> None:  # noqa: F811
    dialog = opened(saving)
    (row,) = shown(dialog.chats.table)
    assert row[:4] == ["Hello", "3.0 MiB", "2.0 MiB", "1,024"]
    dialog.tabs.setCurrentWidget(dialog.models)
    assert shown(dialog.models.table) == [["a", "100 MiB", "2,000"]]
    dialog.reject()
    saving.window.conversations.new()
    saving.person.say("Another", "one.")
    dialog = opened(saving)
    assert sorted(row[0] for row in shown(dialog.chats.table)) == ["Another", "Hello"]


def test_in_a_narrow_window_what_can_be_ticked_stays_and_some_figures_go(saving: Saving) -> None:  # noqa: F811
    dialog = opened(saving)
    table = dialog.chats.table

    def seen() -> list[int]:
        return [column for column in range(7) if not table.isColumnHidden(column)]

    dialog.resize(480, 580)
    assert seen() == [0, 1, PIN, NEVER]
    assert table.horizontalHeader().length() <= table.viewport().width()
    dialog.resize(800, 580)
    assert seen() == list(range(7))


def test_what_clearing_frees_and_costs_is_said_before(saving: Saving) -> None:  # noqa: F811
    saving.tell_statistics()
    dialog = opened(saving)
    saving.tell_statistics()
    assert dialog.chats.about.text() == COSTS + "The next reply reads up to 1,024 tokens again, about 10 s."
    saving.tell_statistics(live=saving.chat)
    assert dialog.chats.about.text() == COSTS + "The next reply goes on from memory."
    dialog.tabs.setCurrentWidget(dialog.models)
    dialog.models.table.selectRow(0)
    assert dialog.models.about.text().startswith("Clearing frees 100 MiB. Each of its chats is read again")


def test_what_was_written_today_stands_beside_what_was_written_ever(saving: Saving) -> None:  # noqa: F811
    dialog = saving.open_settings()
    saving.saved.written_today = 5 * MIB
    saving.tell_usage(101 * MIB)
    assert dialog.written.text() == "0 B today, 1.0 GiB ever"  # the engine says the same count as before


# --- clearing ---------------------------------------------------------------------------------------------------------


def test_a_chat_is_cleared_after_a_second_word(saving: Saving) -> None:  # noqa: F811
    dialog = opened(saving)
    dialog.chats.clear.click()
    assert box(dialog).text() == "Remove the saved state of “Hello”?"
    assert box(dialog).informativeText().startswith(COSTS)
    assert "cannot be undone" in box(dialog).informativeText()
    press(dialog, "Remove")
    assert set(saving.drop().tips) == {UNTOLD, TIP}
    assert dialog.chats.outcome.text() == "3.0 MiB freed. Your texts are untouched."


def test_keeping_it_keeps_it_and_delete_asks_too(saving: Saving) -> None:  # noqa: F811
    dialog = opened(saving)
    dialog.chats.table.setFocus()
    QTest.keyClick(dialog.chats.table, Qt.Key.Key_Delete)
    press(dialog, "Keep it")
    assert saving.saved.of(saving.chat) is not None
    assert not saving.engine.asked(ClearSaved)


def test_a_model_is_cleared_with_all_its_fingerprints(saving: Saving) -> None:  # noqa: F811
    dialog = opened(saving)
    dialog.tabs.setCurrentWidget(dialog.models)
    dialog.models.table.selectRow(0)
    dialog.models.clear.click()
    press(dialog, "Remove")
    (asked,) = saving.engine.asked(ClearSaved)
    assert asked.roots == (ROOT,)
    saving.engine.say(SavedDropped(id=asked.id, freed_bytes=100 * MIB))
    assert dialog.models.outcome.text() == "100 MiB freed. Your texts are untouched."


def test_a_clearing_that_fails_says_why(saving: Saving) -> None:  # noqa: F811
    dialog = opened(saving)
    dialog.tabs.setCurrentWidget(dialog.models)
    dialog.models.table.selectRow(0)
    dialog.models.clear.click()
    press(dialog, "Remove")
    asked = saving.engine.asked(ClearSaved)[-1]
    saving.engine.say(Failed(id=asked.id, kind="saved_state", sentence="The disk is read-only."))
    assert dialog.models.outcome.text() == "The disk is read-only."


def test_while_a_reply_is_written_nothing_of_it_can_be_cleared(saving: Saving) -> None:  # noqa: F811
    dialog = opened(saving)
    saving.person.send("And now?")
    assert (dialog.chats.about.text(), dialog.chats.clear.isEnabled()) == (WRITING, False)
    dialog.tabs.setCurrentWidget(dialog.models)
    dialog.models.table.selectRow(0)
    assert (dialog.models.about.text(), dialog.models.clear.isEnabled()) == (WRITING, False)


# --- pins and never ---------------------------------------------------------------------------------------------------


def test_a_chat_is_pinned_and_let_go_by_the_keyboard(saving: Saving) -> None:  # noqa: F811
    dialog = opened(saving)
    tick(dialog, PIN)
    assert saving.saved.pinned() == {saving.chat}
    assert saving.engine.asked(PinSaved)[-1].tips == (TIP,)
    assert dialog.chats.model.index(0, PIN).data(Qt.ItemDataRole.CheckStateRole) == Qt.CheckState.Checked
    assert dialog.chats.model.index(0, PIN).data(Qt.ItemDataRole.AccessibleTextRole) == "Pinned: yes"
    tick(dialog, PIN)
    assert not saving.saved.pinned()


def test_pins_beyond_the_budget_are_said_on_both_pages(saving: Saving) -> None:  # noqa: F811
    dialog = opened(saving)
    tick(dialog, PIN)
    saving.engine.say(SavedPinned(id=saving.engine.asked(PinSaved)[-1].id, bytes=9 * GIB))
    for words in (dialog.chats.warning.text(), dialog.too_pinned.text()):
        assert words.startswith("The pinned chats take 9.0 GiB, more than the 7.7 GiB that may be saved.")
    dialog.budget.setValue(10)
    assert not dialog.too_pinned.text()


def test_never_saving_a_chat_asks_first_where_something_goes(saving: Saving) -> None:  # noqa: F811
    dialog = opened(saving)
    tick(dialog, NEVER)
    assert saving.saved.is_let(saving.chat)
    assert box(dialog).informativeText().startswith(COSTS)
    press(dialog, "Remove")
    assert not saving.saved.is_let(saving.chat)
    saving.drop()
    assert dialog.chats.outcome.text() == "3.0 MiB freed. This chat's state is not saved any more."
    saving.tell_usage()
    tick(dialog, NEVER)
    assert saving.saved.is_let(saving.chat)


def test_a_tick_of_the_mouse_chooses_too(saving: Saving) -> None:  # noqa: F811
    dialog = opened(saving)
    table = dialog.chats.table
    place = table.visualRect(table.model().index(0, PIN))
    for x in range(place.left(), place.left() + 40, 4):
        QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(x, place.center().y()))
        if saving.saved.pinned():
            break
    assert saving.saved.pinned() == {saving.chat}


# --- the table --------------------------------------------------------------------------------------------------------

SHARES = (
    Share("1", "Tides", 5, tokens=90, used=300.0),
    Share("2", "alps", 700, shared=9, tokens=20, used=100.0),
    Share("3", "Boats", 0, used=200.0),
)


@pytest.mark.parametrize(
    ("column", "order", "titles"),
    [
        (SIZE, Qt.SortOrder.DescendingOrder, "alps Tides Boats"),
        (0, Qt.SortOrder.AscendingOrder, "alps Boats Tides"),
        (3, Qt.SortOrder.DescendingOrder, "Tides alps Boats"),
        (4, Qt.SortOrder.AscendingOrder, "alps Boats Tides"),
    ],
)
def test_rows_are_sorted_by_size_at_first_or_by_any_column(column: int, order: Qt.SortOrder, titles: str) -> None:
    model = SharesModel(CHATS)
    model.show(SHARES)
    model.sort(column, order)
    assert [model.index(row, 0).data() for row in range(3)] == titles.split()


def test_the_chosen_row_stays_chosen_when_rows_move_and_figures_change(saving: Saving) -> None:  # noqa: F811
    page = opened(saving).chats
    page.show_shares(SHARES)
    page.table.selectRow(1)
    assert page.chosen_share() == SHARES[0]
    page.model.sort(0, Qt.SortOrder.AscendingOrder)
    assert page.chosen_share() == SHARES[0]
    grown = replace(SHARES[0], own=9000)
    page.show_shares([grown, *SHARES[1:]])
    assert page.chosen_share() == grown
    page.show_shares([*SHARES, Share("4", "Aardvark", 9000)])
    assert page.chosen_share() == SHARES[0]


def test_a_title_is_shown_as_it_is_and_on_one_line(saving: Saving) -> None:  # noqa: F811
    hostile = "<img src=x>\n\u2028 two  lines " + "x" * 9000
    saving.window.workspace.store.rename(saving.chat, hostile)
    dialog = opened(saving)
    saving.tell_usage(99 * MIB)
    ((title, *_),) = shown(dialog.chats.table)
    assert title.startswith("<img src=x> two lines xxx")
    assert len(title) <= 200
    assert dialog.chats.model.index(0, 0).data(Qt.ItemDataRole.ToolTipRole) is None
    dialog.chats.table.selectRow(0)
    dialog.chats.clear.click()
    assert box(dialog).textFormat() == Qt.TextFormat.PlainText


def test_a_clean_title_is_one_line() -> None:
    assert clean_title(" a\r\n\tb ") == "a b"


def test_a_table_has_a_name_and_its_headers_say_what_they_mean(saving: Saving) -> None:  # noqa: F811
    dialog = opened(saving)
    assert dialog.chats.table.accessibleName()
    for column in range(len(CHATS)):
        assert dialog.chats.model.headerData(column, Qt.Orientation.Horizontal)
        assert dialog.chats.model.headerData(column, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole)


def test_tab_leaves_the_table(saving: Saving) -> None:  # noqa: F811
    dialog = opened(saving)
    dialog.chats.table.setFocus()
    QTest.keyClick(dialog.chats.table, Qt.Key.Key_Tab)
    assert dialog.focusWidget() is dialog.chats.clear


def test_ten_thousand_chats_are_a_model_and_no_widgets(person: Person) -> None:
    store = person.window.workspace.store
    with store.database.transaction():
        for number in range(10_000):
            store.create(Conversation(ConversationId(f"{number:032x}"), title=f"Chat {number}", updated=float(number)))
    person.window.settings.open()
    dialog = person.window.settings.dialog
    assert dialog is not None
    dialog.tabs.setCurrentWidget(dialog.chats)
    assert dialog.chats.model.rowCount() == 10_000
    assert len(dialog.chats.table.viewport().children()) < 10


# --- the budget -------------------------------------------------------------------------------------------------------


def test_the_slider_and_the_field_say_the_same(saving: Saving) -> None:  # noqa: F811
    dialog = saving.open_settings()
    assert dialog.slider.bytes_at(0) == SMALLEST
    assert dialog.slider.bytes_at(STEPS) == 80 * GIB + 100 * MIB
    dialog.slider.setFocus()
    QTest.keyClick(dialog.slider, Qt.Key.Key_End)
    assert dialog.budget.value() == pytest.approx(80.1, abs=0.01)
    QTest.keyClick(dialog.slider, Qt.Key.Key_Home)
    assert dialog.budget.text() == "0.25 GiB"
    dialog.budget.setValue(8)
    assert dialog.slider.bytes_at(dialog.slider.value()) == pytest.approx(8 * GIB, rel=0.01)
    assert dialog.slider.accessibleDescription() == "8.0 GiB; 100 MiB are used now."


def test_half_way_on_the_slider_is_the_middle_by_factors(saving: Saving) -> None:  # noqa: F811
    slider = saving.open_settings().slider
    slider.set_scale(64 * GIB, 0)
    assert slider.bytes_at(STEPS // 2) == pytest.approx(4 * GIB)
