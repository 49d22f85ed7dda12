"""The sidebar's rows: grouping by date, filtering, and moving as little as possible."""

from datetime import date, datetime, timedelta

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.gui.sidebar.item import SidebarItem, State, group_name
from app.gui.sidebar.model import ConversationModel

TODAY = date(2026, 11, 22)


def at(day: date, hour: int = 12) -> float:
    """Unix time of an hour of a day, in the zone of the machine."""
    return datetime(day.year, day.month, day.day, hour).timestamp()


def days_ago(days: int) -> float:
    """Noon, so many days ago."""
    return at(TODAY - timedelta(days=days))


def model_of(*items: SidebarItem) -> ConversationModel:
    """A model that holds these items on that day."""
    model = ConversationModel()
    model.set_today(TODAY)
    model.set_items(items)
    return model


def rows(model: ConversationModel) -> list[str]:
    """Headings in capitals, conversations by title."""
    found = []
    for row in range(model.rowCount()):
        item = model.item_at(row)
        found.append(item.title if item is not None else str(model.heading_at(row)).upper())
    return found


@pytest.mark.parametrize(
    ("days", "name"),
    [
        (-1, "Today"),  # a clock that was set back
        (0, "Today"),
        (1, "Yesterday"),
        (2, "Previous 7 days"),
        (7, "Previous 7 days"),
        (8, "November"),
        (40, "October"),
        (326, "December 2025"),
        (400, "Older"),
    ],
)
def test_a_conversation_stands_under_the_heading_of_its_day(days: int, name: str) -> None:
    assert group_name(days_ago(days), TODAY) == name


def test_midnight_parts_today_from_yesterday() -> None:
    assert group_name(at(TODAY, 0), TODAY) == "Today"
    assert group_name(at(TODAY, 0) - 1, TODAY) == "Yesterday"


def test_a_time_that_no_calendar_holds_is_old() -> None:
    assert group_name(1e300, TODAY) == "Older"
    assert group_name(float("nan"), TODAY) == "Older"


def test_the_newest_stands_first_under_its_heading() -> None:
    model = model_of(
        SidebarItem("a", "Old", days_ago(1)),
        SidebarItem("b", "Early", at(TODAY, 8)),
        SidebarItem("c", "Late", at(TODAY, 20)),
    )
    assert rows(model) == ["TODAY", "Late", "Early", "YESTERDAY", "Old"]


def test_the_filter_looks_for_words_in_titles_whatever_the_case() -> None:
    model = model_of(SidebarItem("a", "Roman roads", days_ago(0)), SidebarItem("b", "Sourdough", days_ago(1)))
    model.set_filter("  ROAD ")
    assert rows(model) == ["TODAY", "Roman roads"]
    model.set_filter("")
    assert len(rows(model)) == 4


def test_a_chat_whose_text_holds_the_words_is_shown_with_the_place() -> None:
    model = model_of(SidebarItem("a", "Roman roads", days_ago(0)), SidebarItem("b", "Sourdough", days_ago(1)))
    model.set_filter("road")
    model.set_found({"a": "the road to Ostia", "b": "a long road to bread"})
    assert rows(model) == ["TODAY", "Roman roads", "YESTERDAY", "Sourdough"]
    assert model.words_at(3) == "a long road to bread"
    assert model.words_at(1) != "the road to Ostia"  # the title says why it is here
    assert model.index(3).data(Qt.ItemDataRole.AccessibleTextRole) == "Sourdough, a long road to bread"


def test_what_was_found_stays_while_the_word_grows_and_goes_with_another() -> None:
    model = model_of(SidebarItem("a", "Roman roads", days_ago(0)), SidebarItem("b", "Sourdough", days_ago(1)))
    model.set_filter("bre")
    model.set_found({"b": "bread"})
    model.set_filter("bread")
    assert rows(model) == ["YESTERDAY", "Sourdough"]
    model.set_filter("stone")
    assert rows(model) == []
    model.set_filter("")
    model.set_found({"b": "an answer that comes late"})
    assert len(rows(model)) == 4 and model.found("b") is None


def test_a_changed_state_repaints_one_row_and_moves_nothing(qtbot: QtBot) -> None:
    model = model_of(SidebarItem("a", "A", 9.0), SidebarItem("b", "B", 8.0))
    with qtbot.assertNotEmitted(model.modelReset), qtbot.waitSignal(model.dataChanged) as change:
        model.update_item(SidebarItem("b", "B", 8.0, "writing"))
    assert change.args[0].row() == change.args[1].row() == 2


def test_the_same_item_again_changes_nothing(qtbot: QtBot) -> None:
    item = SidebarItem("a", "A", 9.0)
    model = model_of(item)
    with qtbot.assertNotEmitted(model.dataChanged), qtbot.assertNotEmitted(model.modelReset):
        model.update_item(SidebarItem("a", "A", 9.0))


def test_a_newer_time_moves_the_row_to_the_top() -> None:
    model = model_of(SidebarItem("a", "A", at(TODAY, 9)), SidebarItem("b", "B", days_ago(1)))
    model.update_item(SidebarItem("b", "B", at(TODAY, 10)))
    assert rows(model) == ["TODAY", "B", "A"]


def test_a_renamed_row_that_no_longer_fits_the_filter_goes() -> None:
    model = model_of(SidebarItem("a", "Roman roads", days_ago(0)))
    model.set_filter("road")
    model.update_item(SidebarItem("a", "Aqueducts", days_ago(0)))
    assert rows(model) == []
    assert model.item_count() == 1


def test_a_removed_heading_goes_with_its_last_row() -> None:
    model = model_of(SidebarItem("a", "A", days_ago(0)), SidebarItem("b", "B", days_ago(1)))
    model.remove_item("b")
    assert rows(model) == ["TODAY", "A"]


def test_rows_keep_still_while_a_title_is_typed() -> None:
    model = model_of(SidebarItem("a", "A", at(TODAY, 9)), SidebarItem("b", "B", at(TODAY, 8)))
    model.hold(True)
    model.update_item(SidebarItem("b", "B", at(TODAY, 10)))
    assert rows(model) == ["TODAY", "A", "B"]
    model.hold(False)
    assert rows(model) == ["TODAY", "B", "A"]


def test_what_is_removed_while_a_title_is_typed_goes_after() -> None:
    model = model_of(SidebarItem("a", "A", at(TODAY, 9)), SidebarItem("b", "B", at(TODAY, 8)))
    model.hold(True)
    model.remove_item("b")
    model.update_item(SidebarItem("a", "A", at(TODAY, 9), "writing"))
    model.hold(False)
    assert rows(model) == ["TODAY", "A"]


def test_the_next_day_groups_anew() -> None:
    model = model_of(SidebarItem("a", "A", days_ago(0)))
    model.set_today(TODAY + timedelta(days=1))
    assert rows(model) == ["YESTERDAY", "A"]


def test_a_newer_time_repaints_one_row_where_the_order_stays(qtbot: QtBot) -> None:
    model = model_of(
        SidebarItem("a", "A", at(TODAY, 12)), SidebarItem("b", "B", at(TODAY, 8)), SidebarItem("c", "C", days_ago(1))
    )
    with qtbot.assertNotEmitted(model.modelReset), qtbot.waitSignal(model.dataChanged) as change:
        model.update_item(SidebarItem("b", "B", at(TODAY, 9)))
    assert change.args[0].row() == change.args[1].row() == 2
    assert model.words_at(2) == "09:00"


def test_a_chat_of_yesterday_that_is_used_today_moves_below_todays_heading() -> None:
    model = model_of(SidebarItem("a", "A", days_ago(1)), SidebarItem("b", "B", days_ago(2)))
    model.update_item(SidebarItem("a", "A", at(TODAY, 10)))
    assert rows(model) == ["TODAY", "A", "PREVIOUS 7 DAYS", "B"]


@pytest.mark.parametrize(
    ("state", "words"),
    [("memory", "in memory"), ("saved", "saved"), ("queued", "waiting to be answered"), ("writing", "writing…")],
)
def test_a_state_stands_in_words_under_the_title(state: State, words: str) -> None:
    assert SidebarItem("a", "A", 0, state).words(TODAY) == words
    assert SidebarItem("a", "A", 0, state, "opens in 0.1 s").words(TODAY) == "opens in 0.1 s"


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (0, "12:00"),
        (1, "12:00"),
        (2, "Friday, 12:00"),
        (40, "13 October"),
        (400, "18 October 2025"),
    ],
)
def test_without_a_state_only_the_time_stands_under_the_title(days: int, words: str) -> None:
    assert SidebarItem("a", "A", days_ago(days)).words(TODAY) == words


def test_a_time_that_no_calendar_holds_has_words_too() -> None:
    assert SidebarItem("a", "A", 1e300).words(TODAY) == "long ago"


def test_a_screen_reader_hears_that_the_text_of_a_chat_without_a_state_is_saved() -> None:
    assert SidebarItem("a", "A", at(TODAY)).spoken(TODAY) == "A, 12:00. Its state is not saved; the text is."
    assert SidebarItem("a", "A", at(TODAY), "memory").spoken(TODAY) == "A, in memory"
