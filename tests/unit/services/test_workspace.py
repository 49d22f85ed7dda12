"""A data folder, opened to be written by one and read by others."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.errors import EmberError
from app.services.download_record import DownloadRecord, RecordedFile, write_record
from app.services.turns import TurnRequest
from app.services.workspace import Reading, Workspace
from app.storage.conversations import INTERRUPTED
from tests.support.command import ROOT
from tests.unit.services.fakes import FakeClient, model_info
from tests.unit.storage.made import CHAT, forked_tree, put


@pytest.fixture
def workspace(tmp_path: Path, qtbot: QtBot) -> Iterator[Workspace]:
    made = Workspace(tmp_path / "data")
    yield made
    made.close()


def refusal(root: Path) -> EmberError:
    """Why the folder cannot be opened to be written."""
    with pytest.raises(EmberError) as refused:
        Workspace(root)
    return refused.value


def test_a_folder_that_is_open_cannot_be_opened_again_but_read(workspace: Workspace) -> None:
    put(workspace.store, forked_tree())
    root = workspace.data_dir.root
    assert refusal(root).kind == "in_use"
    reading = Reading(root)
    assert reading.store.get(CHAT).title == "Roman roads"
    reading.close()


def test_a_folder_that_was_closed_can_be_opened_again(tmp_path: Path, qtbot: QtBot) -> None:
    for _ in range(2):
        Workspace(tmp_path / "data").close()


def test_a_folder_that_could_not_be_opened_is_not_left_locked(tmp_path: Path, qtbot: QtBot) -> None:
    root = tmp_path / "data"
    (root / "ember.db").mkdir(parents=True)
    handlers = list(logging.getLogger().handlers)
    assert refusal(root).kind == "database_unavailable"
    assert logging.getLogger().handlers == handlers
    (root / "ember.db").rmdir()
    Workspace(root).close()


@pytest.mark.parametrize("name", ["", "logs", "ember.lock/x"])
def test_what_stands_in_the_way_is_named(name: str, tmp_path: Path, qtbot: QtBot) -> None:
    root = tmp_path / "data"
    in_the_way = root / name
    in_the_way.parent.mkdir(parents=True, exist_ok=True)
    in_the_way.write_text("mine")
    error = refusal(root)
    assert error.kind == "data_folder"
    assert str(root) in error.sentence
    assert in_the_way.read_text() == "mine"


def test_a_damaged_database_is_kept_aside_and_said(tmp_path: Path, qtbot: QtBot) -> None:
    root = tmp_path / "data"
    root.mkdir()
    (root / "ember.db").write_bytes(b"not a database" * 999)
    workspace = Workspace(root)
    assert workspace.notice is not None
    (kept,) = root.glob("ember.damaged-*.db")
    assert kept.read_bytes() == b"not a database" * 999
    assert kept.name in workspace.notice
    workspace.close()


def test_reading_a_damaged_database_says_so_and_changes_nothing(tmp_path: Path, qtbot: QtBot) -> None:
    (tmp_path / "ember.db").write_bytes(b"not a database" * 999)
    with pytest.raises(EmberError) as refused:
        Reading(tmp_path)
    assert refused.value.kind == "damaged_database"
    assert [path.name for path in tmp_path.iterdir()] == ["ember.db"]


def test_a_reply_that_a_kill_left_unfinished_says_so_at_the_next_start(workspace: Workspace) -> None:
    root = workspace.data_dir.root
    fake = FakeClient()
    workspace.chats._engine = fake  # type: ignore[assignment]
    fake.model = model_info()
    chat = workspace.chats.new_conversation().id
    workspace.chats.ask(TurnRequest(chat, "Hi"))
    workspace.chats.running = None  # a kill: nothing is stored any more
    workspace.close()
    again = Workspace(root)
    reply = again.store.tree(chat).path()[-1]
    assert (reply.finish_reason, reply.error) == ("failed", INTERRUPTED)
    again.close()


def test_a_folder_that_was_never_used_reads_as_empty(tmp_path: Path) -> None:
    reading = Reading(tmp_path / "data")
    assert reading.store.summaries() == []
    reading.close()


def test_what_a_killed_export_or_import_left_is_removed_when_the_folder_is_opened_again(
    tmp_path: Path, qtbot: QtBot
) -> None:
    left = tmp_path / "data" / "staging" / "left"
    left.mkdir(parents=True)
    (left / f"{'a' * 64}.chunk").write_bytes(b"state")
    Workspace(tmp_path / "data").close()
    assert not left.parent.exists()


def test_nothing_that_speaks_to_a_hub_is_loaded_before_somebody_asks() -> None:
    code = "import sys, app.services.workspace; print([name for name in sys.modules if name in ('httpx2', 'keyring')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_offline_no_download_goes_on(tmp_path: Path, qtbot: QtBot) -> None:
    record = DownloadRecord("o/r", "c", "Q4_0", "", (RecordedFile("m.gguf", "m.gguf", 10, "0" * 64),), 0.0)
    write_record(tmp_path / "models" / "o" / "m.gguf.ember.json", record)
    workspace = Workspace(tmp_path)
    try:
        (download,) = workspace.downloads.downloads
        assert download.state == "paused"
        workspace.model_search.set_offline(True)
        workspace.downloads.resume(download.path)
        qtbot.waitUntil(lambda: workspace.downloads.downloads[0].state == "failed")
        assert "stay offline" in workspace.downloads.downloads[0].problem
    finally:
        workspace.close()
