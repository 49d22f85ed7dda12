"""Scheduled backups: made when they are due, in the background, and the newest kept."""

import errno
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication
from pytestqt.qtbot import QtBot

from app.core.errors import EmberError
from app.services.backup_copies import Copy
from app.services.backup_work import Schedule, is_due, make_scheduled
from app.services.backups import Backups
from app.services.workspace import Workspace
from app.storage.backup_format import look_into
from tests.unit.storage.made import forked_tree, put

NOW = time.mktime((2026, 11, 22, 12, 0, 0, 0, 0, -1))
DAY = 24 * 3600.0


@pytest.fixture
def workspace(tmp_path: Path, qtbot: QtBot) -> Iterator[Workspace]:
    made = Workspace(tmp_path / "data")
    put(made.store, forked_tree())
    yield made
    made.close()


@pytest.fixture
def backups(workspace: Workspace) -> Backups:
    """Backups whose clock stands still."""
    return Backups(workspace.data_dir, workspace.settings, workspace, clock=lambda: NOW)


@pytest.mark.parametrize(
    ("every", "name", "due"),
    [
        ("never", None, False),
        ("day", None, True),
        ("day", "Ember-20261121-130000.emberbackup", False),
        ("day", "Ember-20261121-110000.emberbackup", True),
        ("week", "Ember-20261121-110000.emberbackup", False),
        ("week", "Ember-20261115-110000-2.emberbackup", True),
        ("day", "Ember-20271121-110000.emberbackup", True),
        ("day", "Ember-20269999-110000.emberbackup", True),
        ("day", "my own.emberbackup", True),
    ],
)
def test_a_copy_is_due_when_no_younger_one_is_there(every: str, name: str | None, due: bool, tmp_path: Path) -> None:
    if name is not None:
        (tmp_path / name).touch()
    assert is_due(Schedule(every=every), tmp_path, NOW) is due  # type: ignore[arg-type]


def test_only_the_newest_copies_stay_and_other_files_are_left_alone(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    (folder / "my own.emberbackup").touch()
    schedule = Schedule(every="day", keep=2, folder=str(folder))
    made = [make_scheduled(workspace.data_dir, schedule, NOW + day * DAY, lambda *_: None) for day in range(4)]
    assert sorted(folder.iterdir()) == sorted([*made[-2:], folder / "my own.emberbackup"])
    assert look_into(made[-1]).messages == 6


def test_keeping_one_keeps_the_one_that_was_just_made(workspace: Workspace, tmp_path: Path) -> None:
    schedule = Schedule(every="day", keep=1, folder=str(tmp_path / "copies"))
    for day in (3, 1):  # the clock was put back
        last = make_scheduled(workspace.data_dir, schedule, NOW + day * DAY, lambda *_: None)
    assert list((tmp_path / "copies").iterdir()) == [last]


def test_an_older_copy_that_cannot_be_removed_is_said_as_that(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = Schedule(every="day", keep=1, folder=str(tmp_path / "copies"))
    old = make_scheduled(workspace.data_dir, schedule, NOW, lambda *_: None)
    real = Path.unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        if path == old:
            raise PermissionError(errno.EACCES, "no")
        real(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(EmberError, match="was written, but an older one could not be removed because"):
        make_scheduled(workspace.data_dir, schedule, NOW + DAY, lambda *_: None)
    assert len(list((tmp_path / "copies").iterdir())) == 2


def test_a_due_copy_is_made_at_the_start_while_the_library_is_open(backups: Backups, qtbot: QtBot) -> None:
    with qtbot.waitSignal(backups.copied) as finished:
        backups.set_schedule(Schedule(every="week"))
    assert finished.args is not None
    path, why = finished.args
    assert not why and path.name == "Ember-20261122-120000.emberbackup"
    assert look_into(path).conversations == 1
    backups.run_if_due()
    assert not backups.is_running


def test_a_closed_window_begins_no_copy_that_was_found_due_at_the_last_moment(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()
    monkeypatch.setattr(
        "app.services.backup_work.scheduled_copies",
        lambda _folder: looked.set() or [],  # type: ignore[func-returns-value]
    )
    workspace.backups.set_schedule(Schedule(every="day"))
    assert looked.wait(10)
    workspace.close()
    QCoreApplication.sendPostedEvents()  # what the look found arrives
    assert not workspace.backups.is_running and not workspace.data_dir.backups.exists()


def test_nothing_is_made_unless_it_was_asked_for(backups: Backups, workspace: Workspace) -> None:
    backups.run_if_due()
    assert not backups.is_running
    assert not workspace.data_dir.backups.exists()


def test_what_a_killed_restore_left_in_the_data_folder_goes_at_the_start(
    workspace: Workspace, backups: Backups
) -> None:
    left = workspace.data_dir.root / ".ember-work-0123456789abcdef"
    left.mkdir()
    (left / "ember.db").touch()
    backups.follow_schedule()
    assert not left.exists()


def test_a_folder_that_cannot_be_used_is_said_once_and_remembered_until_a_copy_is_made(
    workspace: Workspace, tmp_path: Path, qtbot: QtBot
) -> None:
    now = [NOW]
    backups = Backups(workspace.data_dir, workspace.settings, workspace, clock=lambda: now[0])
    told: list[tuple[EmberError, bool]] = []
    backups.copy_failed.connect(lambda error, is_new: told.append((error, is_new)))
    (tmp_path / "file").touch()
    with qtbot.waitSignal(backups.copy_failed):
        backups.set_schedule(Schedule(every="day", folder=str(tmp_path / "file" / "x")))
    sentence = told[0][0].sentence
    assert "a file stands where a folder should be" in sentence and "Your library is not touched" in sentence
    for now[0] in (NOW + DAY, NOW + 8 * DAY):
        with qtbot.waitSignal(backups.copy_failed):
            backups.run_if_due()
    assert [is_new for _, is_new in told] == [True, False, True]
    assert backups.failure == sentence
    with qtbot.waitSignal(backups.copied):
        backups.set_schedule(Schedule(every="day", folder=str(tmp_path / "copies")))
    assert backups.failure == ""


def test_the_copies_that_there_are_have_their_dates_and_kinds(backups: Backups, tmp_path: Path, qtbot: QtBot) -> None:
    with qtbot.waitSignal(backups.copied):
        backups.set_schedule(Schedule(every="day", folder=str(tmp_path / "copies")))
    with qtbot.waitSignal(backups.finished):
        backups.back_up(tmp_path / "mine.emberbackup")
    gone = tmp_path / "gone.emberbackup"
    with qtbot.waitSignal(backups.finished):
        backups.back_up(gone)
    gone.unlink()
    backups.kept_in.mkdir(exist_ok=True)
    (backups.kept_in / "ember-v3-20261120-101500.db").write_bytes(b"1234")
    (backups.kept_in / "notes.txt").touch()
    found: list[list[Copy]] = []
    backups.list_copies(found.append)
    qtbot.waitUntil(lambda: bool(found))
    by_name = {copy.path.name: copy for copy in found[0]}
    assert {name: copy.kind for name, copy in by_name.items()} == {
        "Ember-20261122-120000.emberbackup": "scheduled",
        "mine.emberbackup": "own",
        "ember-v3-20261120-101500.db": "kept",
    }
    assert by_name["Ember-20261122-120000.emberbackup"].when == NOW
    assert by_name["ember-v3-20261120-101500.db"].bytes == 4
    assert found[0] == sorted(found[0], key=lambda copy: -copy.when)


def test_a_cancelled_backup_says_so_and_leaves_nothing(backups: Backups, tmp_path: Path, qtbot: QtBot) -> None:
    (tmp_path / "usb").mkdir()
    with qtbot.waitSignal(backups.failed) as failed:
        backups.back_up(tmp_path / "usb" / "x")
        backups.cancel()
    assert failed.args is not None
    assert failed.args[0].kind == "cancelled"
    assert list((tmp_path / "usb").iterdir()) == []


def test_a_backup_tells_how_far_it_is(backups: Backups, tmp_path: Path, qtbot: QtBot) -> None:
    told: list[tuple[int, int]] = []
    backups.progressed.connect(lambda done, to_do: told.append((done, to_do)))
    with qtbot.waitSignal(backups.finished):
        backups.back_up(tmp_path / "x")
    assert told[-1][0] == told[-1][1] > 0
