"""A reply's Markdown becomes blocks, lists, cards and tables of one document."""

import pytest
from PySide6.QtCore import Qt

from app.gui.transcript import TranscriptView
from app.gui.transcript.layout import QUOTES, FrameKind, Kind
from app.gui.transcript.painting import code_runs

from .conftest import Reader, reply, user


def test_paragraphs_are_blocks_and_single_line_breaks_are_kept(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("One line\nand another\n\nSecond paragraph")])
    assert page.body() == ["One line\u2028and another", "Second paragraph"]


def test_emphasis_has_no_signs(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("plain *slanted* **strong** ~~gone~~ `code`")])
    assert page.body() == ["plain slanted strong gone code"]
    assert page.run("slanted")["italic"]
    assert page.run("strong")["bold"]
    assert page.run("gone")["strike"]
    assert page.run("cod")["mono"]
    assert not any(page.run("plain")[look] for look in ("italic", "bold", "strike", "mono"))


def test_emphasis_does_not_leak_into_the_next_block(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("**strong**\n\nplain\n\n# Heading\n\nafter")])
    assert not page.run("plain")["bold"]
    assert page.run("Heading")["bold"]
    assert not page.run("after")["bold"]
    assert page.run("Heading")["size"] > page.run("after")["size"]


def test_lists_carry_their_markers_and_their_depth(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("- a\n- b\n  - c\n    - d\n\n3. three\n4. four\n   1. inner")])
    assert page.body() == ["•\ta", "•\tb", "◦\tc", "▪\td", "3.\tthree", "4.\tfour", "1.\tinner"]
    assert [block.blockFormat().indent() for block in page.blocks(Kind.BODY)] == [1, 1, 2, 3, 1, 1, 2]


def test_an_item_with_several_paragraphs_has_one_marker(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("1. first\n\n   still the first\n2. second")])
    assert page.body() == ["1.\tfirst", "still the first", "2.\tsecond"]
    assert {block.blockFormat().indent() for block in page.blocks(Kind.BODY)} == {1}


def test_an_item_without_words_still_shows_its_marker(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("-\n- b\n\n- ```\n  code\n  ```")])
    assert page.body() == ["•\t", "•\tb", "•\t"]


def test_quotes_are_marked_at_each_level(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("> outer\n>> inner\n\nplain")])
    assert [block.blockFormat().intProperty(QUOTES) for block in page.blocks(Kind.BODY)] == [1, 3, 0]


def test_a_list_of_things_to_do_has_boxes(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("- [x] flour\n- [ ] **water**\n- [y] salt\n\n1. [ ] first")])
    assert page.body() == ["☑\tflour", "☐\twater", "•\t[y] salt", "1.\t[ ] first"]


def test_a_very_deep_list_stays_within_the_column(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("\n".join("  " * depth + "- x" for depth in range(12)))])
    assert max(block.blockFormat().indent() for block in page.blocks(Kind.BODY)) == 6


def test_fenced_code_stands_in_a_card_with_its_language(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("```python\ndef f():\n\n    return 1\n```")])
    assert len(page.frames(FrameKind.CARD)) == 1
    assert page.texts(Kind.LABEL) == ["python"]
    assert page.texts(Kind.CODE) == ["def f():", "", "    return 1"]


def test_indented_code_is_called_text(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("Look:\n\n    a\n    b\n")])
    assert page.texts(Kind.LABEL) == ["text"]
    assert page.texts(Kind.CODE) == ["a", "b"]


def test_a_card_in_a_list_is_indented_with_it(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("- item\n\n  ```\n  code\n  ```\n")])
    (card,) = page.frames(FrameKind.CARD)
    assert card.frameFormat().leftMargin() > 0


def test_a_table_keeps_its_rows_and_its_alignment(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("| a | b |\n|:--|--:|\n| 1 | **2** |\n| 3 | 4 |\n\nafter")])
    (table,) = page.tables()
    assert (table.rows(), table.columns()) == (3, 2)
    assert page.texts(Kind.CELL) == ["a", "b", "1", "2", "3", "4"]
    assert page.run("a")["bold"]
    assert page.blocks(Kind.CELL)[1].blockFormat().alignment() & Qt.AlignmentFlag.AlignRight
    assert page.body() == ["after"]


def test_a_table_with_too_many_cells_is_shown_as_lines(view: TranscriptView, page: Reader) -> None:
    row = "|a" * 100 + "|\n"
    view.set_messages([reply(row + "|-" * 100 + "|\n" + row)])
    assert page.tables() == []
    assert len(page.body()) == 2


def test_links_that_may_be_opened_are_links(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("[one](https://example.org/a) and http://example.org/b. <mailto:x@example.org>")])
    assert page.run("one")["href"] == "https://example.org/a"
    assert page.run("http://example.org/b")["href"] == "http://example.org/b"
    assert page.run("x@example.org")["href"] == "mailto:x@example.org"


@pytest.mark.parametrize("address", ["file:///etc/passwd", "javascript:alert(1)", "ftp://example.org", "other.md"])
def test_other_addresses_are_only_words(view: TranscriptView, page: Reader, address: str) -> None:
    view.set_messages([reply(f"[one]({address}) two")])
    (body,) = page.body()
    assert address in body
    assert page.run("one")["href"] == ""


def test_an_image_is_its_words_and_its_address(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("![a road](https://example.org/road.png)")])
    assert page.body() == ["a road (https://example.org/road.png)"]
    assert "\ufffc" not in view.toPlainText()


def test_html_stays_as_it_was_written(view: TranscriptView, page: Reader) -> None:
    text = '<script>alert("x")</script> <img src="file:///x.png"> &lt;b&gt;'
    view.set_messages([reply(text + "\n\n<div>\nblock\n</div>")])
    assert page.body()[0] == text.replace("&lt;b&gt;", "<b>")
    assert page.body()[1] == "<div>\u2028block\u2028</div>"


def test_the_persons_words_are_not_read_as_markdown(view: TranscriptView, page: Reader) -> None:
    view.set_messages([user("# no *heading*\n\n  - kept   as typed")])
    assert page.body() == ["# no *heading*", "", "  - kept   as typed"]


def test_a_right_to_left_list_has_its_markers_too(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("- שלום")])
    (block,) = page.blocks(Kind.BODY)
    assert block.text() == "•\u2003שלום"
    assert block.textDirection() is Qt.LayoutDirection.RightToLeft


def test_the_reply_names_its_model_and_whispers_its_figures(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("Yes.", figures="read 41", notice="Stopped.")])
    assert page.texts(Kind.NAME, Kind.NOTICE, Kind.FOOTER) == ["SmolLM2", "Stopped.", "read 41"]
    (footer,) = page.blocks(Kind.FOOTER)
    assert footer.blockFormat().alignment() & Qt.AlignmentFlag.AlignRight


def test_code_between_words_stands_on_one_ground(view: TranscriptView, page: Reader) -> None:
    view.set_messages([reply("Use `tail -f` or **`less`**, `x` `y`.")])
    (block,) = page.blocks(Kind.BODY)
    assert [block.text()[start:end] for start, end in code_runs(block)] == ["tail -f", "less", "x", "y"]
