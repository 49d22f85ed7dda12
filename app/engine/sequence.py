"""The live sequence: which tokens the context holds, how far back it can go, and what it gets from saved state."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from app.core.errors import EmberError
from app.core.ledger import common_prefix
from app.engine.context import Context, Interrupted
from app.engine.saved_state import DAMAGED, NOT_WORTH_IT, REMOVED, SavedState
from app.kvstore.errors import StoreUnavailable
from app.protocol.parts import MemoryMode

logger = logging.getLogger(__name__)

NEVER_READ = "This chat was not in memory yet."
UNAVAILABLE = "Its saved state cannot be read just now."
MAX_REFUSALS = 4
"""Damaged chunks that are met in one turn before the prompt is simply read."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """What of a prompt did not have to be read: tokens that were in memory, and tokens that were restored."""

    memory: int = 0
    saved: int = 0
    seconds: float = 0.0
    """Spent on restoring."""
    rewound: bool = False
    """More matched, but this kind of memory cannot go back to it."""
    trouble: str = ""
    """A sentence where there was saved state that could not be used."""

    @property
    def tokens(self) -> int:
        """Both together: where reading goes on."""
        return self.memory + self.saved


class LiveSequence:
    """The tokens whose keys and values are in the context, and the conversation that they belong to."""

    def __init__(self, context: Context, mode: MemoryMode, window: int, saved: SavedState | None = None) -> None:
        """Start empty; `window` is the sliding window in tokens, 0 for none, `saved` the way to the store."""
        self._context = context
        self._mode = mode
        self._window = window
        self.saved = saved
        self.tokens: list[int] = []
        self.conversation: str | None = None
        self.emptied_because = NEVER_READ
        self._restored_ahead = 0
        """Tokens restored before their turn began, not yet accounted for."""
        self.trouble_ahead = ""
        """A sentence where there was saved state that could not be used then."""

    # --- beginning a turn --------------------------------------------------------------------------------------------

    def resume(self, prompt: Sequence[int], *, use_saved: bool, stopped: Callable[[], bool]) -> Resumed:
        """Have as much of `prompt` in the context as memory and store give, and nothing else; one token stays to read.

        The live sequence is then a prefix of the prompt.
        """
        self.trouble_ahead = ""
        restored, trouble = self._restore(prompt, stopped) if use_saved else (None, "")
        if restored is not None:
            return restored
        matched = min(common_prefix(self.tokens, prompt), len(prompt) - 1)
        kept = self._keep(matched)
        ahead = min(self._restored_ahead, kept)
        self._restored_ahead = 0
        return Resumed(kept - ahead, ahead, 0.0, rewound=kept < matched, trouble=trouble)

    def _restore(self, prompt: Sequence[int], stopped: Callable[[], bool]) -> tuple[Resumed | None, str]:
        """Restore a saved prefix as `_restore_further` does, and a shorter one where its end is refused."""
        began, trouble = time.perf_counter(), ""
        for _ in range(MAX_REFUSALS if self.saved is not None else 0):
            restored, refusal = self._restore_further(prompt, stopped)
            trouble = trouble or refusal
            if restored is not None:
                return replace(restored, seconds=time.perf_counter() - began, trouble=trouble), trouble
            if refusal not in (DAMAGED, REMOVED):
                break
        return None, trouble

    def _restore_further(self, prompt: Sequence[int], stopped: Callable[[], bool]) -> tuple[Resumed | None, str]:
        """Restore a saved prefix that is longer than what memory holds; None, and why if there is one, if not."""
        assert self.saved is not None
        limit = len(prompt) - 1
        matched = min(common_prefix(self.tokens, prompt), limit)
        held = matched if self._can_keep(matched) else 0
        chain = self.saved.chain(prompt[:limit])
        if not chain or chain[-1].end <= held:
            return None, ""
        if not self.saved.worth_restoring(chain, held):
            return None, NOT_WORTH_IT
        base = max(row.start for row in chain if row.start <= held) if self._mode == "full" else 0
        ahead, self._restored_ahead = min(self._restored_ahead, base), 0
        if not (base and self._keep(base) == base):
            base = ahead = 0
            self.empty(self.emptied_because)
        try:
            end, trouble = self.saved.restore(chain, base, stopped)
        except StoreUnavailable as error:
            logger.warning("saved state was not restored because %s", error.reason)
            end, trouble = 0, UNAVAILABLE
        if trouble or end < base:
            self.empty(trouble or self.emptied_because)
            return None, trouble
        self.tokens = list(prompt[:end])
        return Resumed(base - ahead, end - base + ahead), ""

    def restore_ahead(self, prompt: Sequence[int], stopped: Callable[[], bool]) -> int:
        """Restore what is saved of a prompt before its turn begins; the tokens that came from the store.

        Where there is nothing to restore, what is in memory stays there, whosever it is.
        """
        restored, self.trouble_ahead = self._restore(prompt, stopped)
        if restored is None or not restored.saved:
            return 0
        self._restored_ahead = restored.saved
        return restored.saved

    @property
    def can_go_back(self) -> bool:
        """Whether this memory can return to an earlier token at all, also after a decode that was broken off."""
        return self._mode in ("full", "window")

    def _can_keep(self, position: int) -> bool:
        """Whether the sequence can be cut to its first `position` tokens; seq_rm's own True is not to be trusted."""
        if position == len(self.tokens):
            return True
        return position > 0 and self.can_go_back and self._window_reaches(position)  # else it is cleared fully

    def _keep(self, position: int) -> int:
        """Keep the first `position` tokens, or none where this memory cannot go back to there; how many stay."""
        if position == len(self.tokens):
            return position
        if self._can_keep(position) and self._context.remove_from(position):
            self._cut(position)
            return position
        self.empty(self.emptied_because)
        return 0

    def _cut(self, position: int) -> None:
        del self.tokens[position:]
        if self.saved is not None:
            self.saved.trim(position)

    def empty(self, because: str) -> None:
        """Forget everything."""
        self._context.clear()
        self._cut(0)
        self.conversation = None
        self.emptied_because = because
        self._restored_ahead = 0

    # --- reading -----------------------------------------------------------------------------------------------------

    def extend(self, tokens: Sequence[int]) -> None:
        """Decode one slice onto the end.

        Raises Interrupted after an abort; the sequence is then what it was before, or empty where that is unknowable.
        """
        try:
            self._context.decode(tokens, len(self.tokens))
        except Interrupted:
            self._recover()
            raise
        except EmberError as error:
            if error.kind != "context_full":  # that one leaves the state as it was
                self.empty("Reading failed, so everything is read again.")
            raise
        self.tokens.extend(tokens)

    def _recover(self) -> None:
        """After an abort: drop the half-decoded tail, or everything where pos_max lies (hybrids)."""
        rewindable = self.can_go_back and self._window_reaches(len(self.tokens))
        if not (rewindable and self.tokens and self._context.remove_from(len(self.tokens))):
            self.empty("Reading was stopped in the middle, and this model's memory cannot go back to before that.")

    def _window_reaches(self, position: int) -> bool:
        """Whether a sliding window, if there is one, still holds all that a token at `position` attends to."""
        return not self._window or self._context.oldest_position() <= max(0, position - self._window + 1)


Progress = Callable[[int, int], None]


def prefill(
    sequence: LiveSequence,
    tokens: Sequence[int],
    stops: Sequence[int],
    progress: Progress,
    stopped: Callable[[], bool],
) -> bool:
    """Decode `tokens` in slices that end at `stops` (counted in `tokens`), with progress (done, total) after each.

    False if stopped between two.
    """
    start = 0
    for end in stops:
        if stopped():
            return False
        sequence.extend(tokens[start:end])
        progress(end, len(tokens))
        start = end
    return True
