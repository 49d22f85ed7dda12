"""Files that are dropped onto the real window, with the real engine behind it."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QMessageBox
from pytestqt.qtbot import QtBot

from app.core.turn import TurnFigures
from app.storage.archive import archive_bytes
from app.storage.signing import KEY_BYTES
from desktop_entry import Places, install
from tests.end2end.conftest import Ember, Start, use_greedy
from tests.support.command import ROOT, Outcome, begin, environment
from tests.support.command import ember as command
from tests.support.tiny_models import Kind
from tests.unit.packaging_.test_desktop_entry import command_line, values
from tests.unit.storage.imports import samples
from tests.unit.storage.made import forked_tree

TinyModel = Callable[[Kind], Path]
SYSTEM = "You are a patient teacher who answers in short and simple sentences. " * 8


def drop(ember: Ember, *paths: Path) -> None:
    """Drag files over the window and let them go."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    copy, button, keys = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(ember.window, QDragEnterEvent(QPoint(90, 90), copy, data, button, keys))
    target = ember.window.importing.target
    assert target.isVisible()
    QApplication.sendEvent(target, QDropEvent(QPointF(90, 90), copy, data, button, keys))


def wait_for_notice(ember: Ember, words: str) -> None:
    ember.qtbot.waitUntil(lambda: any(words in each.text for each in ember.window.notices.notices()), timeout=20_000)


def figures_of_the_last_reply(ember: Ember) -> TurnFigures:
    conversation = ember.window.chat.conversation_id
    assert conversation is not None
    figures = ember.workspace.store.tree(conversation).path()[-1].figures
    assert figures is not None
    return figures


def clear_saved_state(ember: Ember) -> None:
    cleared: list[object] = []
    ember.workspace.saved.clear(cleared.append)
    ember.qtbot.waitUntil(lambda: bool(cleared))


def test_a_dropped_file_of_another_program_is_a_chat_that_goes_on(
    start: Start, tmp_path: Path, tiny_model: TinyModel
) -> None:
    ember = start(tiny_model(Kind.FULL))
    (tmp_path / "chat.json").write_text(json.dumps(samples.OPENAI))
    drop(ember, tmp_path / "chat.json")
    wait_for_notice(ember, "“Why?” was imported")
    assert "Layers." in ember.shown
    ember.wait_for_model()
    use_greedy(ember, max_tokens=4)
    ember.say("And where?")
    assert ember.workspace.store.summaries()[0].messages == 4


@pytest.mark.qt_log_ignore("^This plugin does not support", extend=True)
def test_after_a_dropped_archive_with_state_the_next_reply_reads_only_the_new_words(
    start: Start, tmp_path: Path, tiny_model: TinyModel
) -> None:
    model, file, data = tiny_model(Kind.FULL), tmp_path / "chat.ember", tmp_path / "data"
    first = start(model)
    first.wait_for_model()
    use_greedy(first, max_tokens=8)
    first.window.chat.set_instructions(SYSTEM)
    first.say("Name a colour.")
    conversation = first.window.chat.conversation_id
    assert conversation is not None
    first.close()
    assert command("export", "--data-dir", data, conversation, "--to", file, "--with-state").status == 0

    second = start(model)
    second.wait_for_model()
    use_greedy(second, max_tokens=8)
    clear_saved_state(second)
    drop(second, file)
    wait_for_notice(second, "so the next reply reads only the new words")
    second.say("And another one?")
    again = figures_of_the_last_reply(second).tokens
    assert again.reused_saved + again.reused_memory > 400
    assert again.evaluated < 60
    clear_saved_state(second)
    second.close()

    (data / "archive.key").write_bytes(bytes(KEY_BYTES))  # now it is as of another installation
    third = start(model)
    third.wait_for_model()
    use_greedy(third, max_tokens=8)
    drop(third, file)
    third.qtbot.waitUntil(
        lambda: any(box.isVisible() for box in third.window.findChildren(QMessageBox)), timeout=20_000
    )
    box = next(box for box in third.window.findChildren(QMessageBox) if box.isVisible())
    default = box.defaultButton()
    assert default is not None
    default.click()  # no
    wait_for_notice(third, "left out, as you chose")
    third.say("And one more?")
    assert figures_of_the_last_reply(third).tokens.reused_saved == 0


def beside(ember: Ember, *arguments: Path | str) -> Outcome:
    """A command that runs while the window is open, and is answered by it."""
    process = begin(*arguments, "--data-dir", ember.workspace.data_dir.root)
    ember.qtbot.waitUntil(lambda: process.poll() is not None, timeout=60_000)
    out, err = process.communicate()
    return Outcome(process.returncode, out.decode(), err.decode())


def test_commands_beside_the_open_window_export_and_import_a_chat_with_its_state(
    start: Start, tmp_path: Path, tiny_model: TinyModel
) -> None:
    file = tmp_path / "chat.ember"
    ember = start(tiny_model(Kind.FULL))
    ember.wait_for_model()
    use_greedy(ember, max_tokens=8)
    ember.window.chat.set_instructions(SYSTEM)
    ember.say("Name a colour.")
    conversation = ember.window.chat.conversation_id
    assert conversation is not None
    assert beside(ember, "export", conversation, "--to", file, "--with-state") == Outcome(0, "", "")
    clear_saved_state(ember)

    told = beside(ember, "import", file, "--json")
    assert (told.status, told.err) == (0, "")
    assert (told.line["outcome"], told.line["state"], told.line["why"]) == ("copy", "used", "")
    assert told.line["state_bytes"] > 0
    ember.window.conversations.open(told.line["id"])
    ember.say("And another one?")
    figures = figures_of_the_last_reply(ember).tokens
    assert figures.reused_saved + figures.reused_memory > 400
    assert figures.evaluated < 60


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a Linux desktop's entry")
@pytest.mark.qt_log_ignore("^This plugin does not support", extend=True)
def test_a_double_click_on_a_desktop_opens_the_file_in_the_window_that_is_open(tmp_path: Path, qtbot: QtBot) -> None:
    file = tmp_path / "a chat.ember"
    file.write_bytes(archive_bytes(forked_tree(), {}))
    places = Places(tmp_path / "home")
    install(ROOT, Path(sys.executable), places)
    entry = values(places.entry)
    with closing(Ember(places.data_home / "Ember", qtbot, None)) as ember:
        clicked = subprocess.Popen(
            command_line(entry, file),
            cwd=entry["Path"],
            env=environment({"XDG_DATA_HOME": str(places.data_home)}),
            stdin=subprocess.DEVNULL,
        )
        wait_for_notice(ember, "was imported")
        qtbot.waitUntil(lambda: clicked.poll() is not None, timeout=20_000)
        assert clicked.returncode == 0
        assert forked_tree().path()[-1].text in ember.shown
