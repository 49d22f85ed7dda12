"""A reply's reasoning is folded away until the person wants to see it."""

import pytest
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot

from app.gui.transcript import TranscriptView
from app.gui.transcript.layout import FrameKind, Kind
from app.gui.transcript.reasoning import answer_of, held_close, may_become_thought, split

from .conftest import Reader, reply

THOUGHT = "<think>\nFirst this,\nthen that.\n</think>\n\nThe answer."


def click_fold(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    """Click the line that stands for the reasoning."""
    (fold,) = page.blocks(Kind.FOLD)
    box = view.document().documentLayout().blockBoundingRect(fold)
    where = QPoint(int(box.left()) + 20, int(box.center().y()) - view.verticalScrollBar().value())
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=where)


def test_a_closed_thought_is_split_from_the_answer() -> None:
    parts = split(THOUGHT)
    assert THOUGHT[parts.start : parts.end].strip() == "First this,\nthen that."
    assert THOUGHT[parts.answer :] == "The answer."
    assert not parts.is_open


def test_an_open_thought_has_no_answer_yet() -> None:
    parts = split("  <think>still")
    assert parts.present and parts.is_open and parts.answer == len("  <think>still")


def test_a_thought_that_the_template_opened_is_found_by_its_end() -> None:
    assert answer_of("Let me see.\n</think>\nYes.") == "Yes."


@pytest.mark.parametrize(
    "text", ["An answer.", "It ends with </think> in a line.", "```\n</think>\n```\nmore", "", "I <think> so"]
)
def test_an_answer_without_a_thought_stays_whole(text: str) -> None:
    assert not split(text).present
    assert answer_of(text) == text


def test_nothing_but_a_thought_is_copied_as_it_is() -> None:
    assert answer_of("<think>only this") == "<think>only this"


def test_a_tag_that_is_not_whole_yet_waits() -> None:
    assert may_become_thought("") and may_become_thought("\n<thi")
    assert not may_become_thought("<b") and not may_become_thought("<think>")
    assert held_close("words</thi") == 5
    assert held_close("words") == 0


def test_the_thought_is_folded_at_first(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply(THOUGHT)])
    assert page.texts(Kind.FOLD) == ["Thought for a moment ▸"]
    assert page.body() == ["The answer."]


def test_a_click_unfolds_it_and_another_folds_it(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.set_messages([reply(THOUGHT)])
    click_fold(view, page, qtbot)
    assert page.texts(Kind.FOLD) == ["Thought for a moment ▾"]
    assert page.body() == ["First this,\u2028then that.", "The answer."]
    assert len(page.frames(FrameKind.THOUGHT)) == 1
    click_fold(view, page, qtbot)
    assert page.body() == ["The answer."]


def test_the_keyboard_unfolds_it_too(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.set_messages([reply(THOUGHT)])
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    qtbot.keyClick(view, Qt.Key.Key_Space)
    assert page.body()[0].startswith("First this")


def test_each_message_has_its_own_fold(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.set_messages([reply("Plain.", "1"), reply(THOUGHT, "2")])
    click_fold(view, page, qtbot)
    view.append_message(reply(THOUGHT, "3"))
    assert page.texts(Kind.FOLD) == ["Thought for a moment ▾", "Thought for a moment ▸"]
    view.set_messages([reply("Plain.", "1"), reply(THOUGHT, "2")])
    assert page.texts(Kind.FOLD) == ["Thought for a moment ▾"]


def test_while_it_thinks_only_the_line_shows(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.append_message(reply("", streaming=True))
    for piece, fold, body in [
        ("\n<thi", [], []),
        ("nk>First", ["Thinking… ▸"], []),
        (" this.</thi", ["Thinking… ▸"], []),
        ("nk>\n\n", ["Thought for a moment ▸"], []),
        ("The answer.", ["Thought for a moment ▸"], ["The answer."]),
    ]:
        view.append_text("r", piece)
        qtbot.waitSignal(view.text_shown).wait()
        assert (page.texts(Kind.FOLD), page.body()) == (fold, body)


def test_an_unfolded_thought_grows_before_the_eyes(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.append_message(reply("<think>First", streaming=True))
    click_fold(view, page, qtbot)
    assert page.texts(Kind.FOLD) == ["Thinking… ▾"]
    view.append_text("r", " this.\n\nThen that.</think>Answer.")
    qtbot.waitSignal(view.text_shown).wait()
    assert page.body() == ["First this.", "Then that.", "Answer."]
    before = page.signature()
    view.update_message(reply("<think>First this.\n\nThen that.</think>Answer."))
    assert page.signature() == before


def test_a_reply_that_stops_in_its_thought_says_so_no_longer(view: TranscriptView, page: Reader) -> None:
    view.append_message(reply("<think>First", streaming=True))
    view.update_message(reply("<think>First", notice="Stopped."))
    assert page.texts(Kind.FOLD) == ["Thought for a moment ▸"]
    assert page.texts(Kind.NOTICE) == ["Stopped."]


def test_a_thought_without_a_beginning_is_folded_when_it_ends(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.append_message(reply("Let me see.", streaming=True))
    assert page.body() == ["Let me see."]
    view.append_text("r", "\n</think>\n\nYes")
    qtbot.waitSignal(view.text_shown).wait()
    assert page.texts(Kind.FOLD) == ["Thought for a moment ▸"]
    assert page.body() == ["Yes"]
    view.append_text("r", ", indeed.")
    qtbot.waitSignal(view.text_shown).wait()
    assert page.body() == ["Yes, indeed."]


def test_unfolding_leaves_the_line_where_it_is(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    long = "<think>" + "Some thought.\n\n" * 60 + "</think>" + "Some answer.\n\n" * 60
    view.set_messages([reply("Before.\n\n" * 30, "1"), reply(long, "2")])
    (fold,) = page.blocks(Kind.FOLD)
    top = view.document().documentLayout().blockBoundingRect(fold).top()
    view.verticalScrollBar().setValue(int(top) - 100)
    click_fold(view, page, qtbot)
    (fold,) = page.blocks(Kind.FOLD)
    top = view.document().documentLayout().blockBoundingRect(fold).top()
    assert abs(top - view.verticalScrollBar().value() - 100) <= 1
