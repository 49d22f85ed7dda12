"""A model's settings in the real window: estimated, kept, loaded with, and measured."""

import pytest
from pytestqt.qtbot import QtBot

from app.core.load_options import LoadOptions
from app.gui.dialogs_model import ModelSettingsDialog
from tests.end2end.conftest import LOAD_MS, REPLY_MS, Ember, Start, use_greedy

pytestmark = pytest.mark.qt_log_ignore("^This plugin does not support", extend=True)


def open_page(ember: Ember, qtbot: QtBot) -> ModelSettingsDialog:
    """Open the page and wait for its first estimate."""
    ember.window.model_settings.open()
    dialog = ember.window.model_settings.dialog
    assert dialog is not None
    qtbot.waitUntil(lambda: bool(dialog.card.verdict.text()), timeout=LOAD_MS)
    return dialog


def test_a_shorter_context_is_estimated_kept_and_loaded_with_also_after_a_restart(start: Start, qtbot: QtBot) -> None:
    ember = start()
    ember.wait_for_model()
    use_greedy(ember, max_tokens=8)
    ember.say("Hello.")
    dialog = open_page(ember, qtbot)
    assert dialog.card.verdict.text().startswith("It fits")
    dialog.context.spin.setValue(2048)
    qtbot.waitUntil(lambda: dialog.context.cost.text().startswith("−"), timeout=LOAD_MS)
    dialog.save.click()
    engine = ember.workspace.engine
    qtbot.waitUntil(lambda: engine.model is not None and engine.model.context == 2048, timeout=LOAD_MS)
    ember.say("And again.")
    ember.close()
    again = start(model=None)
    again.wait_for_model()
    assert again.workspace.engine.options == LoadOptions(context=2048)


def test_what_is_measured_from_the_page_is_shown_on_it(ember: Ember, qtbot: QtBot) -> None:
    dialog = open_page(ember, qtbot)
    dialog.measured.measure.click()
    with qtbot.waitSignal(ember.workspace.model_settings.ended, timeout=REPLY_MS):
        pass
    assert dialog.measured.outcome.text() == ""
    assert dialog.measured.sentence.text().startswith("Measured with")
    assert dialog.threads.spin.value() >= 1
    dialog.reject()
