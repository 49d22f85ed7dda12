"""`devices`, `estimate` and `memory` as a script calls them, with the real engine."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.load_options import Calibration, LoadOptions, Trial
from app.protocol.answers import Failed
from app.protocol.parts import MemoryPlan
from app.services.estimator import Estimator
from app.services.stored_models import StoredModel, circumstances, settings_key
from app.services.workspace import Workspace
from tests.support.command import ember
from tests.support.tiny_models import Kind, make, make_not_a_gguf

TinyModel = Callable[[Kind], Path]
MIB = 1024**2
PATIENCE_MS = 60_000


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_the_devices_are_listed_with_their_memory(data: Path) -> None:
    outcome = ember("devices", "--json", "--data-dir", data)
    assert outcome.status == 0
    cpu = next(device for device in outcome.line["devices"] if device["kind"] == "cpu")
    assert 0 < cpu["free_bytes"] < cpu["total_bytes"]
    assert "CPU" in outcome.line["backends"]
    assert "CPU" in ember("devices", "--data-dir", data).out


def test_an_estimate_is_what_is_measured_then(data: Path, tiny_model: TinyModel) -> None:
    estimated = ember("estimate", tiny_model(Kind.FULL), "--json", "--data-dir", data).line
    measured = ember("memory", "--model", tiny_model(Kind.FULL), "--json", "--data-dir", data).line
    (guess,), (taken,) = estimated["devices"], measured["devices"]
    for name in ("weights_bytes", "kv_bytes", "compute_bytes"):
        assert guess[name] == pytest.approx(taken[name], rel=0.05)
    assert taken["estimated_bytes"] == pytest.approx(taken["bytes"], rel=0.05)
    assert measured["context"] == estimated["context"]


def test_smaller_choices_are_estimated(data: Path, tiny_model: TinyModel) -> None:
    plain = ember("estimate", tiny_model(Kind.FULL), "--context", 4096, "--json", "--data-dir", data).line
    lean = ember(
        *("estimate", tiny_model(Kind.FULL), "--context", 4096, "--kv", "q8_0", "--layers", 0),
        *("--json", "--data-dir", data),
    ).line
    assert lean["devices"][0]["kv_bytes"] < plain["devices"][0]["kv_bytes"]
    assert lean["context"] == 4096


def test_an_estimate_is_the_windows_own_and_what_a_model_is_loaded_with(
    data: Path, tiny_model: TinyModel, qtbot: QtBot
) -> None:
    model, told = tiny_model(Kind.FULL), list[MemoryPlan | Failed]()
    options = LoadOptions(context=1024, kv_type="q8_0")
    trial = Trial(flash_attention=True, threads=1, batch=64, follow_up=1.0, decode=1.0, prefill=1.0)
    workspace = Workspace(data)  # which keeps the folder's lock all the time
    estimator = Estimator(data / "logs")
    try:
        workspace.engine.start()
        qtbot.waitUntil(lambda: workspace.engine.hello is not None, timeout=PATIENCE_MS)
        now = circumstances(workspace.engine.hello, model, options)
        assert now is not None
        kept = StoredModel(options, {now: Calibration(trial, (trial,), 128)}, {"CPU": 7 * MIB})
        workspace.settings.set(settings_key(model), kept)
        settings = workspace.model_settings
        estimator.ask(model, options, settings.calibration(model), settings.learnt(model), told.append)
        qtbot.waitUntil(lambda: bool(told), timeout=PATIENCE_MS)
        estimated = ember("estimate", model, "--json", "--data-dir", data).line
        in_words = ember("estimate", model, "--context", 512, "--data-dir", data).out
        loaded = ember("memory", "--model", model, "--json", "--data-dir", data).line
    finally:
        estimator.close()
        workspace.close()
    (plan,), (guess,), (taken,) = told, estimated["devices"], loaded["devices"]
    assert isinstance(plan, MemoryPlan)
    (shown,) = plan.devices
    figures = [guess[name] for name in ("weights_bytes", "kv_bytes", "compute_bytes")]
    assert figures == [shown.weights, shown.kv, shown.compute]
    assert guess["other_bytes"] == pytest.approx(shown.other, abs=16 * MIB) and shown.other > 7 * MIB
    assert estimated["context"] == loaded["context"] == plan.context == 1024
    assert taken["kv_bytes"] == guess["kv_bytes"] and taken["estimated_bytes"] == taken["bytes"]
    assert estimated["own_settings"] == loaded["own_settings"]
    assert estimated["own_settings"]["options"] == {"context": 1024, "kv_type": "q8_0"}
    assert "With a context of 512 tokens\n" in in_words
    assert (
        "With this model's own settings: keys and values as q8_0; measured here: 1 thread, slices of 64 tokens; "
        "the last load took 7.0 MiB more on CPU than was estimated."
    ) in in_words


def test_settings_that_cannot_be_read_are_said_and_done_without(data: Path, tiny_model: TinyModel) -> None:
    data.mkdir()
    (data / "ember.db").write_bytes(b"no database at all" * 100)
    outcome = ember("estimate", tiny_model(Kind.FULL), "--data-dir", data)
    assert outcome.status == 0
    assert outcome.err.startswith("What is kept of this model could not be read, so general settings are used.")


def test_an_estimate_says_what_was_made_of_wishes_that_cannot_be_met(data: Path, tmp_path: Path) -> None:
    model = make(Kind.FULL, tmp_path / "short.gguf", context_length=2048)
    outcome = ember("estimate", model, "--context", 32_768, "--layers", 2, "--data-dir", data)
    assert outcome.status == 0
    assert "With a context of 2,048 tokens instead of 32,768: the model was trained for no more" in outcome.out
    assert "With no layer on a GPU instead of 2: there is none that could be used" in outcome.out


def test_an_estimate_of_what_llama_cpp_refuses_says_that_it_may_not_load(
    data: Path, tmp_path: Path, tiny_model: TinyModel
) -> None:
    before, key, behind = tiny_model(Kind.FULL).read_bytes().partition(b".attention.head_count_kv")
    (path := tmp_path / "odd.gguf").write_bytes(before + key + behind[:4] + bytes(4) + behind[8:])
    assert "so it may not load" in ember("estimate", path, "--data-dir", data).out
    assert "may not load" not in ember("estimate", tiny_model(Kind.FULL), "--data-dir", data).out


def test_what_does_not_fit_is_said_with_what_would(data: Path, tmp_path: Path) -> None:
    model = make(Kind.FULL, tmp_path / "long.gguf", context_length=2**31 - 1)
    outcome = ember("estimate", model, "--context", 2**31 - 1, "--data-dir", data)
    assert outcome.status == 1
    assert "long.gguf with a context of 2,147,483,647 tokens needs about" in outcome.out
    assert "This would fit: Use a context of" in outcome.out


@pytest.mark.parametrize("command", [("estimate",), ("memory", "--model")])
def test_a_file_that_is_no_model_is_one_sentence(command: tuple[str, ...], data: Path, tmp_path: Path) -> None:
    outcome = ember(*command, make_not_a_gguf(tmp_path / "m.gguf"), "--data-dir", data)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 1
    assert "not a GGUF" in outcome.err


def test_memory_without_a_window_and_without_a_model_says_what_to_do(data: Path) -> None:
    outcome = ember("memory", "--data-dir", data)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err == "Ember's window is not open. Open it, or name a model with --model FILE.\n"


@pytest.mark.parametrize("arguments", [("--context", "0"), ("--layers", "-1"), ("--kv", "q2_k")])
def test_a_wrong_call_is_said(arguments: tuple[str, str], data: Path, tiny_model: TinyModel) -> None:
    assert ember("estimate", tiny_model(Kind.FULL), *arguments, "--data-dir", data).status == 2
