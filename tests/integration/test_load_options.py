"""What a model takes as the engine estimates it, against what it takes then; and every option of a load."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.load_options import Calibration, LoadOptions, Trial
from app.protocol.answers import Failed, Loaded, MemoryEstimated, Statistics
from app.protocol.parts import DeviceEstimate, DeviceMemory, MemoryPlan
from app.protocol.requests import EstimateMemory, GetStatistics, LoadModel
from tests.support.engine import Engine, Talk
from tests.support.tiny_models import WINDOW, Kind, make

MIB = 1024**2
TinyModel = Callable[[Kind], Path]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "logs") as running:
        yield running


def estimated(engine: Engine, path: Path, **options: Any) -> MemoryPlan:
    answer = engine.ask(EstimateMemory(id=engine.next_id(), path=str(path), options=LoadOptions(**options)))
    assert isinstance(answer, MemoryEstimated), answer
    return answer.plan


def statistics(engine: Engine) -> Statistics:
    answer = engine.ask(GetStatistics(id=engine.next_id()))
    assert isinstance(answer, Statistics)
    return answer


def loaded(engine: Engine, path: Path, **options: Any) -> tuple[Loaded, DeviceMemory]:
    """A loaded model, and what it takes of the computer's memory."""
    answer = engine.load(path, **options)
    assert isinstance(answer, Loaded), answer
    (memory,) = statistics(engine).memory
    return answer, memory


def only(plan: MemoryPlan) -> DeviceEstimate:
    (device,) = plan.devices
    return device


# --- the estimate -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", Kind)
def test_the_estimate_is_what_is_taken_then(kind: Kind, engine: Engine, tiny_model: TinyModel) -> None:
    plain: dict[str, Any] = {"context": 2048}
    for options in (plain, plain | {"flash_attention": "on"}, plain | {"kv_type": "q8_0"}, {"batch": 64}):
        plan = estimated(engine, tiny_model(kind), **options)
        answer, memory = loaded(engine, tiny_model(kind), **options)
        device = only(plan)
        assert plan.is_dry_run
        assert plan.verdict == "fits"
        assert device.weights == pytest.approx(memory.weights, abs=0.02 * MIB)
        assert device.kv == pytest.approx(memory.kv_reserved, abs=0.02 * MIB)
        assert device.compute == pytest.approx(memory.compute, abs=0.02 * MIB)
        assert answer.plan is not None
        assert [part.weights for part in answer.plan.devices] == [device.weights]


def test_the_estimate_of_the_starter_model_holds_for_the_process_too(engine: Engine, starter_model: Path) -> None:
    plan = estimated(engine, starter_model, context=2048)
    answer, _memory = loaded(engine, starter_model, context=2048, use_mmap=False)
    assert answer.model.context == 2048
    Talk(engine).say("word " * 300, max_tokens=1)  # more than a slice, so that all of compute is in use
    assert statistics(engine).rss == pytest.approx(only(plan).total, rel=0.05)


def test_an_estimate_leaves_the_loaded_model_alone(engine: Engine, tiny_model: TinyModel) -> None:
    loaded(engine, tiny_model(Kind.FULL), context=1024)
    talk = Talk(engine)
    talk.say("Hello", max_tokens=4)
    estimated(engine, tiny_model(Kind.WINDOW))
    done = talk.say("And again", max_tokens=4)
    assert done.figures.tokens.reused_memory > 0


def test_what_was_learnt_is_added(engine: Engine, tiny_model: TinyModel) -> None:
    plain = only(estimated(engine, tiny_model(Kind.FULL)))
    request = EstimateMemory(id=engine.next_id(), path=str(tiny_model(Kind.FULL)), learnt={"CPU": 7 * MIB})
    answer = engine.ask(request)
    assert isinstance(answer, MemoryEstimated)
    assert only(answer.plan).other == plain.other + 7 * MIB


def test_a_file_that_is_no_model_is_refused_in_a_sentence(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_text("no model")
    answer = engine.ask(EstimateMemory(id=engine.next_id(), path=str(path)))
    assert isinstance(answer, Failed)
    assert answer.kind == "not_gguf"


def test_a_device_that_is_not_there_is_refused_in_a_sentence(engine: Engine, tiny_model: TinyModel) -> None:
    failed = engine.load(tiny_model(Kind.FULL), devices=("CUDA7",))
    assert isinstance(failed, Failed)
    assert (failed.kind, "CUDA7" in failed.sentence) == ("bad_options", True)


def test_a_context_beyond_the_memory_is_refused_with_what_would_fit(engine: Engine, tmp_path: Path) -> None:
    model = make(Kind.FULL, tmp_path / "long.gguf", context_length=2**31 - 1)
    failed = engine.load(model, context=2**31 - 1)
    assert isinstance(failed, Failed)
    assert failed.kind == "too_large"
    offer = failed.offers[0]
    assert offer.label.startswith("Use a context of ")
    plan = estimated(engine, model, context=offer.options.context)
    assert plan.verdict == "fits"


# --- the options --------------------------------------------------------------------------------------------------


def test_smaller_keys_and_values_take_less_and_answer(engine: Engine, tiny_model: TinyModel) -> None:
    sizes = []
    for kind in ("f16", "q8_0", "q4_0"):
        answer, memory = loaded(engine, tiny_model(Kind.FULL), context=1024, kv_type=kind)
        assert answer.model.kv_bytes_per_token * 1024 == pytest.approx(memory.kv_reserved, rel=0.01)
        assert Talk(engine).say("Hello", max_tokens=3).figures.tokens.generated == 3
        sizes.append(memory.kv_reserved)
    assert sizes == sorted(sizes, reverse=True)


def test_weights_that_are_not_mapped_are_read_and_answer(engine: Engine, tiny_model: TinyModel) -> None:
    _, mapped = loaded(engine, tiny_model(Kind.FULL))
    _, read = loaded(engine, tiny_model(Kind.FULL), use_mmap=False)
    assert read.weights == pytest.approx(mapped.weights, abs=0.02 * MIB)
    assert Talk(engine).say("Hello", max_tokens=3).text


def test_a_window_kept_in_full_lets_a_chat_go_back_further_than_the_window(
    engine: Engine, tiny_model: TinyModel
) -> None:
    reused = {}
    for in_full in (False, True):
        _, memory = loaded(engine, tiny_model(Kind.WINDOW), context=4096, window_in_full=in_full)
        talk = Talk(engine)
        talk.say("one " * 200, max_tokens=2)
        talk.say("two " * 4 * WINDOW, max_tokens=2)
        del talk.messages[2:]
        done = talk.say("another second message", max_tokens=2)
        reused[in_full] = (done.figures.tokens.reused_memory, memory.kv_reserved)
    assert reused[False][0] == 0
    assert reused[True][0] > 200
    assert reused[True][1] > reused[False][1]


@pytest.mark.parametrize("first", [False, True])
def test_saved_state_is_the_same_with_the_window_in_full_and_without(
    first: bool, engine: Engine, tiny_model: TinyModel, tmp_path: Path
) -> None:
    engine.open_store(tmp_path / "kv")
    loaded(engine, tiny_model(Kind.WINDOW), context=4096, window_in_full=first)
    talk = Talk(engine)
    before = talk.say("one " * 200, max_tokens=2)
    loaded(engine, tiny_model(Kind.WINDOW), context=4096, window_in_full=not first)
    done = talk.say("and then?", max_tokens=2)
    assert done.root == before.root
    assert done.figures.tokens.reused_saved > 200


def test_what_was_measured_is_used_and_what_was_chosen_goes_before_it(engine: Engine, tiny_model: TinyModel) -> None:
    best = Trial(flash_attention=True, threads=1, batch=32, follow_up=1, decode=1, prefill=1)
    sizes = []
    for options in (LoadOptions(context=2048), LoadOptions(context=2048, batch=512, flash_attention="off")):
        request = LoadModel(
            id=engine.next_id(),
            path=str(tiny_model(Kind.FULL)),
            options=options,
            calibration=Calibration(best, (best,), 512),
        )
        engine.send(request)
        assert any(isinstance(answer, Loaded) for answer in finals(engine, request.id))
        sizes.append(statistics(engine).memory[0].compute)
    assert sizes[0] * 4 < sizes[1]


def finals(engine: Engine, request: int) -> Iterator[Any]:
    """The answers to a load that are no progress."""
    return (answer for answer in engine.answers(request) if isinstance(answer, Loaded | Failed))


def test_the_devices_say_what_they_are(engine: Engine) -> None:
    cpu = next(device for device in engine.hello.devices if device.kind == "cpu")
    assert (cpu.backend, cpu.is_unified, cpu.process_bytes) == ("CPU", False, None)
