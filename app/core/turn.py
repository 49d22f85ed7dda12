"""What a turn reports: how it ended, which tokens it read and which it did not have to."""

from dataclasses import dataclass
from typing import Literal

FinishReason = Literal["stop", "length", "cancelled", "failed"]
"""The model ended · the limit of tokens or of the context · the person stopped it · the engine broke."""


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """The tokens of one turn; prompt = reused_memory + reused_saved + evaluated."""

    prompt: int = 0
    reused_memory: int = 0
    """Prompt tokens whose keys and values were still in the context."""
    reused_saved: int = 0
    """Prompt tokens whose keys and values were restored from saved state."""
    evaluated: int = 0
    generated: int = 0


@dataclass(frozen=True, slots=True)
class TurnSeconds:
    """Seconds, from the engine's receipt of the request."""

    restore: float = 0.0
    prefill: float = 0.0
    first_token: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class KvFigures:
    """What the turn cost the saved state."""

    bytes_written: int = 0
    bytes_per_token: int = 0


@dataclass(frozen=True, slots=True)
class Reread:
    """Why tokens that had been read before were read again."""

    at_token: int
    """The first token that differed from what was kept, counted from 0."""
    reason: str
    """A sentence in plain words."""


@dataclass(frozen=True, slots=True)
class TurnFigures:
    """Everything measured about one turn."""

    tokens: TokenCounts = TokenCounts()
    seconds: TurnSeconds = TurnSeconds()
    tokens_per_second: float = 0.0
    """Generated tokens over the seconds after the first one; 0 for fewer than two tokens."""
    kv: KvFigures = KvFigures()
    reread: Reread | None = None
