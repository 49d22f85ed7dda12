"""Measures what is fastest for a model on this machine: flash attention, threads and the slice of reading.

It computes what a chat computes, with a filled context: a follow-up of a few new tokens, a reply token by token, a
longer text. Filling costs no reading: the rows of the first tokens are put in again and again at later positions,
which llama.cpp computes with as with any others. What is compared is measured in turns, until the fastest runs of
each agree, so that what else this machine does slows all of it; where they do not come to agree the default stays.
"""

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import llama_cpp

from app.core.calibration import LONGEST_SLICE, choose
from app.core.errors import EmberError
from app.core.load_options import Calibration, Trial
from app.engine.context import Context, ContextSettings, Interrupted
from app.engine.library import log
from app.engine.model import Model
from app.engine.state import ContextState
from app.engine.state_blob import Mismatch, moved_checkpoint, moved_section
from app.protocol.parts import MemoryMode

logger = logging.getLogger(__name__)

DEEPEST = 2048
"""Tokens in the context while it is measured, at most."""
SHARE = 4
"""A smaller context is filled to a quarter: two such contexts together then take no more memory than the chat's."""
SAMPLE = 64
"""Tokens that are read to begin with, and then repeated."""
PILOT = 16
"""The first of them, which tell how slow the model is."""
FOLLOW_UP, DECODED, TEXT = 24, 8, 64
"""Tokens of one round: a short message with its template, a reply, a longer text; less of a slow model."""
FEWEST_ROUNDS, MOST_ROUNDS = 3, 12
AGREEING = 1.05
"""The fastest two runs differ by no more than this."""
ROUNDS_LIMIT = 6.0
"""Seconds after which no further round begins."""
LIMIT = 12.0
"""Seconds after which nothing further is tried."""
LONGEST_TRIAL = 4.0
"""Seconds that a slice may take to be tried at all."""
FLASH_DISABLED = "Flash Attention not supported, set to disabled"
"""llama.cpp's log where a device lacks it (`resolve_fused_ops` in llama-context.cpp)."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What is tried; the first of each is the default."""

    flash_attention: tuple[bool, ...]
    threads: tuple[int, ...]
    batches: tuple[int, ...]


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
        self._depth = min(DEEPEST, max(settings.tokens // SHARE, SAMPLE))
        self._benches: list[_Bench] = []
        self._trials: list[Trial] = []
        self._is_steady = True
        self._began = time.perf_counter()

    def abort(self) -> None:
        """Let the running decode end as soon as it can; from any thread, after `stopped` says so."""
        for bench in tuple(self._benches):
            bench.context.abort.raise_()

    def run(self, candidates: Candidates) -> Calibration:
        """Try what there is to try and choose; raises EmberError (cancelled, out_of_memory)."""
        try:
            best = self._try_all(candidates)
            depth = min(bench.depth for bench in self._benches)
        except Interrupted as error:
            raise _cancelled() from error
        finally:
            for bench in self._benches:
                bench.context.close()
            self._benches = []
        seconds = time.perf_counter() - self._began
        logger.info("measured in %.1f s at %d tokens: %s of %s", seconds, depth, best, self._trials)
        return Calibration(best, tuple(self._trials), depth, self._is_steady)

    def _try_all(self, candidates: Candidates) -> Trial:
        """The best: first of flash attention, with that of the threads, with both of the slices."""
        threads, batch = candidates.threads[0], candidates.batches[0]
        for flash in candidates.flash_attention:
            self._open(flash, max(candidates.batches))
        self._progress(1, 4)
        contenders = [_Contender(bench, threads) for bench in self._benches]
        best = self._rounds(contenders, batch)
        self._progress(2, 4)
        bench = next(bench for bench in self._benches if bench.flash == best.flash_attention)
        if len(candidates.threads) > 1 and self._has_time:
            best = self._rounds([_Contender(bench, threads) for threads in candidates.threads], batch)
        self._progress(3, 4)
        best = self._try_slices(bench, best, candidates.batches[1:])
        self._progress(4, 4)
        return best

    @property
    def _has_time(self) -> bool:
        return time.perf_counter() - self._began < LIMIT

    def _open(self, flash: bool, largest: int) -> None:
        """A filled context for trials; where the device has no flash attention, or no memory for a second, none."""
        if self._stopped():
            raise _cancelled()
        kind = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        if flash:
            automatic, on = llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO, llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
            kind = automatic if self._on_gpu else on
        settings = dataclasses.replace(
            self._settings, tokens=self._depth + max(largest, 256), batch=largest, flash_attention=kind
        )
        try:
            context = Context(self._model, settings)
        except EmberError:
            if not self._benches:
                raise
            return
        if flash and any(FLASH_DISABLED in line for _, line in log.lines):
            flash = False
        if any(bench.flash == flash for bench in self._benches):
            context.close()
            return
        bench = _Bench(context, flash, self._mode, self._model.vocabulary.size, self._depth, self._stopped)
        self._benches.append(bench)
        bench.fill()

    def _rounds(self, contenders: "list[_Contender]", batch: int) -> Trial:
        """Measure them in turns; the first is the default, which stays where the runs do not agree."""
        began = time.perf_counter()
        for number in range(1, MOST_ROUNDS + 1):
            for contender in contenders:
                if number == 1 or time.perf_counter() - began < ROUNDS_LIMIT:
                    contender.run()
            enough = number >= FEWEST_ROUNDS and all(contender.agrees for contender in contenders)
            if enough or time.perf_counter() - began > ROUNDS_LIMIT:
                break
        trials = [contender.trial(batch) for contender in contenders]
        self._trials = [trial for trial in self._trials if not any(_is_same(trial, new) for new in trials)] + trials
        self._is_steady = self._is_steady and all(contender.agrees for contender in contenders)
        if not contenders[0].agrees:
            return trials[0]
        return choose([trial for trial, run in zip(trials, contenders, strict=True) if run.agrees])

    def _try_slices(self, bench: "_Bench", best: Trial, batches: Sequence[int]) -> Trial:
        """Whole slices, each against the default, which is read again before one takes its place."""
        if not (self._is_steady and self._has_time) or best.batch / best.prefill > LONGEST_TRIAL:
            return best
        bench.use(best.threads)
        others = [batch for batch in batches if batch <= bench.largest and _is_promising(best, batch)]
        if not others:
            return best
        whole = dataclasses.replace(best, prefill=bench.prefill(best.batch))
        trials = [dataclasses.replace(best, batch=batch, prefill=bench.prefill(batch)) for batch in others]
        if choose([whole, *trials]) is not whole:
            whole = dataclasses.replace(whole, prefill=max(whole.prefill, bench.prefill(best.batch)))
        self._trials = [whole if _is_same(trial, best) else trial for trial in self._trials] + trials
        return choose([whole, *trials])


@dataclass(slots=True)
class _Contender:
    """One way to compute, and how fast its runs were: tokens a second."""

    bench: "_Bench"
    threads: int
    follow_ups: list[float] = field(default_factory=list)
    decodes: list[float] = field(default_factory=list)
    texts: list[float] = field(default_factory=list)

    def run(self) -> None:
        """One round; raises Interrupted and EmberError (cancelled)."""
        follow_up, decoded, text = self.bench.amounts
        self.bench.use(self.threads)
        self.bench.make_room(follow_up + decoded + text)
        self.follow_ups.append(self.bench.speed(follow_up))
        self.decodes.append(self.bench.speed(decoded, at_once=1))
        self.texts.append(self.bench.speed(text))

    @property
    def agrees(self) -> bool:
        """Whether the fastest two runs of each are as good as equal."""
        return all(_agree(speeds) for speeds in (self.follow_ups, self.decodes, self.texts))

    def trial(self, batch: int) -> Trial:
        """The fastest runs: what else the machine does only makes them slower."""
        return Trial(self.bench.flash, self.threads, batch, max(self.follow_ups), max(self.decodes), max(self.texts))


def _agree(speeds: Sequence[float]) -> bool:
    *_, second, first = (0.0, 0.0, *sorted(speeds))
    return first <= AGREEING * second


def _is_same(one: Trial, other: Trial) -> bool:
    """Whether both measured the same way to compute."""
    parts = [(trial.flash_attention, trial.threads, trial.batch) for trial in (one, other)]
    return parts[0] == parts[1]


def _is_promising(best: Trial, batch: int) -> bool:
    """Whether a slice could be chosen: a longer one where it is quick, a shorter one where the default is not."""
    if batch > best.batch:
        return batch / best.prefill <= LONGEST_SLICE
    return best.batch / best.prefill > LONGEST_SLICE


def _cancelled() -> EmberError:
    return EmberError("Measuring was stopped; nothing was changed. It can be repeated at any time.", "cancelled")


class _Bench:
    """A filled context with a stopwatch; its reading raises Interrupted and EmberError (cancelled)."""

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
        self._threads = context.settings.threads
        self._wanted = depth
        self._stopped = stopped
        self._mode = mode
        self._state: ContextState | None = None
        self._tokens = [(13 + 977 * number) % vocabulary for number in range(max(SAMPLE, self.largest))]
        self._end = 0
        self._chunk = 0
        """Tokens of the sample that is repeated."""
        self._rows = self._window = self._checkpoint = b""
        self.amounts = (FOLLOW_UP, DECODED, TEXT)

    # --- filling -----------------------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Read the sample and repeat it up to the depth; where this memory cannot be filled so, it stays shallow."""
        state = self._state = ContextState(self.context, self._mode, self._tokens[:3])
        self._read(PILOT)  # the first decode also warms caches and threads up
        self.context.clear()
        self._end = 0
        rate = self.speed(PILOT)
        sample = SAMPLE if rate >= SAMPLE else PILOT
        self._chunk = min(sample, self.context.window or sample, self._wanted)
        if self._chunk > PILOT:
            self._read(self._chunk - PILOT)
        self.amounts = (
            max(min(FOLLOW_UP, int(rate / 2)), 4),
            max(min(DECODED, int(rate / 8)), 2),
            max(min(TEXT, int(rate)), PILOT),
        )
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
            self._read(self._chunk)
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

    def use(self, threads: int) -> None:
        """Compute with that many threads from now on, which are awake already."""
        if threads != self._threads:
            self._threads = threads
            llama_cpp.llama_set_n_threads(self.context.pointer, threads, threads)
            self.make_room(2)
            self._read(2)

    def make_room(self, tokens: int) -> None:
        """Go back to the depth where the context could not take so many more."""
        if self._end + tokens > self.context.size:
            self._again()

    def prefill(self, batch: int) -> float:
        """Tokens a second of reading one slice."""
        self.make_room(batch)
        return self.speed(batch)

    def speed(self, count: int, at_once: int | None = None) -> float:
        """Tokens a second of reading `count` tokens, all of them or so many at once."""
        began = time.perf_counter()
        for _ in range(0, count, at_once or count):
            self._read(at_once or count)
        return count / (time.perf_counter() - began)

    def _read(self, count: int) -> None:
        if self._stopped():
            raise _cancelled()
        self.context.decode(self._tokens[:count], self._end)
        llama_cpp.llama_synchronize(self.context.pointer)  # a GPU is still at work
        self._end += count
