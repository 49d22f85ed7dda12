"""The command that measures a model, and `send`, which uses what was found."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from app.core.load_options import Calibration, Trial
from app.services.stored_models import KEY, StoredModel
from app.services.workspace import Workspace
from tests.support.command import ember
from tests.support.tiny_models import Kind

TRIAL_KEYS = {"flash_attention", "threads", "batch", "follow_up", "decode", "prefill"}


@pytest.fixture
def tiny(tiny_model: Callable[[Kind], Path]) -> Path:
    """A model of full attention."""
    return tiny_model(Kind.FULL)


def stored(data: Path, model: Path) -> StoredModel:
    """What is kept for the model."""
    workspace = Workspace(data)
    try:
        return workspace.settings.get(f"{KEY}{model}", StoredModel, StoredModel())
    finally:
        workspace.close()


def test_what_the_command_prints_is_kept(tmp_path: Path, tiny: Path) -> None:
    data = tmp_path / "data"
    outcome = ember("calibrate", "--data-dir", data, "--model", tiny, "--json")
    assert outcome.status == 0, outcome.err
    line = outcome.line
    assert line["model"] == str(tiny)
    assert line["depth"] > 0
    assert line["best"] in line["trials"]
    assert all(set(trial) == TRIAL_KEYS for trial in line["trials"])
    (kept,) = stored(data, tiny).calibrations.values()
    assert [msgspec.to_builtins(trial) for trial in kept.trials] == line["trials"]


def test_the_table_marks_what_is_used_from_now_on(tmp_path: Path, tiny: Path) -> None:
    outcome = ember("calibrate", "--data-dir", tmp_path / "data", "--model", tiny)
    assert outcome.status == 0, outcome.err
    head, columns, *rows = outcome.out.splitlines()
    assert "tokens in the context" in head
    assert "follow-up" in columns
    assert len([row for row in rows if row.startswith("*")]) == 1


def test_a_file_that_is_no_model_is_refused_in_a_sentence(tmp_path: Path) -> None:
    text = tmp_path / "notes.gguf"
    text.write_text("not a model")
    outcome = ember("calibrate", "--data-dir", tmp_path / "data", "--model", text)
    assert outcome.status == 1
    assert outcome.out == ""
    assert "notes.gguf" in outcome.err
    assert outcome.err.count("\n") == 1


def test_send_uses_what_was_measured_and_measures_nothing_itself(tmp_path: Path, tiny: Path) -> None:
    data = tmp_path / "data"
    assert ember("calibrate", "--data-dir", data, "--model", tiny).status == 0
    workspace = Workspace(data)
    kept = workspace.settings.get(f"{KEY}{tiny}", StoredModel, StoredModel())
    unusual = Trial(flash_attention=False, threads=1, batch=48, follow_up=1.0, decode=1.0, prefill=1.0)
    measured = dict.fromkeys(kept.calibrations, Calibration(unusual, (unusual,), 512))
    workspace.settings.set(f"{KEY}{tiny}", StoredModel(calibrations=measured))
    workspace.close()
    log = data / "logs" / "engine.log"
    log.unlink()
    sent = ember("send", "--data-dir", data, "--model", tiny, "--max-tokens", 4, "--json", "Hello")
    assert sent.status == 0, sent.err
    lines = [line.split() for line in log.read_text().splitlines() if "n_ubatch" in line]
    assert lines and all(words[-2:] == ["=", "48"] for words in lines)
    assert stored(data, tiny).calibrations == measured
