"""A conversation as PDF."""

import re
import zlib

import pytest
from PySide6.QtGui import QPageSize, QTextDocument
from pytestqt.qtbot import QtBot

from app.core.conversation import Conversation, ConversationTree, messages_by_id
from app.gui.pdf_export import to_pdf
from app.storage.html_page import to_html
from tests.unit.storage.made import CHAT, forked_tree, message


def pages(data: bytes) -> int:
    """How many pages a PDF file has."""
    return data.count(b"/Type /Page\n")


def letters(data: bytes) -> str:
    """What is written in a PDF file of Qt's, without spaces: glyphs through each font's own table of letters."""
    objects = {int(found[1]): found[2] for found in re.finditer(rb"(\d+) 0 obj\n(.*?)endobj", data, re.DOTALL)}
    tables: dict[int, dict[int, str]] = {}
    for number, contents in objects.items():
        if table := re.search(rb"/ToUnicode (\d+) 0 R", contents):
            tables[number] = {}
            for first, last, row in re.findall(rb"<(\w+)> <(\w+)> (\[[^]]*\]|<\w+>)", objects[int(table[1])]):
                there = [int(letter, 16) for letter in re.findall(rb"<(\w+)>", row)]
                for at, glyph in enumerate(range(int(first, 16), int(last, 16) + 1)):
                    tables[number][glyph] = chr(there[at] if row.startswith(b"[") else there[0] + at)
    found, font = "", 0
    for contents in objects.values():
        stream = re.search(rb"/FlateDecode.*?stream\r?\n(.*)\r?\nendstream", contents, re.DOTALL)
        drawn = zlib.decompress(stream[1]) if stream is not None and b"/Length1" not in contents else b""
        for name, glyphs in re.findall(rb"/F(\d+) \S+ Tf|<(\w+)> Tj", drawn):
            font = int(name) if name else font
            for at in range(0, len(glyphs), 4):
                found += tables[font][int(glyphs[at : at + 4], 16)]
    return "".join(found.split())


def test_what_is_seen_is_written_as_a_pdf_file(qtbot: QtBot) -> None:
    data = to_pdf(forked_tree())
    assert data.startswith(b"%PDF-")
    assert pages(data) == 1
    width = QPageSize(QPageSize.PageSizeId.A4).sizePoints().width()
    assert f"/MediaBox [0 0 {width}".encode() in data


def test_the_shown_branch_stands_on_the_paper_in_its_order_and_no_other(qtbot: QtBot) -> None:
    written = letters(to_pdf(forked_tree()))
    seen = (
        *("Romanroads", "Systemprompt", "Bebrief.", "You", "WhydidRomanroadslast?", "SmolLM2", "hm"),
        *("Deepfoundations.", "Thereplyreacheditslimitoftokenshere.", "You", "Whichonesremain?"),
        "Theengineendedunexpectedly.",
    )
    at = 0
    for words in seen:
        at = written.index(words, at) + len(words)
    assert "bridges" not in written and "layers" not in written


def test_a_long_conversation_goes_on_over_pages(qtbot: QtBot) -> None:
    long = message(1, None, text="A line of words.\n" * 400)
    tree = ConversationTree(Conversation(CHAT, leaf=long.id), messages_by_id([long]))
    assert pages(to_pdf(tree)) > 3


def test_the_pages_have_their_numbers_and_a_single_one_has_none(qtbot: QtBot) -> None:
    long = message(1, None, text="A line of words.\n" * 100)
    tree = ConversationTree(Conversation(CHAT, leaf=long.id), messages_by_id([long]))
    data = to_pdf(tree)
    written = letters(data)
    assert pages(data) > 1
    assert all(f"{page}/{pages(data)}" in written for page in range(1, pages(data) + 1))
    assert "1/1" not in letters(to_pdf(forked_tree()))


@pytest.mark.parametrize(
    "text",
    ["```\n" + "x = 1 and " * 60 + "\n```", "> ```\n> " + "x" * 900 + "\n> ```", "| a |\n|-|\n| `" + "b" * 400 + "` |"],
)
def test_nothing_is_wider_than_the_paper(qtbot: QtBot, text: str) -> None:
    reply = message(1, None, "assistant", text)
    paper = QTextDocument()
    paper.setHtml(to_html(ConversationTree(Conversation(CHAT, leaf=reply.id), messages_by_id([reply])), paper=True))
    paper.setTextWidth(600)
    assert paper.size().width() <= 600


def test_quotations_within_quotations_are_laid_out_at_once(qtbot: QtBot) -> None:
    reply = message(1, None, "assistant", ">" * 18 + " deep")  # tables in tables took half a minute
    tree = ConversationTree(Conversation(CHAT, leaf=reply.id), messages_by_id([reply]))
    assert "deep" in letters(to_pdf(tree))


def test_an_endless_line_is_cut_where_the_window_cuts_it(qtbot: QtBot) -> None:
    endless = message(1, None, text="a" * 400_000)
    tree = ConversationTree(Conversation(CHAT, leaf=endless.id), messages_by_id([endless]))
    assert 20 < pages(to_pdf(tree)) < 200
