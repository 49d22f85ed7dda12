"""A person at the whole window, on a data folder of its own, with an engine that says what the test tells it to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.core.turn import TokenCounts, TurnFigures
from app.gui import main_window
from app.gui.main_window import MainWindow
from app.protocol.answers import Done, Failed, TokenCount
from app.protocol.requests import CountTokens, Generate
from app.services.transfer import ExportFormat
from app.services.workspace import Workspace
from tests.unit.gui.model_fakes import FakeEstimator
from tests.unit.services.fakes import FakeProcess

CONTEXT = 4096
"""Tokens of the fake's model."""
RESERVE = 64
"""Of those, kept for a reply."""


class Person:
    """The window, what a person does with it, and what the engine answers."""

    def __init__(self, window: MainWindow, qtbot: QtBot) -> None:
        self.window, self.qtbot = window, qtbot
        self.composer = window.composer

    @property
    def engine(self) -> FakeProcess:
        return FakeProcess.made[-1]

    def load(self, path: str = "/models/a.gguf", **fields: Any) -> None:
        self.window.model.load(Path(path))
        self.engine.finish_load(**fields)

    def write(self, text: str, tokens: int) -> None:
        """Write a message, which the engine says has so many tokens."""
        asked = len(self.engine.asked(CountTokens))
        self.composer.set_draft(text)
        self.qtbot.waitUntil(lambda: len(self.engine.asked(CountTokens)) > asked)
        self.engine.say(TokenCount(id=self.engine.asked(CountTokens)[-1].id, count=tokens))

    def send(self, text: str) -> None:
        """Write a message and press Send, before its tokens are counted."""
        self.composer.set_draft(text)
        self.composer.button.click()

    def asked(self) -> Generate:
        """The turn that the engine was asked for last."""
        asked: Generate = self.engine.asked(Generate)[-1]
        return asked

    def say(self, text: str, reply: str, *, prompt: int = 0, generated: int = 0) -> None:
        """Send a message and let the engine answer it."""
        self.send(text)
        asked = self.asked()
        figures = TurnFigures(tokens=TokenCounts(prompt=prompt, generated=generated))
        self.engine.say(
            Done(
                id=asked.id,
                conversation=asked.conversation,
                text=reply,
                token_ids=(1,),
                prompt_ids={},
                finish_reason="stop",
                figures=figures,
            )
        )

    def fail(self, kind: str, sentence: str) -> None:
        """The turn that runs cannot be carried out."""
        self.engine.say(Failed(id=self.asked().id, kind=kind, sentence=sentence))

    def fail_request(self, request: int, kind: str, sentence: str) -> None:
        """Something else that was asked of the engine cannot be done."""
        self.engine.say(Failed(id=request, kind=kind, sentence=sentence))

    def restart(self) -> None:
        """Let the next process come and greet."""
        before = len(FakeProcess.made)
        self.qtbot.waitUntil(lambda: len(FakeProcess.made) > before)
        self.engine.greet()

    @property
    def notices(self) -> list[str]:
        return [notice.text for notice in self.window.notices.notices()]

    @property
    def shown(self) -> str:
        return self.window.transcript.document().toPlainText()


def export(window: MainWindow, qtbot: QtBot, to: Path, form: ExportFormat) -> None:
    """Export the open chat by the dialogs, and wait until that is said; a suffix is added to `to` where it has none."""
    window.header.export_requested.emit()
    dialog = window.exporting.dialog
    assert dialog is not None
    dialog._rows[form].button.click()
    dialog.export.click()
    place = window.exporting.place
    assert place is not None
    place.selectFile(str(to))
    place.accept()
    qtbot.waitUntil(lambda: any("Exported" in notice.text for notice in window.notices.notices()))


@pytest.fixture
def person(
    tmp_path: Path, qtbot: QtBot, processes: list[FakeProcess], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Person]:
    """The window with the engine there and no model loaded."""
    monkeypatch.setattr(main_window, "Estimator", FakeEstimator)
    FakeEstimator.made.clear()
    workspace = Workspace(tmp_path / "data")
    workspace.library.unloaded()
    window = MainWindow(workspace)
    window.start()
    qtbot.waitUntil(lambda: bool(FakeProcess.made))
    FakeProcess.made[-1].greet()
    yield Person(window, qtbot)
    window.close() or window.close()  # the first time it may warn
    workspace.close()
    window.deleteLater()
    workspace.deleteLater()
    QApplication.processEvents()
    FakeEstimator.made.clear()


@pytest.fixture
def talking(person: Person) -> Person:
    """The same with a model of 4,096 tokens."""
    person.load()
    return person
