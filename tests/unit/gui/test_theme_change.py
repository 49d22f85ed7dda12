"""The page follows the theme while the app runs, down to what is painted."""

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.gui import theme
from app.gui.application import make_application
from app.gui.transcript import ShownMessage, TranscriptView


@pytest.mark.parametrize(("before", "after"), [("light", "dark"), ("dark", "light")])
def test_the_transcript_is_painted_in_the_new_colours(
    qapp: QApplication, qtbot: QtBot, before: str, after: str
) -> None:
    make_application()
    theme.set_preference("light" if before == "light" else "dark")
    view = TranscriptView()
    qtbot.addWidget(view)
    view.resize(600, 400)
    view.show()
    view.set_messages([ShownMessage(id="r", role="assistant", text="A word.", author="SmolLM2")])
    theme.set_preference("light" if after == "light" else "dark")
    qapp.processEvents()
    picture = view.grab().toImage()
    corner = picture.pixelColor(picture.width() // 2, picture.height() - 40)
    assert corner.name() == theme.color("page").name()
