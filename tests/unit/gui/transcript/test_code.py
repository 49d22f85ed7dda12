"""Code gets the palette's colours, within bounds, and never another text."""

from PySide6.QtGui import QTextBlock
from pytestqt.qtbot import QtBot

from app.gui import theme
from app.gui.transcript import TranscriptView
from app.gui.transcript.code_highlight import CODE_MAX, can_highlight, line_spans
from app.gui.transcript.layout import Kind

from .conftest import Reader, reply


def colours(block: QTextBlock) -> dict[str, str]:
    """Which words of a line have which colour."""
    return {
        block.text()[run.start : run.start + run.length]: run.format.foreground().color().name().upper()
        for run in block.layout().formats()
    }


def test_spans_are_found_line_by_line() -> None:
    code = "def f():\n    '''two\n    lines'''\n    return 1"
    spans = list(line_spans(code, "python"))
    assert len(spans) == 4
    assert (0, 3, "code_keyword") in spans[0]
    assert any(role == "code_string" for _start, _length, role in spans[1])
    assert any(role == "code_string" for _start, _length, role in spans[2])
    assert (11, 1, "code_number") in spans[3]


def test_positions_count_as_the_document_counts() -> None:
    (spans,) = line_spans("'🏛' + 1", "python")
    assert (7, 1, "code_number") in spans


def test_unknown_languages_and_long_code_stay_plain() -> None:
    assert not can_highlight("x", "no such language")
    assert not can_highlight("x = 1\n" * CODE_MAX, "python")
    assert not can_highlight("x" * 50_000, "python")
    assert can_highlight("x = 1", "python")


def test_a_card_shows_the_palettes_colours(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.set_messages([reply("```python\nreturn 'x'  # why\n```")])
    (line,) = page.blocks(Kind.CODE)
    qtbot.waitUntil(lambda: bool(line.layout().formats()))
    assert colours(line)["return"] == theme.current().code_keyword
    assert colours(line)["# why"] == theme.current().code_comment
    assert line.text() == "return 'x'  # why"


def test_a_card_that_grows_is_coloured_line_by_line(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.append_message(reply("```python\n", streaming=True))
    view.append_text("r", "def f():\n    ret")
    qtbot.waitSignal(view.text_shown).wait()
    first, second = page.blocks(Kind.CODE)
    assert colours(first)["def"] == theme.current().code_keyword
    assert colours(second) == {}
    view.append_text("r", "urn 1\n")
    qtbot.waitSignal(view.text_shown).wait()
    assert colours(page.blocks(Kind.CODE)[1])["return"] == theme.current().code_keyword


def test_long_code_is_coloured_in_the_background(view: TranscriptView, page: Reader, qtbot: QtBot) -> None:
    view.set_messages([reply("```python\n" + "x = 'long'\n" * 800 + "```")])
    last = page.blocks(Kind.CODE)[-1]
    qtbot.waitUntil(lambda: bool(last.layout().formats()))
    assert colours(last)["'long'"] == theme.current().code_string


def test_a_card_that_is_gone_before_its_colours_come_does_no_harm(
    view: TranscriptView, page: Reader, qtbot: QtBot
) -> None:
    code = "```python\n" + "x = 'long'\n" * 2_000 + "```"
    view.set_messages([reply(code, "1"), reply("```python\nx = 1\n```", "2")])
    view.remove_message("1")
    (line,) = page.blocks(Kind.CODE)
    qtbot.waitUntil(lambda: bool(line.layout().formats()))
