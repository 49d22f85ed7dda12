"""One Ember to a data folder: a second one is noticed, a dead one is not in the way."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PySide6.QtNetwork import QLocalSocket
from pytestqt.qtbot import QtBot

from app.core.errors import EmberError
from app.services import single_instance
from app.services.single_instance import LOCK_NAME, LONGEST_REQUEST, MOST_CALLERS, Caller, SingleInstance, in_use

ROOT = Path(__file__).resolve().parents[3]
HOLD = """
import sys
from pathlib import Path
from app.services.single_instance import SingleInstance
instance = SingleInstance(Path(sys.argv[1]))
assert instance.acquire()
print("held", flush=True)
sys.stdin.read()
"""
RAISE = """
import sys
from pathlib import Path
from app.services.single_instance import SingleInstance
sys.exit(0 if SingleInstance(Path(sys.argv[1])).raise_other() else 3)
"""


@contextmanager
def holder(folder: Path, script: str = HOLD) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the folder."""
    command = [sys.executable, "-c", script, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


@pytest.fixture
def instance(tmp_path: Path, qtbot: QtBot) -> Iterator[SingleInstance]:
    made = SingleInstance(tmp_path)
    yield made
    made.release()


def test_a_folder_is_held_once(instance: SingleInstance, tmp_path: Path) -> None:
    assert instance.acquire()
    second = SingleInstance(tmp_path)
    assert not second.acquire()
    instance.release()
    assert second.acquire()
    second.release()


def test_another_process_cannot_have_it_either_until_it_is_killed(instance: SingleInstance, tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        assert not instance.acquire()
        process.kill()
        process.wait()
        assert instance.acquire()


def test_what_a_lock_file_says_does_not_matter(instance: SingleInstance, tmp_path: Path) -> None:
    """After a kill in a container the next process has the same process id."""
    (tmp_path / LOCK_NAME).write_text("1\npython\nhost\n")
    assert instance.acquire()


def test_a_lock_that_cannot_be_made_is_said_as_what_it_is(instance: SingleInstance, tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).mkdir()
    with pytest.raises(EmberError) as refused:
        instance.acquire()
    assert refused.value.kind == "data_folder"


def test_a_second_window_raises_the_first(instance: SingleInstance, tmp_path: Path, qtbot: QtBot) -> None:
    assert instance.acquire()
    instance.listen()
    with qtbot.waitSignal(instance.raise_requested, timeout=10_000):
        second = subprocess.Popen([sys.executable, "-c", RAISE, str(tmp_path)], cwd=ROOT)
    qtbot.waitUntil(lambda: second.poll() is not None, timeout=10_000)
    assert second.returncode == 0


def test_without_a_first_window_nobody_is_raised(tmp_path: Path, qtbot: QtBot) -> None:
    assert not SingleInstance(tmp_path).raise_other()


def test_a_window_that_goes_without_a_word_was_not_raised(tmp_path: Path, qtbot: QtBot) -> None:
    goes = HOLD.replace('print("held"', 'instance.listen()\nprint("held"').replace(
        "sys.stdin.read()", "instance._server.waitForNewConnection(-1)"
    )
    with holder(tmp_path, goes):
        assert not SingleInstance(tmp_path).raise_other()


def test_the_socket_of_a_killed_window_is_taken_over(tmp_path: Path, qtbot: QtBot) -> None:
    listen = HOLD.replace("print(", "instance.listen()\nprint(").replace(
        "import sys", "import sys\nfrom PySide6.QtCore import QCoreApplication\napp = QCoreApplication([])", 1
    )
    with subprocess.Popen(
        [sys.executable, "-c", listen, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        process.kill()
    next_one = SingleInstance(tmp_path)
    assert next_one.acquire()
    next_one.listen()
    with qtbot.waitSignal(next_one.raise_requested, timeout=10_000):
        second = subprocess.Popen([sys.executable, "-c", RAISE, str(tmp_path)], cwd=ROOT)
    qtbot.waitUntil(lambda: second.poll() is not None, timeout=10_000)
    next_one.release()


# --- what comes over the socket ---------------------------------------------------------------------------------------


class Window:
    """An instance that listens, what it was asked, and connections to it."""

    def __init__(self, instance: SingleInstance, folder: Path, qtbot: QtBot) -> None:
        self.qtbot, self._name = qtbot, single_instance._socket_name(folder)
        self.asked: list[tuple[Caller, bytes]] = []
        instance.asked.connect(lambda caller, line: self.asked.append((caller, line)))
        assert instance.acquire()
        instance.listen()

    def connect(self, *pieces: bytes) -> QLocalSocket:
        """A connection that says this, piece after piece."""
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        assert socket.waitForConnected(1000)
        for piece in pieces:
            socket.write(piece)
            assert socket.flush()
        return socket

    def wait_for_end(self, socket: QLocalSocket) -> None:
        """Until the connection has ended."""
        self.qtbot.waitUntil(lambda: socket.state() == QLocalSocket.LocalSocketState.UnconnectedState)

    def hear(self, line: bytes) -> Caller:
        """Wait for that line; who sent it."""
        self.qtbot.waitUntil(lambda: any(said == line for _, said in self.asked))
        return next(caller for caller, said in self.asked if said == line)


@pytest.fixture
def window(instance: SingleInstance, tmp_path: Path, qtbot: QtBot) -> Window:
    return Window(instance, tmp_path, qtbot)


def test_a_request_is_answered_line_by_line(window: Window) -> None:
    socket = window.connect(b'{"a":', b" 1}\n")
    caller = window.hear(b'{"a": 1}')
    caller.answer(b"one")
    caller.answer(b"two")
    caller.end()
    window.wait_for_end(socket)
    assert socket.readAll().data() == b"one\ntwo\n"


@pytest.mark.parametrize(
    "pieces",
    [
        (b"x" * (LONGEST_REQUEST + 1),),
        (b"x" * 4 * LONGEST_REQUEST, b"\n"),
        (b"one\ntwo\n",),
    ],
    ids=["no end of the line", "too long a line", "two lines"],
)
def test_what_is_no_request_is_sent_away_unheard(pieces: tuple[bytes, ...], window: Window) -> None:
    window.wait_for_end(window.connect(*pieces))
    assert window.asked == []
    window.connect(b"good\n")
    window.hear(b"good")


def test_whoever_says_only_half_a_line_is_sent_away_after_a_while(
    window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single_instance, "REQUEST_MS", 10)
    window.wait_for_end(window.connect(b"half a li"))
    assert window.asked == []


def test_more_connections_than_a_few_are_refused_until_one_ends(window: Window) -> None:
    waiting = [window.connect(b"%d\n" % number) for number in range(MOST_CALLERS)]
    window.hear(b"%d" % (MOST_CALLERS - 1))
    window.wait_for_end(window.connect(b"one more\n"))
    assert len(window.asked) == MOST_CALLERS
    with window.qtbot.waitSignal(window.asked[0][0].gone):
        waiting[0].abort()
    window.connect(b"now\n")
    window.hear(b"now")


def test_a_caller_that_leaves_is_noticed(window: Window) -> None:
    socket = window.connect(b"check\n")
    caller = window.hear(b"check")
    with window.qtbot.waitSignal(caller.gone):
        socket.abort()


def test_the_refusal_names_the_folder_and_a_way_out(tmp_path: Path) -> None:
    error = in_use(tmp_path)
    assert str(tmp_path) in error.sentence
    assert "--data-dir" in error.sentence
    assert error.kind == "in_use"
