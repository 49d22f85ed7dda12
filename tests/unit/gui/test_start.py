"""What a window does before it is painted for the first time."""

import subprocess
import sys
from pathlib import Path

from pytestqt.qtbot import QtBot

from app.gui.main_window import MainWindow
from app.services.workspace import Workspace
from tests.unit.services.fakes import FakeProcess

LATER = (
    "app.gui.dialogs_backup",
    "app.gui.dialogs_export",
    "app.gui.dialogs_import",
    "app.gui.dialogs_model",
    "app.gui.dialogs_saved",
    "app.gui.help_page",
    "app.gui.library_dialog",
    "app.gui.pdf_export",
    "app.core.ledger",
    "app.services.cache_command",
    "app.storage.html_page",
    "app.storage.imports.reading",
    "app.storage.restore",
    "huggingface_hub",
    "markdown_it",
    "pygments.lexers",
    "qtawesome",
)
"""What a dialog, a command or the first reply reads."""


def test_what_the_first_paint_does_not_need_is_not_read_before_it() -> None:
    read = f"import sys, app.gui.main_window; print([name for name in {LATER!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", read], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_empty_page_says_from_the_start_which_model_will_be_loaded(
    tmp_path: Path, qtbot: QtBot, processes: list[FakeProcess]
) -> None:
    model = tmp_path / "Roman-1B.gguf"
    model.write_bytes(b"GGUF")
    workspace = Workspace(tmp_path / "data")
    workspace.library.opened(model)
    window = MainWindow(workspace)
    assert not processes
    assert window.empty.sentence.text().endswith("is being loaded.")
    window.close()
    workspace.close()
    window.deleteLater()
    workspace.deleteLater()
