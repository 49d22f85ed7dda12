"""Running out of memory for real: the engine's address space is bounded from outside while it works."""

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest
from pytestqt.qtbot import QtBot

from app.core.load_options import LoadOptions
from tests.end2end.conftest import LOAD_MS, REPLY_MS, Ember, Start, use_greedy

if sys.platform != "linux":
    pytest.skip("only Linux bounds another process's memory", allow_module_level=True)

import resource

MIB = 1 << 20


def bound(ember: Ember, more: int | None) -> None:
    """Let the engine's address space grow by that many bytes at most; None lifts the bound."""
    pid = ember.workspace.engine.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_AS)
    soft = hard if more is None else psutil.Process(pid).memory_info().vms + more
    resource.prlimit(pid, resource.RLIMIT_AS, (soft, hard))


def buttons(ember: Ember) -> list[str]:
    """What the notice on top offers."""
    notices = ember.window.notices.notices()
    return [words for words, _ in notices[-1].actions] if notices else []


def take_first_offer(ember: Ember, qtbot: QtBot) -> LoadOptions:
    """Wait for an offer and take it; what the model is loaded with then."""
    qtbot.waitUntil(lambda: len(buttons(ember)) > 1, timeout=LOAD_MS)
    ember.window.notices.buttons[0].click()
    engine = ember.workspace.engine
    qtbot.waitUntil(lambda: engine.model is not None and engine.options != LoadOptions(), timeout=LOAD_MS)
    return engine.options


def test_a_load_that_runs_out_of_memory_is_told_with_an_offer_that_works(
    start: Start, starter_model: Path, qtbot: QtBot
) -> None:
    ember = start(model=None)
    ember.workspace.library.unloaded()
    ember.window.model.cancel()
    qtbot.waitUntil(lambda: ember.workspace.saved.is_open, timeout=LOAD_MS)  # its writer's thread is there
    bound(ember, 64 * MIB)
    ember.window.model.load(starter_model)
    qtbot.waitUntil(lambda: len(buttons(ember)) > 1, timeout=LOAD_MS)
    assert starter_model.name in ember.window.notices.notices()[-1].text
    bound(ember, None)
    options = take_first_offer(ember, qtbot)
    assert ember.workspace.model_settings.options(starter_model) == options != LoadOptions()
    use_greedy(ember, max_tokens=8)
    ember.say("Hello.")


def test_a_turn_that_runs_out_of_memory_keeps_what_was_written_and_offers_less(ember: Ember, qtbot: QtBot) -> None:
    use_greedy(ember, max_tokens=8)
    ember.say("Hello.")
    with qtbot.waitSignal(ember.workspace.engine.statistics, timeout=LOAD_MS):
        ember.window.strip.clear.emit()
    bound(ember, 16 * MIB)
    with qtbot.waitSignal(ember.workspace.chats.turn_ended, timeout=REPLY_MS):
        ember.type("And what is a river?")
        ember.press_send()
    qtbot.waitUntil(lambda: len(buttons(ember)) > 1, timeout=LOAD_MS)
    assert "And what is a river?" in ember.shown
    bound(ember, None)
    assert take_first_offer(ember, qtbot).context == 4096


def test_an_engine_that_the_system_ends_for_want_of_memory_offers_less_and_comes_back(
    ember: Ember, qtbot: QtBot
) -> None:
    use_greedy(ember)
    ember.type("Write a long story about a river.")
    ember.press_send()
    ember.wait_for_words()
    os.kill(ember.workspace.engine.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: len(buttons(ember)) > 1, timeout=LOAD_MS)
    assert "was to take" in ember.window.notices.notices()[-1].text
    options = take_first_offer(ember, qtbot)
    assert options.context == 4096
    use_greedy(ember, max_tokens=4)
    ember.say("Go on.")
