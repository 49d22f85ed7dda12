"""How fast this machine reads and restores: what decides whether saved state is worth loading."""

from dataclasses import dataclass

RATE_TOKENS = 32
"""Tokens read in one go from which on their rate says something."""
RATE_BYTES = 1024 * 1024
"""The same for bytes restored."""


@dataclass(slots=True)
class Rates:
    """How fast this machine reads with this model, and restores; 0 until measured."""

    prefill: float = 0.0
    """Tokens a second."""
    restore: float = 0.0
    """Bytes a second."""

    def measured_prefill(self, tokens: int, seconds: float) -> None:
        """Take a measurement in; a short one says nothing."""
        if tokens >= RATE_TOKENS and seconds > 0:
            self.prefill = _blend(self.prefill, tokens / seconds)

    def measured_restore(self, size: int, seconds: float) -> None:
        """Take a measurement in; of a small one opening files is most, and says nothing of a large one."""
        if size >= RATE_BYTES and seconds > 0:
            self.restore = _blend(self.restore, size / seconds)

    def reading_wins(self, tokens: int, size: int) -> bool:
        """Whether reading `tokens` again is faster than loading `size` bytes, as far as both were measured."""
        return bool(self.prefill and self.restore) and tokens / self.prefill < size / self.restore

    def skipped_restore(self) -> None:
        """Nothing was measured, so believe in twice the rate: one slow moment of a disk must not decide for ever."""
        self.restore *= 2


def _blend(old: float, new: float) -> float:
    return new if not old else 0.5 * old + 0.5 * new
