"""The engine as the window sees it: requests with answers, a loaded model, and restarts when it dies."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
from PySide6.QtCore import QObject, QTimer, Signal

from app.core.load_options import LoadOptions
from app.protocol.answers import (
    CalibrationProgress,
    Done,
    Failed,
    Hello,
    Loaded,
    LoadProgress,
    OldModelFreed,
    PromptProgress,
    Statistics,
    Text,
    TransferProgress,
    Unloaded,
    VerifyProgress,
)
from app.protocol.framing import FramingError
from app.protocol.messages import PROTOCOL_VERSION, Answer, Request, Response
from app.protocol.parts import MemoryPlan, ModelInfo, Offer
from app.protocol.requests import Cancel, GetStatistics, LoadModel, Unload
from app.services.engine_deaths import Deaths
from app.services.engine_process import EngineDeath, EngineProcess

logger = logging.getLogger(__name__)

EngineState = Literal["stopped", "starting", "ready", "restarting", "failed"]
OnAnswer = Callable[[Response], None]

STATISTICS_INTERVAL_MS = 1000
ABOUT_NO_FILE = ("cancelled", "engine_died", "bad_name", "bad_number")
"""Kinds of failures of a load that do not lie in what the file contains."""
NOT_THE_LAST = (
    *(LoadProgress, OldModelFreed, CalibrationProgress, PromptProgress, Text, Done, VerifyProgress),
    TransferProgress,
)
"""Answers after which another follows."""


@dataclass(frozen=True, slots=True)
class ModelTrouble:
    """What a model came to grief with: while it was loaded, or later, when the engine died of it or had to refuse."""

    request: LoadModel
    """What it was asked for with."""
    kind: str
    sentence: str
    is_loading: bool
    offers: tuple[Offer, ...] = ()
    death: EngineDeath | None = None
    is_given_up: bool = False
    """The engine died of it twice within a minute: it is not loaded again by itself."""


class EngineClient(QObject):
    """Keeps an engine running and a model loaded in it."""

    state_changed = Signal(str)
    model_changed = Signal(object)
    """ModelInfo, or None."""
    load_progress = Signal(float)
    load_failed = Signal(str, str)
    """(kind, sentence)"""
    trouble = Signal(object)
    """ModelTrouble: after load_failed or died, where a model was being loaded or was there."""
    died = Signal(object)
    """EngineDeath; a restart follows unless the state becomes `failed`."""
    statistics = Signal(object)
    """Statistics, while they are watched."""

    def __init__(self, log_folder: Path, parent: QObject | None = None) -> None:
        """Prepare; `start` runs the engine."""
        super().__init__(parent)
        self._log_folder = log_folder
        self._process: EngineProcess | None = None
        self._next_id = 1
        self._pending: dict[int, OnAnswer] = {}
        self._unsent: list[Request] = []
        self._deaths = Deaths()
        self._wanted: LoadModel | None = None
        """What is being loaded, or is loaded and will be again after a restart."""
        self._present: LoadModel | None = None
        """What the loaded model was asked for with."""
        self._loading: int | None = None
        self._statistics_asked = False
        self.state: EngineState = "stopped"
        self.hello: Hello | None = None
        self.model: ModelInfo | None = None
        self.plan: MemoryPlan | None = None
        """What was estimated before the loaded model was loaded."""
        self.fill_in: Callable[[LoadModel], LoadModel] = lambda request: request
        """Called with each load before it goes to the engine, also after a restart: adds what is known of the model."""
        self._restart_timer = QTimer(self)
        self._restart_timer.setSingleShot(True)
        self._restart_timer.timeout.connect(self._run)
        self._watch = QTimer(self)
        self._watch.setInterval(STATISTICS_INTERVAL_MS)
        self._watch.timeout.connect(self._ask_statistics)

    # --- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Run the engine; also after it was given up."""
        self._deaths.forget()
        self._run()

    def stop(self) -> None:
        """End the engine and forget what waits."""
        self._restart_timer.stop()
        self._watch.stop()
        process, self._process = self._process, None
        if process is not None:
            process.answered.disconnect(self._answered)
            process.ended.disconnect(self._ended)
            process.close()
            process.deleteLater()
        self._pending.clear()
        self._unsent.clear()
        self._loading = self._present = self.model = None
        self._statistics_asked = False
        self._set_state("stopped")

    @property
    def pid(self) -> int:
        """The engine's process id, 0 when it does not run."""
        return self._process.pid if self._process is not None else 0

    @property
    def is_loading(self) -> bool:
        """Whether a model is being loaded, or will be as soon as the engine is there."""
        return self._loading is not None or self._will_reload

    @property
    def _will_reload(self) -> bool:
        """Whether the engine restarts and then loads the model that it had."""
        return self._wanted is not None and self.state in ("starting", "restarting")

    def _run(self) -> None:
        if self._process is not None:
            return
        self._set_state("starting")
        self.hello = None
        self._process = EngineProcess(self._log_folder, self)
        self._process.answered.connect(self._answered)
        self._process.ended.connect(self._ended)
        self._process.start()

    def _ended(self, death: EngineDeath | None) -> None:
        """The process is gone: fail what waits, and restart it with a bounded back-off."""
        process, self._process = self._process, None
        if process is not None:
            process.deleteLater()
        if death is None:
            return
        logger.error("engine ended: %s; %s", death.sentence, " | ".join(death.last_lines[-5:]))
        was_loading, victim = self._loading is not None, self._wanted if self._loading is not None else self._present
        given_up_on = self._deaths.is_again(victim, death)
        if was_loading or given_up_on:
            self._wanted = None  # it may die of this model again
        self._loading = self._present = None
        self._statistics_asked = False
        self._unsent.clear()
        pending, self._pending = self._pending, {}
        never_asked = victim if was_loading and victim is not None and victim.id not in pending else None
        delay = self._deaths.count()
        had_model, self.model = self.model is not None, None
        self._set_state("failed" if delay is None else "restarting")
        if had_model:
            self.model_changed.emit(None)
        for request, on_answer in pending.items():
            on_answer(Failed(id=request, kind="engine_died", sentence=death.sentence))
        if never_asked is not None:  # it waited for the handshake
            self._load_answered(never_asked, Failed(id=never_asked.id, kind="engine_died", sentence=death.sentence))
        if delay is not None:
            self._restart_timer.start(delay)
        self.died.emit(death)
        if victim is not None:
            sentence = death.sentence
            if was_loading:
                failed = Failed(id=victim.id, kind="engine_died", sentence=sentence)
                sentence = self._why_not_loaded(Path(victim.path).name, failed)
            self.trouble.emit(
                ModelTrouble(victim, "engine_died", sentence, was_loading, death=death, is_given_up=given_up_on)
            )

    def _set_state(self, state: EngineState) -> None:
        if state != self.state:
            self.state = state
            self.state_changed.emit(state)

    # --- requests ----------------------------------------------------------------------------------------------------

    def new_id(self) -> int:
        """An id for the next request."""
        self._next_id += 1
        return self._next_id

    def send(self, request: Request, on_answer: OnAnswer) -> None:
        """Send a request; `on_answer` receives each of its answers, Failed if the engine dies.

        While the engine starts the request waits; when it was given up it fails at once, from the event loop.
        """
        self._pending[request.id] = on_answer
        if self.state == "ready" and self._process is not None:
            self._write(self._process, request)
        elif self.state in ("failed", "stopped"):
            self._fail_later(request, "engine_died", "The engine is not running.")
        else:
            self._unsent.append(request)

    def _write(self, process: EngineProcess, request: Request) -> None:
        """Hand a request to the process, or fail it where the protocol cannot carry it."""
        try:
            process.send(self.fill_in(request) if isinstance(request, LoadModel) else request)
        except FramingError as error:
            logger.error("not sent: %s", error)
            self._fail_later(request, "too_long", "This is more text than can be read at once. What you wrote is kept.")
        except OverflowError as error:
            logger.error("not sent: %s", error)
            self._fail_later(request, "bad_number", "A number in the settings is larger than Ember can use.")
        except UnicodeEncodeError as error:
            logger.error("not sent: %s", error)
            self._fail_later(
                request,
                "bad_name",
                "The name of the model's file, or of a folder around it, is not valid text (UTF-8). "
                "Rename it, then open it again.",
            )

    def _fail_later(self, request: Request, kind: str, sentence: str) -> None:
        """Answer a request from the event loop."""
        failed = Failed(id=request.id, kind=kind, sentence=sentence)
        QTimer.singleShot(0, self, lambda: self._answered(failed))

    def cancel(self, request: int) -> None:
        """Stop a request; its last answer still comes."""
        if any(waiting.id == request for waiting in self._unsent):
            self._unsent = [waiting for waiting in self._unsent if waiting.id != request]
            self._answered(Failed(id=request, kind="cancelled", sentence="It was cancelled before it began."))
        elif request in self._pending and self._process is not None:
            self._process.send(Cancel(id=self.new_id(), request=request))

    def _answered(self, answer: Answer) -> None:
        if isinstance(answer, Hello):
            self._greeted(answer)
            return
        on_answer = self._pending.get(answer.id)
        if not isinstance(answer, NOT_THE_LAST):
            self._pending.pop(answer.id, None)
        if on_answer is not None:
            on_answer(answer)

    def _greeted(self, hello: Hello) -> None:
        """The handshake: refuse another protocol, send what waited, load the model that was there."""
        if hello.protocol != PROTOCOL_VERSION:
            logger.error("the engine speaks protocol %d, not %d", hello.protocol, PROTOCOL_VERSION)
            self.stop()
            self._set_state("failed")
            self.load_failed.emit("protocol", "The engine belongs to another version of Ember. Install Ember again.")
            return
        self.hello = hello
        self._set_state("ready")
        waiting, self._unsent = self._unsent, []
        if self._wanted is not None and not any(isinstance(request, LoadModel) for request in waiting):
            self._load(self._wanted)
        for request in waiting:
            assert self._process is not None
            self._write(self._process, request)

    # --- the model ---------------------------------------------------------------------------------------------------

    def load(self, path: Path, options: LoadOptions | None = None) -> None:
        """Load a model; `model_changed` or `load_failed` follows. A load under way is cancelled.

        An engine that was given up is started again; one that was not started yet loads it when it is there.
        """
        self.cancel_load()
        if self.state == "failed":
            self.start()
        if self.state == "stopped":
            self._wanted = LoadModel(id=self.new_id(), path=str(path), options=options or LoadOptions())
            self._loading = self._wanted.id  # the handshake sends it
            self.load_progress.emit(0.0)
            return
        self._load(LoadModel(id=0, path=str(path), options=options or LoadOptions()))

    def _load(self, request: LoadModel) -> None:
        identified = msgspec.structs.replace(request, id=self.new_id())
        self._wanted = identified
        self._loading = identified.id
        self.load_progress.emit(0.0)
        self.send(identified, lambda answer: self._load_answered(identified, answer))

    @property
    def options(self) -> LoadOptions:
        """What the loaded model was loaded with; the defaults where none is."""
        return self._present.options if self._present is not None else LoadOptions()

    @property
    def present(self) -> LoadModel | None:
        """What the loaded model was asked for with."""
        return self._present

    @property
    def loading_path(self) -> Path | None:
        """The file that is being loaded, or will be as soon as the engine is there."""
        return Path(self._wanted.path) if self.is_loading and self._wanted is not None else None

    def cancel_load(self) -> None:
        """Stop loading, if a model is being loaded, or will be after a restart."""
        if self.is_loading:
            loading, self._loading, self._wanted = self._loading, None, self._present
            if loading is not None:
                self.cancel(loading)

    def unload(self) -> None:
        """Free the model."""
        self.cancel_load()
        self._wanted = None
        self._set_model(None)  # at once, so that no turn begins any more
        self.send(Unload(id=self.new_id()), self._unloaded)

    def _unloaded(self, answer: Response) -> None:
        if isinstance(answer, Unloaded):
            self._present = None
            self._set_model(None)

    def _load_answered(self, request: LoadModel, answer: Response) -> None:
        current = request.id == self._loading
        if isinstance(answer, LoadProgress):
            if current:
                self.load_progress.emit(answer.fraction)
        elif isinstance(answer, OldModelFreed):
            self._present = None
            self._set_model(None)
        elif isinstance(answer, Loaded):
            self._loaded(request, answer)
        elif isinstance(answer, Failed):
            if current:
                self._loading, self._wanted = None, self._present
            sentence = self._why_not_loaded(Path(request.path).name, answer)
            self.load_failed.emit(answer.kind, sentence)
            if answer.kind != "engine_died":  # a death is told with what the process said
                self.trouble.emit(ModelTrouble(request, answer.kind, sentence, True, answer.offers))

    def _why_not_loaded(self, name: str, failed: Failed) -> str:
        """The sentence with the name of the file, where it is about the file and does not name it."""
        if failed.kind == "engine_died" and self.hello is not None:  # an engine that never came did not load
            return f"{failed.sentence} It was loading “{name}”, which may be damaged or too large for this computer."
        if name in failed.sentence or failed.kind in ABOUT_NO_FILE:
            return failed.sentence
        return f"“{name}” could not be loaded. {failed.sentence}"

    def _loaded(self, request: LoadModel, loaded: Loaded) -> None:
        """A model is there; one whose cancelling came too late is let go again, or replaced by the next."""
        if self._loading is None:
            self.send(Unload(id=self.new_id()), self._unloaded)
            return
        if request.id == self._loading:
            self._loading = None
        self._present, self.plan = request, loaded.plan
        self._set_model(loaded.model)

    def _set_model(self, model: ModelInfo | None) -> None:
        self.model = model
        self.model_changed.emit(model)

    # --- statistics --------------------------------------------------------------------------------------------------

    def watch_statistics(self, on: bool) -> None:
        """Ask for statistics once a second while `on`; they come by the signal."""
        if on and not self._watch.isActive():
            self._watch.start()
            self._ask_statistics()
        elif not on:
            self._watch.stop()

    def refresh_statistics(self) -> None:
        """Ask once, now."""
        self._ask_statistics()

    def _ask_statistics(self) -> None:
        if self.state == "ready" and not self._statistics_asked:
            self._statistics_asked = True
            self.send(GetStatistics(id=self.new_id()), self._statistics_answered)

    def _statistics_answered(self, answer: Response) -> None:
        self._statistics_asked = False
        if isinstance(answer, Statistics):
            self.statistics.emit(answer)
