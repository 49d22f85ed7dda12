"""Measuring what is fastest, in the real engine: it ends soon, it leaves everything usable, and nobody waits for it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.core.errors import EmberError
from app.core.load_options import Calibration, LoadOptions, Trial
from app.core.sampling import SamplerSettings
from app.engine import session
from app.engine.context import Context, ContextSettings
from app.engine.library import start
from app.engine.load_plan import Planner
from app.engine.model import Model
from app.protocol.answers import (
    Calibrated,
    CalibrationProgress,
    Done,
    Failed,
    Loaded,
    LoadProgress,
    OldModelFreed,
    PromptProgress,
    Statistics,
)
from app.protocol.parts import ChatMessage
from app.protocol.requests import Calibrate, Cancel, Generate, GetStatistics, LoadModel, Prepare
from tests.support.engine import Engine, Talk
from tests.support.tiny_models import Kind

GREEDY = SamplerSettings(temperature=0.0)
CONTEXT = 1024


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine without a model."""
    with Engine() as running:
        yield running


def calibrate(engine: Engine, **options: bool) -> Calibrated | Failed:
    """Measure to the end."""
    request = Calibrate(id=engine.next_id(), **options)
    engine.send(request)
    for answer in engine.answers(request.id):
        if not isinstance(answer, CalibrationProgress):
            assert isinstance(answer, Calibrated | Failed)
            return answer
    raise AssertionError("unreachable")


def load_measured(engine: Engine, path: Path, *, flash_attention: bool, is_layout_free: bool = False) -> None:
    """Load a model with a measurement that says so; its slices are 32 tokens."""
    trial = Trial(flash_attention=flash_attention, threads=1, batch=32, follow_up=1.0, decode=1.0, prefill=1.0)
    load = LoadModel(
        id=engine.next_id(),
        path=str(path),
        options=LoadOptions(context=CONTEXT),
        calibration=Calibration(trial, (trial,), depth=256, is_layout_free=is_layout_free),
    )
    engine.send(load)
    kept = (answer for answer in engine.answers(load.id) if not isinstance(answer, LoadProgress | OldModelFreed))
    assert isinstance(next(kept), Loaded)


def saved_chat(engine: Engine, path: Path, folder: Path, flash_attention: bool) -> Talk:
    """A chat whose state is saved, with flash attention on or off."""
    engine.open_store(folder)
    load_measured(engine, path, flash_attention=flash_attention)
    talk = Talk(engine, system="You are brief.")
    talk.say("Name a colour of the sky in the evening.", max_tokens=40, sampler=GREEDY)
    return talk


def statistics(engine: Engine) -> Statistics:
    answer = engine.ask(GetStatistics(id=engine.next_id()))
    assert isinstance(answer, Statistics)
    return answer


@pytest.mark.parametrize("kind", list(Kind))
def test_each_kind_of_memory_is_measured_at_depth_and_goes_on_chatting(
    engine: Engine, tiny_model: Callable[[Kind], Path], kind: Kind
) -> None:
    assert isinstance(engine.load(tiny_model(kind), context=CONTEXT), Loaded)
    talk = Talk(engine, system="You are brief.")
    talk.say("Name a colour.", max_tokens=8, sampler=GREEDY)
    measured = calibrate(engine)
    assert isinstance(measured, Calibrated), measured
    trials = measured.calibration.trials
    assert {trial.flash_attention for trial in trials} == {False, True}
    assert all(min(trial.follow_up, trial.decode, trial.prefill) > 0 for trial in trials)
    assert measured.calibration.best in trials
    assert measured.calibration.depth == CONTEXT // 4
    assert statistics(engine).context_size == CONTEXT
    after = talk.say("And another?", max_tokens=8, sampler=GREEDY)
    assert after.figures.tokens.generated == 8
    assert after.figures.reread is not None
    assert "measured" in after.figures.reread.reason


def test_every_trial_is_reported_on_the_way(engine: Engine, tiny_model: Callable[[Kind], Path]) -> None:
    assert isinstance(engine.load(tiny_model(Kind.FULL), context=CONTEXT), Loaded)
    request = Calibrate(id=engine.next_id())
    engine.send(request)
    done = []
    for answer in engine.answers(request.id):
        if not isinstance(answer, CalibrationProgress):
            break
        assert 0 < answer.done <= answer.total
        done.append(answer.done)
    assert done == sorted(set(done))
    assert len(done) >= 2


def test_the_same_state_is_in_use_after_a_measurement(
    engine: Engine, tiny_model: Callable[[Kind], Path], tmp_path: Path
) -> None:
    """What was saved stays usable, so flash attention is left as it is; the chat is restored, not read again."""
    engine.open_store(tmp_path / "kv")
    assert isinstance(engine.load(tiny_model(Kind.FULL), context=CONTEXT), Loaded)
    talk = Talk(engine, system="You are brief.")
    talk.say("Name a colour of the sky in the evening.", max_tokens=40, sampler=GREEDY)
    held = statistics(engine).context_used
    measured = calibrate(engine)
    assert isinstance(measured, Calibrated), measured
    assert {trial.flash_attention for trial in measured.calibration.trials} == {False}
    after = talk.say("And another?", max_tokens=8, sampler=GREEDY)
    assert after.figures.tokens.reused_saved >= held - 1
    assert after.figures.reread is None


def test_the_layout_of_saved_state_changes_only_when_that_is_allowed(
    engine: Engine, tiny_model: Callable[[Kind], Path], tmp_path: Path
) -> None:
    engine.open_store(tmp_path / "kv")
    assert isinstance(engine.load(tiny_model(Kind.FULL), context=CONTEXT), Loaded)
    Talk(engine, system="You are brief.").say("Name a colour of the evening sky.", max_tokens=40, sampler=GREEDY)
    measured = calibrate(engine, may_change_layout=True)
    assert isinstance(measured, Calibrated), measured
    assert {trial.flash_attention for trial in measured.calibration.trials} == {False, True}
    assert measured.calibration.is_layout_free


@pytest.mark.parametrize("kind", [Kind.FULL, Kind.WINDOW, Kind.HYBRID, Kind.HYBRID_WINDOW, Kind.M_ROPE])
@pytest.mark.parametrize("saved_with_flash", [False, True])
def test_what_is_saved_stays_of_use_where_another_measurement_wants_the_other_layout(
    tiny_model: Callable[[Kind], Path], tmp_path: Path, kind: Kind, saved_with_flash: bool
) -> None:
    """As when a GPU is used from now on, where nothing of this model was measured or saved yet."""
    with Engine() as first:
        talk = saved_chat(first, tiny_model(kind), tmp_path / "kv", saved_with_flash)
    with Engine() as second:
        second.open_store(tmp_path / "kv")
        load_measured(second, tiny_model(kind), flash_attention=not saved_with_flash)
        talk.engine = second
        assert talk.say("And another?", max_tokens=8, sampler=GREEDY).figures.tokens.reused_saved > 32
        measured = calibrate(second)
        assert isinstance(measured, Calibrated), measured
        assert {trial.flash_attention for trial in measured.calibration.trials} == {saved_with_flash}


def test_a_store_that_is_opened_after_the_load_is_used_as_it_was_saved_too(
    tiny_model: Callable[[Kind], Path], tmp_path: Path
) -> None:
    with Engine() as first:
        talk = saved_chat(first, tiny_model(Kind.FULL), tmp_path / "kv", flash_attention=False)
    with Engine() as second:
        load_measured(second, tiny_model(Kind.FULL), flash_attention=True)
        second.open_store(tmp_path / "kv")
        talk.engine = second
        assert talk.say("And another?", max_tokens=8, sampler=GREEDY).figures.tokens.reused_saved > 32


def test_a_context_that_does_not_fit_as_measured_is_made_as_before(
    tiny_model: Callable[[Kind], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[ContextSettings] = []

    def context(model: Model, settings: ContextSettings) -> Context:
        made.append(settings)
        if len(made) == 2:
            raise EmberError("There is not enough memory.", "out_of_memory")
        return Context(model, settings)

    monkeypatch.setattr(session, "Context", context)
    ggml = start()
    options = LoadOptions(context=CONTEXT)
    request = LoadModel(id=1, path=str(tiny_model(Kind.FULL)), options=options)
    planner = Planner(ggml)
    plan = planner.plan(request, {})
    planner.release()
    loaded = session.Session.load(plan, ggml.pointers(()), None, lambda _done: None, lambda: False)
    with pytest.raises(EmberError, match="not enough memory"):
        loaded.calibrate(Calibrate(id=2), lambda _done, _total: None, lambda: False)
    loaded.prepare(Prepare(id=3, conversation="c", messages=()), lambda: False)
    loaded.close()
    assert made[2] == made[0]


def test_the_persons_own_word_on_flash_attention_holds_whatever_is_saved(
    tiny_model: Callable[[Kind], Path], tmp_path: Path
) -> None:
    path = tiny_model(Kind.FULL)
    with Engine() as first:
        talk = saved_chat(first, path, tmp_path / "kv", flash_attention=False)
    with Engine() as second:
        second.open_store(tmp_path / "kv")
        talk.engine = second
        assert isinstance(second.load(path, context=CONTEXT, flash_attention="on"), Loaded)
        assert talk.say("And one?", max_tokens=1, save=False, sampler=GREEDY).figures.tokens.reused_saved == 0
        load_measured(second, path, flash_attention=True, is_layout_free=True)
        assert talk.say("And two?", max_tokens=1, sampler=GREEDY).figures.tokens.reused_saved == 0


def test_a_load_with_what_was_measured_is_made_so(engine: Engine, tiny_model: Callable[[Kind], Path]) -> None:
    load_measured(engine, tiny_model(Kind.FULL), flash_attention=False)
    message = ChatMessage(id="m", role="user", text="Name a colour of the sky. " * 8)
    turn = Generate(id=engine.next_id(), conversation="c", messages=(message,), max_tokens=1)
    engine.send(turn)
    done = []
    for answer in engine.answers(turn.id):
        if isinstance(answer, Done):
            break
        if isinstance(answer, PromptProgress):
            done.append(answer.done)
    assert done[:4] == [0, 32, 64, 96]


# --- nobody waits for it ---------------------------------------------------------------------------------------------


def test_a_turn_that_is_asked_for_ends_it_and_is_answered(engine: Engine, starter_model: Path) -> None:
    assert isinstance(engine.load(starter_model, context=2048), Loaded)
    request = Calibrate(id=engine.next_id())
    engine.send(request)
    message = ChatMessage(id="m", role="user", text="Name a colour.")
    turn = Generate(id=engine.next_id(), conversation="c", messages=(message,), max_tokens=2)
    engine.send(turn)
    ended: list[Calibrated | Failed | Done] = []
    while len(ended) < 2:
        answer = engine.answer()
        if isinstance(answer, Calibrated | Failed | Done):
            ended.append(answer)
    failed, done = ended
    assert isinstance(failed, Failed) and failed.id == request.id and failed.kind == "cancelled"
    assert isinstance(done, Done) and done.id == turn.id and done.figures.tokens.generated == 2


def test_cancelled_midway_the_model_goes_on_chatting(engine: Engine, starter_model: Path) -> None:
    assert isinstance(engine.load(starter_model, context=2048), Loaded)
    request = Calibrate(id=engine.next_id())
    engine.send(request)
    answers = engine.answers(request.id)
    assert isinstance(next(answers), CalibrationProgress)
    engine.send(Cancel(id=engine.next_id(), request=request.id))
    failed = next(answer for answer in answers if not isinstance(answer, CalibrationProgress))
    assert isinstance(failed, Failed) and failed.kind == "cancelled"
    assert Talk(engine).say("Name a colour.", max_tokens=2).figures.tokens.generated == 2


def test_a_measurement_that_is_asked_for_before_a_model_is_loaded_is_refused(engine: Engine) -> None:
    failed = calibrate(engine)
    assert isinstance(failed, Failed) and failed.kind == "no_model"
