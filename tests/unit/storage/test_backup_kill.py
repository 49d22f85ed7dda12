"""kill -9 while the library is backed up or restored: nothing is lost, and what was left goes with the next backup."""

import shutil
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

RESTORES = """
import os, random, signal, sys
from pathlib import Path
from app.storage.restore import restore_library

file, folders = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]

def restore(folder, last):
    "Restore in a process of its own, killed at its call number `last` (0: never) of any function, also of C's."
    reading, writing = os.pipe()
    if pid := os.fork():
        os.close(writing)
        calls = int(os.read(reading, 20) or 0)
        os.close(reading)
        return calls, os.waitpid(pid, 0)[1]
    calls = 0

    def count(_frame, _event, _argument):
        nonlocal calls
        calls += 1
        if calls == last:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    restore_library(file, folder / "ember.db", folder / "backups", lambda *_: None, key=b"k" * 32)
    sys.setprofile(None)
    os.write(writing, str(calls).encode())
    os._exit(0)

calls, status = restore(folders[0], 0)
assert calls > 1000 and status == 0, (calls, status)
chosen = random.Random(5)
for number, folder in enumerate(folders[1:]):  # every other one while the library is swapped and looked at
    last = chosen.randrange(1, calls) if number % 2 else chosen.randrange(calls * 2 // 3, calls)
    assert restore(folder, last) == (0, signal.SIGKILL)
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


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_restores_killed_at_any_moment_leave_the_old_library_or_the_new_one_whole(
    library: Path, saved: Path, tmp_path: Path
) -> None:
    folders = [shutil.copytree(library, tmp_path / f"data{number}") for number in range(21)]
    subprocess.run([sys.executable, "-c", RESTORES, saved, *folders], cwd=REPOSITORY, check=True)
    found = [which_is_there(folder) for folder in folders]
    assert found[0] == "new" and {"old", "new"} == set(found[1:])
    for folder in folders:
        restored(saved, folder)
        assert sorted(path.name for path in folder.iterdir()) == ["backups", "ember.db"]
        assert not list((folder / "backups").glob("*.tmp"))


def which_is_there(folder: Path) -> str:
    """The library that a killed restore left, after a look at all of it."""
    with closing(opened(folder)) as database:
        assert database.notice is None and not list(folder.glob("*.damaged-*"))
        assert [tuple(row) for row in database.rows("PRAGMA integrity_check")] == [("ok",)]
        if SettingsStore(database).get("other", int, 0) == 1:
            assert list(ConversationStore(database).summaries()) == []
            return "new"
        assert ConversationStore(database).tree(CHAT) == forked_tree()
        return "old"
