"""The engine's client without an engine: restarts, loads that cross, and requests that wait."""

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.load_options import LoadOptions
from app.protocol.answers import Failed, LoadProgress, OldModelFreed, SavedPinned, TokenCount, Unloaded
from app.protocol.messages import Response
from app.protocol.parts import Offer
from app.protocol.requests import Cancel, CountTokens, GetStatistics, LoadModel, PinSaved, Unload
from app.services.engine_client import EngineClient, ModelTrouble
from app.services.engine_deaths import RESTART_DELAYS_MS
from app.services.engine_process import NEVER_STARTED, EngineDeath
from tests.unit.services.fakes import FakeProcess

A, B, BAD = Path("/models/a.gguf"), Path("/models/b.gguf"), Path("/models/bad.gguf")
OUT_OF_MEMORY = EngineDeath(6, True, ("ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer",))


def process() -> FakeProcess:
    """The engine process that runs now."""
    return FakeProcess.made[-1]


def failures(client: EngineClient) -> list[tuple[str, str]]:
    """The load failures from now on."""
    seen: list[tuple[str, str]] = []
    client.load_failed.connect(lambda kind, sentence: seen.append((kind, sentence)))
    return seen


def refuse_load() -> None:
    """The engine refuses the model that was asked for last."""
    process().say(Failed(id=process().asked(LoadModel)[-1].id, kind="not_gguf", sentence="It is no model."))


def with_model(client: EngineClient) -> EngineClient:
    """The client once the engine is there and model A is loaded."""
    process().greet()
    client.load(A)
    process().finish_load()
    return client


def loaded(client: EngineClient) -> str | None:
    """The path of the loaded model."""
    return client.model.path if client.model is not None else None


def restart(client: EngineClient, qtbot: QtBot) -> None:
    """Let the next process come and greet."""
    before = len(FakeProcess.made)
    qtbot.waitUntil(lambda: len(FakeProcess.made) > before)
    process().greet()


# --- requests ---------------------------------------------------------------------------------------------------------


def test_a_request_waits_until_the_engine_is_there(client: EngineClient) -> None:
    answers: list[Response] = []
    client.send(CountTokens(id=7, text="a"), answers.append)
    assert process().sent == []
    process().greet()
    assert process().sent == [CountTokens(id=7, text="a")]
    process().say(TokenCount(id=7, count=1))
    assert answers == [TokenCount(id=7, count=1)]


def test_a_model_chosen_before_the_engine_is_started_is_loaded_when_it_is_there(client: EngineClient) -> None:
    client.stop()
    client.load(A)
    assert client.is_loading and client.loading_path == A
    client.start()
    process().greet()
    process().finish_load()
    assert [request.path for request in process().asked(LoadModel)] == [str(A)]
    assert loaded(client) == str(A)


def test_a_model_chosen_before_the_engine_is_started_can_be_left_again(client: EngineClient) -> None:
    client.stop()
    client.load(A)
    client.cancel_load()
    assert not client.is_loading
    client.start()
    process().greet()
    assert process().asked(LoadModel) == []


def test_a_model_chosen_before_the_engine_is_started_fails_with_an_engine_that_never_comes(
    client: EngineClient,
) -> None:
    seen = failures(client)
    client.stop()
    client.load(A)
    client.start()
    process().die()
    assert [kind for kind, _ in seen] == ["engine_died"]
    assert not client.is_loading


def test_a_waiting_request_that_is_cancelled_is_never_sent(client: EngineClient) -> None:
    answers: list[Response] = []
    client.send(CountTokens(id=7, text="a"), answers.append)
    client.cancel(7)
    process().greet()
    assert process().sent == []
    assert isinstance(answers[0], Failed)
    assert answers[0].kind == "cancelled"


def test_what_was_asked_fails_with_the_engine_and_says_why(client: EngineClient) -> None:
    process().greet()
    answers: list[Response] = []
    client.send(CountTokens(id=7, text="a"), answers.append)
    process().die()
    assert isinstance(answers[0], Failed)
    assert answers[0].kind == "engine_died"
    assert "crashed" in answers[0].sentence


def test_an_answer_after_the_last_one_reaches_nobody(client: EngineClient) -> None:
    process().greet()
    answers: list[Response] = []
    client.send(CountTokens(id=7, text="a"), answers.append)
    process().say(TokenCount(id=7, count=1))
    process().say(TokenCount(id=7, count=2))
    assert len(answers) == 1


def test_no_kind_of_last_answer_is_waited_for_any_longer(client: EngineClient) -> None:
    """What is kept of requests does not grow while chats are pinned and saved again and again."""
    process().greet()
    answers: list[Response] = []
    client.send(PinSaved(id=7, tips=()), answers.append)
    process().say(SavedPinned(id=7, bytes=1))
    process().die()
    assert answers == [SavedPinned(id=7, bytes=1)]


def test_an_engine_of_another_version_is_not_used(client: EngineClient) -> None:
    seen = failures(client)
    process().greet(protocol=99)
    assert client.state == "failed"
    assert seen[0][0] == "protocol"


def test_statistics_are_asked_one_at_a_time(client: EngineClient) -> None:
    process().greet()
    client.watch_statistics(True)
    client.refresh_statistics()
    assert len(process().asked(GetStatistics)) == 1
    client.watch_statistics(False)


# --- loading ----------------------------------------------------------------------------------------------------------


def test_a_model_can_be_chosen_before_the_engine_is_there(client: EngineClient) -> None:
    client.load(A)
    assert client.is_loading
    assert client.loading_path == A
    process().greet()
    process().finish_load()
    assert (loaded(client), client.is_loading) == (str(A), False)


def test_progress_is_told_for_the_model_that_is_wanted_only(client: EngineClient) -> None:
    process().greet()
    client.load(A)
    first = process().asked(LoadModel)[-1]
    client.load(B)
    told: list[float] = []
    client.load_progress.connect(told.append)
    process().say(LoadProgress(id=first.id, fraction=0.9))
    process().say(LoadProgress(id=process().asked(LoadModel)[-1].id, fraction=0.1))
    assert told == [0.1]


def test_choosing_another_model_cancels_the_load_under_way(client: EngineClient) -> None:
    process().greet()
    client.load(A)
    first = process().asked(LoadModel)[-1]
    client.load(B)
    assert process().asked(Cancel)[-1].request == first.id
    process().say(Failed(id=first.id, kind="cancelled", sentence="Cancelled."))
    assert client.is_loading
    process().finish_load()
    assert loaded(client) == str(B)


def test_a_refused_model_leaves_the_one_before_which_also_survives_a_restart(
    client: EngineClient, qtbot: QtBot
) -> None:
    with_model(client)
    seen = failures(client)
    client.load(BAD)
    refuse_load()
    assert seen == [("not_gguf", "“bad.gguf” could not be loaded. It is no model.")]
    assert (loaded(client), client.is_loading) == (str(A), False)
    process().die()
    restart(client, qtbot)
    assert process().asked(LoadModel)[-1].path == str(A)


def test_a_cancelled_load_leaves_the_model_before_if_it_is_still_there(client: EngineClient, qtbot: QtBot) -> None:
    with_model(client)
    client.load(B)
    client.cancel_load()
    assert (loaded(client), client.is_loading) == (str(A), False)
    process().die()
    restart(client, qtbot)
    assert process().asked(LoadModel)[-1].path == str(A)


def test_a_model_that_was_freed_for_the_next_one_is_gone(client: EngineClient, qtbot: QtBot) -> None:
    with_model(client)
    client.load(B)
    process().say(OldModelFreed(id=process().asked(LoadModel)[-1].id))
    assert loaded(client) is None
    client.cancel_load()
    process().die()
    restart(client, qtbot)
    assert process().asked(LoadModel) == []


def test_cancelling_too_late_lets_the_model_go_again(client: EngineClient) -> None:
    process().greet()
    client.load(A)
    client.cancel_load()
    process().finish_load()
    assert loaded(client) is None
    process().say(Unloaded(id=process().asked(Unload)[-1].id))
    assert loaded(client) is None


def test_a_model_that_came_too_late_stays_if_the_next_one_is_refused(client: EngineClient) -> None:
    process().greet()
    client.load(A)
    first = process().asked(LoadModel)[-1]
    client.load(BAD)
    second = process().asked(LoadModel)[-1]
    process().sent = [first]
    process().finish_load()
    assert client.is_loading
    process().say(Failed(id=second.id, kind="not_gguf", sentence="No model."))
    assert (loaded(client), client.is_loading) == (str(A), False)


def test_unloading_takes_effect_at_once(client: EngineClient, qtbot: QtBot) -> None:
    with_model(client)
    client.unload()
    assert loaded(client) is None
    process().say(Unloaded(id=process().asked(Unload)[-1].id))
    process().die()
    restart(client, qtbot)
    assert process().asked(LoadModel) == []


def test_a_file_whose_name_is_no_text_is_said(
    client: EngineClient, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.protocol.messages import encode

    monkeypatch.setattr(FakeProcess, "send", lambda _self, request: encode(request))
    process().greet()
    seen = failures(client)
    client.load(Path("/models/\udcff.gguf"))
    qtbot.waitUntil(lambda: bool(seen))
    assert seen[0][0] == "bad_name"
    assert not client.is_loading


# --- deaths -----------------------------------------------------------------------------------------------------------


def test_a_dead_engine_is_replaced_and_its_model_loaded_again(client: EngineClient, qtbot: QtBot) -> None:
    with_model(client)
    states: list[str] = []
    client.state_changed.connect(states.append)
    process().die()
    assert (loaded(client), client.is_loading) == (None, True)
    restart(client, qtbot)
    process().finish_load()
    assert states == ["restarting", "starting", "ready"]
    assert (loaded(client), client.is_loading) == (str(A), False)


def test_a_model_that_kills_the_engine_is_not_tried_again(client: EngineClient, qtbot: QtBot) -> None:
    process().greet()
    client.load(A)
    seen = failures(client)
    process().die()
    assert seen[0][0] == "engine_died"
    assert "It was loading “a.gguf”" in seen[0][1]
    assert not client.is_loading
    restart(client, qtbot)
    assert process().asked(LoadModel) == []


def test_an_engine_that_never_came_is_not_blamed_on_the_model(client: EngineClient) -> None:
    client.load(A)
    seen = failures(client)
    process().die(EngineDeath(NEVER_STARTED, False, ("No such file",)))
    assert seen == [("engine_died", "The engine could not be started (No such file).")]


def test_a_reload_can_be_called_off_while_the_engine_restarts(client: EngineClient, qtbot: QtBot) -> None:
    with_model(client)
    process().die()
    client.cancel_load()
    assert not client.is_loading
    restart(client, qtbot)
    assert process().asked(LoadModel) == []


def test_another_model_chosen_while_the_engine_restarts_is_the_one_loaded(client: EngineClient, qtbot: QtBot) -> None:
    with_model(client)
    process().die()
    client.load(B)
    restart(client, qtbot)
    assert [request.path for request in process().asked(LoadModel)] == [str(B)]


def give_up(client: EngineClient, qtbot: QtBot) -> None:
    """Let the engine die until no restart follows."""
    for _ in RESTART_DELAYS_MS:
        process().die()
        restart(client, qtbot)
        if client.is_loading:
            process().finish_load()
    process().die()


def test_after_several_deaths_in_a_row_the_person_decides(client: EngineClient, qtbot: QtBot) -> None:
    with_model(client)
    give_up(client, qtbot)
    assert client.state == "failed"
    assert not client.is_loading
    made = len(FakeProcess.made)
    client.start()
    assert len(FakeProcess.made) == made + 1
    process().greet()
    process().finish_load()
    assert loaded(client) == str(A)


def test_choosing_a_model_starts_an_engine_that_was_given_up(client: EngineClient, qtbot: QtBot) -> None:
    process().greet()
    give_up(client, qtbot)
    client.load(B)
    process().greet()
    process().finish_load()
    assert loaded(client) == str(B)


def test_a_request_to_an_engine_that_was_given_up_fails(client: EngineClient, qtbot: QtBot) -> None:
    process().greet()
    give_up(client, qtbot)
    answers: list[Response] = []
    client.send(CountTokens(id=9, text="a"), answers.append)
    qtbot.waitUntil(lambda: bool(answers))
    assert isinstance(answers[0], Failed)


def test_after_a_stop_nothing_is_there_and_nothing_restarts(client: EngineClient) -> None:
    with_model(client)
    client.stop()
    assert (client.state, loaded(client), client.is_loading, client.pid) == ("stopped", None, False, 0)


# --- a model that the engine dies of ----------------------------------------------------------------------------------


def test_a_model_that_the_engine_dies_of_for_want_of_memory_is_loaded_again_once(
    client: EngineClient, qtbot: QtBot
) -> None:
    troubles: list[ModelTrouble] = []
    client.trouble.connect(troubles.append)
    with_model(client)
    process().die(OUT_OF_MEMORY)
    restart(client, qtbot)
    process().finish_load()
    assert loaded(client) == str(A)
    process().die(OUT_OF_MEMORY)
    restart(client, qtbot)
    assert not client.is_loading
    assert process().asked(LoadModel) == []
    assert [(trouble.is_loading, trouble.is_given_up) for trouble in troubles] == [(False, False), (False, True)]
    assert troubles[0].death == OUT_OF_MEMORY


def test_another_choice_of_options_is_another_try(client: EngineClient, qtbot: QtBot) -> None:
    with_model(client)
    process().die(OUT_OF_MEMORY)
    restart(client, qtbot)
    client.load(A, LoadOptions(context=1024))
    process().finish_load()
    process().die(OUT_OF_MEMORY)
    restart(client, qtbot)
    assert process().asked(LoadModel)[-1].options == LoadOptions(context=1024)


def test_a_model_whose_gpu_fails_again_and_again_is_not_loaded_a_third_time(client: EngineClient, qtbot: QtBot) -> None:
    lost = EngineDeath(6, True, ("ggml_vulkan: vk::Queue::submit: ErrorDeviceLost",))
    with_model(client)
    process().die(lost)
    restart(client, qtbot)
    process().finish_load()
    process().die(lost)
    restart(client, qtbot)
    assert not client.is_loading


def test_a_refused_load_is_told_with_what_would_fit(client: EngineClient) -> None:
    troubles: list[ModelTrouble] = []
    client.trouble.connect(troubles.append)
    process().greet()
    client.load(A)
    offer = Offer(label="Use a context of 1,024 tokens", options=LoadOptions(context=1024))
    load = process().asked(LoadModel)[-1]
    process().say(Failed(id=load.id, kind="too_large", sentence="It is too large.", offers=(offer,)))
    assert [(t.kind, t.offers, t.is_loading, t.request.path) for t in troubles] == [
        ("too_large", (offer,), True, str(A))
    ]


def test_a_death_while_loading_is_told_with_what_the_process_said(client: EngineClient) -> None:
    troubles: list[ModelTrouble] = []
    client.trouble.connect(troubles.append)
    process().greet()
    client.load(A)
    process().die(OUT_OF_MEMORY)
    assert [(t.is_loading, t.death, t.request.path) for t in troubles] == [(True, OUT_OF_MEMORY, str(A))]
