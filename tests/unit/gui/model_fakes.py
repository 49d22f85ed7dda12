"""What estimates a model's memory as a test tells it to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from PySide6.QtCore import QObject

from app.core.load_options import Calibration, LoadOptions, Trial
from app.protocol.answers import Failed
from app.protocol.parts import DeviceEstimate, MemoryPlan, Offer

MIB, GIB = 1 << 20, 1 << 30
SMALLER = Offer(label="Use a context of 1,024 tokens", options=LoadOptions(context=1024))
HALF_KV = Offer(label="Keep the chat's memory (KV) at half the size", options=LoadOptions(kv_type="q8_0"))
BEST = Trial(False, 2, 256, 110.0, 33.0, 250.0)
CALIBRATION = Calibration(BEST, (BEST, Trial(True, 2, 256, 58.0, 31.4, 262.0)), 2048)


class FakeEstimator(QObject):
    """Answers when the test says so; the newest is `FakeEstimator.made[-1]`."""

    made: ClassVar[list["FakeEstimator"]] = []

    def __init__(self, _log_folder: Path, _engine: object, parent: QObject) -> None:
        super().__init__(parent)
        self.questions: list[LoadOptions] = []
        self.is_closed = False
        self._told: Callable[[MemoryPlan | Failed], None] | None = None
        self.made.append(self)

    @property
    def is_asked(self) -> bool:
        """Whether a question waits for its answer."""
        return self._told is not None

    def ask(
        self,
        _path: Path,
        options: LoadOptions,
        _calibration: Calibration | None,
        _learnt: dict[str, int],
        told: Callable[[MemoryPlan | Failed], None],
    ) -> None:
        self.questions.append(options)
        self._told = told

    def close(self) -> None:
        self.is_closed = True
        self._told = None

    def answer(self, plan: MemoryPlan | Failed | None = None) -> None:
        """Answer the newest question, by default with KV of 24 KiB a token."""
        told, self._told = self._told, None
        assert told is not None, "nothing is asked"
        told(plan_of(self.questions[-1]) if plan is None else plan)


def plan_of(options: LoadOptions, **changed: Any) -> MemoryPlan:
    """A model of 92 MiB on a computer with 16 GiB free, whose KV takes 24 KiB a token, or half of that."""
    context = options.context or 2048
    kv = context * 24 * 1024 // (1 if options.kv_type == "f16" else 2)
    device = DeviceEstimate(
        device="CPU",
        free_bytes=16 * GIB,
        total_bytes=24 * GIB,
        weights=92 * MIB,
        kv=kv,
        compute=80 * MIB,
        other=GIB // 8,
    )
    plan: dict[str, Any] = {
        "verdict": "fits",
        "sentence": "It fits.",
        "context": context,
        "gpu_layers": 0,
        "layers": 30,
        "devices": (device,),
        "is_dry_run": True,
        "context_trained": 8192,
    }
    return MemoryPlan(**(plan | changed))
