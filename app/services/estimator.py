"""What models would take, asked of an engine process of its own, so that no load and no reply is disturbed."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from PySide6.QtCore import QObject, QTimer

from app.core.load_options import Calibration, LoadOptions
from app.protocol.answers import Failed, Hello, MemoryEstimated, Statistics
from app.protocol.framing import FramingError
from app.protocol.messages import Answer, Response
from app.protocol.parts import MemoryPlan, given_back
from app.protocol.requests import EstimateMemory, GetStatistics
from app.services.engine_client import EngineClient
from app.services.engine_process import EngineDeath, EngineProcess

logger = logging.getLogger(__name__)

LOG_FOLDER = "estimates"
"""Beside the engine's log: two processes cannot share one that rotates."""
Told = Callable[[MemoryPlan | Failed], None]


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked, and who wants to know."""

    request: EstimateMemory
    told: Told


class Estimator(QObject):
    """Keeps an engine while it is open; it loads nothing, and is started again after it died."""

    def __init__(self, log_folder: Path, engine: EngineClient | None = None, parent: QObject | None = None) -> None:
        """`engine` is the one whose model makes room for the model that is asked about; None: there is none."""
        super().__init__(parent)
        self._log_folder = log_folder / LOG_FOLDER
        self._engine = engine
        self._process: EngineProcess | None = None
        self._is_ready = False
        self._own: Counter[str] = Counter()
        """Bytes that this engine has of each GPU although it loads nothing; another one loads."""
        self._last_id = 0
        self._running: _Question | None = None
        self._next: _Question | None = None

    def ask(
        self, path: Path, options: LoadOptions, calibration: Calibration | None, learnt: dict[str, int], told: Told
    ) -> None:
        """Tell by `told` what a model would take, or why that cannot be said.

        The newest question wins: of those before it whatever is not answered yet never will be.
        """
        self._last_id += 1
        request = EstimateMemory(
            id=self._last_id, path=str(path), options=options, calibration=calibration, learnt=learnt
        )
        question = _Question(request, told)
        if self._engine is None or self._engine.hello is None:
            self._queue(question)
            return
        self._engine.send(GetStatistics(id=self._engine.new_id()), lambda answer: self._measured(question, answer))

    def close(self) -> None:
        """End the engine; nothing that was asked is answered any more."""
        self._running = self._next = None
        self._last_id += 1  # so that a question that still waits for the statistics is an old one
        process, self._process = self._process, None
        self._is_ready = False
        if process is not None:
            process.answered.disconnect(self._answered)
            process.ended.disconnect(self._ended)
            process.close(0)  # it has nothing to write, and one that is just starting would keep the window waiting
            process.deleteLater()

    # --- asking ----------------------------------------------------------------------------------------------------

    def _measured(self, question: _Question, answer: Response) -> None:
        """What the loaded model takes will be free for the other one; what the engine itself has of a GPU stays."""
        back: Counter[str] = Counter()
        learnt = Counter(question.request.learnt)
        if isinstance(answer, Statistics) and self._engine is not None:
            taken = given_back(answer.memory, is_mapped=self._engine.options.use_mmap)
            back.update(taken)
            for device in answer.devices:
                if device.process_bytes is not None:
                    itself = max(0, device.process_bytes - taken.get(device.name, 0))
                    back[device.name] += itself
                    learnt[device.name] += itself
        request = msgspec.structs.replace(question.request, given_back=dict(back), learnt=dict(learnt))
        self._queue(_Question(request, question.told))

    def _queue(self, question: _Question) -> None:
        if question.request.id != self._last_id:
            return
        self._next = question
        if self._process is None:
            self._start()
        elif self._is_ready and self._running is None:
            self._send()

    def _start(self) -> None:
        self._process = EngineProcess(self._log_folder, self)
        self._process.answered.connect(self._answered)
        self._process.ended.connect(self._ended)
        self._process.start()

    def _send(self) -> None:
        """Hand the newest question to the engine."""
        question, self._next = self._next, None
        if question is None or self._process is None:
            return
        self._running = question
        back = Counter(question.request.given_back) + self._own
        try:
            self._process.send(msgspec.structs.replace(question.request, given_back=dict(back)))
        except (FramingError, OverflowError, UnicodeEncodeError) as error:
            logger.error("not asked: %s", error)
            sentence = "The model's name or a number in its settings is nothing that the engine can be asked about."
            failed = Failed(id=question.request.id, kind="bad_name", sentence=sentence)
            QTimer.singleShot(0, self, lambda: self._answered(failed))

    # --- answers ---------------------------------------------------------------------------------------------------

    def _answered(self, answer: Answer) -> None:
        if isinstance(answer, Hello):
            self._is_ready = True
            self._own = Counter({device.name: device.process_bytes or 0 for device in answer.devices})
        elif self._running is not None and answer.id == self._running.request.id:
            question, self._running = self._running, None
            self._tell(question, answer)
        if self._is_ready and self._running is None:
            self._send()

    def _tell(self, question: _Question, answer: Answer) -> None:
        if question.request.id != self._last_id:
            return
        if isinstance(answer, MemoryEstimated):
            question.told(answer.plan)
        elif isinstance(answer, Failed):
            question.told(answer)

    def _ended(self, death: EngineDeath | None) -> None:
        """It is gone: say so to whoever waits; the next question starts another."""
        process, self._process = self._process, None
        self._is_ready = False
        if process is not None:
            process.deleteLater()
        waiting, self._running, self._next = self._next or self._running, None, None
        if death is None or waiting is None:
            return
        logger.error("the engine that estimates ended: %s; %s", death.sentence, " | ".join(death.last_lines[-5:]))
        sentence = f"What this takes could not be worked out. {death.sentence} What is loaded is untouched."
        self._tell(waiting, Failed(id=waiting.request.id, kind="engine_died", sentence=sentence))
