"""A conversation as PDF."""

from pathlib import Path

import pytest
from PySide6.QtGui import QPageSize
from pytestqt.qtbot import QtBot

from app.core.conversation import Conversation, ConversationTree, messages_by_id
from app.core.errors import EmberError
from app.gui.pdf_export import export_pdf
from tests.unit.storage.made import CHAT, forked_tree, message


def pages(path: Path) -> int:
    """How many pages a PDF file has."""
    return path.read_bytes().count(b"/Type /Page\n")


def test_what_is_seen_is_written_as_a_pdf_file(qtbot: QtBot, tmp_path: Path) -> None:
    export_pdf(forked_tree(), tmp_path / "roads.pdf")
    data = (tmp_path / "roads.pdf").read_bytes()
    assert data.startswith(b"%PDF-")
    assert pages(tmp_path / "roads.pdf") == 1
    width = QPageSize(QPageSize.PageSizeId.A4).sizePoints().width()
    assert f"/MediaBox [0 0 {width}".encode() in data


def test_a_long_conversation_goes_on_over_pages(qtbot: QtBot, tmp_path: Path) -> None:
    long = message(1, None, text="A line of words.\n" * 400)
    tree = ConversationTree(Conversation(CHAT, leaf=long.id), messages_by_id([long]))
    export_pdf(tree, tmp_path / "long.pdf")
    assert pages(tmp_path / "long.pdf") > 3


def test_a_place_that_cannot_be_written_is_said(qtbot: QtBot, tmp_path: Path) -> None:
    with pytest.raises(EmberError) as refused:
        export_pdf(forked_tree(), tmp_path / "absent" / "roads.pdf")
    assert refused.value.kind == "cannot_write"


def test_an_endless_line_is_cut_where_the_window_cuts_it(qtbot: QtBot, tmp_path: Path) -> None:
    endless = message(1, None, text="a" * 400_000)
    tree = ConversationTree(Conversation(CHAT, leaf=endless.id), messages_by_id([endless]))
    export_pdf(tree, tmp_path / "endless.pdf")
    assert 20 < pages(tmp_path / "endless.pdf") < 200
