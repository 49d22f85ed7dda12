"""A person looks at the gauges of the real window and clears what they show."""

import re
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox

from app.core.units import format_bytes
from app.gui.gauges.reading import Reading
from app.kvstore.keys import MAX_CHUNK_TOKENS
from app.protocol.answers import Statistics
from tests.end2end.conftest import REPLY_MS, Ember, Start, use_greedy
from tests.end2end.test_saved_state import in_gauge, on_disk, told, wait_for_gauge
from tests.support.tiny_models import Kind, make

pytestmark = pytest.mark.qt_log_ignore("^This plugin does not support", extend=True)


@pytest.fixture
def talking(start: Start, tmp_path: Path) -> Ember:
    """The app with a tiny model after two turns, their state saved and the gauges brought up to it."""
    ember = start(make(Kind.FULL, tmp_path / "tiny.gguf"))
    ember.wait_for_model()
    use_greedy(ember, max_tokens=12)
    ember.say("Name a colour.")
    ember.say("Name a river.")
    wait_for_gauge(ember)
    now(ember)
    return ember


def now(ember: Ember) -> Statistics:
    """What the engine says now; the gauges show it."""
    ember.wait_until_idle()
    with ember.qtbot.waitSignal(ember.workspace.engine.statistics, timeout=REPLY_MS) as heard:
        ember.workspace.engine.refresh_statistics()
    statistics: Statistics = heard.args[0]
    return statistics


def ours(reading: Reading) -> int:
    """What the model and its context take, as the memory's gauge shows it."""
    return sum(reading.of_role(role) for role in ("weights", "kv_used", "kv_reserved", "compute"))


def card(ember: Ember, gauge: str) -> str:
    """Click on a gauge, and read its card."""
    strip = ember.window.strip
    ember.qtbot.mouseClick(getattr(strip, gauge), Qt.MouseButton.LeftButton)
    assert strip.card.isVisible()
    words = strip.card.words()
    ember.qtbot.keyClick(strip.card, Qt.Key.Key_Escape)
    assert not strip.card.isVisible()
    return words


def test_each_gauge_opens_its_last_ten_minutes(talking: Ember) -> None:
    statistics = now(talking)
    budget = talking.window.chat.budget()
    assert budget is not None and budget.used >= statistics.context_used > 0
    assert f"Context · {budget.used:,} of {budget.limit:,} tokens" in card(talking, "context")
    (memory,) = statistics.memory
    words = card(talking, "memory")
    assert f"weights of the model {format_bytes(memory.weights)} ({memory.weights:,} bytes)" in words
    plan = talking.workspace.engine.plan
    assert plan is not None
    guess = sum(each.weights + each.kv + each.compute for each in plan.devices)
    assert guess == pytest.approx(memory.weights + memory.kv_reserved + memory.compute, rel=0.05)
    assert f"Before the load, {format_bytes(guess)} were estimated" in words
    assert f"({on_disk(talking):,} bytes)" in card(talking, "saved")
    for gauge in talking.window.strip.gauges():
        assert gauge.accessibleName() and gauge.accessibleDescription()


def test_the_saved_gauge_says_what_was_not_read_again(talking: Ember) -> None:
    conversation = talking.window.chat.conversation_id
    assert conversation is not None
    figures = [message.figures for message in talking.workspace.store.tree(conversation).path() if message.figures]
    spared = sum(each.tokens.reused_memory + each.tokens.reused_saved for each in figures)
    assert spared > 0
    strip = talking.window.strip
    strip.saved.click()
    words = f"Not read again in this chat: {spared:,} tokens"
    talking.qtbot.waitUntil(lambda: words in strip.card.words(), timeout=10_000)
    strip.card.close()


def test_the_figures_are_those_that_are_measured_from_outside(talking: Ember) -> None:
    strip, engine = talking.window.strip, talking.workspace.engine
    statistics = now(talking)
    model = engine.model
    assert model is not None
    chunk = MAX_CHUNK_TOKENS * model.kv_bytes_per_token
    assert sum(in_gauge(talking)) == pytest.approx(on_disk(talking), abs=chunk)
    assert statistics.saved_bytes == pytest.approx(on_disk(talking), abs=chunk)
    log = (talking.workspace.data_dir.logs / "engine.log").read_text("utf-8")
    logged = [float(size) for size in re.findall(r"KV buffer size = +([0-9.]+) MiB", log)]
    memory = strip.memory.reading()
    assert memory.of_role("kv_used") + memory.of_role("kv_reserved") == round(logged[-1] * 1024**2)
    measured = psutil.Process(engine.pid).memory_info().rss
    assert statistics.rss == pytest.approx(measured, rel=0.05)


def test_clearing_the_memory_lets_its_gauge_fall_by_just_that(talking: Ember) -> None:
    before = now(talking)
    shown = ours(talking.window.strip.memory.reading())
    context = sum(memory.kv_reserved + memory.compute for memory in before.memory)
    talking.window.strip.clear_button.main.click()
    told(talking, "of RAM given back. Your chats are untouched; the next reply goes on from the saved state.")
    now(talking)
    assert ours(talking.window.strip.memory.reading()) == shown - context
    assert not talking.window.strip.clear_button.main.isEnabled()


def test_clearing_this_models_state_lets_the_gauge_fall_to_nothing(talking: Ember) -> None:
    strip = talking.window.strip
    assert strip.clear_button.menu.buttons[2].accessibleName().startswith("This model's saved state: ")
    strip.clear_button.menu.buttons[2].click()
    box = talking.window.findChild(QMessageBox)
    assert box is not None
    next(button for button in box.buttons() if button.text().startswith("Remove the saved state of")).click()
    told(talking, "of saved state removed from the disk")
    talking.qtbot.waitUntil(lambda: strip.saved.reading().figures == ("0 B",), timeout=10_000)
    assert on_disk(talking) == 0
    assert "Name a river." in talking.shown
    talking.say("Still there?")
    assert on_disk(talking) > 0


def test_while_a_reply_streams_clearing_is_refused_in_a_sentence(talking: Ember) -> None:
    talking.workspace.chats.ask = talking.ask  # type: ignore[method-assign]  # without a limit
    talking.type("Tell me everything.")
    talking.press_send()
    talking.wait_for_words()
    button = talking.window.strip.clear_button
    assert not button.main.isEnabled()
    refusals = {choice.accessibleDescription() for choice in button.menu.buttons}
    assert refusals == {"A reply is being written; stop it first, or wait for it."}
    with talking.qtbot.waitSignal(talking.workspace.chats.turn_saved, timeout=REPLY_MS):
        talking.workspace.chats.stop()
