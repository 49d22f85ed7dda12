"""Turns without a window: the `send` command, on the window's own services."""

import json
import signal
import sys
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from PySide6.QtCore import QCoreApplication, QTimer

from app.core.conversation import ConversationId
from app.core.errors import EmberError
from app.core.sampling import SamplerSettings
from app.core.turn import TurnFigures
from app.protocol.messages import ModelInfo
from app.services.chats import TurnOutcome, TurnRequest
from app.services.model_library import display_name, starter_model
from app.services.workspace import Workspace

SIGNAL_POLL_MS = 100
"""How often Python gets a chance to see Ctrl+C while Qt's loop runs."""


@dataclass(frozen=True, slots=True)
class SendOptions:
    """What the `send` command was asked for."""

    texts: tuple[str, ...]
    model: Path | None = None
    conversation: str | None = None
    system: str | None = None
    max_tokens: int | None = None
    sampler: SamplerSettings = field(default_factory=SamplerSettings)
    sampler_given: bool = False
    context: int | None = None
    use_kv: bool = True
    as_json: bool = False


def send(options: SendOptions, root: Path | None) -> int:
    """Send each text as one turn and print the replies; the exit status.

    Raises EmberError if the data folder or the conversation cannot be opened.
    """
    application = QCoreApplication.instance() or QCoreApplication(sys.argv[:1])
    workspace = Workspace(root)
    try:
        return _Sender(options, workspace, application).run()
    finally:
        workspace.close()


class _Sender:
    """Loads the model, asks the turns one after the other, prints, and ends the event loop."""

    def __init__(self, options: SendOptions, workspace: Workspace, application: QCoreApplication) -> None:
        self._options = options
        self._workspace = workspace
        self._application = application
        self._texts = deque(options.texts)
        self._status = 0
        self._model: ModelInfo | None = None
        self._conversation = self._open_conversation()

    def _open_conversation(self) -> ConversationId:
        store, options = self._workspace.store, self._options
        if options.conversation is None:
            conversation = self._workspace.chats.new_conversation(options.system or "").id
        else:
            conversation = store.resolve(options.conversation)
            if options.system is not None:
                store.set_system_prompt(conversation, options.system)
        if options.sampler_given:
            store.set_sampler(conversation, options.sampler)
        return conversation

    def run(self) -> int:
        path = self._options.model or starter_model()
        if path is None:
            raise EmberError("The starter model is not installed. Give a model with --model FILE.", "no_model")
        chats, engine = self._workspace.chats, self._workspace.engine
        engine.model_changed.connect(self._model_changed)
        engine.load_failed.connect(lambda _kind, sentence: self._fail(sentence))
        engine.died.connect(self._died)
        chats.turn_ended.connect(self._turn_ended)
        chats.refused.connect(lambda _request, _kind, sentence: self._fail(sentence))
        if not self._options.as_json:
            chats.text_added.connect(lambda _reply, piece: _write(piece))
        engine.start()
        engine.load(path.resolve(), self._options.context)
        previous = signal.signal(signal.SIGINT, self._interrupted)
        poll = QTimer()
        poll.start(SIGNAL_POLL_MS)  # lets Python run its signal handlers
        poll.timeout.connect(lambda: None)
        try:
            self._application.exec()
        finally:
            signal.signal(signal.SIGINT, previous)
        return self._status

    def _interrupted(self, _number: int, _frame: FrameType | None) -> None:
        self._texts.clear()
        if self._workspace.chats.running is not None:
            self._workspace.chats.stop()
        else:
            self._status = 1
            self._application.quit()

    def _fail(self, sentence: str) -> None:
        print(sentence, file=sys.stderr)
        self._status = 1
        self._application.quit()

    def _died(self, death: Any) -> None:
        if self._workspace.engine.state == "failed":
            self._fail(death.sentence)

    def _model_changed(self, model: ModelInfo | None) -> None:
        if model is not None and self._model is None:
            self._model = model
            self._workspace.store.set_model(self._conversation, model.path)
            for notice in model.notices:
                print(notice, file=sys.stderr)
            self._next()

    def _next(self) -> None:
        if not self._texts:
            self._application.quit()
            return
        try:
            self._workspace.chats.ask(
                TurnRequest(
                    self._conversation,
                    self._texts.popleft(),
                    max_tokens=self._options.max_tokens,
                    use_kv=self._options.use_kv,
                )
            )
        except EmberError as error:
            self._fail(error.sentence)

    def _turn_ended(self, outcome: TurnOutcome) -> None:
        if outcome.done is None:
            self._fail(outcome.failure.sentence if outcome.failure is not None else "The turn failed.")
            return
        for notice in outcome.done.notices:
            print(notice, file=sys.stderr)
        if self._options.as_json:
            _write(json.dumps(self._turn_line(outcome), ensure_ascii=False) + "\n")
        else:
            _write("\n")
        QTimer.singleShot(0, self._next)

    def _turn_line(self, outcome: TurnOutcome) -> dict[str, Any]:
        reply, figures = outcome.reply, outcome.reply.figures or TurnFigures()
        measured = asdict(figures)
        model = self._model
        return {
            "conversation": reply.conversation,
            "message": reply.id,
            "model": display_name(model.path, model.name) if model is not None else reply.model,
            "text": reply.text,
            "finish_reason": reply.finish_reason,
            "tokens": measured["tokens"],
            "seconds": {name: round(value, 6) for name, value in measured["seconds"].items()},
            "tokens_per_second": round(figures.tokens_per_second, 3),
            "kv": measured["kv"],
            "reread": measured["reread"],
        }


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
