"""What is kept for each model file: the person's options, what was measured, and what its last load taught."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec
from PySide6.QtCore import QObject, QTimer, Signal

from app.core.conversation import ConversationId
from app.core.errors import EmberError
from app.core.load_options import Calibration, LoadOptions, refuse_impossible
from app.core.offload import CPU, learnt_bytes
from app.protocol.answers import Calibrated, CalibrationProgress, Failed, Statistics
from app.protocol.messages import Response
from app.protocol.parts import MemoryPlan, ModelInfo
from app.protocol.requests import Calibrate, GetStatistics, LoadModel
from app.services.chats import Chats
from app.services.engine_client import EngineClient
from app.services.saved_states import SavedStates
from app.services.stored_models import StoredModel, circumstances, own_settings, settings_key, stored_model
from app.storage.settings import SettingsStore

logger = logging.getLogger(__name__)

IDLE_MS: Final = 2000
"""How long nothing must happen before a model is measured by itself."""
MOST_TRIES: Final = 3
"""How often a measurement that something came in between of is begun again, until the model is loaded anew."""
MOST_KEPT: Final = 8
"""Measurements kept for one model; the oldest goes."""
TOO_BUSY: Final = (
    "Other programs kept this computer too busy for an exact measurement; what was measured before stays. "
    "Try again when it is quiet."
)


@dataclass(frozen=True, slots=True)
class _Measuring:
    """A measurement under way."""

    request: int
    path: Path
    circumstances: str
    conversation: ConversationId | None
    """What was in memory before; it is restored afterwards."""


class ModelSettings(QObject):
    """Keeps options and measurements by model, gives them to each load, and has models measured."""

    changed = Signal(str)
    """A model file's path: its options, or what was measured, may be otherwise now."""
    progress = Signal(int, int)
    """While it is measured: (trials done, of how many at most)."""
    ended = Signal(str)
    """A measurement is over; a sentence where it came to nothing, else empty."""

    def __init__(
        self, settings: SettingsStore, engine: EngineClient, chats: Chats, saved: SavedStates, parent: QObject
    ) -> None:
        """Keep everything in `settings`; `measure_when_idle` begins with the measuring."""
        super().__init__(parent)
        self._settings = settings
        self._engine = engine
        self._chats = chats
        self._saved = saved
        self._measuring: _Measuring | None = None
        self._tries = 0
        self._by_itself = False
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(IDLE_MS)
        self._idle.timeout.connect(self._ask_what_is_in_memory)
        engine.fill_in = self._fill_in
        engine.model_changed.connect(self._model_changed)
        chats.queue_changed.connect(self._wait_for_idleness)
        chats.turn_saved.connect(lambda _outcome, _trouble: self._wait_for_idleness())
        chats.prepared.connect(lambda _prepared: self._wait_for_idleness())
        saved.changed.connect(self._wait_for_idleness)

    def close(self) -> None:
        """Begin nothing any more."""
        self._by_itself = False
        self._idle.stop()

    # --- what is kept ------------------------------------------------------------------------------------------------

    def options(self, path: Path) -> LoadOptions:
        """What the person chose for a model file."""
        return self._stored(path).options

    def set_options(self, path: Path, options: LoadOptions) -> None:
        """Keep what the person chose; it holds from the next load on. Raises EmberError for what is impossible."""
        refuse_impossible(options)
        self._store(path, replace(self._stored(path), options=options))

    def calibration(self, path: Path, options: LoadOptions | None = None) -> Calibration | None:
        """What was measured for a model file on this machine with options like these (None: the person's).

        None where nothing was, and while no engine is there to say what this machine has.
        """
        stored = self._stored(path)
        return own_settings(stored, self._engine.hello, path, options or stored.options).calibration

    def is_measured_alike(self, path: Path, one: LoadOptions, other: LoadOptions) -> bool:
        """Whether a measurement with some options of a model's file holds for others too."""
        return self._circumstances(path, one) == self._circumstances(path, other)

    def learnt(self, path: Path) -> dict[str, int]:
        """By device: the bytes that the file's last load took beyond its estimate."""
        return self._stored(path).learnt

    def _stored(self, path: Path) -> StoredModel:
        return stored_model(self._settings, path)

    def _store(self, path: Path, stored: StoredModel) -> None:
        """Raises EmberError."""
        if stored != self._stored(path):
            self._settings.set(settings_key(path), stored)
            self.changed.emit(str(path))

    def _fill_in(self, request: LoadModel) -> LoadModel:
        """A load as it goes to the engine: with what is known of the model by now."""
        path = Path(request.path)
        own = own_settings(self._stored(path), self._engine.hello, path, request.options)
        return msgspec.structs.replace(request, calibration=own.calibration, learnt=own.learnt)

    def _circumstances(self, path: Path, options: LoadOptions) -> str | None:
        """What a measurement holds for; None while that is not known."""
        return circumstances(self._engine.hello, path, options)

    # --- measuring ---------------------------------------------------------------------------------------------------

    @property
    def is_measuring(self) -> bool:
        """Whether a model is being measured."""
        return self._measuring is not None

    def measure_when_idle(self) -> None:
        """From now on a loaded model that was never measured here is, as soon as nothing else happens."""
        self._by_itself = True
        self._wait_for_idleness()

    def measure_again(self, *, may_change_layout: bool = False) -> None:
        """Measure the loaded model now; `ended` follows.

        `may_change_layout` lets flash attention change although that makes this model's saved state unusable.
        Raises EmberError where no model is loaded or a reply is being written.
        """
        model = self._engine.model
        if model is None:
            raise EmberError("No model is loaded, so there is nothing to measure. Choose one first.", "no_model")
        if not self._chats.is_idle:
            raise EmberError("A reply is being written. Stop it, or measure when it is there.", "busy")
        self._look(lambda statistics: self._begin(_live(statistics), may_change_layout=may_change_layout))

    def cancel(self) -> None:
        """Stop measuring; `ended` follows."""
        if self._measuring is not None:
            self._engine.cancel(self._measuring.request)

    def _model_changed(self, model: ModelInfo | None) -> None:
        self._tries = 0
        if model is not None and self._engine.plan is not None:
            plan = self._engine.plan
            self._look(lambda statistics: self._learn(model, plan, statistics))
        self._wait_for_idleness()

    def _wait_for_idleness(self) -> None:
        """Something happened: wait anew, if there is anything to wait for."""
        if self._is_due():
            self._idle.start()
        else:
            self._idle.stop()

    def _is_due(self) -> bool:
        """Whether the loaded model is to be measured by itself, and nothing else is going on."""
        model, engine = self._engine.model, self._engine
        if not self._by_itself or self.is_measuring or self._tries >= MOST_TRIES or model is None:
            return False
        is_settled = self._saved.is_open or bool(self._saved.why_not)  # else a layout in use might be changed
        if engine.is_loading or not self._chats.is_idle or not is_settled:
            return False
        path, options = Path(model.path), engine.options
        now = self._circumstances(path, options)
        stored = self._stored(path)
        if now is None or now in stored.given_up:
            return False
        measured = stored.calibrations.get(now)
        return measured is None or not measured.is_steady

    def _ask_what_is_in_memory(self) -> None:
        """Begin, unless what is in memory would have to be read again."""

        def begin(statistics: Statistics) -> None:
            usage = self._saved.of(_live(statistics))
            saved = usage.tokens if usage is not None else 0
            if self._is_due() and statistics.context_used <= saved:
                self._tries += 1
                self._begin(_live(statistics))

        if self._is_due():
            self._look(begin)

    def _look(self, told: Callable[[Statistics], None]) -> None:
        """Ask the engine how things are."""

        def answered(answer: Response) -> None:
            if isinstance(answer, Statistics):
                told(answer)

        self._engine.send(GetStatistics(id=self._engine.new_id()), answered)

    def _begin(self, conversation: ConversationId | None, *, may_change_layout: bool = False) -> None:
        model = self._engine.model
        now = self._circumstances(Path(model.path), self._engine.options) if model is not None else None
        if model is None or now is None or self.is_measuring:
            return
        request = Calibrate(id=self._engine.new_id(), may_change_layout=may_change_layout)
        self._measuring = _Measuring(request.id, Path(model.path), now, conversation)
        self._engine.send(request, self._answered)

    def _answered(self, answer: Response) -> None:
        if isinstance(answer, CalibrationProgress):
            self.progress.emit(answer.done, answer.total)
            return
        measuring, self._measuring = self._measuring, None
        if measuring is None:
            return
        sentence = ""
        try:
            if isinstance(answer, Calibrated):
                sentence = self._keep(measuring, answer.calibration)
            elif isinstance(answer, Failed):
                sentence = answer.sentence
                if answer.kind != "cancelled":
                    self._give_up(measuring)
        except EmberError as error:  # it is measured again after the next start
            logger.warning("what was measured could not be kept: %s", error.sentence)
            self._tries, sentence = MOST_TRIES, error.sentence
        if measuring.conversation is not None and self._chats.is_idle:
            self._chats.prepare(measuring.conversation)
        self._engine.refresh_statistics()
        self.ended.emit(sentence)
        self._wait_for_idleness()

    def _keep(self, measuring: _Measuring, calibration: Calibration) -> str:
        """Store what was found; a sentence where it is less exact than what is stored already, which stays."""
        stored = self._stored(measuring.path)
        known = stored.calibrations.get(measuring.circumstances)
        if known is not None and known.is_steady and not calibration.is_steady:
            return TOO_BUSY
        others = {key: old for key, old in stored.calibrations.items() if key != measuring.circumstances}
        latest = dict([*others.items(), (measuring.circumstances, calibration)][-MOST_KEPT:])
        given_up = tuple(key for key in stored.given_up if key != measuring.circumstances)
        self._store(measuring.path, replace(stored, calibrations=latest, given_up=given_up))
        return ""

    def _give_up(self, measuring: _Measuring) -> None:
        """It did not work here: the person can try it again, Ember does not."""
        stored = self._stored(measuring.path)
        given_up = (*(key for key in stored.given_up if key != measuring.circumstances), measuring.circumstances)
        self._store(measuring.path, replace(stored, given_up=given_up[-MOST_KEPT:]))

    # --- learning from a load ----------------------------------------------------------------------------------------

    def _learn(self, model: ModelInfo, plan: MemoryPlan, statistics: Statistics) -> None:
        """Remember how much more or less than estimated the load took, so that the next estimate is better."""
        if self._engine.is_loading or self._engine.model is not model:
            return  # what is taken may be the next model's
        path = Path(model.path)
        stored = self._stored(path)
        learnt = beyond_estimate(plan, statistics, stored.learnt)
        try:
            self._store(path, replace(stored, learnt=learnt))
        except EmberError as error:  # the next load tells it again
            logger.warning("what the load took could not be noted: %s", error.sentence)


def beyond_estimate(plan: MemoryPlan, statistics: Statistics, known: dict[str, int]) -> dict[str, int]:
    """By device: bytes that a load took beyond its estimate without what was `known` of it; may be negative."""
    planned = {part.device: part.weights + part.kv + part.compute for part in plan.devices}
    taken = {part.device: part.weights + part.kv_reserved + part.compute for part in statistics.memory}
    own = sum(part.other for part in plan.devices if part.device == CPU) - known.get(CPU, 0)
    return learnt_bytes(planned, taken, statistics.rss, own)


def _live(statistics: Statistics) -> ConversationId | None:
    """The conversation that is in memory."""
    return ConversationId(statistics.live_conversation) if statistics.live_conversation else None
