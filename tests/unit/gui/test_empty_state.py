"""The page before the first message."""

from collections.abc import Callable

import pytest
from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from app.gui.empty_state import EXAMPLES, EmptyState


@pytest.fixture
def page(shown: Callable[..., QWidget]) -> EmptyState:
    """The page in a window."""
    made = EmptyState()
    shown(made, 600, 500)
    return made


def test_one_sentence_and_one_button_say_what_to_do(qtbot: QtBot, page: EmptyState) -> None:
    page.set_message("Choose a model to begin.", "Choose a model")
    assert page.sentence.text() == "Choose a model to begin."
    with qtbot.waitSignal(page.action):
        page.button.click()


def test_where_there_is_nothing_to_press_there_is_no_button(page: EmptyState) -> None:
    page.set_message("Say something to SmolLM2 135M.", None, "It runs on this computer.")
    assert not page.button.isVisible()
    assert page.detail.isVisible()


def test_an_example_is_handed_over_in_its_words(qtbot: QtBot, page: EmptyState) -> None:
    page.set_examples(["Fish & chips?", *EXAMPLES])
    with qtbot.waitSignal(page.example_chosen) as chosen:
        page.examples[0].click()
    assert chosen.args == ["Fish & chips?"]


def test_examples_can_go_again(page: EmptyState) -> None:
    page.set_examples(EXAMPLES)
    page.set_examples([])
    assert page.examples == ()


def test_other_ways_stand_beside_each_other_and_are_all_seen_in_the_lowest_window(
    qtbot: QtBot, page: EmptyState
) -> None:
    page.set_message("Choose a model to begin.", "Use the one that is here", "Nothing leaves this computer.")
    page.set_choices([("a", "Download a model (11 GiB)"), ("b", "Open a file & look…"), ("c", "All models…")])
    page.setMinimumSize(1, 1)  # as in the window, which has a smallest size of its own
    page.resize(424, 206)
    QApplication.processEvents()
    for button in page.choices:
        assert page.rect().contains(button.geometry().translated(button.parentWidget().mapTo(page, QPoint())))
    assert not page.choices[0].geometry().intersects(page.choices[1].geometry())
    assert not page.detail.isVisible()
    page.resize(600, 500)
    assert page.detail.isVisible()
    with qtbot.waitSignal(page.choice_made) as made:
        page.choices[1].click()
    assert made.args == ["b"]


def test_the_sentence_stays_where_it_is_when_the_model_is_there(page: EmptyState) -> None:
    page.set_message("SmolLM2 135M is being loaded.", None, "You can write already.")
    QApplication.processEvents()
    before = page.sentence.mapTo(page, QPoint())
    page.set_message("What would you like to ask SmolLM2 135M?", None)
    page.set_examples(EXAMPLES)
    QApplication.processEvents()
    assert page.sentence.mapTo(page, QPoint()) == before
