"""Engines at random work on one folder of saved state, killed at random moments; nothing wrong may ever be used.

After each start every file has to be sound. In each turn the tokens have to add up, and now and then the same prompt is
read without saved state: the next token has to be the same. Rounding differs where tokens are read in other batches
(KV_STATE), so of those comparisons a few may differ, and saved state of other tokens would make nearly all differ.
"""

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from app.core.sampling import SamplerSettings
from app.protocol.answers import Done, Loaded, SavedUsage, SavedVerified, StoreOpened
from app.protocol.parts import ChatMessage
from app.protocol.requests import ClearCache, ClearSaved, DropSaved, GetSavedUsage, Prepare, VerifySaved
from tests.support.engine import Engine, EngineEnded, Talk
from tests.support.tiny_models import Kind, make

GREEDY: Final = SamplerSettings(temperature=0.0)
WILD: Final = SamplerSettings(temperature=1.0)
SYSTEMS: Final = ("", "Be brief, and be kind. " * 6, "You know all the words of the sea, and of the wind. " * 12)
TALKS: Final = 6
LONGEST_TALK: Final = 1_000
"""Tokens; a longer one goes on from an earlier message."""
MANY: Final = 10_000
"""More deeds than an engine lives to do that is going to be killed."""
BUDGETS: Final = (None, 3_000_000, 600_000)
CONTEXT: Final = 2048
MAY_DIFFER: Final = 0.1
"""The part of the comparisons that may differ by rounding."""


@dataclass
class Tally:
    """What happened so far."""

    starts: int = 0
    kills: int = 0
    turns: int = 0
    reused: int = 0
    evaluated: int = 0
    compared: int = 0
    differed: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.starts} starts, {self.kills} kills, {self.turns} turns, {self.reused:,} tokens restored, "
            f"{self.evaluated:,} read, {self.differed} of {self.compared} comparisons differed, "
            f"{len(self.faults)} faults"
        )


class Place:
    """One model's folder, and the conversations that are had with it over many engines."""

    def __init__(self, kind: Kind, folder: Path, dice: random.Random, tally: Tally) -> None:
        """Make the model in `folder`."""
        folder.mkdir()
        self.kind, self.dice, self.tally = kind, dice, tally
        self._model, self._store = make(kind, folder / "model.gguf"), folder / "kv"
        self._talks = {f"talk {number}": (dice.choice(SYSTEMS), list[ChatMessage]()) for number in range(TALKS)}
        self._tips: dict[str, set[bytes]] = {name: set() for name in self._talks}
        self._opened = dice.choice(BUDGETS)

    def round(self) -> None:
        """One engine's life."""
        self.tally.starts += 1
        with Engine() as engine:
            dies = self.dice.random() < 0.7
            killer = threading.Timer(self.dice.uniform(0.1, 6.0), engine.process.kill)
            try:
                if dies:
                    killer.start()
                self._open(engine)
                for _ in range(MANY if dies else self.dice.randrange(2, 12)):
                    self._do_something(engine)
            except (EngineEnded, BrokenPipeError):
                if not dies:
                    self._fault("the engine ended by itself")
                self.tally.kills += 1
            finally:
                killer.cancel()

    def _fault(self, what: str) -> None:
        self.tally.faults.append(f"{self.kind.value}: {what}")

    def _open(self, engine: Engine) -> None:
        if self.dice.random() < 0.2:
            self._opened = self.dice.choice(BUDGETS)
        opened = engine.open_store(self._store, self._opened)
        if not isinstance(opened, StoreOpened):
            self._fault(f"the store does not open: {opened}")
        check = VerifySaved(id=engine.next_id())
        engine.send(check)
        found = next(answer for answer in engine.answers(check.id) if isinstance(answer, SavedVerified))
        if found.damaged or not found.finished:
            self._fault(f"{found.damaged} damaged files of {found.chunks}")
        loaded = engine.load(self._model, context=CONTEXT, threads=1)
        if not isinstance(loaded, Loaded):
            self._fault(f"the model does not load: {loaded}")

    def _do_something(self, engine: Engine) -> None:
        deeds = (self._say, self._say, self._say, self._again, self._edit, self._stop, self._prepare, self._compare)
        self.dice.choice((*deeds, self._drop, self._clear, self._budget))(engine)

    def _talk(self, engine: Engine) -> Talk:
        name = self.dice.choice(list(self._talks))
        system, messages = self._talks[name]
        return Talk(engine, system, name, list(messages))

    def _finish(self, talk: Talk, done: Done) -> None:
        """Keep a turn's words and its tip, and see that its figures add up."""
        self._talks[talk.name] = (talk.system, talk.messages)
        if talk.saved is not None and talk.saved.tip is not None:
            self._tips[talk.name].add(talk.saved.tip)
        if talk.saved is not None and talk.saved.trouble and self._opened is None:
            self._fault(f"not saved: {talk.saved.trouble}")
        counts = done.figures.tokens
        if counts.prompt > LONGEST_TALK:
            del talk.messages[self.dice.randrange(2, len(talk.messages)) // 2 * 2 :]
        self.tally.turns += 1
        self.tally.reused += counts.reused_saved
        self.tally.evaluated += counts.evaluated
        had = counts.reused_memory + counts.reused_saved + counts.evaluated
        if had > counts.prompt or (done.finish_reason != "cancelled" and (had < counts.prompt or not counts.evaluated)):
            self._fault(f"the figures do not add up: {counts}")

    def _words(self) -> str:
        return " ".join(self.dice.choice(("sea", "wind", "stone", "why", "and", "road")) for _ in range(self._length()))

    def _length(self) -> int:
        return self.dice.choice((1, 5, 20, 80))

    def _say(self, engine: Engine) -> None:
        talk = self._talk(engine)
        self._finish(talk, talk.say(self._words(), max_tokens=self._length(), sampler=WILD))

    def _again(self, engine: Engine) -> None:
        """Another reply to the last message."""
        talk = self._talk(engine)
        while talk.messages and talk.messages[-1].role == "assistant":
            talk.messages.pop()
        if talk.messages:
            self._finish(talk, talk.reply(max_tokens=self._length(), sampler=WILD))

    def _edit(self, engine: Engine) -> None:
        """Another version of an earlier message."""
        talk = self._talk(engine)
        if talk.messages:
            del talk.messages[self.dice.randrange(len(talk.messages)) // 2 * 2 :]
        self._finish(talk, talk.say(self._words(), max_tokens=self._length(), sampler=WILD))

    def _stop(self, engine: Engine) -> None:
        """A turn that is stopped while it is read or written."""
        talk = self._talk(engine)
        stop_after = self.dice.choice((0, 1, 8))
        self._finish(talk, talk.say(self._words() + " " + self._words(), stop_after=stop_after, max_tokens=60))

    def _prepare(self, engine: Engine) -> None:
        talk = self._talk(engine)
        engine.ask(Prepare(id=engine.next_id(), conversation=talk.name, messages=talk.path))

    def _compare(self, engine: Engine) -> None:
        """The next token with what is saved, and with everything read again."""
        talk = self._talk(engine)
        talk.messages.append(ChatMessage(id="compared", role="user", text=self._words()))
        one = engine.generate(talk.path, conversation=talk.name, max_tokens=1, sampler=GREEDY)
        two = engine.generate(talk.path, conversation=talk.name, max_tokens=1, sampler=GREEDY, use_kv=False)
        assert isinstance(one, Done) and isinstance(two, Done), (one, two)
        self.tally.compared += 1
        self.tally.differed += one.token_ids != two.token_ids

    def _drop(self, engine: Engine) -> None:
        """A conversation is deleted, and begun anew."""
        talk = self._talk(engine)
        gone = self._tips[talk.name]
        kept = {tip for name, tips in self._tips.items() if name != talk.name for tip in tips}
        engine.ask(DropSaved(id=engine.next_id(), tips=tuple(gone - kept), keep=tuple(kept)))
        self._tips[talk.name] = set()
        self._talks[talk.name] = (self.dice.choice(SYSTEMS), [])

    def _clear(self, engine: Engine) -> None:
        if self.dice.random() < 0.8:
            engine.ask(ClearCache(id=engine.next_id()))
        else:
            engine.ask(ClearSaved(id=engine.next_id()))

    def _budget(self, engine: Engine) -> None:
        """Another budget; what is saved keeps to it, but for what the conversation in memory needs."""
        self._opened = self.dice.choice(BUDGETS)
        engine.open_store(self._store, self._opened)
        usage = engine.ask(GetSavedUsage(id=engine.next_id(), groups=tuple(map(tuple, self._tips.values()))))
        if not isinstance(usage, SavedUsage):
            self._fault(f"no account of what is saved: {usage}")
        elif sum(group.own for group in usage.groups) > usage.bytes:
            self._fault(f"conversations have more than there is: {usage}")


def places(folder: Path, dice: random.Random, tally: Tally) -> Iterator[Place]:
    """One for each kind of memory."""
    for kind in Kind:
        yield Place(kind, folder / kind.value, dice, tally)
