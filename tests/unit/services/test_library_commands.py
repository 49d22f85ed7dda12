"""`backup` and `restore` as a person calls them."""

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from app.cli import run
from app.services import library_commands
from app.services.backup_work import Schedule
from app.services.single_instance import in_use
from app.services.workspace import Reading, Workspace
from app.storage.backup_format import look_into
from app.storage.backup_state import CarriedState
from app.storage.restore import Restored
from tests.unit.storage.made import CHAT, forked_tree, put

Shown = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """A command takes Ctrl+C for itself; the test run gets it back."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.fixture
def workspace(tmp_path: Path, qtbot: QtBot) -> Iterator[Workspace]:
    """A library that is open, as in a window."""
    made = Workspace(tmp_path / "data")
    put(made.store, forked_tree())
    yield made
    made.close()


def test_an_open_library_is_backed_up_and_restored_elsewhere(
    workspace: Workspace, tmp_path: Path, capsys: Shown
) -> None:
    file = tmp_path / "x.emberbackup"
    assert run(["--data-dir", str(workspace.data_dir.root), "backup", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["conversations"], told["messages"], told["bytes"]) == (1, 6, file.stat().st_size)
    assert run(["--data-dir", str(tmp_path / "new"), "restore", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["conversations"], told["messages"], Path(told["kept"]).exists()) == (1, 6, True)
    reading = Reading(tmp_path / "new")
    assert reading.store.tree(CHAT) == forked_tree()
    reading.close()


def test_the_sentences_name_what_is_where(workspace: Workspace, tmp_path: Path, capsys: Shown) -> None:
    file = tmp_path / "x.emberbackup"
    assert run(["backup", str(file), "--data-dir", str(workspace.data_dir.root)]) == 0
    assert f"Conversations: 1, messages: 6. They are in {file} (" in capsys.readouterr().out
    assert run(["restore", str(file), "--data-dir", str(tmp_path / "new")]) == 0
    assert "What stood there before is kept as" in capsys.readouterr().out


def test_a_library_that_a_window_has_open_is_not_replaced(workspace: Workspace, tmp_path: Path, capsys: Shown) -> None:
    place = ["--data-dir", str(workspace.data_dir.root)]
    assert run([*place, "backup", str(tmp_path / "x")]) == 0
    workspace.store.rename(CHAT, "Later")
    assert run([*place, "restore", str(tmp_path / "x")]) == 1
    assert "Close that first" in capsys.readouterr().err
    assert workspace.store.get(CHAT).title == "Later"


def test_a_file_that_is_no_backup_is_said_in_one_sentence(tmp_path: Path, capsys: Shown) -> None:
    (tmp_path / "x").write_text("Dear diary")
    assert run(["--data-dir", str(tmp_path / "new"), "restore", str(tmp_path / "x")]) == 1
    told = capsys.readouterr()
    assert told.err == "“x” was not restored because it is not a backup of Ember. Nothing was changed.\n"
    assert not (tmp_path / "new" / "ember.db").exists()


def test_a_restored_library_keeps_this_machine_s_own_schedule(
    workspace: Workspace, tmp_path: Path, capsys: Shown, qtbot: QtBot
) -> None:
    workspace.backups.set_schedule(Schedule(every="never", keep=3, folder="elsewhere"))
    assert run(["--data-dir", str(workspace.data_dir.root), "backup", str(tmp_path / "x")]) == 0
    assert run(["--data-dir", str(tmp_path / "new"), "restore", str(tmp_path / "x")]) == 0
    other = Workspace(tmp_path / "new")
    assert other.backups.schedule == Schedule()
    other.close()


def test_a_window_that_opens_right_after_a_restore_does_not_make_it_a_failure(
    workspace: Workspace, tmp_path: Path, capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, new = tmp_path / "x.emberbackup", tmp_path / "new"
    assert run(["backup", str(file), "--data-dir", str(workspace.data_dir.root)]) == 0
    real = library_commands.restore_library

    def with_state(*given: Any, **named: Any) -> Restored:
        return replace(real(*given, **named), state=CarriedState(file, look_into(file)))

    def meanwhile(_root: Path) -> Workspace:
        raise in_use(new)

    monkeypatch.setattr(library_commands, "restore_library", with_state)
    monkeypatch.setattr(library_commands, "Workspace", meanwhile)
    assert run(["restore", str(file), "--data-dir", str(new)]) == 0
    told = capsys.readouterr()
    assert "Conversations: 1, messages: 6." in told.out
    assert "The saved state of the backup was not taken. Ember is open on" in told.err
