"""How often the engine died lately: when it is started again, and whether one model is to blame."""

import time

import msgspec

from app.protocol.requests import LoadModel
from app.services.engine_process import EngineDeath

RESTART_DELAYS_MS = (0, 500, 2000, 5000)
"""How long to wait before the 1st, 2nd … restart within DEATH_WINDOW; after the last the person decides."""
DEATH_WINDOW = 60.0
"""Seconds."""


class Deaths:
    """Those of one engine's processes."""

    def __init__(self) -> None:
        """None yet."""
        self._times: list[float] = []
        self._died_of: tuple[LoadModel, float] | None = None
        """What the engine last died of, for want of memory or by its GPU, and when."""

    def forget(self) -> None:
        """The person had it started anew: it may die as often again."""
        self._times.clear()

    def count(self) -> int | None:
        """It died just now: the milliseconds until it is started again, None where the person decides."""
        now = time.monotonic()
        self._times = [at for at in self._times if now - at < DEATH_WINDOW] + [now]
        died = len(self._times)
        return RESTART_DELAYS_MS[died - 1] if died <= len(RESTART_DELAYS_MS) else None

    def is_again(self, victim: LoadModel | None, death: EngineDeath) -> bool:
        """Whether it died of this very model, by its memory or its GPU, a moment ago too."""
        if victim is None or not (death.is_memory or death.is_gpu):
            return False
        nameless, now = msgspec.structs.replace(victim, id=0), time.monotonic()
        before, self._died_of = self._died_of, (nameless, now)
        return before is not None and before[0] == nameless and now - before[1] < DEATH_WINDOW
