"""A model is measured by itself while nobody does anything, and nobody waits for that."""

from pathlib import Path

import pytest

from app.services import model_settings
from tests.end2end.conftest import REPLY_MS, Ember, Start, use_greedy
from tests.support.tiny_models import Kind, make


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idleness begins at once."""
    monkeypatch.setattr(model_settings, "IDLE_MS", 0)


def calibration_of(ember: Ember, path: Path) -> object:
    return ember.workspace.model_settings.calibration(path)


def test_the_first_model_is_measured_once_and_what_was_found_is_used_at_the_next_start(
    start: Start, tmp_path: Path
) -> None:
    model = make(Kind.FULL, tmp_path / "tiny.gguf")
    ember = start(model)
    with ember.qtbot.waitSignal(ember.workspace.model_settings.ended, timeout=REPLY_MS) as ended:
        ember.workspace.model_settings.measure_when_idle()
    assert ended.args == [""]
    found = calibration_of(ember, model)
    assert found is not None
    use_greedy(ember, max_tokens=8)
    ember.say("Name a colour.")
    ember.close()
    again = start(model)
    again.wait_for_model()
    assert calibration_of(again, model) == found


def test_a_message_that_is_sent_meanwhile_is_answered_at_once(ember: Ember) -> None:
    settings, chats = ember.workspace.model_settings, ember.workspace.chats
    happened: list[str] = []
    settings.ended.connect(lambda sentence: happened.append(f"measured: {sentence}"))
    chats.text_added.connect(lambda _reply, _piece: happened.append("text"))
    use_greedy(ember, max_tokens=8)
    settings.measure_when_idle()
    ember.qtbot.waitUntil(lambda: settings.is_measuring, timeout=REPLY_MS)
    settings.close()  # it would begin again after the reply
    ember.say("Name a colour.")
    assert happened[0].startswith("measured: Measuring was stopped")
    assert "text" in happened
    assert calibration_of(ember, Path(ember.workspace.engine.model.path)) is None  # type: ignore[union-attr]
