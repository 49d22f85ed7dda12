"""The gauges: figures in words, exact on demand, calm when nothing changes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from app.gui import theme
from app.gui.gauges import ClearFigures, ContextFigures, Gauge, GaugeStrip, MemoryFigures, SavedFigures
from app.gui.gauges.clearing import clear_choices
from app.gui.gauges.figures import MemoryKind
from app.gui.gauges.reading import read_context, read_memory, read_saved
from app.gui.gauges.strip import SHORT

MIB, GIB = 1 << 20, 1 << 30

CONTEXT = ContextFigures(used=3911, limit=8192, system=410, history=3501)
MEMORY = MemoryFigures("Ryzen 7", "cpu", 24 * GIB, 92 * MIB, 88 * MIB, 184 * MIB, 98 * MIB, 7 * GIB, 16 * GIB)
CLEAR = ClearFigures(
    memory=(("cpu", 282 * MIB),),
    held=3911,
    own=92 * MIB,
    shared=12 * MIB,
    tokens=2000,
    is_saved=True,
    model_name="SmolLM2",
    of_model=640 * MIB,
    all_saved=1331 * MIB,
)
SAVED = SavedFigures(this_chat=92 * MIB, all_chats=1331 * MIB, budget=10 * GIB)

Shown = Callable[..., QWidget]


@pytest.fixture
def strip(shown: Shown) -> GaugeStrip:
    """The strip with figures, in a window of usual width."""
    made = GaugeStrip()
    made.show_context(CONTEXT)
    made.show_memory(MEMORY)
    made.show_saved(SAVED)
    shown(made, 912, 67)
    return made


def settle(strip: GaugeStrip) -> None:
    """Let the gauges show what they were given last."""
    for gauge in strip.gauges():
        gauge.pause.timeout.emit()
        gauge.pause.stop()
    QApplication.processEvents()


class Paints(QObject):
    """Counts the paintings of a widget."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self.count = 0
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Count and let it pass."""
        self.count += event.type() == QEvent.Type.Paint
        return False


def test_the_context_is_said_in_tokens() -> None:
    reading = read_context(CONTEXT)
    assert reading.figures[0] == "3,911 of 8,192 tokens"
    assert reading.lines[0] == "system 5 % · history 43 % · 4,281 left"
    assert [(part.name, part.value) for part in reading.segments] == [
        ("instructions", 410),
        ("conversation", 3501),
        ("left", 4281),
    ]


def test_tokens_of_the_turn_under_way_are_a_part_of_their_own() -> None:
    parts = {part.name: part.value for part in read_context(ContextFigures(100, 1000, 10, 60)).segments}
    assert parts["this turn"] == 30


def test_what_is_written_and_what_the_reply_needs_are_not_left() -> None:
    reading = read_context(ContextFigures(1000, 8192, 0, 1000, draft=100, reserve=64))
    assert reading.figures[0] == "1,000 of 8,192 tokens"
    assert reading.lines[0] == "history 12 % · 7,028 left"
    assert {part.name: part.value for part in reading.segments} == {
        "conversation": 1000,
        "your message": 100,
        "kept for the reply": 64,
        "left": 7028,
    }


def test_a_little_is_not_nothing_and_nearly_all_is_not_all() -> None:
    assert read_context(ContextFigures(1, 8192, 0, 1)).figures[-1] == "1 %"
    assert read_context(ContextFigures(8191, 8192, 0, 8191)).figures[-1] == "99 %"


def test_a_context_that_is_nearly_full_says_so() -> None:
    reading = read_context(ContextFigures(7900, 8192, 410, 7490))
    assert reading.alert == "The context is nearly full: 292 tokens are left."
    assert (reading.lines[0], reading.tone) == ("nearly full · 292 left", "warning")


@pytest.mark.parametrize(("used", "draft", "tone"), [(786, 0, ""), (787, 0, "warning"), (400, 387, "warning")])
def test_it_warns_when_less_than_15_percent_are_left_beside_the_draft(used: int, draft: int, tone: str) -> None:
    assert read_context(ContextFigures(used, 1000, 0, used, draft=draft, reserve=64)).tone == tone


def test_a_context_is_full_when_no_message_could_be_answered_any_more() -> None:
    reading = read_context(ContextFigures(936, 1000, 0, 936, reserve=64))
    assert (reading.lines, reading.tone) == (("full · a new chat goes on", "full"), "danger")
    assert reading.alert == "The context is full: nothing more can be sent in this chat. A new chat goes on."
    assert read_context(ContextFigures(935, 1000, 0, 935, reserve=64)).tone == "warning"


def test_a_message_that_does_not_fit_says_by_how_much() -> None:
    reading = read_context(ContextFigures(500, 1000, 0, 500, draft=700, reserve=64))
    assert (reading.lines[0], reading.tone) == ("your message is 264 too long", "danger")
    assert reading.alert == "Your message is 264 tokens too long for what is left of the context."


def test_the_explanation_says_what_happens_when_the_context_is_full(strip: GaugeStrip) -> None:
    assert "When it is full, a reply ends there and no further message can be sent" in strip.context.explanation()
    strip.show_context(ContextFigures(7900, 8192, 410, 7490))
    assert "292 tokens are left" in strip.context.explanation()


def test_a_tight_context_has_another_colour(strip: GaugeStrip) -> None:
    for figures, role in ((ContextFigures(900, 1000, 0, 900), "tight"), (ContextFigures(1000, 1000), "danger")):
        gauge = Gauge(read_context(figures), strip)
        gauge.resize(220, 50)
        image = gauge.grab().toImage()
        assert image.pixelColor(100, image.height() // 2) == theme.color(role)


@pytest.mark.parametrize(
    ("kind", "name"), [("cpu", "RAM"), ("gpu", "VRAM"), ("accelerator", "VRAM"), ("integrated", "Memory")]
)
def test_memory_has_the_name_of_its_kind(kind: str, name: str) -> None:
    assert read_memory(MemoryFigures("X", kind, GIB, 1)).names == (name,)  # type: ignore[arg-type]


def test_memory_counts_the_whole_kv_buffer_as_ours() -> None:
    reading = read_memory(MEMORY)
    assert reading.figures == ("374 MiB of 24 GiB", "374 MiB")
    assert reading.lines[0] == "weights 92 · KV 88 of 184 · compute 98 MiB"
    assert {part.name: part.value for part in reading.segments}["KV reserved"] == 96 * MIB


def test_units_stand_with_each_figure_when_they_differ() -> None:
    reading = read_memory(MemoryFigures("X", "gpu", 24 * GIB, 4 * GIB, 88 * MIB, 2 * GIB, 98 * MIB))
    assert reading.lines[0] == "weights 4.0 GiB · KV 88 MiB of 2.0 GiB · compute 98 MiB"


def test_memory_without_a_model_says_what_is_free() -> None:
    reading = read_memory(MemoryFigures("X", "cpu", 24 * GIB, other=8 * GIB, free=16 * GIB))
    assert reading.lines[0] == "No model is loaded · 16 GiB free"


def test_saved_state_tells_this_chat_from_the_others() -> None:
    reading = read_saved(SAVED)
    assert reading.figures[0] == "1.3 of 10 GiB"
    assert reading.lines[0] == "this chat 92 MiB · others 1.2 GiB"
    alone = read_saved(SavedFigures(92 * MIB, 92 * MIB, 10 * GIB))
    assert alone.lines == ("this chat 92 MiB",)
    new = read_saved(SavedFigures(0, 92 * MIB, 10 * GIB))
    assert new.lines == ("nothing of this chat · others 92 MiB", "others 92 MiB")


def test_saved_state_tells_own_from_shared_and_the_room_on_the_disk() -> None:
    reading = read_saved(replace(SAVED, shared=12 * MIB, disk_free=80 * GIB))
    assert {part.name: part.value for part in reading.segments} == {
        "this chat alone": 80 * MIB,
        "this chat, shared with others": 12 * MIB,
        "other chats": 1239 * MIB,
        "left of the budget": 10 * GIB - 1331 * MIB,
    }
    assert reading.sentence.endswith("The disk has 80 GiB free.")


def test_saved_state_says_when_nothing_is_saved_any_more() -> None:
    off = read_saved(replace(SAVED, is_off=True))
    assert off.lines[0] == "Saving is off · what is saved stays"
    assert "nothing is written any more" in off.sentence
    assert read_saved(SavedFigures(0, 0, GIB, is_off=True)).lines == ("Saving is off",)
    never = read_saved(replace(SAVED, this_chat=0, is_never=True))
    assert never.lines[0] == "this chat not saved · others 1.3 GiB"


def test_what_is_saved_may_not_be_known() -> None:
    reading = read_saved(None)
    assert (reading.figures, reading.lines[0]) == ((), "Not known just now")
    assert reading.sentence.endswith("What is saved is not known just now.")


def test_nothing_saved_is_no_figure_to_worry_about() -> None:
    assert read_saved(SavedFigures(0, 0, 10 * GIB)).lines[0] == "Nothing is saved yet"
    assert read_saved(SavedFigures(0, 0, 0)).figures[0] == "0 B"


def test_without_a_model_every_gauge_says_so(strip: GaugeStrip) -> None:
    strip.show_context(None)
    strip.show_memory()
    assert strip.context.shown_words() == ("Context", "", "No model is loaded")
    assert strip.memory.shown_words() == ("RAM", "", "No model is loaded")


def test_the_gauges_have_their_names_before_anything_is_known(shown: Shown) -> None:
    strip = GaugeStrip()
    shown(strip, 912, 67)
    assert [gauge.shown_words()[0] for gauge in strip.gauges()] == ["Context", "RAM", "Saved state"]


def test_nothing_saved_keeps_its_figure_at_every_width(strip: GaugeStrip) -> None:
    strip.show_saved(SavedFigures(0, 0, 0))
    for width in range(strip.saved.minimumSizeHint().width(), 220):
        strip.saved.resize(width, strip.saved.height())
        assert strip.saved.shown_words()[1] == "0 B", width


def test_the_bar_shows_the_parts_in_their_colours(strip: GaugeStrip) -> None:
    image = strip.context.grab().toImage()
    colours = {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())}
    wanted = {QColor(theme.color(role)).name() for role in ("system", "history", "track")}
    assert wanted <= colours


def test_the_same_figures_again_repaint_nothing(strip: GaugeStrip) -> None:
    settle(strip)
    paints = Paints(strip.memory)
    strip.show_memory(replace(MEMORY))
    QApplication.processEvents()
    assert paints.count == 0
    strip.show_memory(replace(MEMORY, kv_used=99 * MIB))
    QApplication.processEvents()
    assert paints.count == 1


def test_figures_that_look_the_same_repaint_nothing_and_are_exact_on_demand(strip: GaugeStrip) -> None:
    settle(strip)
    paints = Paints(strip.memory)
    strip.show_memory(replace(MEMORY, other=MEMORY.other + 1000, free=MEMORY.free - 1000))
    QApplication.processEvents()
    assert paints.count == 0
    assert f"({7 * GIB + 1000:,} bytes)" in strip.memory.explanation()


def test_figures_in_a_hurry_are_shown_at_most_twice_a_second_the_last_of_them_for_good(
    qtbot: QtBot, strip: GaugeStrip
) -> None:
    settle(strip)
    paints = Paints(strip.context)
    for used in (4000, 4100, 4200, 4300):
        strip.show_context(replace(CONTEXT, used=used, history=used - 410))
        QApplication.processEvents()
    assert paints.count == 1
    assert strip.context.accessibleName() == "Context: 4,000 of 8,192 tokens"
    assert strip.context.reading().figures[0] == "4,300 of 8,192 tokens"
    qtbot.waitUntil(lambda: strip.context.accessibleName() == "Context: 4,300 of 8,192 tokens")


def test_the_explanation_gives_exact_bytes_and_says_what_it_is(strip: GaugeStrip) -> None:
    words = strip.memory.explanation()
    assert "92 MiB (96,468,992 bytes)" in words
    assert "What Ember takes of the memory of Ryzen 7." in words
    assert theme.current().weights in words


def test_a_devices_name_cannot_bring_markup_along() -> None:
    gauge = Gauge(read_memory(MemoryFigures("<b>GPU</b>", "gpu", GIB, MIB)))
    assert "&lt;b&gt;GPU" in gauge.explanation()


@pytest.mark.parametrize("key", [Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter])
def test_the_keyboard_asks_for_more_as_a_click_does(qtbot: QtBot, strip: GaugeStrip, key: Qt.Key) -> None:
    strip.memory.setFocus(Qt.FocusReason.TabFocusReason)
    with qtbot.waitSignal(strip.memory.clicked):
        qtbot.keyClick(strip.memory, key)


def test_a_screen_reader_hears_name_figure_and_line(strip: GaugeStrip) -> None:
    assert strip.context.accessibleName() == "Context: 3,911 of 8,192 tokens"
    assert strip.context.accessibleDescription() == "system 5 % · history 43 % · 4,281 left"


def test_getting_tight_is_announced_once(strip: GaugeStrip, monkeypatch: pytest.MonkeyPatch) -> None:
    spoken: list[str] = []
    monkeypatch.setattr("app.gui.gauges.gauge.announce", lambda _widget, words: spoken.append(words))
    for used in (6900, 7000, 7400, 7500, 8192, 8192):
        strip.show_context(ContextFigures(used, 8192, 400, used - 400))
    assert spoken == [
        "The context is nearly full: 1,192 tokens are left.",
        "The context is full: nothing more can be sent in this chat. A new chat goes on.",
    ]


@pytest.mark.parametrize(
    ("changes", "details"),
    [
        (
            {},
            (
                "The next reply reads 3,911 tokens again.",
                "12 MiB more is shared with other chats and stays. The next reply reads up to 2,000 tokens again.",
                "The next reply reads 2,000 tokens again, and each other chat with SmolLM2 is read again too.",
                "The next reply reads 2,000 tokens again, and each other chat is read again too. The texts stay.",
            ),
        ),
        (
            {"held_saved": 92 * MIB, "shared": 0, "read_rate": 160.0, "restore_rate": 300.0 * MIB},
            (
                "The next reply goes on from the saved state, about 0.3 s.",
                "The next reply reads 2,000 tokens again, about 12 s.",
                "The next reply reads 2,000 tokens again, about 12 s, and each other chat with SmolLM2 is read again "
                "too.",
                "The next reply reads 2,000 tokens again, about 12 s, and each other chat is read again too. "
                "The texts stay.",
            ),
        ),
        (
            {"held": 0, "tokens": 0, "shared": 0, "is_saved": False},
            (
                "No chat is in it; the next reply makes it again.",
                "The next reply reads this chat again.",
                "Each chat with SmolLM2 is then read again.",
                "Each chat is then read again. The texts stay.",
            ),
        ),
        (
            {"is_held": True, "shared": 0, "read_rate": 160.0, "no_saved": "Nothing is saved."},
            (
                "The next reply reads 3,911 tokens again, about 24 s.",
                "The next reply goes on from memory.",
                "Each chat with SmolLM2 is then read again, but for this one, which is in memory.",
                "Nothing is saved.",
            ),
        ),
    ],
    ids=["nothing measured", "measured and saved", "nothing in memory", "in memory"],
)
def test_each_clearing_says_beforehand_what_it_costs(changes: dict[str, Any], details: tuple[str, ...]) -> None:
    assert tuple(choice.detail for choice in clear_choices(replace(CLEAR, **changes))) == details


def test_each_clearing_says_beforehand_what_it_frees() -> None:
    assert [choice.title for choice in clear_choices(CLEAR)] == [
        "Memory now: 282 MiB of RAM",
        "This chat's saved state: 92 MiB",
        "This model's saved state: 640 MiB…",
        "All saved state: 1.3 GiB…",
    ]


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        ((("gpu", 200 * MIB), ("cpu", 63 * MIB)), "200 MiB of VRAM and 63 MiB of RAM"),
        ((("gpu", 200 * MIB), ("cpu", 0)), "200 MiB of VRAM"),
        ((("integrated", GIB),), "1.0 GiB of memory"),
    ],
)
def test_freed_memory_has_the_name_of_its_kind(memory: Any, words: str) -> None:
    assert clear_choices(replace(CLEAR, memory=memory))[0].title == f"Memory now: {words}"


def test_the_memory_is_one_click_away(qtbot: QtBot, strip: GaugeStrip) -> None:
    strip.show_clear(CLEAR)
    assert strip.clear_button.main.toolTip() == "Memory now: 282 MiB of RAM. The next reply reads 3,911 tokens again."
    with qtbot.waitSignal(strip.clear):
        strip.clear_button.main.click()


def test_the_menu_of_clearings_works_with_the_keyboard(qtbot: QtBot, strip: GaugeStrip) -> None:
    strip.show_clear(replace(CLEAR, no_memory="A reply is being written; stop it first, or wait for it."))
    menu = strip.clear_button.menu
    qtbot.keyClick(strip.clear_button.arrow, Qt.Key.Key_Space)
    qtbot.waitUntil(menu.buttons[1].hasFocus)  # the first that can be taken
    assert not menu.buttons[0].isEnabled()
    assert menu.buttons[1].accessibleName() == "This chat's saved state: 92 MiB"
    assert menu.buttons[1].accessibleDescription().startswith("12 MiB more is shared")
    qtbot.keyClick(menu, Qt.Key.Key_Down)
    assert menu.buttons[2].hasFocus()
    qtbot.keyClick(menu, Qt.Key.Key_Up)
    with qtbot.waitSignal(strip.clear_chat):
        qtbot.keyClick(menu, Qt.Key.Key_Return)
    assert not menu.isVisible()
    qtbot.keyClick(strip.clear_button.arrow, Qt.Key.Key_Space)
    qtbot.keyClick(menu, Qt.Key.Key_Escape)
    assert not menu.isVisible()


def test_what_a_clearing_says_follows_the_figures_while_its_menu_is_open(qtbot: QtBot, strip: GaugeStrip) -> None:
    strip.show_clear(CLEAR)
    strip.clear_button.arrow.click()
    strip.show_clear(replace(CLEAR, all_saved=2 * GIB))
    assert strip.clear_button.menu.buttons[3].accessibleName() == "All saved state: 2.0 GiB…"
    with qtbot.waitSignal(strip.clear_all):
        strip.clear_button.menu.buttons[3].click()


def test_clear_says_why_it_is_off(qtbot: QtBot, strip: GaugeStrip) -> None:
    assert not strip.clear_button.main.isEnabled()
    assert strip.clear_button.main.toolTip() == "There is nothing to clear: no model is loaded."
    with qtbot.assertNotEmitted(strip.clear):
        strip.clear_button.main.click()
    strip.show_clear(CLEAR)
    assert strip.clear_button.main.isEnabled()


def test_the_lines_go_first_then_the_words_get_shorter_and_never_the_button(qtbot: QtBot, strip: GaugeStrip) -> None:
    button = strip.clear_button.main.text()
    assert strip.memory.shown_words()[2]
    strip.resize(660, strip.height())
    qtbot.waitUntil(lambda: strip.memory.shown_words() == ("RAM", "374 MiB of 24 GiB", ""))
    strip.resize(SHORT, strip.height())
    qtbot.waitUntil(lambda: strip.context.shown_words() == ("Context", "48 %", ""))
    assert strip.clear_button.main.text() == button
    assert strip.clear_button.width() == strip.clear_button.sizeHint().width()


def test_clear_cache_is_one_word_where_two_would_leave_the_gauges_no_room(strip: GaugeStrip) -> None:
    button = strip.clear_button.main
    strip.resize(SHORT, strip.height())
    assert button.text() == "Clear cache"
    strip.resize(SHORT - 1, strip.height())
    assert (button.text(), button.accessibleName()) == ("Clear", "Clear cache")
    strip.resize(1000, strip.height())
    assert button.text() == "Clear cache"


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_every_gauge_keeps_a_figure_in_the_narrowest_window(kind: MemoryKind, shown: Shown) -> None:
    strip = GaugeStrip()
    strip.show_context(ContextFigures(used=7_941, limit=8_192))
    strip.show_memory(MemoryFigures("A device", kind, total=79 * GIB, weights=923 * MIB, free=78 * GIB))
    strip.show_saved(SavedFigures(92 * MIB, 923 * MIB, 10 * GIB))
    shown(strip, 424, 60)
    assert [gauge.shown_words()[1] for gauge in strip.gauges()] == ["97 %", "923 MiB", "923 MiB"]
    assert strip.clear_button.main.text() == "Clear"
