"""`cache` while a window has the data folder: the command asks, the window's engine answers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from app.core.errors import EmberError
from app.protocol.answers import Failed, SavedDropped, SavedUsage, SavedVerified, StoreOpened, VerifyProgress
from app.protocol.parts import TipUsage
from app.protocol.requests import Cancel, ClearSaved, GetSavedUsage, OpenStore, VerifySaved
from app.services.cache_command import CacheOptions, cache
from app.services.single_instance import Caller, SingleInstance
from app.services.window_requests import WindowRequests
from app.services.workspace import Workspace
from tests.support.command import PATIENCE, Outcome, begin
from tests.unit.services.fakes import FakeProcess


class Window:
    """A workspace that listens as a window does, with an engine that says what the test tells it to."""

    def __init__(self, root: Path, qtbot: QtBot) -> None:
        self.root, self.qtbot, self._parent = root, qtbot, QObject()
        self.workspace = Workspace(root)
        self.workspace.instance.listen()
        self._requests = WindowRequests(self.workspace, self._parent)
        self._told = 0
        self.workspace.engine.start()

    @property
    def engine(self) -> FakeProcess:
        return FakeProcess.made[-1]

    def open_store(self) -> None:
        self.engine.greet()
        self.engine.say(StoreOpened(id=self.engine.asked(OpenStore)[-1].id, budget=1 << 30))

    def wait_for(self, kind: type) -> int:
        """Until the engine is asked that; the request's id."""
        self.wait(lambda: bool(self.engine.asked(kind)))
        identity: int = self.engine.asked(kind)[-1].id
        return identity

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait, and let the engine answer meanwhile what all chats take, which the window asks for itself too."""

        def holds() -> bool:
            for asked in self.engine.asked(GetSavedUsage)[self._told :]:
                self._told += 1
                self.engine.say(usage(asked.id, len(asked.groups)))
            return condition()

        self.qtbot.waitUntil(holds, timeout=1000 * PATIENCE)


class Command:
    """`python -m app cache …` in a process of its own."""

    def __init__(self, window: Window, *arguments: str) -> None:
        self._window = window
        self._process = begin("cache", "--data-dir", window.root, *arguments)

    def wait(self) -> Outcome:
        """Let the window answer until the command has ended."""
        self._window.wait(lambda: self._process.poll() is not None)
        out, err = self._process.communicate()
        return Outcome(self._process.returncode, out.decode(), err.decode())

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def window(tmp_path: Path, qtbot: QtBot, processes: list[FakeProcess]) -> Iterator[Window]:
    made = Window(tmp_path / "data", qtbot)
    yield made
    made.workspace.close()


def usage(request: int, chats: int = 0) -> SavedUsage:
    groups = (TipUsage(own=3, shared=2, tokens=1),) * chats
    return SavedUsage(
        id=request, groups=groups, roots=(), budget=1 << 30, disk_free=1 << 40, bytes_written=7, quarantined=0
    )


def test_the_report_comes_from_the_window(window: Window) -> None:
    window.open_store()
    outcome = Command(window, "--json").wait()
    assert (outcome.status, outcome.err) == (0, "")
    assert (outcome.line["bytes_written"], outcome.line["conversations"]) == (7, [])


def test_a_window_that_has_just_begun_answers_once_its_engine_has_the_store(window: Window) -> None:
    command = Command(window, "clear", "--all")
    window.qtbot.waitUntil(lambda: bool(window.workspace.saved._waiting), timeout=1000 * PATIENCE)
    window.open_store()
    window.engine.say(SavedDropped(id=window.wait_for(ClearSaved), freed_bytes=2048))
    assert command.wait().out.splitlines() == ["This frees 0 B; all texts stay.", "2.0 KiB freed."]


def test_a_store_that_cannot_be_opened_is_said_as_in_the_window(window: Window) -> None:
    window.engine.greet()
    refused = Failed(id=window.engine.asked(OpenStore)[-1].id, kind="saved_state", sentence="It is read-only.")
    window.engine.say(refused)
    assert Command(window).wait() == Outcome(1, "", "It is read-only.\n")


def test_a_conversation_that_does_not_exist_is_said_as_alone(window: Window) -> None:
    window.open_store()
    outcome = Command(window, "clear", "--conversation", "abc").wait()
    assert (outcome.status, outcome.out) == (1, "")
    assert "abc" in outcome.err


def test_a_check_takes_its_time_and_finds_what_is_damaged(window: Window) -> None:
    window.open_store()
    command = Command(window, "verify")
    check = window.wait_for(VerifySaved)
    for done in (1, 2):
        window.engine.say(VerifyProgress(id=check, done=done, total=2))
    window.engine.say(SavedVerified(id=check, chunks=2, bytes=9, damaged=1, finished=True))
    assert command.wait() == Outcome(1, "2 parts, 9 B: 1 was damaged and set aside.\n", "")


def test_a_command_that_is_ended_stops_its_check(window: Window) -> None:
    window.open_store()
    command = Command(window, "verify")
    check = window.wait_for(VerifySaved)
    command.kill()
    window.wait_for(Cancel)
    assert window.engine.asked(Cancel)[-1].request == check


def test_a_window_that_closes_in_between_is_said(window: Window) -> None:
    window.open_store()
    command = Command(window, "verify")
    check = window.wait_for(VerifySaved)
    window.engine.say(VerifyProgress(id=check, done=1, total=2))
    for caller in window.workspace.instance.findChildren(Caller):
        caller.deleteLater()
    outcome = command.wait()
    assert outcome.status == 1
    assert outcome.err.startswith("Ember's window was closed")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"raise the roof",
        b"\xff\x00\xfe",
        b"[" * 10_000,
        b'{"kind": "cache", "deed": "burn"}',
        b'{"kind": "cache", "deed": "report", "more": 1}',
        b'{"kind": "answer", "answer": {}}',
        b'{"kind": "cache", "deed": "clear", "conversation": 3}',
    ],
)
def test_what_is_no_request_changes_nothing_and_gets_no_answer(line: bytes, window: Window, qtbot: QtBot) -> None:
    window.open_store()
    before = len(window.engine.sent)
    socket = SingleInstance(window.root)._call(line)
    assert socket is not None
    qtbot.waitUntil(lambda: socket.state() == socket.LocalSocketState.UnconnectedState)
    assert not socket.readAll().data()
    assert len(window.engine.sent) == before
    test_the_report_comes_from_the_window(window)


def test_where_a_command_has_the_folder_nobody_is_asked(tmp_path: Path, qtbot: QtBot) -> None:
    holder = Workspace(tmp_path / "data")
    with pytest.raises(EmberError) as refused:
        cache(CacheOptions(), tmp_path / "data")
    assert refused.value.kind == "in_use"
    holder.close()
