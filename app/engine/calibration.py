"""Measures what is fastest for a model on this machine: flash attention, threads and the slice of reading.

It computes what a chat computes, with a filled context: a follow-up of a few new tokens, a reply token by token, a
slice of a long text. Filling costs no reading: the rows of the first tokens are put in again and again at later
positions, which llama.cpp computes with as with any others.
"""

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import llama_cpp

from app.core.calibration import LONGEST_SLICE, choose
from app.core.errors import EmberError
from app.core.load_options import Calibration, Trial
from app.engine.context import Context, ContextSettings, Interrupted
from app.engine.library import log
from app.engine.model import Model
from app.engine.state import ContextState
from app.engine.state_blob import Mismatch, moved_checkpoint, moved_section
from app.protocol.messages import MemoryMode

logger = logging.getLogger(__name__)

DEEPEST = 2048
"""Tokens in the context while it is measured, at most; half of a smaller context."""
SAMPLE = 64
"""Tokens that are read to begin with, and then repeated."""
PILOT = 16
"""The first of them, which tell how slow the model is."""
FOLLOW_UP = 24
"""New tokens of a follow-up: a short message with its template."""
DECODED = 8
FEWEST_ROUNDS, MOST_ROUNDS = 3, 12
"""Short measurements are repeated and the fastest counts: what else runs only makes them slower."""
SOON = 0.3
"""Seconds before which they are repeated more often."""
ENOUGH = 0.75
"""Seconds after which nothing is repeated."""
LIMIT = 12.0
"""Seconds after which no further number of threads or slice is tried."""
LONGEST_TRIAL = 8.0
"""Seconds that a slice may take to be tried at all."""
FLASH_DISABLED = "Flash Attention not supported, set to disabled"
"""llama.cpp's log where a device lacks it (`resolve_fused_ops` in llama-context.cpp)."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What is tried; the first of each is the default."""

    flash_attention: tuple[bool, ...]
    threads: tuple[int, ...]
    batches: tuple[int, ...]

    @property
    def trials(self) -> int:
        """How many trials that are at most: threads and slices are tried with the best of what was tried before."""
        return len(self.flash_attention) + len(self.threads) + len(self.batches) - 2


class Calibrator:
    """Measures one model in contexts of its own."""

    def __init__(
        self,
        model: Model,
        settings: ContextSettings,
        mode: MemoryMode,
        *,
        on_gpu: bool,
        progress: Callable[[int, int], None],
        stopped: Callable[[], bool],
    ) -> None:
        """`settings` are those of the session, whose context must be free."""
        self._model = model
        self._settings = settings
        self._mode = mode
        self._on_gpu = on_gpu
        self._progress = progress
        self._stopped = stopped
        self._depth = min(DEEPEST, settings.tokens // 2)
        self._bench: _Bench | None = None

    def abort(self) -> None:
        """Let the running decode end as soon as it can; from any thread, after `stopped` says so."""
        if (bench := self._bench) is not None:
            bench.context.abort.raise_()

    def run(self, candidates: Candidates) -> Calibration:
        """Try what there is to try and choose; raises EmberError (cancelled, out_of_memory)."""
        began = time.perf_counter()
        trials: list[Trial] = []
        try:
            self._try_all(candidates, trials, began)
            depth = self._bench.depth if self._bench is not None else 0
        except Interrupted as error:
            raise _cancelled() from error
        finally:
            self._close()
        best = choose(trials)
        logger.info("measured in %.1f s at %d tokens: %s of %s", time.perf_counter() - began, depth, best, trials)
        return Calibration(best, tuple(trials), depth)

    def _try_all(self, candidates: Candidates, trials: list[Trial], began: float) -> None:
        """Add the trials, the default's first."""
        threads, batch = candidates.threads[0], candidates.batches[0]
        largest = max(candidates.batches)
        for flash in reversed(candidates.flash_attention):  # the default last: its context mostly serves the rest
            bench = self._open(flash, largest, needed=flash == candidates.flash_attention[0])
            if bench is not None and bench.flash not in [trial.flash_attention for trial in trials]:
                trials.insert(0, bench.trial(threads, batch))
                self._progress(len(trials), candidates.trials)
        best = choose(trials)
        if best is not trials[0]:  # the default may have met with something else that ran: it gets a second chance
            bench = self._opened(trials[0].flash_attention, largest)
            trials[0] = _best_of(trials[0], bench.trial(threads, batch))
            best = choose(trials)
        bench = self._opened(best.flash_attention, largest)
        for threads in candidates.threads[1:]:
            if time.perf_counter() - began < LIMIT:
                trials.append(bench.trial(threads, batch))
                self._progress(len(trials), candidates.trials)
        best = choose(trials)
        for batch in candidates.batches[1:]:
            if time.perf_counter() - began < LIMIT and batch <= bench.largest and _is_promising(best, batch):
                trials.append(dataclasses.replace(best, batch=batch, prefill=bench.prefill(best.threads, batch)))
                self._progress(len(trials), candidates.trials)

    def _open(self, flash: bool, largest: int, *, needed: bool) -> "_Bench | None":
        """A context for trials; without flash attention where the device has none.

        None where memory does not suffice for what is not needed.
        """
        self._close()
        if self._stopped():
            raise _cancelled()
        kind = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        if flash:
            automatic, on = llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO, llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
            kind = automatic if self._on_gpu else on
        settings = dataclasses.replace(
            self._settings,
            tokens=max(self._settings.tokens, self._depth + MOST_ROUNDS * (FOLLOW_UP + DECODED) + 3 * largest),
            batch=largest,
            flash_attention=kind,
        )
        try:
            context = Context(self._model, settings)
        except EmberError:
            if not needed:
                return None
            context = Context(self._model, dataclasses.replace(settings, batch=self._settings.batch))
        flash = flash and not any(FLASH_DISABLED in line for _, line in log.lines)
        self._bench = _Bench(context, flash, self._mode, self._model.vocabulary.size, self._depth, self._stopped)
        self._bench.fill()
        return self._bench

    def _opened(self, flash: bool, largest: int) -> "_Bench":
        """The context with that flash attention, which was measured already."""
        bench = self._bench
        if bench is None or bench.flash != flash:
            bench = self._open(flash, largest, needed=True)
        assert bench is not None
        return bench

    def _close(self) -> None:
        bench, self._bench = self._bench, None
        if bench is not None:
            bench.context.close()


def _best_of(one: Trial, other: Trial) -> Trial:
    """The fastest of two measurements of the same."""
    return dataclasses.replace(
        one,
        follow_up=max(one.follow_up, other.follow_up),
        decode=max(one.decode, other.decode),
        prefill=max(one.prefill, other.prefill),
    )


def _is_promising(best: Trial, batch: int) -> bool:
    """Whether a slice could be chosen, and is measured soon: a longer one where it is quick, else a shorter one."""
    seconds = batch / best.prefill
    if batch > best.batch:
        return seconds <= LONGEST_SLICE
    return best.batch / best.prefill > LONGEST_SLICE and seconds <= LONGEST_TRIAL


def _cancelled() -> EmberError:
    return EmberError("Measuring was stopped; nothing was changed. It can be repeated at any time.", "cancelled")


class _Bench:
    """A filled context with a stopwatch."""

    def __init__(
        self,
        context: Context,
        flash: bool,
        mode: MemoryMode,
        vocabulary: int,
        depth: int,
        stopped: Callable[[], bool],
    ) -> None:
        self.context = context
        self.flash = flash
        self.largest = context.settings.batch
        self.depth = 0
        self._wanted = depth
        self._stopped = stopped
        self._mode = mode
        self._state: ContextState | None = None
        self._tokens = [(13 + 977 * number) % vocabulary for number in range(max(SAMPLE, self.largest))]
        self._end = 0
        self._chunk = 0
        """Tokens of the sample that is repeated."""
        self._rows = self._window = self._checkpoint = b""
        self._rate = 0.0
        """Tokens a second that the pilot was read with."""

    # --- filling -----------------------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Read the sample and repeat it up to the depth; where this memory cannot be filled so, it stays shallow."""
        state = self._state = ContextState(self.context, self._mode, self._tokens[:3])
        self._read(self._tokens[:PILOT])  # the first decode also warms caches and threads up
        self.context.clear()
        self._end = 0
        self._rate = PILOT / self._timed(self._tokens[:PILOT])
        sample = SAMPLE if self._rate >= SAMPLE else PILOT
        self._chunk = min(sample, self.context.window or sample, self._wanted)
        if self._chunk > PILOT:
            self._read(self._tokens[PILOT : self._chunk])
        if state.works and state.mode != "opaque":
            rows, window = state.take(0, self._chunk) if state.has_rows else (b"", b"")
            self._rows, self._window = bytes(rows), bytes(window)
            self._checkpoint = bytes(state.checkpoint()) if state.has_checkpoints else b""
        self._again()

    def _again(self) -> None:
        """Have the depth in the context and nothing else."""
        self.context.clear()
        try:
            self._end = self._put_copies() if self._rows or self._checkpoint else 0
        except Mismatch as mismatch:
            logger.warning("measured without filling the context: %s", mismatch)
            self._rows = self._window = self._checkpoint = b""
            self.context.clear()
            self._end = 0
        if not self._end:
            self._read(self._tokens[: self._chunk])
        self.depth = self._end

    def _put_copies(self) -> int:
        """Put the sample's rows in as often as fits; the tokens that are in the context then. Raises Mismatch."""
        state, copies = self._state, self._wanted // self._chunk
        assert state is not None
        extension = state.layouts.rows.extension if state.layouts.rows is not None else 0
        for start in range(0, copies * self._chunk if self._rows else 0, self._chunk):
            if self._stopped():
                raise _cancelled()
            is_seen = start + self._chunk > (copies * self._chunk) - self.context.window
            window = self._window if is_seen else b""
            before, behind = state.frame(window=bool(window))
            rows = moved_section(self._rows, start, extension)
            if window:
                window = bytes(moved_section(window, start, extension))
            blob = bytearray(b"".join((before, rows, window, behind)))
            state.append(blob, len(rows), len(window), start, self._chunk)
        if self._checkpoint:
            has_window = state.layouts.window is not None
            by = (copies - 1) * self._chunk
            moved = moved_checkpoint(self._checkpoint, by, extension, has_window=has_window)
            state.load_checkpoint(moved, by + self._chunk)
        return copies * self._chunk

    # --- measuring ---------------------------------------------------------------------------------------------------

    def trial(self, threads: int, batch: int) -> Trial:
        """All three figures; raises Interrupted and EmberError (cancelled)."""
        self._start(threads)
        follow_up = max(min(FOLLOW_UP, int(self._rate / 2)), 4)
        decoded = max(min(DECODED, int(self._rate / 8)), 2)
        began, fastest_read, fastest_write = time.perf_counter(), float("inf"), float("inf")
        for number in range(1, MOST_ROUNDS + 1):
            fastest_read = min(fastest_read, self._timed(self._tokens[:follow_up]))
            fastest_write = min(fastest_write, sum(self._timed([token]) for token in self._tokens[:decoded]))
            spent = time.perf_counter() - began
            if spent > ENOUGH or (spent > SOON and number >= FEWEST_ROUNDS):
                break
        prefill = self._prefill(batch)
        return Trial(self.flash, threads, batch, follow_up / fastest_read, decoded / fastest_write, prefill)

    def prefill(self, threads: int, batch: int) -> float:
        """Tokens a second of reading one slice; raises Interrupted and EmberError (cancelled)."""
        self._start(threads)
        return self._prefill(batch)

    def _start(self, threads: int) -> None:
        """The depth is in the context, and that many threads are awake."""
        llama_cpp.llama_set_n_threads(self.context.pointer, threads, threads)
        self._again()
        self._read(self._tokens[:2])

    def _prefill(self, batch: int) -> float:
        """Of a slow model only as much is read as takes about two seconds."""
        count = min(batch, self.largest, max(2 * PILOT, int(2 * self._rate)))
        fastest = self._timed(self._tokens[:count])
        if fastest < ENOUGH:
            fastest = min(fastest, self._timed(self._tokens[:count]))
        return count / fastest

    def _timed(self, tokens: Sequence[int]) -> float:
        """The seconds that reading the tokens takes."""
        began = time.perf_counter()
        self._read(tokens)
        return time.perf_counter() - began

    def _read(self, tokens: Sequence[int]) -> None:
        if self._stopped():
            raise _cancelled()
        self.context.decode(tokens, self._end)
        llama_cpp.llama_synchronize(self.context.pointer)  # a GPU is still at work
        self._end += len(tokens)
