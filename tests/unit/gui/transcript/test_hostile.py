"""Whatever a model or a file says: it is shown as words, nothing is fetched, nothing breaks."""

from collections.abc import Callable

import pytest
from PySide6.QtCore import QUrl
from pytestqt.qtbot import QtBot

from app.gui.transcript import TranscriptView
from app.gui.transcript.clean_text import LINES_MAX, PIECE, SHOWN_MAX, clean, pieces, shown_part
from app.gui.transcript.layout import FrameKind, Kind
from app.gui.transcript.markdown_parser import parse

from .conftest import Reader, reply, user

BOMBS: dict[str, str] = {
    "open brackets": "[" * 20_000,
    "open images": "![" * 10_000,
    "open links": "[a](" * 5_000,
    "pairs of brackets": "[]" * 10_000,
    "stars": "*" * 20_000,
    "star words": "*a **a " * 4_000,
    "underscores": "_a __b " * 4_000,
    "backticks": "".join("a" + "`" * n for n in range(250)),
    "quotes": ">" * 10_000,
    "spaced quotes": "> " * 10_000 + "deep",
    "lists": "- " * 10_000 + "deep",
    "numbers": "1. " * 10_000 + "deep",
    "table": "|a" * 500 + "|\n" + "|-" * 500 + "|\n" + ("|b" * 500 + "|\n") * 20,
    "long table": "|a|\n|-|\n" + "|b|\n" * 5_000,
    "pipes": "|\n" * 10_000,
    "lines": "x\n" * 20_000,
    "entities": "&amp" * 10_000,
    "angle brackets": "<a " * 10_000,
    "one line": "x" * 100_000,
    "many fences": "```\n" * 3_001,
    "definitions": "[a]: b\n" * 3_000 + "[a] " * 3_000,
    "nothing": "\n" * 50_000,
    "headings": "# \n" * 5_000,
    "tabs": "\t" * 20_000,
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_of_markdown_is_shown_and_loses_nothing_visible(view: TranscriptView, page: Reader, text: str) -> None:
    view.set_messages([reply(text)])
    shown = view.toPlainText()
    for word in ("deep", "x" * 100, "&amp" * 100):
        if word in text:
            assert word.replace("&amp", "&") in shown.replace("\n", "") or word in shown.replace("\n", "")


@pytest.mark.parametrize(
    "name", ["open brackets", "stars", "spaced quotes", "lists", "long table", "many fences", "one line"]
)
def test_a_bomb_that_streams_is_shown_too(view: TranscriptView, page: Reader, qtbot: QtBot, name: str) -> None:
    text = BOMBS[name][:4_500]
    view.append_message(reply("", streaming=True))
    for at in range(0, len(text), 1_500):
        view.append_text("r", text[at : at + 1_500])
        qtbot.waitSignal(view.text_shown).wait()
    view.update_message(reply(text))
    assert page.messages() == 1


def test_markdown_that_costs_too_much_is_shown_as_it_was_written(view: TranscriptView, page: Reader) -> None:
    text = "[" * 50_000
    assert parse(text) is None
    view.set_messages([reply(text)])
    assert "".join(page.body()) == text


def test_quotes_deeper_than_the_parser_goes_lose_no_word(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("> " * 300 + "treasure")])
    assert "treasure" in "".join(page.body())


@pytest.mark.parametrize("make", [user, reply])
def test_characters_that_would_break_the_document_are_replaced(
    view: TranscriptView, page: Reader, make: Callable[..., object]
) -> None:
    text = "a\x00b\ud800c\udfffd\ufdd0e\ufdd1f\ufffcg\u2029h\x1bi\ufffe"
    view.set_messages([make(text)])  # type: ignore[list-item]
    assert "".join(page.body()).replace("\u2028", "") == "a�b�c�d�e�f�gh�i�"
    assert page.messages() == 1


def test_hostile_characters_in_every_field_do_no_harm(view: TranscriptView, page: Reader) -> None:
    bad = "\x00\ud83d\ufdd0\u2029<img src='file:///x'>\n"
    view.set_messages([reply(f"```{bad}\n{bad}\n```\n\n| {bad} |\n|---|\n\n[{bad}](<{bad}>)", figures=bad, notice=bad)])
    assert page.messages() == 1
    view.append_message(reply("", "s", streaming=True))
    view.set_status("s", bad)
    assert page.messages() == 2


def test_marks_that_turn_the_reading_direction_are_visible_in_code(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("```c\nif (a\u202e) {\u2066\n```")])
    assert page.texts(Kind.CODE) == ["if (a�) {�"]


def test_a_megabyte_in_one_line_is_shown_in_part_and_says_so(view: TranscriptView, page: Reader) -> None:
    text = "x" * 1_000_000
    view.set_messages([user(text)])
    assert sum(len(line) for line in page.body()) == SHOWN_MAX
    assert page.texts(Kind.NOTICE) == ["The rest is not shown here. Copy takes all of it."]
    with_signal: list[str] = []
    view.copied.connect(with_signal.append)
    view.trigger("u", "copy")
    assert with_signal == [text]


def test_so_many_lines_are_shown_in_part_too(view: TranscriptView, page: Reader) -> None:
    view.set_messages([user("a\n" * 50_000)])
    assert len(page.body()) == LINES_MAX
    assert len(page.texts(Kind.NOTICE)) == 1


def test_a_text_within_the_bounds_is_shown_whole() -> None:
    assert shown_part("a\r\nb") == ("a\nb", False)
    assert shown_part("a\n" * LINES_MAX) == ("a\n" * (LINES_MAX - 1) + "a", False)
    assert shown_part("x" * SHOWN_MAX) == ("x" * SHOWN_MAX, False)
    assert shown_part("x" * (SHOWN_MAX + 1)) == ("x" * SHOWN_MAX, True)


def test_no_block_gets_longer_than_it_can_bear(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("word " * 15_000), reply("```\n" + "x" * 30_000 + "\n```", "2"), user("y" * 30_000)])
    assert max(block.length() for block in page.blocks()) <= PIECE + 1


def test_nothing_that_a_message_names_is_ever_fetched(view: TranscriptView, page: Reader) -> None:
    asked: list[object] = []
    original = TranscriptView.loadResource

    class Watching(TranscriptView):
        def loadResource(self, kind: int, name: QUrl | str) -> object:
            asked.append(name)
            return original(self, kind, name)

    watched = Watching()
    watched.resize(600, 400)
    watched.set_messages(
        [
            reply("![x](https://example.org/x.png) <img src='file:///etc/passwd'>\n\n![y](file:///y.png)"),
            user("<img src='https://example.org/z.png'>"),
        ]
    )
    watched.grab()
    assert asked == []
    assert view.loadResource(2, QUrl("https://example.org/x.png")) is None
    watched.deleteLater()


def test_a_tooltip_never_turns_into_a_page_of_its_own(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("[x](<https://example.org/?<img src=file:///x.png>>)")])
    cursor = page.frames(FrameKind.REPLY)[0].firstCursorPosition()
    while not cursor.atEnd():
        cursor.movePosition(cursor.MoveOperation.NextCharacter)
        assert "<" not in cursor.charFormat().toolTip()


def test_line_ends_of_all_systems_are_one() -> None:
    assert clean("a\r\nb\rc\u2028d\x85e") == "a\nb\nc\nd\ne"


def test_a_carriage_return_at_the_end_of_a_piece_waits_for_the_next(
    view: TranscriptView, page: Reader, qtbot: QtBot
) -> None:
    view.append_message(reply("", streaming=True))
    view.append_text("r", "a\r")
    view.append_text("r", "\nb")
    qtbot.waitSignal(view.text_shown).wait()
    assert page.body() == ["a\u2028b"]


def test_a_line_is_cut_behind_its_spaces() -> None:
    assert list(pieces("one two three", 8, 8)) == ["one two ", "three"]
    assert list(pieces("x" * 10, 4, 4)) == ["xxxx", "xxxx", "xx"]
    assert list(pieces("short")) == ["short"]
