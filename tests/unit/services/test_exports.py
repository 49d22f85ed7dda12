"""Conversations on their way into files: with their state, without it, cancelled, and when things go wrong."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, Qt

from app.core.conversation import ConversationId, ConversationTree
from app.core.errors import EmberError
from app.protocol.answers import Failed, TransferProgress
from app.protocol.requests import Cancel, ExportSaved, OpenStore
from app.services import exports
from app.services.exports import ExportStep
from app.storage import archive_state
from app.storage.archive import read_archive
from app.storage.files import write_bytes_atomically
from tests.unit.services.exporting import OTHER, STATE, Exporting
from tests.unit.storage.made import CHAT, forked_tree, message_id

# --- with state -------------------------------------------------------------------------------------------------------


def test_a_chat_is_written_with_its_state_and_the_sizes_of_both_are_told(exporting: Exporting) -> None:
    exporting.open_store()
    exporting.begin(CHAT, with_state=True)
    exporting.tell(exporting.staged(files=3))
    (done,) = exporting.report().exported
    assert (done.file, done.state_bytes, done.why) == (exporting.folder / "chat.ember", 9000, "")
    assert done.text_bytes == done.file.stat().st_size - 9000
    assert exporting.steps[-1] == ExportStep(1, 1, 9000, 9000)
    manifest = read_archive(done.file).manifest
    assert manifest is not None and manifest.state is not None
    assert [tip.message for tip in manifest.state.tips] == [message_id(5)]
    assert exporting.left() == ["chat.ember"]


def test_a_chat_without_saved_state_asks_the_engine_nothing(exporting: Exporting) -> None:
    exporting.open_store()
    exporting.begin(OTHER, with_state=True)
    (done,) = exporting.report().exported
    assert (done.state_bytes, done.why) == (0, "")
    assert not exporting.engine.asked(ExportSaved)


def test_state_that_was_removed_meanwhile_is_no_trouble(exporting: Exporting) -> None:
    exporting.open_store()
    exporting.begin(CHAT, with_state=True)
    exporting.tell(exporting.staged(files=0))
    (done,) = exporting.report().exported
    assert (done.state_bytes, done.why) == (0, "")


def test_state_waits_for_an_engine_that_has_just_begun(exporting: Exporting) -> None:
    exporting.begin(CHAT, with_state=True)
    exporting.qtbot.waitUntil(lambda: bool(exporting.workspace.saved._waiting))
    exporting.open_store()
    exporting.tell(exporting.staged())
    assert exporting.report().exported[0].state_bytes == len(STATE)


def dies(exporting: Exporting) -> str:
    """The engine dies while it gathers the state."""
    exporting.open_store()
    exporting.begin(CHAT, with_state=True)
    exporting.staged()
    exporting.engine.die()
    return "engine"


def refuses(exporting: Exporting) -> str:
    exporting.open_store()
    exporting.begin(CHAT, with_state=True)
    exporting.engine.say(Failed(id=exporting.staged().id, kind="saved_state", sentence="The disk is gone."))
    return "The disk is gone."


def cannot_open(exporting: Exporting) -> str:
    exporting.begin(CHAT, with_state=True)
    exporting.engine.greet()
    asked = exporting.engine.asked(OpenStore)[-1]
    exporting.engine.say(Failed(id=asked.id, kind="saved_state", sentence="Another Ember has it."))
    return "Another Ember has it."


def has_no_place(exporting: Exporting) -> str:
    exporting.open_store()
    exporting.workspace.data_dir.staging.write_text("a file")
    exporting.begin(CHAT, with_state=True)
    return "No folder can be made"


def is_too_much(exporting: Exporting) -> str:
    exporting.open_store()
    exporting.begin(CHAT, with_state=True)
    archive_state.STATE_LIMIT = 2999  # type: ignore[misc]
    exporting.tell(exporting.staged())
    return "its text alone can"


@pytest.mark.parametrize("trouble", [dies, refuses, cannot_open, has_no_place, is_too_much])
def test_where_the_state_cannot_be_had_the_text_is_written_and_the_reason_told(
    trouble: Callable[[Exporting], str], exporting: Exporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_state, "STATE_LIMIT", archive_state.STATE_LIMIT)
    words = trouble(exporting)
    (done,) = exporting.report().exported
    assert done.state_bytes == 0 and words in done.why
    assert read_archive(done.file).manifest is None
    exporting.workspace.data_dir.staging.unlink() if trouble is has_no_place else None
    assert exporting.left() == ["chat.ember"]


# --- cancelled --------------------------------------------------------------------------------------------------------


def test_cancelled_before_the_engine_is_there_it_leaves_nothing(exporting: Exporting) -> None:
    run = exporting.begin(CHAT, with_state=True)
    exporting.qtbot.waitUntil(lambda: bool(exporting.workspace.saved._waiting))
    run.cancel()
    assert exporting.report().is_cancelled
    exporting.open_store()
    assert not exporting.engine.asked(ExportSaved)
    assert exporting.left() == []


def test_cancelled_while_the_engine_gathers_the_state_it_leaves_nothing(exporting: Exporting) -> None:
    exporting.open_store()
    run = exporting.begin(CHAT, with_state=True)
    asked = exporting.staged()
    exporting.engine.say(TransferProgress(id=asked.id, done=1, total=2))
    run.cancel()
    assert exporting.engine.asked(Cancel)[-1].request == asked.id
    exporting.engine.say(Failed(id=asked.id, kind="cancelled", sentence="It was stopped."))
    report = exporting.report()
    assert report.is_cancelled and not report.exported
    assert exporting.left() == []


def test_cancelled_while_the_file_is_written_it_leaves_nothing(exporting: Exporting) -> None:
    exporting.open_store()
    run = exporting.begin(CHAT, with_state=True)
    run._written.connect(run.cancel, Qt.ConnectionType.DirectConnection)  # on the thread that writes
    exporting.tell(exporting.staged(files=3))
    report = exporting.report()
    assert report.is_cancelled and not report.exported
    assert exporting.left() == []


def test_a_file_that_stood_there_is_still_there_when_the_export_is_cancelled(exporting: Exporting) -> None:
    (exporting.folder / "chat.ember").write_text("mine")
    exporting.begin(CHAT).cancel()
    assert exporting.report().is_cancelled
    assert (exporting.folder / "chat.ember").read_text() == "mine"


def test_what_a_killed_export_left_goes_with_the_next_one_to_that_folder(exporting: Exporting) -> None:
    left, young = (exporting.folder / f".ember-{digit * 16}.tmp" for digit in "ab")
    others = [exporting.folder / ".ember-notes.tmp", exporting.folder / "x.tmp"]
    for path in (left, young, *others):
        path.touch()
    for path in (left, *others):
        os.utime(path, (1e9, 1e9))
    exporting.begin(CHAT)
    assert exporting.report().exported
    assert exporting.left() == sorted(["chat.ember", young.name, *(path.name for path in others)])


@pytest.mark.parametrize("engine_is_there", [True, False])
def test_closing_in_the_middle_leaves_nothing(engine_is_there: bool, exporting: Exporting) -> None:
    if engine_is_there:
        exporting.open_store()
    exporting.begin(CHAT, with_state=True)
    if engine_is_there:
        exporting.staged()
    else:
        exporting.qtbot.waitUntil(lambda: bool(exporting.workspace.saved._waiting))
    exporting.workspace.close()
    assert exporting.left() == []
    QCoreApplication.processEvents()  # what is still on its way arrives
    assert not exporting.reports


# --- many -------------------------------------------------------------------------------------------------------------


def test_several_go_into_a_folder_one_after_the_other_each_with_its_state(exporting: Exporting) -> None:
    exporting.open_store()
    exporting.begin(CHAT, OTHER, name="out", into_folder=True, with_state=True)
    exporting.tell(exporting.staged())
    report = exporting.report()
    assert [each.file.name for each in report.exported] == ["Roman roads.ember", "Roman roads (2).ember"]
    assert [each.state_bytes for each in report.exported] == [len(STATE), 0]
    assert {(step.number, step.count) for step in exporting.steps} == {(1, 2), (2, 2)}
    assert exporting.left() == ["out"]


def test_two_orders_at_once_into_one_folder_overwrite_nothing_of_each_other(
    exporting: Exporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2, timeout=10)

    def together(path: Path, data: bytes) -> None:
        both.wait()
        write_bytes_atomically(path, data)

    monkeypatch.setattr(exports, "write_bytes_atomically", together)
    for conversation in (CHAT, OTHER):
        exporting.begin(conversation, name="out", into_folder=True, form="text")
    exporting.qtbot.waitUntil(lambda: len(exporting.reports) == 2)
    written = {each.file.name for report in exporting.reports for each in report.exported}
    assert written == {path.name for path in (exporting.folder / "out").iterdir()}
    assert written == {"Roman roads.txt", "Roman roads (2).txt"}


def test_what_was_finished_before_it_was_cancelled_stays(exporting: Exporting) -> None:
    run = exporting.begin(CHAT, OTHER, name="out", into_folder=True, form="text")

    def second(step: ExportStep) -> None:
        if step.number == 2:
            run.cancel()

    run.progressed.connect(second)
    report = exporting.report()
    assert report.is_cancelled
    assert [each.file.name for each in report.exported] == ["Roman roads.txt"]
    assert [path.name for path in (exporting.folder / "out").iterdir()] == ["Roman roads.txt"]


def test_one_that_cannot_be_written_in_a_format_does_not_keep_the_others_from_it(
    exporting: Exporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_for_the_first(tree: ConversationTree) -> bytes:
        if tree.conversation.id == CHAT:
            raise EmberError("This one is too large.", "too_large")
        return b"%PDF-"

    exporting.workspace.exports.to_pdf = fails_for_the_first
    exporting.begin(CHAT, OTHER, name="out", into_folder=True, form="pdf")
    report = exporting.report()
    assert [each.conversation for each in report.exported] == [OTHER]
    assert [error.sentence for error in report.failed] == ["This one is too large."]


def test_a_full_disk_ends_all(exporting: Exporting, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def full(path: Path, _data: bytes) -> None:
        tried.append(path)
        write_bytes_atomically(exporting.folder / "no such folder" / "x", b"")

    monkeypatch.setattr(exports, "write_bytes_atomically", full)
    exporting.begin(CHAT, OTHER, name="out", into_folder=True)
    report = exporting.report()
    assert [error.kind for error in report.failed] == ["cannot_write"]
    assert len(tried) == 1


def test_a_chat_that_was_deleted_meanwhile_is_said(exporting: Exporting) -> None:
    exporting.begin(ConversationId("e" * 32))
    report = exporting.report()
    assert not report.exported and "no conversation" in report.failed[0].sentence
    assert exporting.left() == []


@pytest.mark.parametrize("what", ["of", "models"])
def test_a_database_that_fails_for_a_moment_lets_the_export_end(
    what: str, exporting: Exporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_given: object) -> None:
        raise EmberError("The disk does not answer.", "database_unavailable")

    exporting.open_store()
    monkeypatch.setattr(exporting.workspace.roots, what, fails)
    exporting.begin(CHAT, with_state=True)
    (done,) = exporting.report().exported
    assert (done.state_bytes, done.why) == (0, "The disk does not answer.")
    assert exporting.left() == ["chat.ember"]


def test_the_library_is_never_replaced_by_an_export(exporting: Exporting) -> None:
    exporting.begin(CHAT, name="data/ember.db")
    (error,) = exporting.report().failed
    assert error.sentence.startswith("“ember.db” was not written because that is one of Ember's own files.")
    assert exporting.workspace.store.tree(CHAT) == forked_tree()
