"""The page of models on this computer: what it says of each, and what can be done with it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QMessageBox, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app.core.load_options import LoadOptions
from app.gui.library_rows import Row, RowsView
from app.gui.library_words import IN_MEMORY
from app.protocol.requests import LoadModel
from tests.unit.gui.library_support import Library, titles, words
from tests.unit.gui.model_fakes import FakeEstimator, plan_of
from tests.unit.gui.person import Person

OWN = "data/models/o/r/own-Q4_0.gguf"
FOREIGN = ".lmstudio/models/o/r/foreign-Q4_0.gguf"


def test_each_model_is_told_with_what_its_header_says_and_where_it_is_from(library: Library) -> None:
    library.model(FOREIGN)
    page = library.open().models
    told = words(page.list, "foreign-Q4_0")
    for part in ("qwen2", "520,618", "F32", "8,192 tokens", "2.0 MiB", "LM Studio", "never used here", "Fits"):
        assert part in told


def test_a_file_that_cannot_be_used_says_why_and_cannot_be_loaded(library: Library) -> None:
    library.model(".lmstudio/models/o/r/split-00001-of-00003.gguf")
    page = library.open().models
    assert "2 of its 3 parts are missing." in words(page.list, "split")
    library.choose(page.list, "split")
    assert not page.load.isEnabled()
    assert page.verify.isEnabled()


def test_the_filter_looks_through_all_words_and_says_when_nothing_has_them(library: Library) -> None:
    library.model(FOREIGN)
    page = library.open().models
    page.filter.setText("STUDIO qwen2")
    assert titles(page.list) == ["foreign-Q4_0"]
    page.filter.setText("nobody")
    assert page.list.isHidden()
    assert page.nothing.text() == "No model has “nobody” in its words."


def test_the_order_can_be_chosen_and_what_was_chosen_stays_chosen(library: Library) -> None:
    library.model(FOREIGN)
    page = library.open().models
    page.order.setCurrentText("Size")
    assert titles(page.list) == ["SmolLM2 135M", "foreign-Q4_0"]
    library.choose(page.list, "foreign-Q4_0")
    page.order.setCurrentText("Name")
    assert titles(page.list) == ["foreign-Q4_0", "SmolLM2 135M"]
    assert page.list.chosen_key().endswith("foreign-Q4_0.gguf")


def test_what_cannot_be_used_comes_after_what_was_never_used(library: Library) -> None:
    library.model(".lmstudio/models/o/r/a-00001-of-00003.gguf")
    library.model(FOREIGN)
    assert titles(library.open().models.list) == ["foreign-Q4_0", "SmolLM2 135M", "a"]


def test_rows_become_higher_where_a_narrower_list_wraps_their_words(
    shown: Callable[..., QWidget], qtbot: QtBot
) -> None:
    box = QWidget()
    view = RowsView("Models", box)
    QVBoxLayout(box).addWidget(view)
    view.show_rows([Row(key, key, "", (("These are quite some words. " * 3, "soft"),)) for key in "ab"])
    shown(box, 800, 400)
    qtbot.waitUntil(lambda: view.visualRect(view.rows.index(1)).top() > 0)
    wide = view.visualRect(view.rows.index(1)).top()
    box.resize(300, 400)
    qtbot.waitUntil(lambda: view.visualRect(view.rows.index(1)).top() > wide)


def test_enter_loads_a_model_and_closes_the_library(library: Library) -> None:
    path = library.model(FOREIGN)
    page = library.open().models
    library.choose(page.list, "foreign-Q4_0")
    library.person.qtbot.keyClick(page.list, Qt.Key.Key_Return)
    assert library.person.engine.asked(LoadModel)[-1].path == str(path)
    assert library.person.window.library.dialog is None


def test_the_model_in_memory_has_the_dot_and_cannot_be_removed(library: Library) -> None:
    path = library.model(OWN)
    library.person.load(str(path))
    page = library.open().models
    row = page.list.rows.row_at(page.list.rows.index_of(str(path)))
    assert row is not None
    assert row.is_alive
    page.list.choose(str(path))
    assert not page.remove.isEnabled()
    assert page.remove.toolTip() == IN_MEMORY


def test_a_file_of_another_program_is_never_removed_and_the_button_says_why(library: Library) -> None:
    path = library.model(FOREIGN)
    page = library.open().models
    library.choose(page.list, "foreign-Q4_0")
    library.person.qtbot.keyClick(page.list, Qt.Key.Key_Delete)
    assert path.exists()
    assert not page.remove.isEnabled()
    assert "It belongs to LM Studio, so Ember does not touch it." in page.about.text()


def test_an_own_file_goes_to_the_trash_after_a_question_that_names_it(library: Library) -> None:
    path = library.model(OWN)
    page = library.open().models
    library.choose(page.list, "own-Q4_0")
    library.person.qtbot.keyClick(page.list, Qt.Key.Key_Delete)
    box = library.dialog.findChild(QMessageBox, "remove")
    assert box is not None
    assert str(path) in box.informativeText()
    assert path.exists()
    next(button for button in box.buttons() if button.text() == "Move to the trash").click()
    library.wait(lambda: page.outcome.text() == "own-Q4_0 is in the trash.")
    library.wait(lambda: "own-Q4_0" not in titles(page.list))
    assert list((library.home / "share" / "Trash" / "files").iterdir())


def test_an_added_file_only_leaves_the_list(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    path = library.model("elsewhere/mine.gguf")
    monkeypatch.setattr(
        "app.gui.library_models.QFileDialog.getOpenFileName", lambda *_arguments: (str(path), "Models (*.gguf)")
    )
    page = library.open().models
    page.add.click()
    library.wait(lambda: "mine" in titles(page.list))
    library.choose(page.list, "mine")
    assert page.remove.text() == "Take off the list"
    page.remove.click()
    library.wait(lambda: "mine" not in titles(page.list))
    assert path.exists()


def test_a_file_that_was_opened_before_is_forgotten_with_its_load_at_the_start(library: Library) -> None:
    path = library.model("elsewhere/opened.gguf")
    library.workspace.library.opened(path)
    page = library.open().models
    library.choose(page.list, "opened")
    page.remove.click()
    library.wait(lambda: "opened" not in titles(page.list))
    assert library.workspace.library.at_start() is None


def test_a_verification_without_a_known_checksum_tells_the_digest(library: Library) -> None:
    library.model(FOREIGN)
    page = library.open().models
    library.choose(page.list, "foreign-Q4_0")
    page.verify.click()
    library.wait(lambda: not page.outcome.isHidden())
    assert page.outcome.text().startswith("No checksum is known that foreign-Q4_0.gguf could be held against.\nsha256 ")
    assert page.progress.isHidden() or not page.progress.isVisible()


def test_a_verification_can_be_stopped(library: Library) -> None:
    library.model(FOREIGN)
    page = library.open().models
    library.choose(page.list, "foreign-Q4_0")
    page.verify.click()
    assert page.stop.isVisible()
    page.stop.click()
    assert not page.stop.isVisible()
    assert page.outcome.text() == "The verification was stopped; nothing was changed."


def test_llama_cpps_own_verdict_takes_the_place_of_the_estimate(library: Library) -> None:
    path = library.model(FOREIGN)
    page = library.open().models
    library.wait(lambda: bool(FakeEstimator.made) and FakeEstimator.made[-1].is_asked)
    estimator = FakeEstimator.made[-1]
    while estimator.is_asked:
        estimator.answer(plan_of(estimator.questions[-1], sentence="It fits, says llama.cpp."))
    assert "It fits, says llama.cpp." in words(page.list, "foreign-Q4_0")
    asked = len(estimator.questions)
    page.list.looked.emit()
    QApplication.processEvents()
    assert len(estimator.questions) == asked
    library.workspace.model_settings.set_options(path, LoadOptions(context=1024))
    page.list.looked.emit()
    library.wait(lambda: estimator.is_asked)
    assert estimator.questions[-1] == LoadOptions(context=1024)
    library.dialog.reject()
    assert estimator.is_closed


def test_the_library_opens_from_the_pill_the_menu_and_the_keyboard(person: Person, home: Path) -> None:
    window = person.window
    for way in (window.header.pill.library.emit, window.sidebar.models_requested.emit, window.library.open):
        way()
        dialog = window.library.dialog
        assert dialog is not None
        dialog.reject()
        assert window.library.dialog is None


def test_the_settings_of_a_model_open_that_is_not_loaded(library: Library) -> None:
    library.model(FOREIGN)
    page = library.open().models
    library.choose(page.list, "foreign-Q4_0")
    page.settings.click()
    dialog = library.person.window.model_settings.dialog
    assert dialog is not None
    assert "foreign-Q4_0" in dialog.windowTitle()
    assert library.person.window.library.dialog is not None
