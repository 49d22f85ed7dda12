"""How replies are drawn: the dialog, and what is kept of it for the open chat and for new ones."""

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.core.sampling import SamplerSettings
from app.gui.dialogs_replies import RepliesDialog
from app.gui.reply_settings import ReplySettings
from tests.unit.gui.person import Person


@pytest.fixture
def window(qtbot: QtBot) -> QWidget:
    """What the dialogs stand over."""
    made = QWidget()
    qtbot.addWidget(made)
    return made


def dialog_with(window: QWidget, settings: SamplerSettings) -> RepliesDialog:
    """The dialog of a stored chat."""
    return RepliesDialog(settings, window, is_new=False)


def test_what_is_not_changed_stays_as_it_was(window: QWidget) -> None:
    for settings in (
        SamplerSettings(),
        SamplerSettings(temperature=0.333, top_p=0.125, top_k=50_000, repeat_penalty=3.0, seed=7),
        SamplerSettings(temperature=4.0, presence_penalty=0.5, penalty_last_n=9),
    ):
        assert dialog_with(window, settings).settings() == settings


def test_what_is_chosen_comes_back(window: QWidget) -> None:
    dialog = dialog_with(window, SamplerSettings(presence_penalty=0.5))
    dialog._numbers["temperature"].setValue(0)
    dialog._numbers["top_k"].setValue(12)
    dialog.fixed.setChecked(True)
    dialog.seed.setValue(4_000_000_000)
    assert dialog.settings() == SamplerSettings(temperature=0, top_k=12, presence_penalty=0.5, seed=4_000_000_000)


def test_the_seed_can_be_written_only_while_it_is_wanted(window: QWidget) -> None:
    dialog = dialog_with(window, SamplerSettings(seed=7))
    assert dialog.seed.isEnabled()
    dialog.fixed.setChecked(False)
    assert not dialog.seed.isEnabled()
    assert dialog.settings().seed is None


def test_the_usual_settings_are_one_click_away(window: QWidget) -> None:
    dialog = dialog_with(window, SamplerSettings(temperature=1.5, top_p=0.954, presence_penalty=0.5, seed=7))
    dialog.back.click()
    assert dialog.settings() == SamplerSettings()


def choose(person: Person, temperature: float) -> None:
    """Open the settings from the header's menu, and save another temperature."""
    person.window.header.replies_requested.emit()
    dialog = person.window.findChild(RepliesDialog)
    assert dialog is not None
    dialog._numbers["temperature"].setValue(temperature)
    dialog.save.click()
    person.qtbot.waitUntil(lambda: person.window.findChild(RepliesDialog) is None)


def test_the_next_reply_of_the_chat_is_drawn_as_chosen(talking: Person) -> None:
    talking.say("Hello", "Hello yourself.")
    choose(talking, 0.2)
    talking.say("Again", "And again.")
    assert talking.asked().sampler == SamplerSettings(temperature=0.2)
    talking.window.conversations.new()
    talking.say("Another", "Hello.")
    assert talking.asked().sampler == SamplerSettings()


def test_what_is_chosen_in_a_new_chat_holds_for_it_and_for_later_ones(talking: Person) -> None:
    choose(talking, 1.2)
    talking.say("Hello", "Hello yourself.")
    assert talking.asked().sampler == SamplerSettings(temperature=1.2)
    talking.window.conversations.new()
    talking.say("Another", "Hello.")
    assert talking.asked().sampler == SamplerSettings(temperature=1.2)


def test_settings_that_cannot_be_kept_are_told(talking: Person) -> None:
    talking.say("Hello", "Hello yourself.")
    here = talking.window.chat.conversation_id
    assert here is not None
    talking.window.header.replies_requested.emit()
    dialog = talking.window.findChild(RepliesDialog)
    assert dialog is not None
    talking.window.workspace.store.delete(here)  # elsewhere
    talking.window.workspace.store.purge_deleted(9e12)
    dialog.save.click()
    assert isinstance(talking.window.replies, ReplySettings)
    assert len(talking.notices) == 1
