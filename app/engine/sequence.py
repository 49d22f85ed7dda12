"""The live sequence: which tokens the context holds, and how far back it can go."""

from collections.abc import Callable, Sequence

from app.core.errors import EmberError
from app.core.ledger import common_prefix
from app.engine.context import Context, Interrupted
from app.protocol.messages import MemoryMode

NEVER_READ = "This conversation was not in memory yet."


class LiveSequence:
    """The tokens whose keys and values are in the context, and the conversation that they belong to."""

    def __init__(self, context: Context, mode: MemoryMode, window: int) -> None:
        """Start empty; `window` is the sliding window in tokens, 0 for none."""
        self._context = context
        self._mode = mode
        self._window = window
        self.tokens: list[int] = []
        self.conversation: str | None = None
        self.emptied_because = NEVER_READ

    def keep_prefix(self, prompt: Sequence[int]) -> tuple[int, bool]:
        """Keep what the prompt shares with the sequence and take back the rest; at least one token stays to decode.

        Returns the tokens kept, and whether they are fewer than matched because this memory cannot go back.
        """
        matched = min(common_prefix(self.tokens, prompt), len(prompt) - 1)
        if matched == len(self.tokens):
            return matched, False
        if self._can_rewind(matched) and self._context.remove_from(matched):
            del self.tokens[matched:]
            return matched, False
        self.empty(self.emptied_because)
        return 0, matched > 0

    def _can_rewind(self, position: int) -> bool:
        """Whether the state at `position` is whole; seq_rm's own True is not to be trusted (KV_STATE, Traps)."""
        if position == 0 or self._mode in ("recurrent", "hybrid", "opaque"):
            return False  # cleared fully instead
        if self._window:
            return self._context.oldest_position() <= max(0, position - self._window + 1)
        return True

    def empty(self, because: str) -> None:
        """Forget everything."""
        self._context.clear()
        self.tokens.clear()
        self.conversation = None
        self.emptied_because = because

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
        rewindable = self._mode == "full" or (self._mode == "window" and self._can_rewind(len(self.tokens)))
        if not (rewindable and self.tokens and self._context.remove_from(len(self.tokens))):
            self.empty("Reading was stopped in the middle, and this model's memory cannot go back to before that.")


Progress = Callable[[int, int], None]


def prefill(
    sequence: LiveSequence,
    tokens: Sequence[int],
    slice_size: int,
    progress: Progress,
    stopped: Callable[[], bool],
) -> bool:
    """Decode `tokens` in slices with progress (done, total) after each; False if stopped between two."""
    total = len(tokens)
    for start in range(0, total, slice_size):
        if stopped():
            return False
        sequence.extend(tokens[start : start + slice_size])
        progress(min(total, start + slice_size), total)
    return True
