"""A real window with a real engine on a data folder of its own."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.core.sampling import SamplerSettings
from app.gui.application import make_application
from app.gui.main_window import MainWindow, prepare
from app.services.workspace import Workspace

GREEDY = SamplerSettings(temperature=0.0)
LOAD_MS = 60_000
REPLY_MS = 120_000


@pytest.fixture(scope="session")
def qapp_cls() -> type[QApplication]:
    """The kind of application that pytest-qt makes."""
    return QApplication


class Ember:
    """The running app, and what a person does with it."""

    def __init__(self, root: Path, qtbot: QtBot, model: Path | None) -> None:
        make_application()
        self.qtbot = qtbot
        self.workspace = Workspace(root)
        prepare(self.workspace)
        if model is not None:
            self.workspace.library.opened(model)
        self.window = MainWindow(self.workspace)
        self.ask = self.workspace.chats.ask
        """The chats' own `ask`, which `use_greedy` wraps."""
        self.window.start()
        self._open = True

    def wait_for_model(self) -> None:
        self.qtbot.waitUntil(lambda: self.workspace.engine.model is not None, timeout=LOAD_MS)

    def type(self, text: str) -> None:
        self.window.composer.edit.setFocus()
        self.qtbot.keyClicks(self.window.composer.edit, text)

    def press_send(self) -> None:
        self.window.composer.button.click()

    def say(self, text: str) -> None:
        """Type, send, and wait for the whole reply, and until its state is saved."""
        with self.qtbot.waitSignal(self.workspace.chats.turn_saved, timeout=REPLY_MS):
            self.type(text)
            self.press_send()

    def wait_for_words(self) -> None:
        """Wait until the reply that runs has some text."""
        chats = self.workspace.chats
        self.qtbot.waitUntil(lambda: chats.running is not None and bool(chats.running.text), timeout=REPLY_MS)

    def wait_until_idle(self) -> None:
        self.qtbot.waitUntil(lambda: self.workspace.chats.running is None, timeout=REPLY_MS)

    @property
    def shown(self) -> str:
        """The transcript's text."""
        return self.window.transcript.document().toPlainText()

    def close(self) -> None:
        if self._open:
            self._open = False
            self.window.close()
            self.workspace.close()
            self.window.deleteLater()
            self.workspace.deleteLater()
            QApplication.processEvents()


Start = Callable[..., Ember]


@pytest.fixture
def start(tmp_path: Path, qtbot: QtBot, starter_model: Path) -> Iterator[Start]:
    """Starts the app on the test's data folder, again and again if need be."""
    running: list[Ember] = []

    def begin(model: Path | None = starter_model) -> Ember:
        ember = Ember(tmp_path / "data", qtbot, model)
        running.append(ember)
        return ember

    yield begin
    for ember in running:
        ember.close()


@pytest.fixture
def ember(start: Start) -> Ember:
    """The app with the starter model loaded."""
    running = start()
    running.wait_for_model()
    return running


def use_greedy(ember: Ember, max_tokens: int | None = None) -> None:
    """Repeatable replies from now on; without `max_tokens` the long story is far longer than any test waits."""
    ember.workspace.chats.ask = lambda request: ember.ask(  # type: ignore[method-assign]
        replace(request, sampler=GREEDY, max_tokens=max_tokens)
    )
