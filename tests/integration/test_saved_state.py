"""Saved state with the real engine: what is read again after a restart, a switch, a branch, and what never is used."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.core.sampling import SamplerSettings
from app.core.turn import TokenCounts
from app.protocol.answers import CacheCleared, Done, Loaded, Prepared, Saved, SavedDropped, StoreOpened
from app.protocol.parts import ChatMessage
from app.protocol.requests import ClearCache, ClearSaved, DropSaved, Prepare
from tests.support.engine import Engine, Talk
from tests.support.tiny_models import CHATML, Kind, make

GREEDY = SamplerSettings(temperature=0.0)
TinyModel = Callable[[Kind], Path]
SYSTEM = "You are a careful assistant who answers in few words, and never says more than was asked for."
QUESTIONS = ("Name a colour that is neither red nor green, please.", "And another one?", "Why that one of all?")


GENERATION_PROMPT = 12
"""Tokens of `<|im_start|>assistant` and a new line in the tiny vocabulary, at most."""


@contextmanager
def engine_with(model: Path, store: Path, **options: object) -> Iterator[Engine]:
    """A new engine with a model and saved state, as after a start of Ember."""
    with Engine() as engine:
        opened = engine.open_store(store)
        assert isinstance(opened, StoreOpened), opened
        loaded = engine.load(model, **({"context": 1024, "threads": 1} | options))
        assert isinstance(loaded, Loaded), loaded
        yield engine


def talk_of_three(engine: Engine, name: str = "c", **options: object) -> Talk:
    talk = Talk(engine, system=SYSTEM, name=name)
    for question in QUESTIONS:
        talk.say(question, **({"max_tokens": 40, "sampler": GREEDY} | options))
    return talk


def after_restart(talk: Talk, engine: Engine) -> Talk:
    """The same conversation, as another engine gets it from the database."""
    return Talk(engine, talk.system, talk.name, list(talk.messages))


def saved(talk: Talk) -> Saved:
    assert talk.saved is not None
    return talk.saved


def tokens(done: Done) -> TokenCounts:
    return done.figures.tokens


@pytest.fixture(params=list(Kind), ids=[kind.value for kind in Kind])
def model(request: pytest.FixtureRequest, tiny_model: TinyModel) -> Path:
    """A tiny model of each kind of memory."""
    return tiny_model(request.param)


# --- what is read again -----------------------------------------------------------------------------------------------


def test_after_a_restart_only_the_new_words_are_read(model: Path, tmp_path: Path) -> None:
    with engine_with(model, tmp_path / "kv") as engine:
        talk = talk_of_three(engine)
        held = tokens(engine_last := talk.say("One more.", max_tokens=8, sampler=GREEDY)).prompt
        held += len(engine_last.token_ids) - 1
        unbroken = talk.say("And the last?", max_tokens=8, sampler=GREEDY)
    del talk.messages[-2:]
    with engine_with(model, tmp_path / "kv") as engine:
        done = after_restart(talk, engine).say("And the last?", max_tokens=8, sampler=GREEDY)
    assert tokens(done).reused_saved >= held
    assert tokens(done).reused_memory == 0
    assert tokens(done).evaluated == tokens(done).prompt - tokens(done).reused_saved <= tokens(unbroken).evaluated + 1
    assert done.figures.reread is None
    assert done.figures.seconds.restore > 0


def test_another_conversation_in_between_costs_no_reading(model: Path, tmp_path: Path) -> None:
    with engine_with(model, tmp_path / "kv") as engine:
        one, two = talk_of_three(engine, "one"), talk_of_three(engine, "two", sampler=SamplerSettings(seed=3))
        for talk in (one, two, one):
            before = sum(len(message.token_ids or ()) for message in talk.messages)
            done = talk.say("Go on.", max_tokens=4, sampler=GREEDY)
            assert done.figures.reread is None
            assert tokens(done).reused_saved > 0
            assert tokens(done).reused_saved + tokens(done).reused_memory > before


def test_a_regenerated_reply_reads_only_its_generation_prompt(model: Path, tmp_path: Path) -> None:
    """Also on memories that cannot go back: the place before the generation prompt is kept."""
    with engine_with(model, tmp_path / "kv") as engine:
        talk = talk_of_three(engine)
        talk.messages.pop()
        again = talk.reply(max_tokens=8, sampler=SamplerSettings(seed=7))
    assert tokens(again).evaluated <= GENERATION_PROMPT + 1
    talk.messages.pop()
    with engine_with(model, tmp_path / "kv") as engine:
        restarted = after_restart(talk, engine).reply(max_tokens=8, sampler=SamplerSettings(seed=8))
    assert tokens(restarted).evaluated <= GENERATION_PROMPT + 1


def test_an_edited_message_is_read_from_the_end_of_the_reply_before_it(model: Path, tmp_path: Path) -> None:
    with engine_with(model, tmp_path / "kv") as engine:
        talk = talk_of_three(engine)
        edited = Talk(engine, SYSTEM, "c", talk.messages[:2])
        done = edited.say("Something else instead?", max_tokens=8, sampler=GREEDY)
        kept = tokens(done).prompt - tokens(done).evaluated
        assert tokens(done).evaluated < 60  # the question, and what the template puts around it
        assert kept >= sum(len(message.token_ids or ()) for message in talk.messages[:2])


def test_a_conversation_that_was_opened_is_restored_before_anything_is_sent(model: Path, tmp_path: Path) -> None:
    with engine_with(model, tmp_path / "kv") as engine:
        talk = talk_of_three(engine)
    with engine_with(model, tmp_path / "kv") as engine:
        again = after_restart(talk, engine)
        opened = prepared(engine, again)
        assert opened.restored == opened.tokens > 0
        done = again.say("Go on.", max_tokens=4, sampler=GREEDY)
        assert tokens(done).reused_saved == opened.tokens
        assert done.figures.reread is None
        assert tokens(again.say("And on.", max_tokens=4)).reused_saved == 0  # counted once


def prepared(engine: Engine, talk: Talk) -> Prepared:
    answer = engine.ask(Prepare(id=engine.next_id(), conversation=talk.name, messages=talk.path))
    assert isinstance(answer, Prepared)
    return answer


def test_looking_at_a_chat_with_nothing_saved_costs_the_live_one_nothing(model: Path, tmp_path: Path) -> None:
    """Also where the live one is not saved either."""
    with engine_with(model, tmp_path / "kv") as engine:
        live = talk_of_three(engine, save=False)
        other = talk_of_three(engine, "other", save=False, sampler=SamplerSettings(seed=3))
        looked = prepared(engine, live)
        assert looked.restored == 0
        assert looked.tokens < tokens(other.say("Go on.", max_tokens=4, save=False)).reused_memory
        assert tokens(other.say("And on.", max_tokens=4, save=False)).evaluated < 30


def test_a_live_chat_that_is_opened_again_stays_as_it_is(model: Path, tmp_path: Path) -> None:
    with engine_with(model, tmp_path / "kv") as engine:
        talk = talk_of_three(engine)
        looked = prepared(engine, talk)
        assert looked.restored == 0 < looked.tokens
        done = talk.say("Go on.", max_tokens=4)
        assert tokens(done).reused_saved == 0
        assert tokens(done).reused_memory == looked.tokens


def test_a_chat_longer_than_the_context_is_opened_without_being_restored(tiny_model: TinyModel, tmp_path: Path) -> None:
    with engine_with(tiny_model(Kind.FULL), tmp_path / "kv", context=1024) as engine:
        talk = talk_of_three(engine)
    with engine_with(tiny_model(Kind.FULL), tmp_path / "kv", context=256) as engine:
        assert prepared(engine, after_restart(talk, engine)).restored == 0


@pytest.mark.parametrize("number", [0, -2])
def test_damage_met_while_a_chat_is_opened_is_said_with_its_next_turn(
    number: int, tiny_model: TinyModel, tmp_path: Path
) -> None:
    store = tmp_path / "kv"
    with engine_with(tiny_model(Kind.FULL), store) as engine:
        talk = talk_of_three(engine)
    flip_a_bit(chunk_files(store)[number])
    with engine_with(tiny_model(Kind.FULL), store) as engine:
        again = after_restart(talk, engine)
        assert (prepared(engine, again).restored > 0) == (number != 0)
        done = again.say("Go on.", max_tokens=4)
        assert done.figures.reread is not None
        assert "damaged" in done.figures.reread.reason


# --- what is written --------------------------------------------------------------------------------------------------


def test_a_turn_writes_only_what_is_new(tiny_model: TinyModel, tmp_path: Path) -> None:
    with engine_with(tiny_model(Kind.FULL), tmp_path / "kv", context=4096) as engine:
        talk, written, per_token = Talk(engine, system=SYSTEM), 0, 0
        for number in range(12):
            done = talk.say(f"Question {number}: " + "what about this? " * 6, max_tokens=40, sampler=GREEDY)
            written += saved(talk).bytes_written
            per_token = done.figures.kv.bytes_per_token
        held = tokens(done).prompt + len(done.token_ids)
    assert held * per_token < written < 1.35 * held * per_token  # headers weigh on 768 bytes a token


def test_a_shared_system_prompt_stands_on_the_disk_once(model: Path, tmp_path: Path) -> None:
    system = SYSTEM * 12
    with engine_with(model, tmp_path / "kv") as engine:
        sizes = []
        for number in range(3):
            talk = Talk(engine, system, f"c{number}")
            talk.say(f"Question {number} is short.", max_tokens=4, sampler=SamplerSettings(seed=number))
            sizes.append(saved(talk).bytes_written - saved(talk).checkpoint_bytes)
    assert max(sizes[1:]) < sizes[0] / 3


def test_a_conversation_of_a_few_words_is_not_saved(tiny_model: TinyModel, tmp_path: Path) -> None:
    with engine_with(tiny_model(Kind.FULL), tmp_path / "kv") as engine:
        talk = Talk(engine)
        talk.say("Hi", max_tokens=1)
        assert saved(talk) == Saved(id=saved(talk).id, conversation="c")


def test_nothing_is_written_or_used_where_saving_is_off(model: Path, tmp_path: Path) -> None:
    with engine_with(model, tmp_path / "kv") as engine:
        talk = talk_of_three(engine, save=False)
        assert saved(talk).bytes_written == 0
    assert not list((tmp_path / "kv").rglob("*.c*"))
    with engine_with(model, tmp_path / "kv") as engine:
        done = after_restart(talk, engine).say("Go on.", max_tokens=2)
        assert tokens(done).reused_saved == 0


def test_a_stopped_reply_is_saved_as_far_as_it_came(model: Path, tmp_path: Path) -> None:
    with engine_with(model, tmp_path / "kv") as engine:
        talk = talk_of_three(engine)
        stopped = talk.say("Tell me everything.", stop_after=5)
        assert stopped.finish_reason == "cancelled"
    with engine_with(model, tmp_path / "kv") as engine:
        done = after_restart(talk, engine).say("Go on.", max_tokens=2)
    assert done.figures.reread is None


# --- what is never used -----------------------------------------------------------------------------------------------


def chunk_files(store: Path) -> list[Path]:
    return sorted(store.rglob("*.chunk"), key=lambda path: path.stat().st_mtime_ns)


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 4
    path.write_bytes(data)


def test_a_damaged_chunk_is_set_aside_and_its_words_are_read_again(tiny_model: TinyModel, tmp_path: Path) -> None:
    store = tmp_path / "kv"
    with engine_with(tiny_model(Kind.FULL), store) as engine:
        talk = talk_of_three(engine)
    flip_a_bit(chunk_files(store)[-2])
    with engine_with(tiny_model(Kind.FULL), store) as engine:
        again = after_restart(talk, engine)
        done = again.say("Go on.", max_tokens=4, sampler=GREEDY)
        assert done.figures.reread is not None
        assert "damaged" in done.figures.reread.reason
        assert 0 < tokens(done).reused_saved == done.figures.reread.at_token
        assert again.say("And on.", max_tokens=4).figures.reread is None
    assert list((store / "quarantine").iterdir())


@pytest.mark.parametrize("other", [Kind.FULL, Kind.M_ROPE])
def test_another_model_never_gets_the_state(other: Kind, tiny_model: TinyModel, tmp_path: Path) -> None:
    """Also where it takes the place of the first under the same name."""
    file, store = tmp_path / "model.gguf", tmp_path / "kv"
    shutil.copy(tiny_model(Kind.FULL), file)
    with engine_with(file, store) as engine:
        talk = talk_of_three(engine)
    data = bytearray(tiny_model(other).read_bytes())
    data[-1] ^= 1  # one bit of a weight
    file.write_bytes(data)
    with engine_with(file, store) as engine:
        assert tokens(after_restart(talk, engine).say("Go on.", max_tokens=2)).reused_saved == 0


def test_another_kind_of_attention_never_gets_the_state(tiny_model: TinyModel, tmp_path: Path) -> None:
    """Flash attention keeps the values in another layout."""
    with engine_with(tiny_model(Kind.FULL), tmp_path / "kv", flash_attention="off") as engine:
        talk = talk_of_three(engine)
    with engine_with(tiny_model(Kind.FULL), tmp_path / "kv", flash_attention="on") as engine:
        assert tokens(after_restart(talk, engine).say("Go on.", max_tokens=2)).reused_saved == 0


def test_another_size_of_context_keeps_the_state(model: Path, tmp_path: Path) -> None:
    with engine_with(model, tmp_path / "kv", context=1024) as engine:
        talk = talk_of_three(engine)
    with engine_with(model, tmp_path / "kv", context=2048) as engine:
        done = after_restart(talk, engine).say("Go on.", max_tokens=2)
        assert tokens(done).reused_saved > 0
        assert done.figures.reread is None


# --- around a turn ----------------------------------------------------------------------------------------------------


def test_after_a_cleared_cache_the_next_turn_is_restored(model: Path, tmp_path: Path) -> None:
    with engine_with(model, tmp_path / "kv") as engine:
        talk = talk_of_three(engine)
        assert isinstance(engine.ask(ClearCache(id=engine.next_id())), CacheCleared)
        done = talk.say("Go on.", max_tokens=4)
        assert done.figures.reread is None
        assert tokens(done).reused_saved > 0


def test_what_waits_to_be_written_is_written_also_after_the_model_was_switched(
    tiny_model: TinyModel, tmp_path: Path
) -> None:
    with engine_with(tiny_model(Kind.HYBRID), tmp_path / "kv") as engine:
        talk = Talk(engine, SYSTEM)
        messages = (*talk.path, ChatMessage(id="q", role="user", text=QUESTIONS[0]))
        done = engine.generate(messages, max_tokens=5, sampler=GREEDY)
        assert isinstance(done, Done)
        assert isinstance(engine.load(tiny_model(Kind.FULL), context=1024), Loaded)
        assert isinstance(engine.load(tiny_model(Kind.HYBRID), context=1024), Loaded)
        again = engine.generate(messages, max_tokens=5, sampler=GREEDY)
        assert isinstance(again, Done)
        assert tokens(again).evaluated <= GENERATION_PROMPT + 1


def test_state_that_is_cleared_while_its_chat_is_live_is_saved_anew(model: Path, tmp_path: Path) -> None:
    with engine_with(model, tmp_path / "kv") as engine:
        talk = talk_of_three(engine)
        dropped = engine.ask(ClearSaved(id=engine.next_id(), roots=None))
        assert isinstance(dropped, SavedDropped)
        assert dropped.freed_bytes > 0
        talk.say("Go on.", max_tokens=4, sampler=GREEDY)
    with engine_with(model, tmp_path / "kv") as engine:
        done = after_restart(talk, engine).say("And on.", max_tokens=4)
        assert tokens(done).evaluated < 40


def test_what_a_turn_saved_stays_though_something_else_ran_before_its_end_was_heard_of(
    tiny_model: TinyModel, tmp_path: Path
) -> None:
    """The window orders a removal, naming the tips that it knows, while a turn ends and the cache is cleared."""
    with engine_with(tiny_model(Kind.WINDOW), tmp_path / "kv") as engine:
        talk = Talk(engine, system=SYSTEM)
        talk.say(QUESTIONS[0], max_tokens=40, sampler=GREEDY)
        assert isinstance(engine.ask(ClearCache(id=engine.next_id())), CacheCleared)
        assert isinstance(engine.ask(DropSaved(id=engine.next_id(), tips=(b"t" * 32,))), SavedDropped)
        assert tokens(talk.say(QUESTIONS[1], max_tokens=4, sampler=GREEDY)).reused_saved > 32


def test_a_stop_while_state_is_restored_costs_nothing_later(model: Path, tmp_path: Path) -> None:
    with engine_with(model, tmp_path / "kv") as engine:
        talk = talk_of_three(engine)
    with engine_with(model, tmp_path / "kv") as engine:
        again = after_restart(talk, engine)
        kept = list(again.messages)
        again.say("Go on.", stop_after=0)
        again.messages = kept
        done = again.say("Go on.", max_tokens=4)
        assert done.figures.reread is None
        assert tokens(done).evaluated < 40


def test_a_template_that_strips_reasoning_reads_only_the_answer_and_the_new_words(tmp_path: Path) -> None:
    """On every kind of memory, also ones that cannot go back."""
    strips = CHATML.replace("message['content'] +", "message['content'].split('</think>')[-1] +")
    for kind in Kind:
        model = make(kind, tmp_path / f"{kind.value}.gguf", chat_template=strips)
        with engine_with(model, tmp_path / kind.value) as engine:
            talk = talk_of_three(engine)
            reply = talk.messages[-1]
            thought = "<think>" + "It could be so. " * 12 + "</think>" + "So it is."
            talk.messages[-1] = ChatMessage(id=reply.id, role="assistant", text=thought)
            first = talk.say("Why?", max_tokens=4, sampler=GREEDY)
            assert tokens(first).evaluated < 60, kind
