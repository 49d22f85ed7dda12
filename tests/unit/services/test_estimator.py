"""Asking what a model would take, of an engine of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from app.core.load_options import LoadOptions
from app.protocol.answers import Failed, MemoryEstimated, Statistics
from app.protocol.parts import Device, DeviceMemory, MemoryPlan
from app.protocol.requests import EstimateMemory, GetStatistics
from app.services.engine_client import EngineClient
from app.services.engine_process import EngineDeath
from app.services.estimator import Estimator
from tests.unit.services.fakes import FakeProcess

MODEL = Path("/models/a.gguf")
MIB = 1024**2
GIB = 1024**3


def plan(context: int) -> MemoryPlan:
    return MemoryPlan(
        verdict="fits", sentence="It fits.", context=context, gpu_layers=0, layers=8, devices=(), is_dry_run=True
    )


class Asked:
    """An estimator whose engine says what the test tells it to."""

    def __init__(self, folder: Path, engine: EngineClient | None = None) -> None:
        self.estimator = Estimator(folder, engine)
        self.told: list[MemoryPlan | Failed] = []

    def ask(self, context: int, path: Path = MODEL) -> None:
        self.estimator.ask(path, LoadOptions(context=context), None, {}, self.told.append)

    @property
    def process(self) -> FakeProcess:
        return FakeProcess.made[-1]

    @property
    def questions(self) -> list[EstimateMemory]:
        return self.process.asked(EstimateMemory)

    def answer(self, request: EstimateMemory) -> None:
        assert request.options.context is not None
        self.process.say(MemoryEstimated(id=request.id, plan=plan(request.options.context)))


pytestmark = pytest.mark.usefixtures("processes")


@pytest.fixture
def asked(tmp_path: Path, qtbot: QtBot) -> Iterator[Asked]:
    made = Asked(tmp_path)
    yield made
    made.estimator.close()


def test_the_engine_is_started_by_the_first_question_and_answers_it(asked: Asked, processes: list[FakeProcess]) -> None:
    assert not processes
    asked.ask(1024)
    assert not asked.process.sent  # it has not greeted yet
    asked.process.greet()
    asked.answer(asked.questions[-1])
    asked.ask(2048)
    asked.answer(asked.questions[-1])
    assert asked.told == [plan(1024), plan(2048)]
    assert len(processes) == 1


def test_the_newest_question_wins_and_the_engine_gets_one_at_a_time(asked: Asked) -> None:
    asked.ask(1024)
    asked.process.greet()
    for context in (2048, 3072, 4096):
        asked.ask(context)
    assert [question.options.context for question in asked.questions] == [1024]
    asked.answer(asked.questions[0])
    assert asked.told == []
    asked.answer(asked.questions[-1])
    assert [question.options.context for question in asked.questions] == [1024, 4096]
    assert asked.told == [plan(4096)]


def test_what_the_engine_refuses_is_told_in_its_words(asked: Asked) -> None:
    asked.ask(1024)
    asked.process.greet()
    refused = Failed(id=asked.questions[0].id, kind="not_gguf", sentence="The file is not a GGUF model.")
    asked.process.say(refused)
    assert asked.told == [refused]


def test_an_engine_that_dies_is_told_and_another_is_started_for_the_next_question(
    asked: Asked, processes: list[FakeProcess]
) -> None:
    asked.ask(1024)
    asked.process.greet()
    death = EngineDeath(6, True, ())
    asked.process.die(death)
    (failed,) = asked.told
    assert isinstance(failed, Failed)
    assert failed.kind == "engine_died"
    assert failed.sentence.startswith("What this takes could not be worked out.") and death.sentence in failed.sentence
    asked.ask(2048)
    asked.process.greet()
    asked.answer(asked.questions[-1])
    assert asked.told[-1] == plan(2048)
    assert len(processes) == 2


def test_nothing_is_told_after_it_was_closed(asked: Asked) -> None:
    asked.ask(1024)
    asked.process.greet()
    process, question = asked.process, asked.questions[0]
    asked.estimator.close()
    process.say(MemoryEstimated(id=question.id, plan=plan(1024)))
    assert asked.told == []


def test_a_name_that_the_protocol_cannot_carry_is_told(
    asked: Asked, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_process: FakeProcess, request: Any) -> None:
        request.path.encode()

    monkeypatch.setattr(FakeProcess, "send", refuse)
    asked.ask(1024, Path("/models/\udcff.gguf"))
    asked.process.greet()
    qtbot.waitUntil(lambda: bool(asked.told))
    (failed,) = asked.told
    assert isinstance(failed, Failed)
    assert failed.kind == "bad_name"


def statistics(window: FakeProcess, memory: tuple[DeviceMemory, ...], devices: tuple[Device, ...] = ()) -> Statistics:
    """The engine's answer to the question that it was asked last."""
    figures: dict[str, Any] = dict.fromkeys(("rss", "ram_total", "ram_available", "context_used"), 0)
    figures |= dict.fromkeys(("context_size", "saved_bytes", "saved_budget", "saved_generation"), 0)
    return Statistics(
        id=window.asked(GetStatistics)[-1].id,
        devices=devices,
        memory=memory,
        live_conversation=None,
        busy=False,
        **figures,
    )


def gpu(process_bytes: int | None) -> Device:
    """A GPU of which the driver says that an engine has so much."""
    return Device(
        name="CUDA0",
        description="A GPU",
        kind="gpu",
        free_bytes=3 * GIB,
        total_bytes=8 * GIB,
        process_bytes=process_bytes,
    )


@pytest.fixture
def client(tmp_path: Path, qtbot: QtBot) -> Iterator[EngineClient]:
    """The window's engine, with a model."""
    made = EngineClient(tmp_path)
    made.start()
    window = FakeProcess.made[-1]
    window.greet()
    made.load(MODEL)
    window.finish_load()
    yield made
    made.stop()


def test_what_the_loaded_model_gives_back_counts_as_free(tmp_path: Path, client: EngineClient) -> None:
    window, asked = FakeProcess.made[-1], Asked(tmp_path, client)
    asked.ask(1024)
    memory = (
        DeviceMemory(device="CPU", weights=90 * MIB, kv_reserved=20 * MIB, compute=5 * MIB),
        DeviceMemory(device="CUDA0", weights=900 * MIB, kv_reserved=200 * MIB, compute=50 * MIB),
    )
    window.say(statistics(window, memory))
    asked.process.greet()
    assert asked.questions[0].given_back == {"CPU": 25 * MIB, "CUDA0": 1150 * MIB}
    asked.estimator.close()


def test_what_the_engines_themselves_have_of_a_gpu_is_not_taken_for_other_programs(
    tmp_path: Path, client: EngineClient
) -> None:
    window, asked = FakeProcess.made[-1], Asked(tmp_path, client)
    asked.ask(1024)
    memory = (DeviceMemory(device="CUDA0", weights=900 * MIB, kv_reserved=200 * MIB, compute=50 * MIB),)
    window.say(statistics(window, memory, (gpu(1650 * MIB),)))
    asked.process.greet(devices=(gpu(520 * MIB),))
    question = asked.questions[0]
    assert question.given_back == {"CUDA0": (1650 + 520) * MIB}  # the 520 are those of the engine that estimates
    assert question.learnt == {"CUDA0": 500 * MIB}
    asked.estimator.close()
