"""The whole window on a data folder of its own, with an engine process that says what the test tells it to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.core.turn import TokenCounts, TurnFigures
from app.gui.main_window import MainWindow
from app.protocol.messages import CountTokens, Done, Failed, Generate, TokenCount
from app.services import engine_client
from app.services.workspace import Workspace
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

    def load(self, path: str = "/models/a.gguf") -> None:
        self.window.model.load(Path(path))
        self.engine.finish_load()

    def write(self, text: str, tokens: int) -> None:
        """Write a message, which the engine says has so many tokens."""
        asked = len(self.engine.asked(CountTokens))
        self.composer.set_draft(text)
        self.qtbot.waitUntil(lambda: len(self.engine.asked(CountTokens)) > asked)
        self.engine.say(TokenCount(id=self.engine.asked(CountTokens)[-1].id, count=tokens))

    def send(self, text: str) -> Generate:
        """Send a message; what the engine is asked."""
        self.composer.set_draft(text)
        self.composer.button.click()
        asked: Generate = self.engine.asked(Generate)[-1]
        return asked

    def say(self, text: str, reply: str, *, prompt: int = 0, generated: int = 0) -> None:
        """Send a message and let the engine answer it."""
        asked = self.send(text)
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
        self.engine.say(Failed(id=self.engine.asked(Generate)[-1].id, kind=kind, sentence=sentence))

    @property
    def notices(self) -> list[str]:
        return [notice.text for notice in self.window.notices.notices()]

    @property
    def shown(self) -> str:
        return self.window.transcript.document().toPlainText()


@pytest.fixture
def person(tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    """The window with the engine there and no model loaded."""
    monkeypatch.setattr(engine_client, "EngineProcess", FakeProcess)
    monkeypatch.setattr(engine_client, "RESTART_DELAYS_MS", (0, 0, 0, 0))
    FakeProcess.made.clear()
    workspace = Workspace(tmp_path / "data")
    workspace.library.unloaded()
    window = MainWindow(workspace)
    window.start()
    qtbot.waitUntil(lambda: bool(FakeProcess.made))
    FakeProcess.made[-1].greet()
    yield Person(window, qtbot)
    window.close()
    workspace.close()
    window.deleteLater()
    workspace.deleteLater()
    QApplication.processEvents()
    FakeProcess.made.clear()


@pytest.fixture
def talking(person: Person) -> Person:
    """The same with a model of 4,096 tokens."""
    person.load()
    return person


def actions(person: Person, at: int) -> tuple[str, ...]:
    """What is offered for the message at a place."""
    return person.window.transcript._page.entries[at].message.actions


# --- a reply's actions ------------------------------------------------------------------------------------------------


def test_a_reply_that_was_stopped_before_its_first_word_offers_no_copy(talking: Person) -> None:
    talking.send("Hello")
    talking.fail("cancelled", "Cancelled.")
    assert "Stopped before the first word." in talking.shown
    assert actions(talking, 1) == ("regenerate",)


def test_a_reply_with_words_can_be_copied(talking: Person) -> None:
    talking.say("Hello", "Hello yourself.")
    assert actions(talking, 1) == ("copy", "regenerate")


# --- a model that cannot be loaded ------------------------------------------------------------------------------------


def test_a_file_that_is_no_model_is_named(person: Person) -> None:
    person.window.model.load(Path("/models/holiday.gguf"))
    load = person.engine.sent[-1]
    person.engine.say(Failed(id=load.id, kind="not_gguf", sentence="The file is not a GGUF model."))
    assert person.notices == ["“holiday.gguf” could not be loaded. The file is not a GGUF model."]
