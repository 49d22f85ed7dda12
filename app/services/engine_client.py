"""The engine as the window sees it: requests with answers, a loaded model, and restarts when it dies."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, QTimer, Signal

from app.protocol.messages import (
    PROTOCOL_VERSION,
    Answer,
    CacheCleared,
    Cancel,
    Done,
    Failed,
    GetStatistics,
    Hello,
    Loaded,
    LoadModel,
    LoadProgress,
    ModelInfo,
    OldModelFreed,
    Request,
    Response,
    Statistics,
    TokenCount,
    Unload,
    Unloaded,
)
from app.services.engine_process import EngineDeath, EngineProcess

logger = logging.getLogger(__name__)

EngineState = Literal["stopped", "starting", "ready", "restarting", "failed"]
OnAnswer = Callable[[Response], None]

RESTART_DELAYS_MS = (0, 500, 2000, 5000)
"""How long to wait before the 1st, 2nd … restart within DEATH_WINDOW; after the last the person decides."""
DEATH_WINDOW = 60.0
"""Seconds."""
STATISTICS_INTERVAL_MS = 1000
FINAL_ANSWERS = (Loaded, Unloaded, Done, TokenCount, Statistics, CacheCleared, Failed)


class EngineClient(QObject):
    """Keeps an engine running and a model loaded in it."""

    state_changed = Signal(str)
    model_changed = Signal(object)
    """ModelInfo, or None."""
    load_progress = Signal(float)
    load_failed = Signal(str, str)
    """(kind, sentence)"""
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
        self._deaths: list[float] = []
        self._wanted: LoadModel | None = None
        self._loading: int | None = None
        self._statistics_asked = False
        self.state: EngineState = "stopped"
        self.hello: Hello | None = None
        self.model: ModelInfo | None = None
        self._restart_timer = QTimer(self)
        self._restart_timer.setSingleShot(True)
        self._restart_timer.timeout.connect(self._run)
        self._watch = QTimer(self)
        self._watch.setInterval(STATISTICS_INTERVAL_MS)
        self._watch.timeout.connect(self._ask_statistics)

    # --- life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Run the engine; also after it was given up."""
        self._deaths.clear()
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
        self._set_state("stopped")

    @property
    def pid(self) -> int:
        """The engine's process id, 0 when it does not run."""
        return self._process.pid if self._process is not None else 0

    @property
    def is_loading(self) -> bool:
        """Whether a model is being loaded, or will be as soon as the engine is there."""
        return self._loading is not None

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
        died_loading = self._loading is not None
        self._loading = None
        self._statistics_asked = False
        self._unsent.clear()
        if died_loading:
            self._wanted = None
        if self.model is not None:
            self.model = None
            self.model_changed.emit(None)
        now = time.monotonic()
        self._deaths = [at for at in self._deaths if now - at < DEATH_WINDOW] + [now]
        given_up = len(self._deaths) > len(RESTART_DELAYS_MS)
        self._set_state("failed" if given_up else "restarting")
        pending, self._pending = self._pending, {}
        for request, on_answer in pending.items():
            on_answer(Failed(id=request, kind="engine_died", sentence=death.sentence))
        if not given_up:
            self._restart_timer.start(RESTART_DELAYS_MS[len(self._deaths) - 1])
        self.died.emit(death)

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
            self._process.send(request)
        elif self.state in ("failed", "stopped"):
            failed = Failed(id=request.id, kind="engine_died", sentence="The engine is not running.")
            QTimer.singleShot(0, self, lambda: self._answered(failed))
        else:
            self._unsent.append(request)

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
        if isinstance(answer, FINAL_ANSWERS):
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
            self._process.send(request)

    # --- the model ---------------------------------------------------------------------------------------------------

    def load(self, path: Path, context: int | None = None, gpu_layers: int = -1) -> None:
        """Load a model; `model_changed` or `load_failed` follows. A load under way is cancelled."""
        self.cancel_load()
        self._load(LoadModel(id=0, path=str(path), context=context, gpu_layers=gpu_layers))

    def _load(self, request: LoadModel) -> None:
        identified = LoadModel(
            id=self.new_id(),
            path=request.path,
            context=request.context,
            gpu_layers=request.gpu_layers,
            flash_attention=request.flash_attention,
            threads=request.threads,
        )
        self._wanted = identified
        self._loading = identified.id
        self.load_progress.emit(0.0)
        self.send(identified, self._load_answered)

    @property
    def loading_path(self) -> Path | None:
        """The file that is being loaded."""
        return Path(self._wanted.path) if self._loading is not None and self._wanted is not None else None

    def cancel_load(self) -> None:
        """Stop loading, if a model is being loaded."""
        if self._loading is not None:
            loading, self._loading, self._wanted = self._loading, None, None
            self.cancel(loading)

    def unload(self) -> None:
        """Free the model."""
        self.cancel_load()
        self._wanted = None
        self.send(Unload(id=self.new_id()), self._unloaded)

    def _unloaded(self, answer: Response) -> None:
        if isinstance(answer, Unloaded):
            self._set_model(None)

    def _load_answered(self, answer: Response) -> None:
        current = answer.id == self._loading
        if isinstance(answer, LoadProgress):
            if current:
                self.load_progress.emit(answer.fraction)
        elif isinstance(answer, OldModelFreed):
            self._set_model(None)
        elif isinstance(answer, Loaded):
            if current:
                self._loading = None
            self._set_model(answer.model)
        elif isinstance(answer, Failed):
            if current:
                self._loading, self._wanted = None, None
            if answer.kind == "engine_died":
                sentence = f"{answer.sentence} It was loading a model, which may be too large for this computer."
                self.load_failed.emit(answer.kind, sentence)
                return
            self.load_failed.emit(answer.kind, answer.sentence)

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
