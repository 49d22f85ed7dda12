"""A real engine process, spoken to over its own protocol, for integration tests and the bench."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.core.load_options import LoadOptions
from app.protocol.answers import Done, Failed, Hello, Loaded, LoadProgress, OldModelFreed, Saved, Text
from app.protocol.framing import FrameReader, frame
from app.protocol.messages import Answer, Request, decode_answer, encode
from app.protocol.parts import ChatMessage
from app.protocol.requests import Cancel, Generate, LoadModel, OpenStore

ROOT = Path(__file__).resolve().parents[2]


class EngineEnded(Exception):
    """The process ended; its exit status is the message."""


class Engine:
    """One engine process; a context manager that ends it."""

    def __init__(self, log_folder: Path | None = None) -> None:
        command = [sys.executable, "-m", "app", "engine"]
        if log_folder is not None:
            command += ["--log-dir", str(log_folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        self._frames = FrameReader()
        self._waiting: list[Answer] = []
        self._last_id = 0
        hello = self.answer()
        assert isinstance(hello, Hello)
        self.hello = hello

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> int:
        """End it by closing its stdin; its exit status."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        status = self.process.wait(timeout=30)
        self.process.stdout.close()
        return status

    def next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def send(self, request: Request) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(frame(encode(request)))
        self.process.stdin.flush()

    def answer(self) -> Answer:
        """The next answer; raises EngineEnded."""
        assert self.process.stdout is not None
        while not self._waiting:
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise EngineEnded(self.process.wait())
            self._waiting += [decode_answer(payload) for payload in self._frames.feed(data)]
        return self._waiting.pop(0)

    def answers(self, request: int) -> Iterator[Answer]:
        """The answers to one request, without end; other requests' answers are dropped."""
        while True:
            answer = self.answer()
            if getattr(answer, "id", None) == request:
                yield answer

    def ask(self, request: Request) -> Answer:
        """Send a request and wait for its first answer."""
        self.send(request)
        return next(self.answers(request.id))

    def load(self, path: Path, **options: Any) -> Loaded | Failed:
        """Load a model and wait until it is there or refused."""
        request = LoadModel(id=self.next_id(), path=str(path), options=LoadOptions(**options))
        self.send(request)
        for answer in self.answers(request.id):
            if not isinstance(answer, LoadProgress | OldModelFreed):
                assert isinstance(answer, Loaded | Failed)
                return answer
        raise AssertionError("unreachable")

    def open_store(self, folder: Path, budget: int | None = None) -> Answer:
        """Open the saved state in a folder."""
        return self.ask(OpenStore(id=self.next_id(), folder=str(folder), budget=budget))

    def saved(self, done: Done) -> Saved:
        """What became of a turn's state, once it is written; to be asked right after the turn."""
        answer = next(self.answers(done.id))
        assert isinstance(answer, Saved)
        return answer

    def generate(self, messages: Sequence[ChatMessage], stop_after: int | None = None, **options: Any) -> Done | Failed:
        """Run a turn to its end; `stop_after` cancels it at that many generated tokens (0: at its first answer)."""
        request = Generate(
            id=self.next_id(),
            conversation=options.pop("conversation", "c"),
            messages=tuple(messages),
            **options,
        )
        self.send(request)
        seen = 0
        for answer in self.answers(request.id):
            if isinstance(answer, Done | Failed):
                return answer
            seen += len(answer.token_ids) if isinstance(answer, Text) else 0
            if stop_after is not None and seen >= stop_after:
                self.send(Cancel(id=self.next_id(), request=request.id))
                stop_after = None
        raise AssertionError("unreachable")


@dataclass
class Talk:
    """A conversation with an engine that keeps exact ids, as the window does."""

    engine: Engine
    system: str = ""
    name: str = "c"
    messages: list[ChatMessage] = field(default_factory=list)
    saved: Saved | None = None
    """What became of the latest turn's state."""

    def say(self, text: str, **options: Any) -> Done:
        """One turn; its reply becomes part of the conversation."""
        self.messages.append(ChatMessage(id=f"m{len(self.messages)}", role="user", text=text))
        return self.reply(**options)

    @property
    def path(self) -> tuple[ChatMessage, ...]:
        """The conversation as the engine gets it."""
        system = [ChatMessage(id="system", role="system", text=self.system)] if self.system else []
        return (*system, *self.messages)

    def reply(self, **options: Any) -> Done:
        """Answer the conversation as it stands."""
        done = self.engine.generate(self.path, conversation=self.name, **options)
        assert isinstance(done, Done), done
        self.saved = self.engine.saved(done)
        self.messages = [
            ChatMessage(id=m.id, role=m.role, text=m.text, token_ids=m.token_ids or done.prompt_ids.get(m.id))
            for m in self.messages
        ]
        if done.text:
            number = len(self.messages)
            self.messages.append(
                ChatMessage(id=f"m{number}", role="assistant", text=done.text, token_ids=done.token_ids)
            )
        return done
