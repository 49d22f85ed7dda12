"""Only what a growing reply changed is painted again, and the screen shows what painting all of it would show."""

import pytest
from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QImage, QPaintEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.gui.transcript import TranscriptView

from .conftest import reply, user
from .test_streaming import LONG, cut

EARLIER = [user("How were roads built?", "u1"), reply(LONG, "r1"), user("And `here`?\nAnd there?", "u2")]
THOUGHT = "<think>\nWhere was it?\n</think>\n\n"
TABLE = "\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| a cell that is much wider than the one above | 4 |\n\nThe end, now."
ROUNDED = 16
"""Pixels of a glyph that the upper edge cuts: there it is rounded otherwise than before it was scrolled."""


class PaintedHeights(QObject):
    """How high the parts of the view are that are painted."""

    def __init__(self, view: TranscriptView) -> None:
        super().__init__(view)
        self.heights: list[int] = []
        view.viewport().installEventFilter(self)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        """Let everything pass."""
        if isinstance(event, QPaintEvent):
            self.heights.append(event.rect().height())
        return False


def show_next(view: TranscriptView, piece: str, qtbot: QtBot) -> None:
    """Let a piece arrive, and wait until it is painted."""
    with qtbot.waitSignal(view.text_shown):
        view.append_text("r", piece)
    QApplication.processEvents()


def stale_pixels(view: TranscriptView) -> int:
    """How many pixels of the screen differ from what painting all of the view shows."""
    on_screen = view.screen().grabWindow(view.winId()).toImage().convertToFormat(QImage.Format.Format_RGB32)
    whole = view.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    if on_screen == whole:
        return 0
    pixels = (memoryview(image.constBits()).cast("I") for image in (on_screen, whole))
    return sum(a != b for a, b in zip(*pixels, strict=True))


@pytest.mark.parametrize("away", [0, 350])
def test_each_frame_of_a_stream_shows_what_painting_all_of_it_would(
    view: TranscriptView, qtbot: QtBot, away: int
) -> None:
    view.set_messages(EARLIER)
    view.append_message(reply("", streaming=True))
    QApplication.processEvents()
    bar = view.verticalScrollBar()
    bar.setValue(bar.maximum() - away)
    for piece in cut(THOUGHT + LONG + TABLE, 3):
        show_next(view, piece, qtbot)
        assert stale_pixels(view) <= ROUNDED


def test_a_frame_of_a_stream_does_not_paint_what_stands_above_it(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_messages(EARLIER)
    view.append_message(reply("", streaming=True))
    show_next(view, "The first words", qtbot)
    painted = PaintedHeights(view)
    show_next(view, " and more of them.", qtbot)
    assert painted.heights
    assert max(painted.heights) < view.viewport().height() / 2


def test_words_below_the_view_are_not_painted(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_messages([*EARLIER, reply(LONG, "r2")])
    view.append_message(reply("", streaming=True))
    view.verticalScrollBar().setValue(0)
    show_next(view, "Nobody", qtbot)
    painted = PaintedHeights(view)
    show_next(view, " sees this yet.", qtbot)
    assert max(painted.heights, default=0) < 50  # the button that leads to the end
