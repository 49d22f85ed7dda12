"""Saved state: tokens evaluated after a restart, a switch, a regenerate, an edit and a branch; bytes written."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from app.core.sampling import SamplerSettings
from app.protocol.answers import Done, Loaded, StoreOpened
from app.protocol.parts import ChatMessage
from tests.bench.figure import Bar, Figure
from tests.bench.models import GEMMA_NAME, STARTER_NAME, gemma, starter, tiny
from tests.bench.prose import question, text_of
from tests.bench.short_turn import count_tokens
from tests.support.engine import Engine, Talk
from tests.support.tiny_models import Kind

CONTEXT = 4096
SYSTEM = "You are a careful assistant. Answer in few words, and say when you do not know."
TURNS = 3
SWITCHED = 10
REPLY_TOKENS = 24
LONG_TURNS = 20
SHARED_CHARACTERS = 4600
"""A system prompt of about 1,000 tokens of the starter model."""
ASKING = "<|im_start|>assistant\n"
"""The generation prompt of the starter model's template, of the tiny models', and of the common one."""
ASKING_TOKENS = 3
"""Its tokens where the vocabulary has the control token; Gemma's has not."""
AT_MOST_ALLOWED = Bar("at most", 1)


@contextmanager
def engine_with(model: Path, folder: Path) -> Iterator[Engine]:
    """A new engine with a model, and with the saved state that lies in `folder`."""
    with Engine() as engine:
        opened = engine.open_store(folder / "kv")
        assert isinstance(opened, StoreOpened), opened
        loaded = engine.load(model, context=CONTEXT)
        assert isinstance(loaded, Loaded), loaded
        yield engine


@dataclass
class Told:
    """A conversation that was had, and where its turns' prompts and replies end in its tokens."""

    name: str
    messages: list[ChatMessage] = field(default_factory=list)
    prompts: list[int] = field(default_factory=list)
    replies: list[int] = field(default_factory=list)

    def again(self, engine: Engine, messages: int | None = None) -> Talk:
        """The same conversation for another engine, or the beginning of it."""
        return Talk(engine, SYSTEM, self.name, self.messages[:messages])


def measure() -> Iterator[Figure]:
    """The starter model and a tiny model of each kind; then what is written, on the starter model."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        yield from _evaluated(starter(), STARTER_NAME, folder / "starter")
        if (path := gemma(folder)) is not None:
            yield from _evaluated(path, GEMMA_NAME, folder / "gemma", has_control_tokens=False)
        for kind in Kind:
            name = f"tiny model, {kind.value.replace('_', ' ')}"
            yield from _evaluated(tiny(kind, folder), name, folder / kind.value)
        yield from _bytes_of_a_conversation(starter(), STARTER_NAME, folder / "long")
        for kind in (Kind.WINDOW, Kind.HYBRID):
            yield from _bytes_of_a_conversation(
                tiny(kind, folder), f"tiny model, {kind.value}", folder / f"long {kind.value}"
            )
        yield _bytes_of_a_shared_prompt(folder / "shared")


def _evaluated(model: Path, name: str, folder: Path, *, has_control_tokens: bool = True) -> Iterator[Figure]:
    """Evaluated tokens against the prompt beyond the last kept boundary before the first difference, + 1."""
    folder.mkdir()
    with engine_with(model, folder) as engine:
        told = _talk(engine, "one", TURNS, 1)
        others = [_talk(engine, f"other {number}", 1, number) for number in range(2, SWITCHED + 1)]
        two = _talk(engine, "two", 2, 40)
        asking = ASKING_TOKENS if has_control_tokens else count_tokens(engine, ASKING)
    with engine_with(model, folder) as engine:
        done = two.again(engine, 2).say(question(92), max_tokens=2, sampler=_sampler(92))
        yield _figure(f"{name}: a branch from the first of two replies", [(done, two.replies[0])])
        done = told.again(engine, -1).reply(max_tokens=2, sampler=_sampler(90))
        yield _figure(f"{name}: a regenerate", [(done, told.prompts[-1] - asking)])
        done = told.again(engine, -2).say(question(91), max_tokens=2, sampler=_sampler(91))
        yield _figure(f"{name}: the second-last message edited", [(done, told.replies[-2])])
        done = told.again(engine).say(question(70), max_tokens=2, sampler=_sampler(70))
        yield _figure(f"{name}: after a restart", [(done, told.replies[-1])])
        switches = [
            (other.again(engine).say(question(80), max_tokens=2, sampler=_sampler(80)), other.replies[-1])
            for other in [*others, told]
        ]
        yield _figure(f"{name}: switching among {SWITCHED} (the worst)", switches)


def _sampler(seed: int) -> SamplerSettings:
    return SamplerSettings(temperature=0.8, seed=seed)


def _talk(engine: Engine, name: str, turns: int, seed: int) -> Told:
    talk, told = Talk(engine, SYSTEM, name), Told(name)
    for number in range(turns):
        done = talk.say(question(seed * 10 + number), max_tokens=REPLY_TOKENS, sampler=_sampler(seed + number))
        not_decoded = 1 if done.finish_reason == "length" else 0
        told.prompts.append(done.figures.tokens.prompt)
        told.replies.append(done.figures.tokens.prompt + len(done.token_ids) - not_decoded)
    told.messages = list(talk.messages)
    return told


def _figure(what: str, turns: Sequence[tuple[Done, int]]) -> Figure:
    """The turn that evaluated most beside what it was allowed."""
    counted = [(done.figures.tokens.evaluated, done.figures.tokens.prompt - kept + 1) for done, kept in turns]
    evaluated, allowed = max(counted, key=lambda turn: turn[0] / turn[1])
    runs = tuple(float(turn[0]) for turn in counted) if len(counted) > 1 else ()
    return Figure(what, evaluated, "tokens", allowed, "beyond the boundary + 1", AT_MOST_ALLOWED, runs)


def _bytes_of_a_conversation(model: Path, name: str, folder: Path) -> Iterator[Figure]:
    """What a conversation of many turns writes, against its keys and values; a hybrid's checkpoints apart."""
    folder.mkdir()
    with engine_with(model, folder) as engine:
        talk, rows, checkpoints = Talk(engine, SYSTEM, "long"), 0, 0
        for number in range(LONG_TURNS):
            done = talk.say(question(number), max_tokens=REPLY_TOKENS, sampler=_sampler(number))
            assert talk.saved is not None
            rows += talk.saved.bytes_written - talk.saved.checkpoint_bytes
            checkpoints += talk.saved.checkpoint_bytes
    tokens = done.figures.tokens.prompt + len(done.token_ids) - (done.finish_reason == "length")
    kv = tokens * done.figures.kv.bytes_per_token
    what = f"{name}: written over {LONG_TURNS} turns, {tokens:,} tokens"
    yield Figure(what, rows / 2**20, "MiB", kv / 2**20, "its KV", Bar("at most", 1.1))
    if checkpoints:
        yield Figure("  its checkpoints, counted apart", checkpoints / 2**20, "MiB", kv / 2**20, "its KV")


def _bytes_of_a_shared_prompt(folder: Path) -> Figure:
    """What ten conversations with one system prompt write, against that prompt once and what each has of its own."""
    folder.mkdir()
    system = text_of(SHARED_CHARACTERS)
    with engine_with(starter(), folder) as engine:
        written, own, shared, per_token = 0, 0, 0, 0
        for number in range(SWITCHED):
            talk = Talk(engine, system, f"c{number}")
            done = talk.say(question(number), max_tokens=4, sampler=_sampler(number))
            counts, per_token = done.figures.tokens, done.figures.kv.bytes_per_token
            assert talk.saved is not None
            written += talk.saved.bytes_written
            tokens = counts.prompt + len(done.token_ids) - (done.finish_reason == "length")
            shared = shared or tokens - (counts.prompt - len(done.prompt_ids["system"]))
            own += tokens - shared
    name = f"{STARTER_NAME}: {SWITCHED} conversations, one system prompt of {shared:,} tokens"
    once = (shared + own) * per_token
    return Figure(name, written / 2**20, "MiB", once / 2**20, "it once", Bar("at most", 1.1))
