"""llama.cpp's own verdicts on models, asked one after the other for those that are in sight."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.load_options import LoadOptions
from app.gui.live_costs import Asks
from app.protocol.answers import Failed
from app.protocol.parts import MemoryPlan
from app.services.model_settings import ModelSettings

REST_MS: Final = 400
"""Nothing is asked while the list is being scrolled."""


class Verdicts(QObject):
    """Keeps what was answered until it is forgotten; one question at a time, and none once it is closed."""

    changed = Signal()
    """One more is known."""

    def __init__(self, settings: ModelSettings, estimator: Callable[[QObject], Asks], parent: QObject) -> None:
        """`estimator` makes one, when something is asked for the first time."""
        super().__init__(parent)
        self._settings, self._make = settings, estimator
        self._asks: Asks | None = None
        self._known: dict[Path, tuple[LoadOptions, MemoryPlan | None]] = {}
        self._wanted: tuple[Path, ...] = ()
        self._asked: Path | None = None
        self._rest = QTimer(self, singleShot=True, interval=REST_MS)
        self._rest.timeout.connect(self._next)

    def of(self, path: Path) -> MemoryPlan | None:
        """What is known of a model with the options that it would be loaded with."""
        known = self._known.get(path)
        return known[1] if known is not None else None

    def want(self, paths: Iterable[Path]) -> None:
        """These are in sight now; those that were wanted before and are not known yet do not matter any more."""
        self._wanted = tuple(paths)
        self._rest.start()

    def forget(self) -> None:
        """What is free, or how models are loaded, is otherwise now."""
        self._known.clear()
        self._asked = None
        self._rest.start()

    def close(self) -> None:
        """Ask nothing any more."""
        self._rest.stop()
        self._wanted, self._asked = (), None
        if self._asks is not None:
            self._asks.close()
            self._asks = None

    def _next(self) -> None:
        if self._asked is not None:
            return
        path = next((path for path in self._wanted if not self._is_known(path)), None)
        if path is None:
            return
        if self._asks is None:
            self._asks = self._make(self)
        self._asked = path
        options = self._settings.options(path)
        self._asks.ask(
            path,
            options,
            self._settings.calibration(path, options),
            self._settings.learnt(path),
            lambda answer: self._answered(path, options, answer),
        )

    def _is_known(self, path: Path) -> bool:
        """Whether it was answered for the options of now, which the person may have changed since."""
        known = self._known.get(path)
        return known is not None and known[0] == self._settings.options(path)

    def _answered(self, path: Path, options: LoadOptions, answer: MemoryPlan | Failed) -> None:
        if path != self._asked:  # it was asked before everything was forgotten
            return
        self._asked = None
        plan = answer if isinstance(answer, MemoryPlan) else None  # without one the header's estimate stays
        self._known[path] = (options, plan)
        self.changed.emit()
        self._next()
