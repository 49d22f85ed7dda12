"""Export in the real window with a real engine: with state, and cancelled in the middle."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence

from app.core.units import format_bytes
from app.gui.header import EXPORT_KEYS
from app.storage.archive import read_archive
from tests.end2end.conftest import Ember, Start, use_greedy
from tests.support.tiny_models import Kind, make

pytestmark = pytest.mark.qt_log_ignore("^This plugin does not support", extend=True)


def begin_export(ember: Ember, to: Path) -> None:
    """Ctrl+E, the tick for the state, and a place."""
    ember.window.activateWindow()
    ember.qtbot.waitUntil(ember.window.isActiveWindow)
    (combination,) = QKeySequence(EXPORT_KEYS)
    ember.qtbot.keyClick(ember.window, combination.key(), combination.keyboardModifiers())
    dialog = ember.window.exporting.dialog
    assert dialog is not None
    ember.qtbot.waitUntil(dialog.state.isEnabled, timeout=10_000)
    dialog.state.setChecked(True)
    ember.qtbot.waitUntil(lambda: dialog.size_line.text().startswith("Text "), timeout=10_000)
    assert ", state " in dialog.size_line.text()
    dialog.export.click()
    place = ember.window.exporting.place
    assert place is not None
    place.selectFile(str(to))
    place.accept()
    assert ember.window.exporting.run is not None


def outcome(ember: Ember) -> str:
    ember.qtbot.waitUntil(lambda: ember.window.exporting.run is None, timeout=30_000)
    return ember.window.notices.notices()[-1].text


def test_a_chat_is_exported_with_its_state_and_a_cancelled_export_leaves_nothing(start: Start, tmp_path: Path) -> None:
    ember = start(make(Kind.FULL, tmp_path / "tiny.gguf"))
    ember.wait_for_model()
    use_greedy(ember, max_tokens=12)
    ember.say("Name a colour, please, and say a word or two about where it can be seen. " * 8)
    out = tmp_path / "out"
    out.mkdir()
    begin_export(ember, out / "colour.ember")
    run = ember.window.exporting.run
    assert run is not None
    run._written.connect(run.cancel, Qt.ConnectionType.DirectConnection)  # as the first piece has been written
    assert outcome(ember) == "The export was cancelled; nothing was written."
    assert list(out.iterdir()) == list(ember.workspace.data_dir.staging.iterdir()) == []

    begin_export(ember, out / "colour.ember")
    words = outcome(ember)
    manifest = read_archive(out / "colour.ember").manifest
    assert manifest is not None and manifest.state is not None
    chunks = (ember.workspace.data_dir.kv / "chunks").rglob("*.chunk")
    assert {file.name for file in manifest.state.files} == {path.name for path in chunks}
    assert words.endswith(f", state {format_bytes(manifest.state.total_bytes)}).")
    assert list(ember.workspace.data_dir.staging.iterdir()) == []
