"""One Ember to a data folder: a second one is noticed, a dead one is not in the way."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.errors import EmberError
from app.services.single_instance import LOCK_NAME, SingleInstance, in_use

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
def holder(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the folder."""
    command = [sys.executable, "-c", HOLD, str(folder)]
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


def test_the_refusal_names_the_folder_and_a_way_out(tmp_path: Path) -> None:
    error = in_use(tmp_path)
    assert str(tmp_path) in error.sentence
    assert "--data-dir" in error.sentence
    assert error.kind == "in_use"
