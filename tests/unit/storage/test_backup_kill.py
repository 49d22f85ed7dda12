"""kill -9 while the library is backed up or restored: nothing is lost, and what was left goes with the next backup."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from app.storage.backup import write_backup
from app.storage.backup_format import look_into
from app.storage.conversations import ConversationStore
from app.storage.database import Database
from app.storage.settings import SettingsStore
from tests.unit.storage.made import CHAT, forked_tree, put
from tests.unit.storage.test_backup import opened, restored, silently

REPOSITORY = Path(__file__).parents[3]
WORKER = """
import os, sys
from pathlib import Path
from app.storage import restore
from app.storage.backup import write_backup
from app.storage.database import Database

what, folder, file, last = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
calls = 0

def wait():
    "Say so, and do nothing more until the kill."
    print("now", flush=True)
    sys.stdin.read()

def progress(done, to_do):
    global calls
    calls += 1
    if calls == last:
        wait()

def before(real):
    return lambda *given, **named: (wait(), real(*given, **named))

def after(real):
    return lambda *given, **named: (real(*given, **named), wait())

if what == "backup":
    write_backup(Database.open(folder / "ember.db", folder / "backups", readonly=True), file, progress)
    wait()
else:
    if what == "settle":
        restore._settle = after(restore._settle)
    elif what == "swap":
        restore._swap = before(restore._swap)
    elif what == "swapped":
        Path.replace = after(Path.replace)
        restore.Database.keep_copy = lambda self, folder: folder / "none"
    restore.restore_library(file, folder / "ember.db", folder / "backups", progress, key=b"k" * 32)
    wait()
"""


def killed(what: str, folder: Path, file: Path, last: int = 0) -> None:
    """Let another process do it until it waits at that place, and kill it there."""
    command = [sys.executable, "-c", WORKER, what, str(folder), str(file), str(last)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert process.stdout is not None
    said = process.stdout.readline()
    process.kill()
    _, errors = process.communicate()
    assert said == "now\n", errors


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A data folder with a conversation."""
    folder = tmp_path / "data"
    folder.mkdir()
    with closing(opened(folder)) as database:
        put(ConversationStore(database), forked_tree())
    return folder


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A backup of another library."""
    with closing(Database.open(tmp_path / "other.db", tmp_path)) as database:
        SettingsStore(database).set("other", 1)
        write_backup(database, tmp_path / "other.emberbackup", silently)
    return tmp_path / "other.emberbackup"


@pytest.mark.parametrize("last", [1, 2])
def test_a_killed_backup_leaves_the_last_one_and_the_library(last: int, library: Path, tmp_path: Path) -> None:
    target = tmp_path / "usb" / "x"
    target.parent.mkdir()
    target.write_text("the last one")
    killed("backup", library, target, last)
    assert target.read_text() == "the last one"
    with closing(opened(library)) as database:
        assert ConversationStore(database).tree(CHAT) == forked_tree()
        assert len(list(target.parent.iterdir())) == 2
        write_backup(database, target, silently)
    assert [path.name for path in target.parent.iterdir()] == ["x"]
    assert look_into(target).messages == 6


def test_a_backup_that_was_killed_at_its_end_is_whole(library: Path, tmp_path: Path) -> None:
    killed("backup", library, tmp_path / "x")
    assert look_into(tmp_path / "x").messages == 6


@pytest.mark.parametrize(("what", "last"), [("unpack", 1), ("settle", 0), ("swap", 0)])
def test_a_restore_that_was_killed_before_the_swap_changed_nothing(
    what: str, last: int, library: Path, saved: Path
) -> None:
    killed(what, library, saved, last)
    with closing(opened(library)) as database:
        assert database.notice is None
        assert ConversationStore(database).tree(CHAT) == forked_tree()
        assert SettingsStore(database).get("other", int, 0) == 0
    restored(saved, library)
    assert sorted(path.name for path in library.iterdir()) == ["backups", "ember.db"]


@pytest.mark.parametrize("what", ["swapped", "whole"])
def test_a_restore_that_was_killed_after_the_swap_is_whole(what: str, library: Path, saved: Path) -> None:
    killed(what, library, saved)
    with closing(opened(library)) as database:
        assert database.notice is None
        assert SettingsStore(database).get("other", int, 0) == 1
