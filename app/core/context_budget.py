"""How long a context begins, and whether what the person typed still fits into it."""

from dataclasses import dataclass
from typing import Final

DEFAULT_LIMIT: Final = 8192
"""The longest context that is chosen unasked."""
SMALLEST_CONTEXT: Final = 512
"""The shortest that is chosen unasked."""
REPLY_RESERVE: Final = 64
"""Tokens kept for a reply, so that a turn is not accepted whose answer would break off at once."""

_NEARLY_FULL: Final = 0.15
"""The share of a context that is left when it is called nearly full."""
_ONE_MORE_TURN: Final = 128
"""Tokens that are called nearly full in a short context, of which that share would be less than a turn."""


def remaining(limit: int, used: int, draft: int, reserve: int = REPLY_RESERVE) -> int:
    """Return the tokens left after conversation, draft and the reply's reserve; negative if too few."""
    return limit - used - draft - reserve


def is_nearly_full(limit: int, left: int) -> bool:
    """Return whether so few tokens of a context are left that it may be full after the next turn."""
    return left < max(_NEARLY_FULL * limit, min(_ONE_MORE_TURN, limit // 4))


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
    def is_nearly_full(self) -> bool:
        """Whether it may be full after the next turn."""
        return is_nearly_full(self.limit, self.remaining)
