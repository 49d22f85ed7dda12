"""Backups in the window: made, scheduled, listed, tried and put in place; the library is never touched by a try."""

import time
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QFileDialog, QLabel

from app.core.errors import EmberError
from app.gui.dialogs_backup import BackupDialog
from app.protocol.answers import Failed, SavedAdopted, SavedExported, SavedUsage, StoreOpened
from app.protocol.parts import RootUsage
from app.protocol.requests import AdoptSaved, Cancel, ExportSaved, GetSavedUsage, OpenStore
from app.services.backup_work import Schedule
from app.services.backups import Backups
from app.services.workspace import Workspace
from app.storage.archive_state import OutgoingFile
from app.storage.backup_format import look_into
from app.storage.backup_state import CarriedState
from app.storage.database import Database
from app.storage.restore import Restored
from tests.unit.gui.person import Person
from tests.unit.services.archives import exported
from tests.unit.storage.made import CHAT, forked_tree, put


class Keeper:
    """A person with one chat and the dialog of the backups open."""

    def __init__(self, person: Person) -> None:
        self.person, self.window, self.qtbot = person, person.window, person.qtbot
        self.workspace = self.window.workspace
        put(self.workspace.store, forked_tree())
        self.controller = self.window.backing_up
        self.window.sidebar.backups_requested.emit()

    @property
    def dialog(self) -> BackupDialog:
        assert self.controller.dialog is not None
        return self.controller.dialog

    @property
    def backups(self) -> Backups:
        return self.workspace.backups

    def wait_for_list(self, rows: int) -> None:
        self.qtbot.waitUntil(lambda: self.dialog.restore.table.rowCount() == rows)

    def wait_for_list_again(self) -> None:
        self.qtbot.waitUntil(self.dialog.restore.other.isVisible)

    def wait_for_question(self) -> None:
        self.qtbot.waitUntil(self.dialog.restore.restore.isVisible)

    def facts(self) -> dict[str, str]:
        """What is said of the backup that was tried."""
        labels = self.dialog.restore.findChildren(QLabel)
        return {label.accessibleName(): label.text() for label in labels if label.accessibleName()}

    def made(self, path: Path) -> Path:
        """A backup of the library at that path."""
        with self.qtbot.waitSignal(self.backups.finished):
            self.backups.back_up(path)
        return path

    def working(self) -> list[Path]:
        """Folders in which a restore is prepared."""
        return list(self.workspace.data_dir.root.glob(".ember-work-*"))


@pytest.fixture
def keeper(person: Person) -> Keeper:
    return Keeper(person)


def choose(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """The person names this file, or folder, in whatever dialog of the system comes."""
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(path))


# --- backing up -------------------------------------------------------------------------------------------------------


def test_a_backup_is_written_where_the_person_says_and_told(
    keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = keeper.dialog.backup
    assert page.library.text().startswith("at most ")
    choose(monkeypatch, tmp_path / "mine")
    with keeper.qtbot.waitSignal(keeper.backups.finished):
        page.make.click()
        assert page.row.isVisible() and page.row.what.text() == "The backup is being written…"
    assert look_into(tmp_path / "mine.emberbackup").messages == 6
    (told,) = keeper.person.notices
    assert told.startswith(f"Backed up to “{tmp_path}/mine.emberbackup” (")
    assert page.outcome.text() == told and page.show_file.isVisibleTo(page) and page.make.isVisible()
    keeper.wait_for_list(1)


def test_a_person_who_names_no_file_changes_nothing(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    keeper.dialog.backup.make.click()
    assert not keeper.backups.is_running and keeper.dialog.backup.make.isVisible()


def test_a_backup_is_cancelled(keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "usb").mkdir()
    choose(monkeypatch, tmp_path / "usb" / "mine")
    page = keeper.dialog.backup
    with keeper.qtbot.waitSignal(keeper.backups.failed):
        page.make.click()
        page.row.cancel.click()
    assert page.outcome.text() == "The backup was cancelled. Nothing was changed."
    assert page.make.isVisible() and not keeper.person.notices and not list((tmp_path / "usb").iterdir())


def test_a_place_that_cannot_be_written_is_told(
    keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(monkeypatch, tmp_path / "absent" / "mine")
    with keeper.qtbot.waitSignal(keeper.backups.failed):
        keeper.dialog.backup.make.click()
    (told,) = keeper.person.notices
    assert "was not written because its folder does not exist" in told
    assert keeper.dialog.backup.outcome.text() == told


def test_a_backup_goes_on_when_the_dialog_is_closed_and_is_seen_again_in_it(keeper: Keeper, tmp_path: Path) -> None:
    with keeper.qtbot.waitSignal(keeper.backups.finished):
        keeper.backups.back_up(tmp_path / "mine.emberbackup")
        keeper.dialog.close()
        keeper.controller.open()
        assert keeper.dialog.backup.row.isVisible()
    assert keeper.dialog.backup.make.isVisible()


def test_a_backup_that_a_command_begins_is_seen_in_the_open_dialog(keeper: Keeper, tmp_path: Path) -> None:
    page = keeper.dialog.backup
    with keeper.qtbot.waitSignal(keeper.backups.finished):
        keeper.backups.back_up(tmp_path / "mine.emberbackup")
        assert page.row.isVisible() and not page.make.isVisible()
    assert page.make.isVisible()


def test_a_backup_that_cannot_begin_because_another_did_meanwhile_is_told(
    keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*_given: object) -> tuple[str, str]:
        keeper.backups.back_up(tmp_path / "of a command")
        return str(tmp_path / "mine"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", meanwhile)
    with keeper.qtbot.waitSignal(keeper.backups.finished):
        keeper.dialog.backup.make.click()
        (told,) = keeper.person.notices
        assert "yours was not begun" in told
    assert not (tmp_path / "mine.emberbackup").exists()


# --- the schedule -----------------------------------------------------------------------------------------------------


def test_a_schedule_holds_when_the_dialog_closes_and_the_first_copy_is_made(
    keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = keeper.dialog.backup
    assert not page.folder.isVisible()
    page.every.setCurrentIndex(page.every.findText("Every week"))
    assert page.folder.isVisible() and page.folder.text() == str(keeper.backups.kept_in)
    page.keep.setValue(3)
    choose(monkeypatch, tmp_path / "copies")
    page.choose.click()
    with keeper.qtbot.waitSignal(keeper.backups.copied):
        keeper.qtbot.keyClick(keeper.dialog, Qt.Key.Key_Escape)
    assert keeper.backups.schedule == Schedule("week", 3, str(tmp_path / "copies"))
    assert len(list((tmp_path / "copies").iterdir())) == 1
    assert not keeper.person.notices
    keeper.controller.open()
    keeper.dialog.backup.to_default.click()
    keeper.dialog.backup.every.setCurrentIndex(0)
    keeper.dialog.close()
    assert keeper.backups.schedule == Schedule("never", 3)


def test_a_copy_that_fails_is_told_once_and_stays_to_be_seen_in_the_dialog(keeper: Keeper, tmp_path: Path) -> None:
    keeper.dialog.close()
    (tmp_path / "file").touch()
    with keeper.qtbot.waitSignal(keeper.backups.copy_failed):
        keeper.backups.set_schedule(Schedule("day", folder=str(tmp_path / "file" / "x")))
    (told,) = keeper.window.notices.notices()
    keeper.window.notices.dismiss_all()
    with keeper.qtbot.waitSignal(keeper.backups.copy_failed):
        keeper.backups.run_if_due()
    assert not keeper.person.notices
    assert "a file stands where a folder should be" in told.text
    assert told.kind == "warning"
    told.actions[0][1]()
    assert keeper.dialog.backup.failure.text() == told.text


# --- restoring --------------------------------------------------------------------------------------------------------


def test_what_a_backup_holds_is_shown_before_anything_is_changed(keeper: Keeper, tmp_path: Path) -> None:
    keeper.made(tmp_path / "mine.emberbackup")
    keeper.wait_for_list(1)
    keeper.workspace.store.rename(CHAT, "Later")
    page = keeper.dialog.restore
    keeper.dialog.show_restore()
    keeper.qtbot.keyClick(page.table, Qt.Key.Key_Return)
    assert page.row.isVisible()
    keeper.wait_for_question()
    facts = keeper.facts()
    assert facts["Chats"] == "1, with 6 messages"
    assert facts["It holds"].startswith("All chats and settings")
    assert facts["File"] == str(tmp_path / "mine.emberbackup")
    assert time.strftime("%Y") in page.title.text()
    assert str(keeper.workspace.data_dir.backups) in page.what_happens.text()
    assert not page.trust.isVisible()
    assert keeper.working()
    page.back.click()
    assert page.prepare.isVisible() and not keeper.working()
    assert keeper.workspace.store.get(CHAT).title == "Later"


def test_closing_the_dialog_removes_what_was_tried(keeper: Keeper, tmp_path: Path) -> None:
    keeper.made(tmp_path / "mine.emberbackup")
    keeper.controller.restore(tmp_path / "mine.emberbackup")
    keeper.wait_for_question()
    keeper.dialog.close()
    assert not keeper.working()


def test_a_try_is_cancelled(keeper: Keeper, tmp_path: Path) -> None:
    keeper.made(tmp_path / "mine.emberbackup")
    keeper.controller.restore(tmp_path / "mine.emberbackup")
    keeper.dialog.restore.row.cancel.click()
    keeper.wait_for_list_again()
    assert not keeper.working() and not keeper.dialog.restore.outcome.text()


def test_another_backup_is_tried_while_the_one_before_is_still_ending(keeper: Keeper, tmp_path: Path) -> None:
    keeper.made(tmp_path / "first.emberbackup")
    keeper.workspace.store.delete(CHAT)
    keeper.made(tmp_path / "second.emberbackup")
    keeper.controller.restore(tmp_path / "first.emberbackup")
    keeper.dialog.close()
    keeper.controller.restore(tmp_path / "second.emberbackup")
    keeper.wait_for_question()
    assert keeper.facts()["File"] == str(tmp_path / "second.emberbackup")
    assert keeper.facts()["Chats"].startswith("0, ")
    keeper.dialog.close()
    assert not keeper.working()


def test_a_file_that_is_no_backup_is_said_in_the_dialog(
    keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "diary.txt").write_text("Dear diary")
    choose(monkeypatch, tmp_path / "diary.txt")
    keeper.dialog.show_restore()
    keeper.dialog.restore.other.click()
    keeper.wait_for_list_again()
    assert "it is not a backup of Ember" in keeper.dialog.restore.outcome.text()


def test_a_backup_of_another_installation_is_trusted_only_by_the_person(keeper: Keeper, tmp_path: Path) -> None:
    keeper.made(tmp_path / "theirs.emberbackup")
    keeper.workspace.data_dir.key.unlink()  # as where another key was made
    keeper.dialog.show_restore()
    keeper.controller.restore(tmp_path / "theirs.emberbackup")
    keeper.wait_for_question()
    page = keeper.dialog.restore
    assert page.trust.isVisible() and not page.trust.isChecked()
    assert "Another installation" in keeper.facts()["Written by"]
    page.trust.setChecked(True)
    page.restore.click()
    assert keeper.controller.replacement is not None and keeper.controller.replacement.trust
    keeper.controller.replacement.prepared.close()


def test_restoring_closes_the_window_with_the_backup_ready(keeper: Keeper, tmp_path: Path) -> None:
    keeper.made(tmp_path / "mine.emberbackup")
    keeper.controller.restore(tmp_path / "mine.emberbackup")
    keeper.wait_for_question()
    keeper.dialog.restore.restore.click()
    assert not keeper.window.isVisible() and keeper.controller.dialog is None
    replacement = keeper.controller.replacement
    assert replacement is not None and replacement.prepared.copy.exists() and not replacement.trust
    replacement.prepared.close()
    assert not keeper.working()


def test_a_window_that_cannot_close_keeps_its_library(
    keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper.made(tmp_path / "mine.emberbackup")
    keeper.controller.restore(tmp_path / "mine.emberbackup")
    keeper.wait_for_question()
    with monkeypatch.context() as full:  # only now: what is left of the test closes the window
        full.setattr(keeper.window.chat, "store_draft", lambda: False)
        keeper.dialog.restore.restore.click()
    assert keeper.window.isVisible()
    assert keeper.controller.replacement is None and not keeper.working()


def test_after_the_restart_the_way_back_is_offered(keeper: Keeper, tmp_path: Path) -> None:
    keeper.dialog.close()
    keeper.workspace.data_dir.backups.mkdir()
    kept = keeper.backups.kept_in / "ember-v3-20261122-101500.db"
    copy_of(keeper.workspace, kept)
    keeper.controller.tell(Restored(2, 7, with_token_ids=False, kept=kept, notice="It was damaged."))
    (notice,) = keeper.window.notices.notices()
    assert notice.text == (
        "The backup is restored: 2 chats. What was here before is kept as “ember-v3-20261122-101500.db”. "
        "Another installation wrote it, so the next reply in each chat reads it anew. It was damaged."
    )
    notice.actions[0][1]()
    keeper.wait_for_question()
    assert keeper.facts()["Chats"] == "1, with 6 messages"
    assert "before a restore or an update" in keeper.facts()["Written"]


@pytest.mark.parametrize("width", [480, 700])
def test_what_came_of_it_is_whole_in_a_narrow_window(width: int, keeper: Keeper, tmp_path: Path) -> None:
    keeper.dialog.close()
    keeper.window.resize(width, 600)
    keeper.controller.tell(Restored(12, 70, with_token_ids=False, kept=tmp_path / "ember-v3-20261122.db", notice=None))
    words = keeper.window.notices.words
    keeper.qtbot.waitUntil(lambda: 0 < words.width() < width)
    QApplication.processEvents()
    assert words.height() >= words.heightForWidth(words.width())


def test_a_restore_that_failed_at_the_end_is_told(keeper: Keeper) -> None:
    keeper.controller.tell(EmberError("It was not restored. Your library is as it was.", "restore_failed"))
    assert keeper.person.notices == ["It was not restored. Your library is as it was."]


def copy_of(workspace: Workspace, target: Path) -> None:
    """The library as it is kept before another takes its place."""
    database = Database.open(workspace.data_dir.database, workspace.data_dir.backups, readonly=True)
    target.touch()
    database.copy_to(target, lambda *_: None)
    database.close()


# --- saved state ------------------------------------------------------------------------------------------------------

MIB = 1 << 20
PIECE = "a" * 64 + ".chunk"


@pytest.fixture
def with_state(keeper: Keeper) -> Keeper:
    """The same with 5 MiB of saved state, as the engine says."""
    engine = keeper.person.engine
    engine.say(StoreOpened(id=engine.asked(OpenStore)[-1].id, budget=10 * MIB))
    asked = engine.asked(GetSavedUsage)[-1]
    root = RootUsage(root=b"r" * 32, chunks=1, tokens=9, bytes=5 * MIB, checkpoint_bytes=0)
    engine.say(
        SavedUsage(
            id=asked.id, groups=(), roots=(root,), budget=10 * MIB, disk_free=MIB, bytes_written=MIB, quarantined=0
        )
    )
    return keeper


def staged(keeper: Keeper) -> Path:
    """Let the engine put a file into the staging folder that it was told; the folder."""
    asked = keeper.person.engine.asked(ExportSaved)[-1]
    (Path(asked.folder) / PIECE).write_bytes(b"rows" * 1000)
    files = (exported(Path(asked.folder) / PIECE),)
    keeper.person.engine.say(SavedExported(id=asked.id, files=files, hashes=()))
    return Path(asked.folder)


def test_saved_state_is_offered_with_its_size_and_only_where_there_is_any(keeper: Keeper) -> None:
    page = keeper.dialog.backup
    assert not page.with_state.isEnabled()
    assert page.state_words.text() == "What is saved of chats' state cannot be had at the moment."


def test_a_backup_has_the_saved_state_that_was_asked_for(
    with_state: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, page = with_state, with_state.dialog.backup
    assert page.with_state.isEnabled() and page.with_state.text() == "With saved state, 5.0 MiB"
    choose(monkeypatch, tmp_path / "mine")
    page.with_state.setChecked(True)
    with keeper.qtbot.waitSignal(keeper.backups.finished):
        page.make.click()
        folder = staged(keeper)
    assert look_into(tmp_path / "mine.emberbackup").version == 2
    assert not folder.exists()
    keeper.controller.restore(tmp_path / "mine.emberbackup")
    keeper.wait_for_question()
    assert keeper.facts()["It holds"] == "All chats and settings; 3.9 KiB of saved state."


def test_scheduled_copies_hold_saved_state_when_the_person_says_so(with_state: Keeper) -> None:
    keeper, page = with_state, with_state.dialog.backup
    assert not page.copy_state.isVisibleTo(page)
    page.every.setCurrentIndex(page.every.findData("day"))
    page.keep.setValue(3)
    assert not page.copy_state.isChecked()
    assert page.copy_words.text() == "At the moment that adds 5.0 MiB to each copy, 15 MiB to all 3."
    page.copy_state.setChecked(True)
    with keeper.qtbot.waitSignal(keeper.backups.copied) as copied:
        keeper.dialog.close()
        keeper.qtbot.waitUntil(lambda: bool(keeper.person.engine.asked(ExportSaved)))
        folder = staged(keeper)
    assert keeper.backups.schedule == Schedule("day", 3, with_state=True)
    assert copied.args is not None
    assert look_into(copied.args[0]).version == 2 and copied.args[1] == ""
    assert not folder.exists()
    keeper.window.sidebar.backups_requested.emit()
    assert keeper.dialog.backup.copy_state.isChecked()


def test_a_scheduled_copy_whose_state_cannot_be_had_is_made_all_the_same_and_says_so(with_state: Keeper) -> None:
    keeper = with_state
    with keeper.qtbot.waitSignal(keeper.backups.copied) as copied:
        keeper.backups.set_schedule(Schedule("day", with_state=True))
        keeper.qtbot.waitUntil(lambda: bool(keeper.person.engine.asked(ExportSaved)))
        asked = keeper.person.engine.asked(ExportSaved)[-1]
        keeper.person.engine.say(Failed(id=asked.id, kind="store", sentence="The disk cannot be read."))
    assert copied.args is not None
    assert look_into(copied.args[0]).version == 1
    told = "A scheduled copy was written. Saved state is not in it. The disk cannot be read."
    assert keeper.dialog.backup.outcome.text() == told
    assert not keeper.person.notices  # the text is what has to be safe


def test_a_copy_that_is_due_at_the_start_waits_for_the_engine_that_has_the_state(keeper: Keeper) -> None:
    engine = keeper.workspace.engine
    engine.state = "stopped"
    staging: list[OutgoingFile] = []
    keeper.workspace.backup_states.stage(staging.extend, lambda error: pytest.fail(error.sentence))
    assert not keeper.person.engine.asked(ExportSaved)
    engine.state = "starting"
    engine.state_changed.emit("starting")
    engine.state = "ready"
    keeper.person.engine.say(StoreOpened(id=keeper.person.engine.asked(OpenStore)[-1].id, budget=10 * MIB))
    staged(keeper)
    assert [file.path.name for file in staging] == [PIECE]
    keeper.workspace.backup_states.end()


def test_a_copy_that_was_cancelled_before_the_engine_started_asks_it_for_nothing(keeper: Keeper) -> None:
    engine = keeper.workspace.engine
    engine.state = "stopped"
    failed: list[EmberError] = []
    keeper.workspace.backup_states.stage(lambda _files: pytest.fail("it was cancelled"), failed.append)
    keeper.workspace.backup_states.cancel()
    engine.state = "ready"
    engine.state_changed.emit("ready")
    assert [error.kind for error in failed] == ["cancelled"]
    assert not keeper.person.engine.asked(ExportSaved)
    assert not list(keeper.workspace.data_dir.staging.glob("*"))


def test_without_the_engine_the_text_is_backed_up_and_the_reason_said(with_state: Keeper, tmp_path: Path) -> None:
    keeper = with_state
    with keeper.qtbot.waitSignal(keeper.backups.finished):
        keeper.backups.back_up(tmp_path / "mine.emberbackup", with_state=True)
        asked = keeper.person.engine.asked(ExportSaved)[-1]
        keeper.person.engine.say(Failed(id=asked.id, kind="store", sentence="The disk cannot be read."))
    assert look_into(tmp_path / "mine.emberbackup").version == 1
    (notice,) = keeper.window.notices.notices()
    assert notice.text.endswith("Saved state is not in it. The disk cannot be read.") and notice.kind == "warning"
    assert not list(keeper.workspace.data_dir.staging.iterdir())


def test_a_backup_is_cancelled_while_the_engine_gives_its_state(with_state: Keeper, tmp_path: Path) -> None:
    keeper = with_state
    with keeper.qtbot.waitSignal(keeper.backups.failed):
        keeper.backups.back_up(tmp_path / "mine.emberbackup", with_state=True)
        keeper.backups.cancel()
        asked = keeper.person.engine.asked(ExportSaved)[-1]
        assert keeper.person.engine.asked(Cancel)[-1].request == asked.id
        keeper.person.engine.say(Failed(id=asked.id, kind="cancelled", sentence="It was stopped."))
    assert not (tmp_path / "mine.emberbackup").exists()
    assert not list(keeper.workspace.data_dir.staging.iterdir()) and not keeper.backups.is_running


def carrying(keeper: Keeper, path: Path) -> Restored:
    """What came of restoring a backup with state, written to `path`."""
    with keeper.qtbot.waitSignal(keeper.backups.finished):
        keeper.backups.back_up(path, with_state=True)
        staged(keeper)
    keeper.window.notices.dismiss_all()
    carried = CarriedState(path, look_into(path))
    return Restored(1, 6, with_token_ids=True, kept=path.with_name("kept"), notice=None, state=carried)


@pytest.mark.parametrize(
    ("trouble", "files", "words"),
    [
        ("", 1, "The saved state of the backup is here too: the next replies read only the new words."),
        ("it is full", 1, "Only a part of the backup's saved state was taken because it is full. All texts are there."),
        ("it is full", 0, "Nothing of the backup's saved state was taken because it is full. All texts are there."),
    ],
)
def test_after_the_restart_the_state_is_taken_and_told(
    trouble: str, files: int, words: str, with_state: Keeper, tmp_path: Path
) -> None:
    keeper, engine = with_state, with_state.person.engine
    keeper.controller.tell(carrying(keeper, tmp_path / "mine.emberbackup"))
    assert keeper.person.notices[-1].startswith("3.9 KiB of saved state are taken from the backup.")
    keeper.qtbot.waitUntil(lambda: bool(engine.asked(AdoptSaved)))
    asked = engine.asked(AdoptSaved)[-1]
    assert [file.name for file in asked.files] == [PIECE]
    assert (Path(asked.folder) / PIECE).read_bytes() == b"rows" * 1000
    engine.say(SavedAdopted(id=asked.id, tips=(), files=files, bytes=4000, trouble=trouble))
    assert keeper.person.notices[-1] == words
    assert not Path(asked.folder).exists()


def test_taking_the_state_can_be_stopped(with_state: Keeper, tmp_path: Path) -> None:
    keeper, engine = with_state, with_state.person.engine
    keeper.controller.tell(carrying(keeper, tmp_path / "mine.emberbackup"))
    keeper.window.notices.notices()[-1].actions[0][1]()
    keeper.qtbot.waitUntil(lambda: keeper.person.notices[-1] == "It was stopped. The texts are as they were.")
    assert not engine.asked(AdoptSaved)
    assert not list(keeper.workspace.data_dir.staging.iterdir())


def test_state_is_left_where_saving_is_switched_off(with_state: Keeper, tmp_path: Path) -> None:
    keeper = with_state
    outcome = carrying(keeper, tmp_path / "mine.emberbackup")
    keeper.workspace.saved.switch(False)
    keeper.controller.tell(outcome)
    assert "because saving it is switched off" in keeper.person.notices[-1]


def test_cancelling_a_backup_of_the_texts_does_not_stop_the_state_that_is_taken(
    with_state: Keeper, tmp_path: Path
) -> None:
    keeper, engine = with_state, with_state.person.engine
    keeper.controller.tell(carrying(keeper, tmp_path / "mine.emberbackup"))
    with keeper.qtbot.waitSignal(keeper.backups.failed):
        keeper.backups.back_up(tmp_path / "texts.emberbackup")
        keeper.backups.cancel()
    keeper.qtbot.waitUntil(lambda: bool(engine.asked(AdoptSaved)))
    assert not engine.asked(Cancel)
