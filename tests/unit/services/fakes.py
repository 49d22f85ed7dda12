"""Stand-ins for the engine: its process as EngineClient sees it, and its client as Chats sees it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PySide6.QtCore import QObject, Signal

from app.core.turn import FinishReason, TokenCounts, TurnFigures
from app.protocol.answers import Done, Failed, Hello, Loaded, Text
from app.protocol.messages import PROTOCOL_VERSION, Answer, Request
from app.protocol.parts import Device, ModelInfo
from app.protocol.requests import Generate, LoadModel
from app.services import engine_client, engine_deaths, estimator
from app.services.engine_client import OnAnswer
from app.services.engine_process import EngineDeath

KILLED = EngineDeath(9, True, ())
"""As when memory ran out."""
CRASHED = EngineDeath(11, True, ())


def model_info(path: str = "/models/a.gguf", **fields: Any) -> ModelInfo:
    """What an engine tells of a loaded model."""
    info: dict[str, Any] = {
        "path": path,
        "name": Path(path).stem,
        "architecture": "llama",
        "description": "llama 1B Q4_0",
        "parameters": 10**9,
        "file_bytes": 10**9,
        "tokenizer_key": f"tokenizer of {path}",
        "context_trained": 4096,
        "context": 4096,
        "kv_bytes_per_token": 1024,
        "memory_mode": "full",
        "gpu_layers": 0,
        "layers": 8,
    }
    return ModelInfo(**(info | fields))


class FakeProcess(QObject):
    """An engine process that says what the test tells it to; the newest is `FakeProcess.last`."""

    answered = Signal(object)
    ended = Signal(object)
    made: ClassVar[list["FakeProcess"]] = []

    def __init__(self, _log_folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.sent: list[Request] = []
        self.pid = 4000 + len(self.made)
        self.made.append(self)

    def start(self) -> None:
        """Nothing runs."""

    def send(self, request: Request) -> None:
        self.sent.append(request)

    def close(self, _wait_ms: int = 0) -> None:
        """It ends at once."""

    def greet(self, protocol: int = PROTOCOL_VERSION, devices: tuple[Device, ...] = ()) -> None:
        """The handshake."""
        self.answered.emit(
            Hello(
                protocol=protocol,
                app_version="0",
                llama_version="0",
                llama_commit="0",
                backends=("CPU",),
                devices=devices,
                pid=self.pid,
            )
        )

    def say(self, answer: Answer) -> None:
        self.answered.emit(answer)

    def die(self, death: EngineDeath = CRASHED) -> None:
        self.ended.emit(death)

    def asked(self, kind: type[Any]) -> list[Any]:
        """The requests of a kind that came."""
        return [request for request in self.sent if isinstance(request, kind)]

    def finish_load(self, **fields: Any) -> None:
        """The model that was asked for last is there."""
        load: LoadModel = self.asked(LoadModel)[-1]
        self.say(Loaded(id=load.id, model=model_info(load.path, **fields), seconds=0.1))


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FakeProcess]]:
    """Every engine that is started is a fake, and is restarted at once; those of this test, the newest last."""
    monkeypatch.setattr(engine_client, "EngineProcess", FakeProcess)
    monkeypatch.setattr(engine_deaths, "RESTART_DELAYS_MS", (0, 0, 0, 0))
    monkeypatch.setattr(estimator, "EngineProcess", FakeProcess)
    FakeProcess.made.clear()
    yield FakeProcess.made
    FakeProcess.made.clear()


class FakeClient(QObject):
    """An engine's client with a model, which answers as the test tells it to."""

    model_changed = Signal(object)
    load_failed = Signal(str, str)
    state_changed = Signal(str)
    statistics = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.model: ModelInfo | None = model_info()
        self.is_loading = False
        self.turns: list[Generate] = []
        self.cancelled: list[int] = []
        self._on_answer: OnAnswer | None = None
        self._last_id = 0

    def new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def send(self, request: Request, on_answer: OnAnswer) -> None:
        assert isinstance(request, Generate)
        self.turns.append(request)
        self._on_answer = on_answer

    def cancel(self, request: int) -> None:
        self.cancelled.append(request)

    def set_model(self, model: ModelInfo | None, *, is_loading: bool = False) -> None:
        self.model, self.is_loading = model, is_loading
        self.model_changed.emit(model)

    def say(self, text: str, *ids: int) -> None:
        """The next piece of the reply."""
        self._answer(Text(id=self.turns[-1].id, text=text, token_ids=ids))

    def finish(self, text: str, *ids: int, reason: FinishReason = "stop", **fields: Any) -> None:
        """The end of the reply."""
        done = Done(
            id=self.turns[-1].id,
            conversation=self.turns[-1].conversation,
            text=text,
            token_ids=ids,
            prompt_ids={m.id: (1, 2) for m in self.turns[-1].messages if m.token_ids is None},
            finish_reason=reason,
            figures=replace(TurnFigures(), tokens=TokenCounts(generated=len(ids))),
            **fields,
        )
        self._answer(done)

    def fail(self, kind: str = "engine_died", sentence: str = "The engine ended.") -> None:
        """The turn cannot be carried out."""
        self._answer(Failed(id=self.turns[-1].id, kind=kind, sentence=sentence))

    def _answer(self, answer: Any) -> None:
        assert self._on_answer is not None
        self._on_answer(answer)
