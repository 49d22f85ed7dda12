"""The chat's text has sizes: by keys, by the wheel, kept for the next start, and nothing is cut off in the largest."""

from collections.abc import Callable

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QWidget

from app.gui import theme
from app.gui.composer import Composer
from app.gui.main_window import prepare
from app.gui.text_size import TEXT_SIZE
from app.gui.transcript import ShownMessage, TranscriptView
from tests.unit.gui.person import Person

CHAT = [
    ShownMessage("u", "user", "How long is the street from the river to the old gate of the town?", "You"),
    ShownMessage(
        "r",
        "assistant",
        "# A heading\n\nSome `code` in words.\n\n- one\n  - two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "```python\nreturn sum(lengths)  # all of them, one after the other\n```\n\nDonau" + "dampf" * 20,
        "SmolLM2",
        figures="12.3 tokens/s · 345 tokens · 28.1 s",
        actions=("copy", "regenerate"),
    ),
]


def turn(widget: QWidget, eighths: int, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.ControlModifier) -> None:
    """Turn the wheel over a widget."""
    at = QPointF(20, 20)
    none, phase = Qt.MouseButton.NoButton, Qt.ScrollPhase.NoScrollPhase
    there = QPointF(widget.mapToGlobal(at))
    event = QWheelEvent(at, there, QPoint(), QPoint(0, eighths), none, modifiers, phase, False)
    QApplication.sendEvent(widget, event)


def press(person: Person, key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.ControlModifier) -> None:
    """Press a key in the window, with Ctrl."""
    person.qtbot.keyClick(person.window, key, modifiers)


def pixels(view: TranscriptView) -> list[int]:
    """The sizes of the characters on the page, from the smallest on."""
    sizes, block = set(), view.document().begin()
    while block.isValid():
        sizes |= {run.format.font().pixelSize() for run in block.textFormats() if run.length and block.text()}
        block = block.next()
    return sorted(sizes)


def top_line(view: TranscriptView) -> int:
    """The number of the line at the top edge of the view."""
    return int(view.cursorForPosition(QPoint(100, 20)).block().text()[7:9])


def test_keys_make_the_text_larger_smaller_and_usual_again(person: Person) -> None:
    press(person, Qt.Key.Key_Plus)
    assert theme.text_size() == 110
    press(person, Qt.Key.Key_Equal)
    assert theme.text_size() == 125
    press(person, Qt.Key.Key_Minus)
    assert theme.text_size() == 110
    press(person, Qt.Key.Key_0)
    assert theme.text_size() == 100


def test_the_largest_and_the_smallest_size_stay(person: Person) -> None:
    person.window.text_size.step(100)
    assert theme.text_size() == 200
    press(person, Qt.Key.Key_Plus)
    assert theme.text_size() == 200
    person.window.text_size.step(-100)
    assert theme.text_size() == 80


@pytest.mark.parametrize("over", ["transcript", "composer"])
def test_the_wheel_with_ctrl_turns_the_size_also_in_the_small_steps_of_a_touchpad(person: Person, over: str) -> None:
    window = person.window
    widget = window.transcript.viewport() if over == "transcript" else window.composer.edit.viewport()
    turn(widget, 120)
    assert theme.text_size() == 110
    for _ in range(3):
        turn(widget, -40)
    assert theme.text_size() == 100
    turn(widget, 240)
    assert theme.text_size() == 125
    turn(widget, 120, Qt.KeyboardModifier.NoModifier)
    assert theme.text_size() == 125


def test_the_size_is_there_again_at_the_next_start(person: Person) -> None:
    press(person, Qt.Key.Key_Plus)
    theme.set_text_size(100)
    prepare(person.window.workspace)
    assert theme.text_size() == 110


def test_a_size_that_is_none_becomes_the_nearest(person: Person) -> None:
    person.window.workspace.settings.set(TEXT_SIZE, 4000)
    prepare(person.window.workspace)
    assert theme.text_size() == 200


def test_all_text_of_the_page_grows_by_the_same_share(shown: Callable[..., QWidget]) -> None:
    view = shown(TranscriptView(), 900, 600)
    assert isinstance(view, TranscriptView)
    view.set_messages(CHAT)
    before = pixels(view)
    theme.set_text_size(200)
    assert pixels(view) == [2 * each for each in before]
    theme.set_text_size(100)
    assert pixels(view) == before


def test_who_reads_in_the_middle_of_a_long_reply_stays_at_those_words(shown: Callable[..., QWidget]) -> None:
    view = shown(TranscriptView(), 600, 400)
    assert isinstance(view, TranscriptView)
    lines = [f"Number {n:02} because they were built in layers, and because the layers drained." for n in range(100)]
    view.set_messages(
        [ShownMessage("r", "assistant", "\n\n".join(lines), "SmolLM2"), ShownMessage("u", "user", "More?", "You")]
    )
    bar = view.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    before = top_line(view)
    for size in (150, 200, 80, 100):
        theme.set_text_size(size)
        assert not view.at_end
        assert abs(top_line(view) - before) <= 3


@pytest.mark.parametrize("size", theme.TEXT_SIZES)
def test_nothing_is_wider_than_a_narrow_page(shown: Callable[..., QWidget], size: int) -> None:
    theme.set_text_size(size)
    view = shown(TranscriptView(), 424, 700)
    assert isinstance(view, TranscriptView)
    view.set_messages(CHAT)
    block, document = view.document().begin(), view.document()
    while block.isValid():
        lines = [block.layout().lineAt(n) for n in range(block.layout().lineCount())]
        left = document.documentLayout().blockBoundingRect(block).left()
        assert all(left + line.x() + line.naturalTextWidth() <= document.pageSize().width() for line in lines)
        block = block.next()
    assert document.size().width() <= view.viewport().width()


def test_the_field_goes_along_and_keeps_room_for_the_chat(shown: Callable[..., QWidget]) -> None:
    composer = shown(Composer(), 480, 500)
    assert isinstance(composer, Composer)
    composer.set_model_name("SmolLM2 135M Instruct")
    one_line, usual = composer.edit.height(), composer.edit.placeholderText()
    composer.set_draft("line\n" * 30)
    full = composer.edit.height()
    theme.set_text_size(200)
    assert composer.edit.fontInfo().pixelSize() == composer.edit.viewport().fontInfo().pixelSize() == 28
    assert composer.edit.height() < 1.1 * full
    composer.set_draft("")
    assert composer.edit.height() > 1.5 * one_line
    placeholder = composer.edit.placeholderText()
    assert placeholder != usual and placeholder.endswith("…")
    assert composer.edit.fontMetrics().horizontalAdvance(placeholder) <= composer.edit.viewport().width()
    theme.set_text_size(100)
    assert (composer.edit.height(), composer.edit.placeholderText()) == (one_line, usual)
