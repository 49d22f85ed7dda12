"""What is kept for each model, what a load gets of it, and when a model is measured."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication
from pytestqt.qtbot import QtBot

from app.core.conversation import Conversation, ConversationId
from app.core.errors import EmberError
from app.core.load_options import Calibration, LoadOptions, Trial
from app.protocol.answers import Calibrated, CalibrationProgress, Failed, Loaded, Statistics, StoreOpened
from app.protocol.messages import Answer
from app.protocol.parts import DeviceEstimate, DeviceMemory, MemoryPlan, TipUsage
from app.protocol.requests import Calibrate, Cancel, Generate, GetStatistics, LoadModel, OpenStore, Prepare
from app.services import model_settings
from app.services.chats import Chats, TurnRequest
from app.services.engine_client import EngineClient
from app.services.model_settings import MOST_TRIES, TOO_BUSY, ModelSettings
from app.services.saved_states import SavedStates
from app.storage.conversations import ConversationStore
from app.storage.saved_roots import SavedRoots
from app.storage.settings import SettingsStore
from tests.unit.services.fakes import FakeProcess, model_info

TRIAL = Trial(flash_attention=False, threads=2, batch=256, follow_up=140.0, decode=60.0, prefill=160.0)
MEASURED = Calibration(TRIAL, (TRIAL, replace(TRIAL, flash_attention=True)), depth=2048)
CHAT = ConversationId("c" * 32)


class Desk:
    """Model settings on a store, with an engine that says what the test tells it to."""

    def __init__(self, store: ConversationStore, client: EngineClient, folder: Path) -> None:
        self.store, self.client = store, client
        self.path = folder / "model.gguf"
        self.path.write_bytes(b"GGUF")
        settings = SettingsStore(store.database)
        self.saved = SavedStates(folder / "kv", SavedRoots(store.database), settings, client, client)
        self.chats = Chats(store, client, self.saved, client)
        self.settings = ModelSettings(settings, client, self.chats, self.saved, client)

    @property
    def process(self) -> FakeProcess:
        """The engine process that runs now."""
        return FakeProcess.made[-1]

    def asked(self, kind: type) -> list:  # type: ignore[type-arg]
        """The requests of a kind that the process got."""
        return self.process.asked(kind)

    def open_store(self) -> None:
        """The engine has opened the saved state."""
        self.process.say(StoreOpened(id=self.asked(OpenStore)[-1].id, budget=1))

    def load(self, options: LoadOptions | None = None) -> LoadModel:
        """Load the model; the request that the engine got."""
        self.client.load(self.path, options or self.settings.options(self.path))
        request: LoadModel = self.asked(LoadModel)[-1]
        self.process.finish_load()
        return request

    def begin(self) -> None:
        """The engine is there with its store, and a model."""
        self.process.greet()
        self.open_store()
        self.load()

    def say_statistics(self, used: int = 0, live: str | None = None) -> None:
        """Answer the latest question about how things are."""
        self.process.say(statistics(self.asked(GetStatistics)[-1].id, used, live))

    def finish(self, answer: type[Answer] = Calibrated, kind: str = "cancelled") -> None:
        """End the latest measurement."""
        request = self.asked(Calibrate)[-1].id
        if answer is Calibrated:
            self.process.say(Calibrated(id=request, calibration=MEASURED))
        else:
            self.process.say(Failed(id=request, kind=kind, sentence="It was stopped."))


def statistics(request: int, used: int = 0, live: str | None = None, **fields: object) -> Statistics:
    """A snapshot of an engine."""
    return Statistics(
        **{
            "id": request,
            "rss": 0,
            "ram_total": 0,
            "ram_available": 0,
            "devices": (),
            "memory": (),
            "context_used": used,
            "context_size": 4096,
            "live_conversation": live,
            "saved_bytes": 0,
            "saved_budget": 0,
            "saved_generation": 0,
            "busy": False,
            **fields,
        }  # type: ignore[arg-type]
    )


@pytest.fixture
def desk(
    store: ConversationStore, client: EngineClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    """Settings that wait for idleness no longer than the event loop needs."""
    monkeypatch.setattr(model_settings, "IDLE_MS", 0)
    made = Desk(store, client, tmp_path)
    yield made
    made.settings.close()
    made.saved.close()
    made.chats.close()


def measured_by_itself(desk: Desk, qtbot: QtBot) -> None:
    """Wait until a measurement begins that nobody asked for."""
    before = len(desk.asked(Calibrate))
    questions = len(desk.asked(GetStatistics))
    qtbot.waitUntil(lambda: len(desk.asked(GetStatistics)) > questions)
    desk.say_statistics()
    assert len(desk.asked(Calibrate)) == before + 1


def nothing_happens() -> None:
    """Let all that waits in the event loop happen: timers of 0 ms, and what they begin."""
    for _ in range(5):
        QCoreApplication.processEvents()


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_the_options_of_a_model_are_kept(desk: Desk, qtbot: QtBot) -> None:
    chosen = LoadOptions(context=4096, devices=("CUDA0",), kv_type="q8_0", flash_attention="on")
    with qtbot.waitSignal(desk.settings.changed):
        desk.settings.set_options(desk.path, chosen)
    assert desk.settings.options(desk.path) == chosen
    assert desk.settings.options(desk.path.with_name("other.gguf")) == LoadOptions()


def test_impossible_options_are_refused_and_nothing_is_kept(desk: Desk) -> None:
    with pytest.raises(EmberError, match="flash attention"):
        desk.settings.set_options(desk.path, LoadOptions(kv_type="q8_0", flash_attention="off"))
    assert desk.settings.options(desk.path) == LoadOptions()


def test_a_load_gets_what_was_measured_also_after_a_restart(desk: Desk, qtbot: QtBot) -> None:
    desk.begin()
    desk.settings.measure_again()
    desk.say_statistics()
    desk.finish()
    assert desk.settings.calibration(desk.path) == MEASURED
    assert desk.load().calibration == MEASURED
    before = len(FakeProcess.made)
    desk.process.die()
    qtbot.waitUntil(lambda: len(FakeProcess.made) > before)
    desk.process.greet()
    assert desk.asked(LoadModel)[-1].calibration == MEASURED


def test_a_load_that_waits_for_the_engine_gets_it_too(desk: Desk) -> None:
    desk.begin()
    desk.settings.measure_again()
    desk.say_statistics()
    desk.finish()
    desk.client.stop()
    desk.client.start()
    desk.client.load(desk.path)
    desk.process.greet()
    assert desk.asked(LoadModel)[-1].calibration == MEASURED


@pytest.mark.parametrize("other", [LoadOptions(kv_type="q8_0"), LoadOptions(kv_type="q4_0")])
def test_a_measurement_holds_for_its_own_circumstances(desk: Desk, other: LoadOptions) -> None:
    desk.begin()
    desk.settings.measure_again()
    desk.say_statistics()
    desk.finish()
    assert desk.settings.calibration(desk.path, other) is None
    assert desk.settings.calibration(desk.path, LoadOptions(context=512)) == MEASURED
    desk.path.write_bytes(b"GGUF, but another file")
    assert desk.settings.calibration(desk.path) is None


def test_what_a_load_took_beyond_its_estimate_is_told_to_the_next_one(desk: Desk) -> None:
    desk.process.greet()
    desk.open_store()
    desk.client.load(desk.path)
    cpu = DeviceEstimate(device="CPU", free_bytes=0, total_bytes=0, weights=100, kv=20, compute=10, other=5)
    plan = MemoryPlan(verdict="fits", sentence="", context=512, gpu_layers=0, layers=8, devices=(cpu,), is_dry_run=True)
    load = desk.asked(LoadModel)[-1]
    desk.process.say(Loaded(id=load.id, model=model_info(str(desk.path)), seconds=0.1, plan=plan))
    taken = DeviceMemory(device="CPU", weights=101, kv_reserved=20, compute=16)
    desk.process.say(statistics(desk.asked(GetStatistics)[-1].id, memory=(taken,)))
    assert desk.settings.learnt(desk.path) == {"CPU": 7}
    assert desk.load().learnt == {"CPU": 7}


def test_what_was_taken_while_another_model_came_teaches_nothing(desk: Desk) -> None:
    """Its file was chosen before the first one was there, which may be half gone when the engine is asked."""
    desk.process.greet()
    desk.open_store()
    desk.client.load(desk.path)
    first = desk.asked(LoadModel)[-1]
    desk.client.load(desk.path.with_name("other.gguf"))
    cpu = DeviceEstimate(device="CPU", free_bytes=0, total_bytes=0, weights=100)
    plan = MemoryPlan(verdict="fits", sentence="", context=512, gpu_layers=0, layers=8, devices=(cpu,), is_dry_run=True)
    desk.process.say(Loaded(id=first.id, model=model_info(str(desk.path)), seconds=0.1, plan=plan))
    desk.process.say(statistics(desk.asked(GetStatistics)[-1].id, rss=10**10))
    assert desk.settings.learnt(desk.path) == {}


# --- measuring by itself ----------------------------------------------------------------------------------------------


def test_a_model_that_was_never_measured_is_when_nothing_else_happens(desk: Desk, qtbot: QtBot) -> None:
    desk.settings.measure_when_idle()
    desk.begin()
    measured_by_itself(desk, qtbot)
    assert not desk.asked(Calibrate)[-1].may_change_layout
    with qtbot.waitSignals([desk.settings.changed, desk.settings.ended]):
        desk.finish()
    assert not desk.settings.is_measuring
    nothing_happens()
    assert len(desk.asked(Calibrate)) == 1


def test_a_measurement_that_the_machine_was_too_busy_for_is_repeated(desk: Desk, qtbot: QtBot) -> None:
    desk.settings.measure_when_idle()
    desk.begin()
    measured_by_itself(desk, qtbot)
    unsteady = replace(MEASURED, is_steady=False)
    desk.process.say(Calibrated(id=desk.asked(Calibrate)[-1].id, calibration=unsteady))
    assert desk.settings.calibration(desk.path) == unsteady
    measured_by_itself(desk, qtbot)


def test_nothing_is_measured_by_itself_before_that_is_allowed(desk: Desk) -> None:
    desk.begin()
    nothing_happens()
    assert not desk.asked(Calibrate)


def test_nothing_is_measured_before_the_saved_state_is_open(desk: Desk) -> None:
    """What is saved decides whether flash attention may change."""
    desk.settings.measure_when_idle()
    desk.process.greet()
    desk.load()
    nothing_happens()
    assert not desk.asked(GetStatistics)


def test_nothing_is_measured_while_a_reply_is_written(desk: Desk) -> None:
    desk.begin()
    desk.store.create(Conversation(CHAT))
    desk.chats.ask(TurnRequest(CHAT, text="Hello"))
    assert desk.asked(Generate)
    desk.settings.measure_when_idle()
    nothing_happens()
    assert not desk.asked(GetStatistics)
    with pytest.raises(EmberError, match="being written"):
        desk.settings.measure_again()


def test_what_is_in_memory_and_not_saved_is_not_given_up_for_it(desk: Desk, qtbot: QtBot) -> None:
    desk.settings.measure_when_idle()
    desk.begin()
    qtbot.waitUntil(lambda: bool(desk.asked(GetStatistics)))
    desk.say_statistics(used=900, live=CHAT)
    nothing_happens()
    assert not desk.asked(Calibrate)


def test_what_is_saved_is_restored_afterwards(desk: Desk, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = TipUsage(own=1, shared=0, tokens=900)
    monkeypatch.setattr(desk.saved, "of", lambda conversation: usage if conversation == CHAT else None)
    restored: list[ConversationId] = []
    monkeypatch.setattr(desk.chats, "prepare", restored.append)
    desk.settings.measure_when_idle()
    desk.begin()
    qtbot.waitUntil(lambda: bool(desk.asked(GetStatistics)))
    desk.say_statistics(used=900, live=CHAT)
    assert len(desk.asked(Calibrate)) == 1
    desk.finish()
    assert restored == [CHAT]
    assert not desk.asked(Prepare)


def test_what_something_came_in_between_of_is_tried_again_but_not_for_ever(desk: Desk, qtbot: QtBot) -> None:
    desk.settings.measure_when_idle()
    desk.begin()
    for _ in range(MOST_TRIES):
        measured_by_itself(desk, qtbot)
        desk.finish(Failed)
    nothing_happens()
    assert len(desk.asked(Calibrate)) == MOST_TRIES
    desk.load()
    measured_by_itself(desk, qtbot)


def test_an_engine_that_ends_while_it_measures_is_not_asked_again(desk: Desk, qtbot: QtBot) -> None:
    desk.settings.measure_when_idle()
    desk.begin()
    measured_by_itself(desk, qtbot)
    before = len(FakeProcess.made)
    desk.process.die()
    assert not desk.settings.is_measuring
    qtbot.waitUntil(lambda: len(FakeProcess.made) > before)
    desk.process.greet()
    desk.open_store()
    desk.process.finish_load()
    nothing_happens()
    assert not desk.asked(Calibrate)


# --- measuring because it is asked for --------------------------------------------------------------------------------


def test_a_model_can_be_measured_again_with_progress_and_stopped(desk: Desk, qtbot: QtBot) -> None:
    desk.begin()
    desk.settings.measure_again(may_change_layout=True)
    desk.say_statistics()
    request = desk.asked(Calibrate)[-1]
    assert request.may_change_layout
    with qtbot.waitSignal(desk.settings.progress) as progress:
        desk.process.say(CalibrationProgress(id=request.id, done=1, total=4))
    assert progress.args == [1, 4]
    desk.settings.cancel()
    assert desk.asked(Cancel)[-1].request == request.id
    with qtbot.waitSignal(desk.settings.ended) as ended:
        desk.finish(Failed)
    assert ended.args == ["It was stopped."]
    assert desk.settings.calibration(desk.path) is None


def test_what_was_measured_exactly_outlives_a_measurement_that_the_machine_was_too_busy_for(
    desk: Desk, qtbot: QtBot
) -> None:
    desk.begin()
    for calibration, sentence in ((MEASURED, ""), (replace(MEASURED, is_steady=False, depth=64), TOO_BUSY)):
        desk.settings.measure_again()
        desk.say_statistics()
        with qtbot.waitSignal(desk.settings.ended) as ended:
            desk.process.say(Calibrated(id=desk.asked(Calibrate)[-1].id, calibration=calibration))
        assert ended.args == [sentence]
        assert desk.settings.calibration(desk.path) == MEASURED


def test_without_a_model_there_is_nothing_to_measure(desk: Desk) -> None:
    desk.process.greet()
    with pytest.raises(EmberError, match="No model"):
        desk.settings.measure_again()
