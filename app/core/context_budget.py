"""How long a context should be, and whether what the person typed still fits into it."""

from dataclasses import dataclass
from typing import Final

from app.core.gguf_description import GgufHeader
from app.core.memory_estimate import CONTEXT_STEP, ContextOptions, estimate

DEFAULT_LIMIT: Final = 8192
"""The longest context that is chosen unasked."""
SMALLEST_CONTEXT: Final = 512
SMALLEST_MARGIN: Final = 256 * 1024 * 1024
"""Bytes that stay free for the rest of the system at least; a tenth of the free memory where that is more."""
REPLY_RESERVE: Final = 64
"""Tokens kept for a reply, so that a turn is not accepted whose answer would break off at once."""


def largest_context(header: GgufHeader, free_bytes: int, limit: int, options: ContextOptions | None = None) -> int:
    """Return the longest context up to `limit` tokens that fits, a multiple of 256; 0 where none does."""
    allowed = free_bytes - max(SMALLEST_MARGIN, free_bytes // 10)
    low, high = 0, limit // CONTEXT_STEP
    while low < high:
        middle = (low + high + 1) // 2
        if estimate(header, middle * CONTEXT_STEP, options).total <= allowed:
            low = middle
        else:
            high = middle - 1
    return low * CONTEXT_STEP


def default_context(
    trained: int | None, free_bytes: int, header: GgufHeader, options: ContextOptions | None = None
) -> int:
    """Return the tokens of context to begin with: the smallest of `trained`, 8,192 and what fits in memory.

    A multiple of 256 and at least 512, also where memory is too small (`largest_context` tells), unless the
    model was trained for less. `free_bytes` is the free memory of the device before the model is loaded.
    """
    limit = min(trained or DEFAULT_LIMIT, DEFAULT_LIMIT)
    if limit < SMALLEST_CONTEXT:
        return limit
    return max(SMALLEST_CONTEXT, largest_context(header, free_bytes, limit, options))


def remaining(limit: int, used: int, draft: int, reserve: int = REPLY_RESERVE) -> int:
    """Return the tokens left after conversation, draft and the reply's reserve; negative if too few."""
    return limit - used - draft - reserve


@dataclass(frozen=True, slots=True)
class ContextBudget:
    """Where a conversation stands in its context, in tokens: `used` so far, `draft` being typed."""

    limit: int
    used: int
    draft: int = 0
    reserve: int = REPLY_RESERVE

    @property
    def remaining(self) -> int:
        """The tokens that stay free after draft and reserve; negative by how many are missing."""
        return remaining(self.limit, self.used, self.draft, self.reserve)

    @property
    def fits(self) -> bool:
        """Whether the draft can be sent and answered."""
        return self.remaining >= 0

    @property
    def is_full(self) -> bool:
        """Whether not even one more token could be sent and answered."""
        return remaining(self.limit, self.used, 1, self.reserve) < 0

    @property
    def longest_reply(self) -> int:
        """The tokens a reply may have at most."""
        return max(0, self.limit - self.used - self.draft)

    @property
    def share_used(self) -> float:
        """The part of the context in use, 0 to 1, for the gauge."""
        return min(1.0, self.used / self.limit) if self.limit > 0 else 1.0
