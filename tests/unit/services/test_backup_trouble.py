"""Backups that meet trouble in the middle: they end with a sentence, and leave nothing behind."""

from pathlib import Path

import pytest

from app.core.errors import EmberError
from app.protocol.answers import SavedExported
from app.protocol.parts import OutgoingFile
from app.protocol.requests import ExportSaved
from app.services.backup_calls import BackupCalls
from app.services.backups import Backups
from app.services.window_socket import BackupRequest, Found, Reply
from app.storage.backup_format import look_into
from tests.unit.services.exporting import Exporting


def finished(exporting: Exporting, backups: Backups) -> str:
    """Wait for the backup; the sentence why state is not in it."""
    with exporting.qtbot.waitSignal(backups.finished) as told:
        pass
    assert told.args is not None and not backups.is_running
    return str(told.args[1])


def test_a_database_that_fails_for_a_moment_lets_the_backup_end(
    exporting: Exporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise EmberError("The disk does not answer.", "database_unavailable")

    backups, path = exporting.workspace.backups, exporting.folder / "x"
    exporting.open_store()
    monkeypatch.setattr(exporting.workspace.roots, "wanted", fails)
    backups.back_up(path, with_state=True)
    assert finished(exporting, backups) == "Saved state is not in it. The disk does not answer."
    assert look_into(path).conversations == 2 and exporting.left() == ["x"]


def test_state_that_is_gone_before_it_is_packed_does_not_stop_the_backup(exporting: Exporting) -> None:
    backups, path = exporting.workspace.backups, exporting.folder / "x"
    exporting.open_store()
    backups.back_up(path, with_state=True)
    asked: ExportSaved = exporting.staged(files=0)
    gone = OutgoingFile(name="a" * 64 + ".chunk", bytes=1000, sha256="a" * 64, crc32=0)
    exporting.engine.say(SavedExported(id=asked.id, files=(gone,), hashes=()))
    assert finished(exporting, backups) == "Saved state is not in it because it does not exist."
    assert look_into(path).conversations == 2 and exporting.left() == ["x"]


def test_closing_in_the_middle_ends_the_engine_before_its_folder_goes(
    exporting: Exporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporting.open_store()
    exporting.workspace.backups.back_up(exporting.folder / "x", with_state=True)
    folder, was_there = Path(exporting.staged().folder), list[bool]()
    monkeypatch.setattr(exporting.engine, "close", lambda: was_there.append(folder.exists()))
    exporting.workspace.close()
    assert was_there == [True] and exporting.left() == []


def test_a_command_that_hangs_up_late_does_not_stop_the_backup_of_the_next_one(exporting: Exporting) -> None:
    backups, said = exporting.workspace.backups, [list[Reply](), list[Reply]()]
    calls = BackupCalls(backups, exporting.workspace)
    exporting.open_store()
    first = calls.begin(BackupRequest(file=str(exporting.folder / "a")), said[0].append)
    exporting.tell(exporting.staged())
    finished(exporting, backups)
    calls.begin(BackupRequest(file=str(exporting.folder / "b")), said[1].append)
    first()
    exporting.tell(exporting.staged())
    finished(exporting, backups)
    assert [isinstance(told[-1], Found) for told in said] == [True, True]
    assert exporting.left() == ["a", "b"]
