"""Estimates while options are being chosen: of the choice, and of it with each changed option as it was."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Final, Protocol

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.load_options import Calibration, LoadOptions
from app.protocol.answers import Failed
from app.protocol.parts import MemoryPlan
from app.services.model_settings import ModelSettings

DEBOUNCE_MS: Final = 150
"""Nothing is asked while a slider moves."""
PATIENCE_MS: Final = 500
"""After which it is said that the figures are being worked out."""
OPTIONS: Final = tuple(field.name for field in fields(LoadOptions))


class Asks(Protocol):
    """Answers what a model would take; the newest question wins."""

    def ask(
        self,
        path: Path,
        options: LoadOptions,
        calibration: Calibration | None,
        learnt: dict[str, int],
        told: Callable[[MemoryPlan | Failed], None],
    ) -> None:
        """Ask; `told` is called once, unless a newer question comes first."""

    def close(self) -> None:
        """Answer nothing any more."""


def model_bytes(plan: MemoryPlan) -> int:
    """What the model takes on all devices, without Ember's own share."""
    return sum(device.weights + device.kv + device.compute for device in plan.devices)


class LiveCosts(QObject):
    """Asks one question after the other; what was answered once is not asked again."""

    told = Signal()
    """`answer` or `costs` may be otherwise now."""
    working = Signal(bool)
    """Whether an answer to the choice is waited for longer than a moment."""

    def __init__(self, path: Path, settings: ModelSettings, asks: Asks, parent: QObject) -> None:
        """Of the model at `path`; nothing is asked yet."""
        super().__init__(parent)
        self._path, self._settings, self._asks = path, settings, asks
        self._known: dict[LoadOptions, MemoryPlan | Failed] = {}
        self._chosen = self._before = LoadOptions()
        self._asked: LoadOptions | None = None
        self._debounce = self._timer(DEBOUNCE_MS, self._next)
        self._patience = self._timer(PATIENCE_MS, lambda: self.working.emit(True))

    def _timer(self, milliseconds: int, call: Callable[[], None]) -> QTimer:
        timer = QTimer(self, singleShot=True, interval=milliseconds)
        timer.timeout.connect(call)
        return timer

    def want(self, chosen: LoadOptions, before: LoadOptions) -> None:
        """The options that are chosen now, and those on opening."""
        self._chosen, self._before = chosen, before
        self._known = {options: answer for options, answer in self._known.items() if not _is_lost(answer)}
        self._patience.stop()
        if chosen in self._known:
            self.working.emit(False)
        else:
            self._patience.start()
        self._debounce.start()
        self.told.emit()

    def forget(self) -> None:
        """Ask everything anew: what was measured, or what is free, is otherwise now."""
        self._known.clear()
        self._asked = None
        self.want(self._chosen, self._before)

    def close(self) -> None:
        """Ask nothing any more."""
        self._debounce.stop()
        self._patience.stop()
        self._asks.close()

    @property
    def answer(self) -> MemoryPlan | Failed | None:
        """The estimate of what is chosen; None while it is not known."""
        return self._known.get(self._chosen)

    @property
    def costs(self) -> dict[str, int]:
        """By changed option: bytes more than with that option as it was, as far as they are known."""
        costs, plan = {}, self.answer
        for name, options in self._comparisons().items():
            other = self._known.get(options)
            if isinstance(plan, MemoryPlan) and isinstance(other, MemoryPlan):
                costs[name] = model_bytes(plan) - model_bytes(other)
        return costs

    def _comparisons(self) -> dict[str, LoadOptions]:
        """By changed option: the choice with that option as it was."""
        before = {name: getattr(self._before, name) for name in OPTIONS}
        changed = [name for name in OPTIONS if getattr(self._chosen, name) != before[name]]
        return {name: replace(self._chosen, **{name: before[name]}) for name in changed}

    def _next(self) -> None:
        """Ask the first thing that is not known; the choice itself before the rest."""
        wanted = (self._chosen, *self._comparisons().values())
        asked = next((options for options in wanted if options not in self._known), None)
        if asked is None or asked == self._asked:
            return
        self._asked = asked
        calibration, learnt = self._settings.calibration(self._path, asked), self._settings.learnt(self._path)
        self._asks.ask(self._path, asked, calibration, learnt, lambda answer: self._answered(asked, answer))

    def _answered(self, asked: LoadOptions, answer: MemoryPlan | Failed) -> None:
        if asked != self._asked:  # it was asked before everything was forgotten
            return
        self._asked = None
        self._known[asked] = answer
        if asked == self._chosen:
            self._patience.stop()
            self.working.emit(False)
        self.told.emit()
        if not self._debounce.isActive():
            self._next()


def _is_lost(answer: MemoryPlan | Failed) -> bool:
    """Whether there is no answer only because the engine ended, so that it is worth asking again."""
    return isinstance(answer, Failed) and answer.kind == "engine_died"
