"""The engine is killed while it takes state out of the store or into it: texts stay, and nothing half is left."""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.conversation import ConversationId
from app.services.exports import ExportOrder, ExportReport
from app.services.import_files import ImportOrder, ImportProgress, ImportReport
from app.services.workspace import Workspace
from app.storage.archive import read_archive
from tests.integration.test_archive_state import clear, export, figures, reload, talk, texts
from tests.support.tiny_models import Kind

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")
TinyModel = Callable[[Kind], Path]
WAIT_MS = 30_000
DEATH = "The engine was ended from outside, perhaps because memory ran out."


@pytest.fixture(scope="module")
def tiny(tiny_model: TinyModel) -> Path:
    return tiny_model(Kind.FULL)


@pytest.fixture(scope="module")
def written(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data folder with saved state, and an archive of its one conversation with that state."""
    folder = tmp_path_factory.mktemp("written")
    file = export(folder / "data", talk(folder / "data", tiny), folder / "chat.ember")
    return folder / "data", file


@pytest.fixture
def home(written: tuple[Path, Path], tmp_path: Path) -> Path:
    """That data folder, for this test alone."""
    shutil.copytree(written[0], tmp_path / "home")
    return tmp_path / "home"


@contextmanager
def running(home: Path, qtbot: QtBot) -> Iterator[Workspace]:
    """The folder as a window has it, its engine running."""
    workspace = Workspace(home)
    workspace.engine.start()
    qtbot.waitUntil(lambda: workspace.engine.state == "ready" and workspace.saved.is_open, timeout=WAIT_MS)
    try:
        yield workspace
    finally:
        workspace.close()


def pid_of(workspace: Workspace) -> int:
    assert workspace.engine.hello is not None
    return workspace.engine.hello.pid


def staged(home: Path) -> list[Path]:
    """What lies in the staging folder."""
    return list((home / "staging").glob("*"))


def test_an_engine_that_is_killed_while_it_takes_state_in_leaves_the_text_and_the_next_import_takes_it(
    written: tuple[Path, Path], home: Path, tiny: Path, qtbot: QtBot
) -> None:
    clear(home)
    reports: list[ImportReport] = []
    with running(home, qtbot) as workspace:
        os.kill(pid_of(workspace), signal.SIGSTOP)  # it hears that the files lie there, and takes none
        steps: list[ImportProgress] = []
        order = ImportOrder((written[1],))
        workspace.imports.run(order, reports.append, lambda error: pytest.fail(error.sentence), steps.append)
        qtbot.waitUntil(lambda: bool(steps) and 0 < steps[-1].state_total == 2 * steps[-1].state_done, timeout=WAIT_MS)
        assert staged(home)
        os.kill(pid_of(workspace), signal.SIGKILL)
        qtbot.waitUntil(lambda: bool(reports), timeout=WAIT_MS)
        (one,) = reports[0].taken
        assert one.state.fate == "dropped" and one.state.written == 0
        assert one.state.why == f"{DEATH} The state in the archive was not taken; the text is all there."
        assert not staged(home)
    assert len(texts(home, one.id)) == 4
    again = reload(home, written[1])
    assert (again["state"], again["why"]) == ("used", "")
    assert figures(home, tiny, again["id"])["reused_saved"] > 200


def test_an_engine_that_is_killed_while_it_gives_state_out_leaves_a_whole_file_without_it(
    home: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    reports: list[ExportReport] = []
    with running(home, qtbot) as workspace:
        (summary,) = workspace.store.summaries()
        os.kill(pid_of(workspace), signal.SIGSTOP)  # it hears the question, and never answers
        order = ExportOrder((ConversationId(summary.id),), tmp_path / "out.ember", with_state=True)
        workspace.exports.begin(order).finished.connect(reports.append)
        qtbot.waitUntil(lambda: bool(staged(home)), timeout=WAIT_MS)
        os.kill(pid_of(workspace), signal.SIGKILL)
        qtbot.waitUntil(lambda: bool(reports), timeout=WAIT_MS)
        (done,) = reports[0].exported
        assert done.why == DEATH
        assert not staged(home)
    imported = read_archive(tmp_path / "out.ember")
    assert len(imported.tree.messages) == 4 and imported.manifest is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "out.ember"]
    whole = export(home, summary.id, tmp_path / "out.ember")
    assert read_archive(whole).manifest is not None
