"""A person backs the library up in the real window, loses a chat, restores the backup, and goes back again."""

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QFileDialog
from pytestqt.qtbot import QtBot

from app.core.hub_files import HubFile, Repository, Variant
from app.gui.application import run_window
from app.gui.main_window import MainWindow
from app.paths import DataDir
from app.services.backup_work import back_up
from app.services.workspace import Workspace
from tests.end2end.conftest import GREEDY, LOAD_MS, REPLY_MS
from tests.support.command import begin
from tests.support.hub import COMMIT, PIECE, HubRepository, running_hub
from tests.support.tiny_models import Kind, make
from tests.unit.storage.made import CHAT, forked_tree, put

Step = Callable[[MainWindow], None]


@pytest.fixture(autouse=True)
def the_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The window's process takes signals and uncaught exceptions for itself; the test run gets them back."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    before = {which: signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)}
    yield
    for which, handler in before.items():
        signal.signal(which, handler)


def run(root: Path, steps: list[Step]) -> None:
    """Run the window's process; each window that it opens is given to the next step, and closed if the step fails."""
    seen: list[MainWindow] = []
    failures: list[BaseException] = []

    def look() -> None:
        shown = [each for each in QApplication.topLevelWidgets() if isinstance(each, MainWindow) and each.isVisible()]
        if not shown or shown[0] in seen:
            return
        seen.append(shown[0])
        try:
            steps[len(seen) - 1](shown[0])
        except BaseException as failure:  # noqa: BLE001 - raised again below, outside of Qt's loop
            failures.append(failure)
            shown[0].close()

    timer = QTimer()
    timer.timeout.connect(look)
    timer.start(10)
    status = run_window(root)
    timer.stop()
    if failures:
        raise failures[0]
    assert (status, len(seen)) == (0, len(steps))


def chats(window: MainWindow) -> list[str]:
    return [summary.title for summary in window.workspace.store.summaries()]


def ask_to_restore(window: MainWindow, qtbot: QtBot) -> None:
    """Wait until the backup was tried, and say yes."""
    dialog = window.backing_up.dialog
    assert dialog is not None
    qtbot.waitUntil(dialog.restore.restore.isVisible)
    dialog.restore.restore.click()


@pytest.mark.qt_log_ignore("^This plugin does not support", extend=True)
def test_a_deleted_chat_comes_back_with_the_backup_and_goes_again_with_the_way_back(
    tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, file = tmp_path / "data", tmp_path / "mine.emberbackup"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(file), ""))
    workspace = Workspace(root)
    put(workspace.store, forked_tree())
    workspace.library.unloaded()
    title = workspace.store.get(CHAT).title
    workspace.close()
    notices: list[str] = []

    def back_up_and_lose(window: MainWindow) -> None:
        window.sidebar.backups_requested.emit()
        dialog = window.backing_up.dialog
        assert dialog is not None
        with qtbot.waitSignal(window.workspace.backups.finished):
            dialog.backup.make.click()
        qtbot.waitUntil(lambda: dialog.restore.table.rowCount() == 1)
        window.conversations.delete(CHAT)
        assert chats(window) == []
        dialog.show_restore()
        dialog.restore.prepare.click()
        ask_to_restore(window, qtbot)

    def find_it_and_go_back(window: MainWindow) -> None:
        assert chats(window) == [title]
        window.conversations.open(CHAT)
        assert forked_tree().path()[-1].text in window.transcript.document().toPlainText()
        (notice,) = window.notices.notices()
        notices.append(notice.text)
        notice.actions[0][1]()
        ask_to_restore(window, qtbot)

    def find_it_gone(window: MainWindow) -> None:
        assert chats(window) == []
        window.close()

    run(root, [back_up_and_lose, find_it_and_go_back, find_it_gone])
    assert notices[0].startswith("The backup is restored: 1 chat. What was here before is kept as “ember-v")
    assert sorted(path.name for path in root.glob(".ember-work-*")) == []
    assert len(list((root / "backups").glob("ember-v*.db"))) == 2


@pytest.mark.qt_log_ignore("^This plugin does not support", extend=True)
def test_saved_state_comes_back_with_the_restore_of_a_backup_that_has_it(
    tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, file = tmp_path / "data", tmp_path / "mine.emberbackup"
    workspace = Workspace(root)
    workspace.library.opened(make(Kind.FULL, tmp_path / "tiny.gguf"))
    workspace.close()
    pieces: list[set[str]] = []

    def saved() -> set[str]:
        return {path.name for path in (root / "kv" / "chunks").rglob("*.chunk")}

    def talk_back_up_and_clear(window: MainWindow) -> None:
        chats = window.workspace.chats
        ask = chats.ask
        monkeypatch.setattr(chats, "ask", lambda asked: ask(replace(asked, sampler=GREEDY, max_tokens=8)))
        qtbot.waitUntil(lambda: window.workspace.engine.model is not None, timeout=LOAD_MS)
        window.chat.set_instructions("You are a patient teacher who answers in short and simple sentences. " * 4)
        with qtbot.waitSignal(chats.turn_saved, timeout=REPLY_MS):
            window.composer.set_draft("Name a colour.")
            window.composer.button.click()
        pieces.append(saved())
        command = begin("backup", "--data-dir", root, file, "--with-state", "--json")
        qtbot.waitUntil(lambda: command.poll() is not None, timeout=LOAD_MS)
        told = json.loads(command.communicate()[0])
        assert pieces[0]
        assert (told["conversations"], told["state_bytes"] > 0) == (1, True)
        window.workspace.saved.clear(lambda _answer: None)
        qtbot.waitUntil(lambda: not saved(), timeout=LOAD_MS)
        window.backing_up.restore(file)
        ask_to_restore(window, qtbot)

    def find_it(window: MainWindow) -> None:
        words = "The saved state of the backup is here too"
        qtbot.waitUntil(lambda: any(words in each.text for each in window.notices.notices()), timeout=LOAD_MS)
        assert saved() == pieces[0]
        window.close()

    run(root, [talk_back_up_and_clear, find_it])


@pytest.mark.qt_log_ignore("^This plugin does not support", extend=True)
def test_a_download_that_runs_goes_on_after_a_restore_and_one_that_rests_is_offered(
    tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, file = tmp_path / "data", tmp_path / "mine.emberbackup"
    workspace = Workspace(root)
    workspace.library.unloaded()
    workspace.close()
    back_up(DataDir(root), file, lambda _done, _to_do: None)
    data = os.urandom(32 * PIECE)
    files = {name: HubFile(name, len(data), hashlib.sha256(data).hexdigest()) for name in ("a.gguf", "b.gguf")}

    def download_and_restore(window: MainWindow) -> None:
        downloads = window.workspace.downloads
        repository = Repository("acme/Tiny-GGUF", COMMIT, False, "mit", ())
        resting = downloads.start(repository, Variant("b", (files["b.gguf"],)))
        downloads.pause(resting)
        downloads.start(repository, Variant("a", (files["a.gguf"],)))
        qtbot.waitUntil(lambda: downloads.downloads[-1].progress.done > 0, timeout=LOAD_MS)
        window.backing_up.restore(file)
        ask_to_restore(window, qtbot)

    def find_it_at_work(window: MainWindow) -> None:
        downloads = window.workspace.downloads
        states = {each.path.name.partition(".")[0]: each.state for each in downloads.downloads}
        assert states == {"a": "running", "b": "paused"}
        qtbot.waitUntil(lambda: any("The download of b is not" in n.text for n in window.notices.notices()))
        hub.mood.holds_after = None
        hub.go_on.set()
        qtbot.waitUntil(lambda: len(downloads.downloads) == 1, timeout=LOAD_MS)
        window.close()

    with running_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        hub.repositories["acme/Tiny-GGUF"] = HubRepository(dict.fromkeys(files, data))
        hub.mood.holds_after = 8 * PIECE
        run(root, [download_and_restore, find_it_at_work])
    assert (root / "models" / "acme" / "Tiny-GGUF" / "a.gguf").read_bytes() == data
