"""`devices`, `estimate` and `memory` as a script calls them, with the real engine."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import ember
from tests.support.tiny_models import Kind, make, make_not_a_gguf

TinyModel = Callable[[Kind], Path]


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


def test_an_estimate_says_what_was_made_of_wishes_that_cannot_be_met(data: Path, tmp_path: Path) -> None:
    model = make(Kind.FULL, tmp_path / "short.gguf", context_length=2048)
    outcome = ember("estimate", model, "--context", 32_768, "--layers", 2, "--data-dir", data)
    assert outcome.status == 0
    assert "With a context of 2,048 tokens instead of 32,768: the model was trained for no more" in outcome.out
    assert "With no layer on a GPU instead of 2: there is none that could be used" in outcome.out


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
