"""The card of a gauge: ten minutes as areas, the exact figures, and what was not read again."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.core.history import Sample
from app.core.turn import TokenCounts, TurnFigures
from app.gui import theme
from app.gui.gauges import ContextFigures, GaugeStrip, MemoryFigures, ReuseFigures
from app.gui.gauges.card import CardFigures, HistoryCard
from app.gui.gauges.reading import read_context, read_estimated, read_memory, read_rate, read_reuse
from app.gui.gauges.section import NOTHING, Record, SectionView
from tests.unit.gui.person import Person
from tests.unit.gui.test_saved_window import Saving, saving  # noqa: F401

MIB, GIB = 1 << 20, 1 << 30
ROLES = ("weights", "kv_used")
GPU = MemoryFigures("RTX 4070", "gpu", 8 * GIB, 4 * GIB, MIB, 2 * MIB, MIB, GIB, 2 * GIB)

Shown = Callable[..., QWidget]


def record(samples: Sequence[Sample] = (), limit: int = 0) -> Record:
    return Record(read_memory(GPU), ROLES, samples, limit)


def minutes(value: int = 100 * MIB) -> list[Sample]:
    """Five minutes during which nothing changed."""
    return [Sample(age, (value, value)) for age in range(300, -1, -1)]


@pytest.fixture
def strip(shown: Shown) -> GaugeStrip:
    made = GaugeStrip()
    shown(made, 912, 67)
    made.move(0, 600)
    return made


@pytest.fixture
def card(strip: GaugeStrip, qtbot: QtBot) -> HistoryCard:
    """The card, open over the memory's gauge."""
    strip.card.open_over(strip.memory, CardFigures("Memory", (record(minutes()),), (), "What it is."))
    qtbot.waitUntil(strip.card.hasFocus)
    return strip.card


def colour_at(view: SectionView, x: float, up: int) -> str:
    """The colour at a share of the width, so many pixels above the bottom of the chart."""
    image = view.grab().toImage()
    below = view.height() - (view._rows_height() + view._line(view._tiny) + 10)
    return image.pixelColor(round(x * image.width()), below - up).name()


def test_all_that_is_painted_is_there_for_a_screen_reader_too(card: HistoryCard) -> None:
    assert card.accessibleName() == "Memory: the last ten minutes"
    words = card.accessibleDescription()
    assert words.startswith("VRAM · RTX 4070 · 4.0 of 8.0 GiB: weights of the model 4.0 GiB (4,294,967,296 bytes), ")
    assert "KV in use 1.0 MiB (1,048,576 bytes)" in words
    assert "at most 200 MiB" in words
    assert words.endswith("What it is.")


def test_the_areas_stand_on_each_other_where_something_was_measured(card: HistoryCard) -> None:
    (view,) = card.findChildren(SectionView)
    assert colour_at(view, 0.75, 5) == theme.color("weights").name()
    assert colour_at(view, 0.75, 40) == theme.color("kv_used").name()
    assert colour_at(view, 0.25, 5) not in (theme.color("weights").name(), theme.color("kv_used").name())


def test_a_time_in_which_nothing_was_measured_stays_empty(card: HistoryCard) -> None:
    there = [sample for sample in minutes() if not 100 < sample.age < 200]
    card.show_figures(CardFigures("Memory", (record(there),)))
    (view,) = card.findChildren(SectionView)
    assert colour_at(view, 0.75, 5) not in (theme.color("weights").name(), theme.color("kv_used").name())
    assert colour_at(view, 0.95, 5) == theme.color("weights").name()


def test_a_single_sample_can_be_seen(card: HistoryCard) -> None:
    card.show_figures(CardFigures("Memory", (record([Sample(0, (100 * MIB, 0))]),)))
    (view,) = card.findChildren(SectionView)
    assert colour_at(view, 0.998, 5) == theme.color("weights").name()


def test_the_chart_of_bytes_ends_at_the_next_power_of_two() -> None:
    assert record([Sample(0, (300 * MIB, 55 * MIB))]).top == 512 * MIB
    assert record([Sample(0, (512 * MIB, 0))]).top == 512 * MIB
    assert record().top == 1024


def test_the_chart_of_the_context_ends_at_its_limit() -> None:
    shown = Record(read_context(ContextFigures(100, 8192, 0, 100)), ("history",), [Sample(0, (100,))], 8192)
    assert (shown.top, shown.words(shown.top)) == (8192, "8,192 tokens")


def test_what_was_estimated_of_a_load_is_said_by_device() -> None:
    words = "Before the load, {} were estimated for the model and its context."
    assert read_estimated(("CPU", 356 * MIB)) == words.format("356 MiB")
    assert read_estimated(("CUDA0", 4 * GIB), ("CPU", 300 * MIB)) == words.format(
        "4.0 GiB on CUDA0 and 300 MiB in the RAM"
    )
    assert read_estimated() == ""


def test_nothing_measured_is_said(strip: GaugeStrip) -> None:
    strip.card.open_over(strip.memory, CardFigures("Memory", (record(),)))
    assert NOTHING in strip.card.words()


def test_with_large_text_the_names_and_their_figures_stand_side_by_side(
    strip: GaugeStrip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(theme._theme, "body_pixels", 21)
    card = HistoryCard(strip)
    card.open_over(strip.memory, CardFigures("Memory", (record(minutes()),)))
    (view,) = card.findChildren(SectionView)
    metrics = QFontMetrics(theme.font("small"))
    for part in read_memory(GPU).segments:
        assert 16 + metrics.horizontalAdvance(f"{part.name}  {part.words}") < view.width()
    card.close()


def test_escape_closes_it(qtbot: QtBot, card: HistoryCard) -> None:
    qtbot.keyClick(card, Qt.Key.Key_Escape)
    assert not card.isVisible()


def test_it_grows_upwards_when_there_is_more_to_say(card: HistoryCard) -> None:
    before = card.geometry()
    card.show_figures(CardFigures("Memory", (record(minutes()),), ("One more line.", "And another."), "What it is."))
    assert card.height() > before.height()
    assert card.geometry().bottom() == before.bottom()


def test_many_devices_are_scrolled_and_never_taller_than_the_screen(qtbot: QtBot, card: HistoryCard) -> None:
    card.show_figures(CardFigures("Memory", tuple(record(minutes()) for _ in range(8))))
    assert card.height() <= card.screen().availableGeometry().height()
    assert len(card.findChildren(SectionView)) == 8
    top = card.findChildren(SectionView)[0]
    before = top.mapTo(card, top.rect().topLeft()).y()
    qtbot.keyClick(card, Qt.Key.Key_PageDown)
    after = top.mapTo(card, top.rect().topLeft()).y()
    assert after < before
    qtbot.keyClick(card, Qt.Key.Key_Up)
    assert top.mapTo(card, top.rect().topLeft()).y() > after


def test_fewer_devices_take_less_room_at_once(card: HistoryCard) -> None:
    one = card.size()
    card.show_figures(CardFigures("Memory", (record(minutes()), record(minutes())), (), "What it is."))
    assert card.height() > one.height()
    card.show_figures(CardFigures("Memory", (record(minutes()),), (), "What it is."))
    assert card.size() == one


@pytest.mark.parametrize(
    ("figures", "lines"),
    [
        (ReuseFigures(), ("What was not read again is being counted.",)),
        (ReuseFigures(0, 0, 160.0), ("No reply has been spared reading anything again yet.",)),
        (
            ReuseFigures(3895, 120_000, 160.0),
            ("Not read again in this chat: 3,895 tokens, about 24 s", "In all chats: 120,000 tokens, about 12 min"),
        ),
        (ReuseFigures(None, 120_000), ("In all chats: 120,000 tokens",)),
    ],
    ids=["counting", "nothing", "both", "not measured"],
)
def test_what_was_not_read_again_is_said_with_its_time(figures: ReuseFigures, lines: tuple[str, ...]) -> None:
    assert read_reuse(figures) == lines


def test_the_rate_that_the_time_comes_from_is_named() -> None:
    assert read_rate(ReuseFigures(1, 2, 160.4)) == (
        "The time is what 160 tokens a second take, as the loaded model reads here."
    )
    assert read_rate(ReuseFigures(1, 2)) == ""


# --- in the window ----------------------------------------------------------------------------------------------------


def words(saving: Saving) -> str:  # noqa: F811
    return saving.window.strip.card.words()


def test_a_click_on_a_gauge_opens_its_card_and_it_follows_what_changes(saving: Saving) -> None:  # noqa: F811
    saving.tell_statistics()
    strip = saving.window.strip
    saving.person.qtbot.mouseClick(strip.memory, Qt.MouseButton.LeftButton)
    assert strip.card.isVisible()
    assert "KV reserved 180 MiB (188,743,680 bytes)" in words(saving)
    assert "at most 355 MiB" in words(saving)
    strip.card.close()
    saving.person.qtbot.keyClick(strip.context, Qt.Key.Key_Return)
    assert "Context · 1,024 of 4,096 tokens" in words(saving)
    saving.person.write("More", tokens=100)
    saving.tell_statistics()
    assert "your message 100 tokens" in words(saving)


def test_the_saved_gauge_tells_what_was_not_read_again(saving: Saving) -> None:  # noqa: F811
    saving.tell_statistics()
    store = saving.window.workspace.store
    reply = store.tree(saving.chat).path()[-1]
    assert reply.figures is not None
    spared = TokenCounts(prompt=1000, reused_memory=700, reused_saved=200, evaluated=100)
    store.set_figures(reply.id, replace(TurnFigures(), tokens=spared))
    saving.window.strip.saved.click()
    saving.person.qtbot.waitUntil(lambda: "Not read again in this chat: 900 tokens, about 9.0 s" in words(saving))
    assert "In all chats: 900 tokens, about 9.0 s" in words(saving)
    assert "The time is what 100 tokens a second take" in words(saving)
    assert "The disk has 80 GiB free." in words(saving)


def test_without_a_model_the_cards_say_so(person: Person) -> None:
    for gauge in person.window.strip.gauges():
        gauge.click()
        words = person.window.strip.card.words()
        assert NOTHING in words
        assert ("No model is loaded." in words) == (gauge is not person.window.strip.saved)
        person.window.strip.card.close()
