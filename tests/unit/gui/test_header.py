"""The header: the title, the model's pill, and the menus."""

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QWidget
from pytestqt.qtbot import QtBot

from app.gui.header import Header, ModelChoice

Shown = Callable[..., QWidget]


@pytest.fixture
def header(shown: Shown) -> Header:
    """The header of an open conversation with the starter model loaded."""
    made = Header()
    made.set_conversation("Roman roads")
    made.set_model("SmolLM2 135M", "on the CPU")
    shown(made, 912, 54)
    return made


def entries(menu: QMenu) -> dict[str, QAction]:
    """The menu's entries by their words, as they are when it opens."""
    menu.aboutToShow.emit()
    return {action.text(): action for action in menu.actions() if not action.isSeparator()}


def test_a_double_click_renames_in_place(qtbot: QtBot, header: Header) -> None:
    qtbot.mouseDClick(header.title.label, Qt.MouseButton.LeftButton)
    assert header.title.field.selectedText() == "Roman roads"
    qtbot.keyClicks(header.title.field, " Via  Appia ")
    with qtbot.waitSignal(header.rename_requested) as renamed:
        qtbot.keyClick(header.title.field, Qt.Key.Key_Return)
    assert renamed.args == ["Via Appia"]
    assert not header.title.is_editing()


def test_f2_on_the_title_renames_and_leaving_the_field_keeps_what_was_typed(qtbot: QtBot, header: Header) -> None:
    header.title.setFocus()
    qtbot.keyClick(header.title, Qt.Key.Key_F2)
    qtbot.keyClicks(header.title.field, "Via Appia")
    with qtbot.waitSignal(header.rename_requested):
        header.pill.setFocus()


def test_escape_gives_the_new_title_up(qtbot: QtBot, header: Header) -> None:
    header.title.start()
    qtbot.keyClicks(header.title.field, "x")
    with qtbot.assertNotEmitted(header.rename_requested):
        qtbot.keyClick(header.title.field, Qt.Key.Key_Escape)
    assert not header.title.is_editing()
    assert header.title.title() == "Roman roads"


def test_an_empty_or_unchanged_title_renames_nothing(qtbot: QtBot, header: Header) -> None:
    with qtbot.assertNotEmitted(header.rename_requested):
        header.title.start()
        qtbot.keyClick(header.title.field, Qt.Key.Key_Return)
        header.title.start()
        qtbot.keyClicks(header.title.field, "   ")
        qtbot.keyClick(header.title.field, Qt.Key.Key_Return)


def test_opening_another_chat_gives_a_half_typed_title_up(qtbot: QtBot, header: Header) -> None:
    header.title.start()
    qtbot.keyClicks(header.title.field, "half")
    with qtbot.assertNotEmitted(header.rename_requested):
        header.set_conversation("Letter to the tax office")
    assert header.title.title() == "Letter to the tax office"
    assert not header.title.is_editing()


def test_a_new_chat_can_be_neither_renamed_nor_exported_nor_deleted(header: Header) -> None:
    header.set_conversation(None)
    assert header.title.title() == "New chat"
    header.title.start()
    assert not header.title.is_editing()
    more, export = entries(header.more_button.menu()), entries(header.export_button.menu())
    assert not more["Rename"].isEnabled()
    assert not more["Delete"].isEnabled()
    assert more["Instructions…"].isEnabled()
    assert not export["Export…"].isEnabled()
    assert export["Import…"].isEnabled()


def test_the_menus_report(qtbot: QtBot, header: Header) -> None:
    more, export = entries(header.more_button.menu()), entries(header.export_button.menu())
    with qtbot.waitSignal(header.export_requested):
        export["Export…"].trigger()
    with qtbot.waitSignal(header.import_requested):
        export["Import…"].trigger()
    with qtbot.waitSignal(header.instructions_requested):
        more["Instructions…"].trigger()
    with qtbot.waitSignal(header.delete_requested):
        more["Delete"].trigger()
    with qtbot.waitSignal(header.saving_chosen) as chosen:
        more["Save this chat's state"].trigger()
    assert chosen.args == [False]
    header.set_saved(is_let=True, saved=5 << 20)
    with qtbot.waitSignal(header.remove_saved_requested):
        entries(header.more_button.menu())["Remove this chat's saved state (5.0 MiB)"].trigger()
    more["Rename"].trigger()
    assert header.title.is_editing()


def test_the_pill_says_model_and_place(header: Header) -> None:
    assert header.pill.words() == "SmolLM2 135M · on the CPU"
    assert header.pill.accessibleName() == "Model: SmolLM2 135M · on the CPU"
    header.set_model(None)
    assert header.pill.words() == "Choose a model"


def test_the_models_stand_in_the_menu_and_one_can_be_chosen(qtbot: QtBot, header: Header) -> None:
    header.set_models([ModelChoice("SmolLM2 135M", "/m/a.gguf", "92 MiB", True), ModelChoice("R&D", "/m/b.gguf")])
    found = entries(header.pill.menu())
    assert list(found) == [
        "SmolLM2 135M   92 MiB",
        "R&&D",
        "Open a GGUF file…",
        "All models…",
        "Settings of this model…",
        "Unload the model",
    ]
    with qtbot.waitSignal(header.model_chosen) as chosen:
        found["R&&D"].trigger()
    assert chosen.args == ["/m/b.gguf"]
    with qtbot.waitSignal(header.open_model_file):
        found["Open a GGUF file…"].trigger()
    with qtbot.waitSignal(header.pill.library):
        found["All models…"].trigger()
    with qtbot.waitSignal(header.unload):
        found["Unload the model"].trigger()


def test_a_gpu_that_is_not_used_is_told_when_it_is_asked_for(qtbot: QtBot, header: Header) -> None:
    sentence = "An NVIDIA GPU is in this computer, but this build of Ember computes on the processor."
    header.pill.set_hints((sentence,))
    assert sentence in header.pill.toolTip()
    with qtbot.waitSignal(header.pill.hint_asked) as asked:
        entries(header.pill.menu())["A GPU is not used. Why?"].trigger()
    assert asked.args == [sentence]


def test_without_a_model_there_is_none_to_unload(header: Header) -> None:
    header.set_model(None)
    assert list(entries(header.pill.menu())) == ["Open a GGUF file…", "All models…"]


def test_a_load_shows_its_progress_and_can_be_cancelled(qtbot: QtBot, header: Header) -> None:
    header.set_loading(True)
    assert header.pill.words() == "Starting again…"
    header.set_loading(True, 0.43)
    assert header.pill.words() == "Loading 43 %"
    assert header.pill.cancel_button.isVisible()
    with qtbot.waitSignal(header.cancel_load):
        qtbot.mouseClick(header.pill.cancel_button, Qt.MouseButton.LeftButton)
    header.set_loading(False)
    assert header.pill.words() == "SmolLM2 135M · on the CPU"
    assert not header.pill.cancel_button.isVisible()


def test_progress_stays_between_nothing_and_everything(header: Header) -> None:
    header.set_loading(True, 1.7)
    assert header.pill.words() == "Loading 100 %"


def test_nothing_moves_while_a_model_loads(header: Header) -> None:
    before = header.pill.geometry()
    header.set_loading(True, 0.1)
    header.layout().activate()
    assert header.pill.geometry() == before


def test_in_a_narrow_window_the_place_goes_before_the_name(shown: Shown) -> None:
    header = Header()
    header.set_conversation("A very long title of a conversation that cannot possibly fit in here")
    header.set_model("SmolLM2 135M", "on the NVIDIA GeForce RTX 4090")
    shown(header, 500, 54)
    assert header.pill.shown_words() == "SmolLM2 135M"
    assert header.title.label.is_elided()
    assert header.title.label.toolTip().startswith("A very long title")
    assert header.title.width() >= 120
