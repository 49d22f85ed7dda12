"""`export --with-state` while a window has the data folder: the command asks, the window writes."""

from collections.abc import Iterator
from subprocess import Popen

import pytest
from PySide6.QtCore import QObject

from app.core.errors import EmberError
from app.protocol.answers import Failed, SavedExported
from app.protocol.requests import Cancel
from app.services.window_requests import WindowRequests
from app.services.window_socket import ExportRequest, ask_window
from app.storage.archive import read_archive
from tests.support.command import PATIENCE, Argument, Outcome, begin
from tests.unit.services.exporting import OTHER, STATE, Exporting
from tests.unit.storage.made import CHAT


@pytest.fixture
def window(exporting: Exporting) -> Iterator[Exporting]:
    """The same, listening as a window does."""
    parent = QObject()
    exporting.workspace.instance.listen()
    requests = WindowRequests(exporting.workspace, parent)
    exporting.open_store()
    yield exporting
    requests.deleteLater()


def call(window: Exporting, *arguments: Argument) -> Popen[bytes]:
    """`python -m app export … --with-state` in a process of its own, called from the folder beside the data."""
    return begin("export", "--data-dir", window.workspace.data_dir.root, *arguments, "--with-state")


def ended(window: Exporting, process: Popen[bytes]) -> Outcome:
    """Let the window work until the command has ended."""
    window.qtbot.waitUntil(lambda: process.poll() is not None, timeout=1000 * PATIENCE)
    out, err = process.communicate()
    return Outcome(process.returncode, out.decode(), err.decode())


def test_the_window_writes_the_archive_to_the_place_that_the_command_names(window: Exporting) -> None:
    command = call(window, CHAT, "--to", window.folder / "chat.ember")
    window.tell(window.staged(patience=PATIENCE))
    assert ended(window, command) == Outcome(0, "", "")
    manifest = read_archive(window.folder / "chat.ember").manifest
    assert manifest is not None and manifest.state is not None
    assert manifest.state.total_bytes == len(STATE)


def test_all_conversations_go_into_a_folder(window: Exporting) -> None:
    command = call(window, "--all", "--to", window.folder / "out")
    window.tell(window.staged(patience=PATIENCE))
    outcome = ended(window, command)
    assert (outcome.status, outcome.out) == (0, "")
    assert outcome.err == f"No state of conversation {OTHER} is saved, so its file holds its text only.\n"
    assert len(list((window.folder / "out").iterdir())) == 2


def test_state_that_the_window_cannot_have_is_said_and_the_text_is_written(window: Exporting) -> None:
    command = call(window, CHAT, "--to", window.folder / "chat.ember")
    asked = window.staged(patience=PATIENCE)
    window.engine.say(Failed(id=asked.id, kind="saved_state", sentence="The disk is gone."))
    assert ended(window, command) == Outcome(1, "", "“chat.ember” is without its state. The disk is gone.\n")
    assert read_archive(window.folder / "chat.ember").manifest is None


def test_a_conversation_that_does_not_exist_is_said_as_alone(window: Exporting) -> None:
    outcome = ended(window, call(window, "nothing", "--to", window.folder / "chat.ember"))
    assert (outcome.status, outcome.out) == (1, "")
    assert "There is no conversation" in outcome.err
    assert window.left() == []


def test_a_command_that_is_ended_leaves_nothing(window: Exporting) -> None:
    command = call(window, CHAT, "--to", window.folder / "chat.ember")
    asked = window.staged(patience=PATIENCE)
    command.kill()
    command.communicate()
    window.qtbot.waitUntil(lambda: bool(window.engine.asked(Cancel)))
    window.engine.say(SavedExported(id=asked.id, files=(), hashes=(None,)))  # the engine was done before it heard
    window.qtbot.waitUntil(lambda: not window.workspace.exports._running)
    assert window.left() == []


@pytest.mark.parametrize(
    "request_", [ExportRequest(conversations=("c" * 32,) * 600, to="/x"), ExportRequest(conversations=(), to="\udcff")]
)
def test_what_does_not_go_over_the_socket_is_said(request_: ExportRequest, window: Exporting) -> None:
    with pytest.raises(EmberError) as refused:
        ask_window(request_, window.workspace.data_dir.root)
    assert refused.value.kind in ("too_long", "bad_name")
