"""The thread that owns llama.cpp: it carries out loads, turns and clearings, one after the other."""

import functools
import logging
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from app.core.errors import EmberError
from app.engine.helpers import Helpers
from app.engine.library import Ggml
from app.engine.load_plan import DoesNotFitError, Planner
from app.engine.model import refuse_unloadable
from app.engine.saved_requests import SavedQuestion, answer_saved
from app.engine.saving import Saving
from app.engine.session import Session
from app.kvstore.errors import StoreUnavailable
from app.protocol.answers import (
    CacheCleared,
    Calibrated,
    CalibrationProgress,
    Failed,
    Loaded,
    LoadProgress,
    MemoryEstimated,
    OldModelFreed,
    Statistics,
    StoreOpened,
    TokenCount,
    Unloaded,
)
from app.protocol.messages import Answer
from app.protocol.parts import given_back
from app.protocol.requests import (
    Calibrate,
    ClearCache,
    CountTokens,
    EstimateMemory,
    Generate,
    GetStatistics,
    LoadModel,
    OpenStore,
    Prepare,
    Unload,
)

logger = logging.getLogger(__name__)

Work = LoadModel | EstimateMemory | Calibrate | OpenStore | Unload | Generate | Prepare | ClearCache
MAX_WAITING = 64
LONGEST_COUNTED = 200_000
"""Characters; of a longer text the rest is estimated, so that a Stop is not kept waiting behind the count."""
LAST_SECONDS = 2.5
"""How long the end of the process waits for the running turn and for what is to be saved (the window gives it 3)."""
TELLING_SECONDS = 5.0
"""How long after a turn's end the window may still not know its tip."""
PROGRESS_INTERVAL = 1 / 30
"""Seconds between two reports of load progress."""


class Worker:
    """Runs requests in order on one thread; cancelling and questions are answered from any other."""

    def __init__(self, ggml: Ggml, send: Callable[[Answer], None]) -> None:
        """Start the thread, without a model."""
        self._ggml = ggml
        self._send = send
        self._queue: queue.Queue[Work] = queue.Queue(MAX_WAITING)
        self._lock = threading.Lock()
        self._current: int | None = None
        self._is_turn = False
        """Whether a turn runs just now."""
        self._began = self._ended = 0.0
        """When the latest turn began, or one that it followed closely, and when it ended; Unix time."""
        self._calibrating: int | None = None
        """The request that measures just now."""
        self._cancelled: set[int] = set()
        self._waiting: set[int] = set()
        self._session: Session | None = None
        self._saving: Saving | None = None
        self._helpers = Helpers()
        self._planner = Planner(ggml)
        self._is_mapped = True
        """Whether the loaded model's weights are mapped from its file."""
        self._idle = threading.Event()
        """Set between two requests."""
        self._session_lock = threading.Lock()
        """Held while a model is swapped and while another thread uses its vocabulary."""
        threading.Thread(target=self._run, name="llama", daemon=True).start()

    # --- called from the reader's thread ---------------------------------------------------------------------------

    def submit(self, work: Work) -> None:
        """Queue a request; one too many is refused at once."""
        with self._lock:
            self._waiting.add(work.id)
        try:
            self._queue.put_nowait(work)
        except queue.Full:
            with self._lock:
                self._waiting.discard(work.id)
            self._send(Failed(id=work.id, kind="busy", sentence="Too much is waiting already. Try again in a moment."))
        with self._lock:
            measuring = self._calibrating
        if measuring is not None and measuring != work.id:
            self.cancel(measuring)  # it can wait, whatever comes

    def cancel(self, request: int) -> None:
        """Stop a request, whether it waits or runs; an unknown or finished one is ignored."""
        with self._lock:
            if request == self._current or request in self._waiting:
                self._cancelled.add(request)
            if request == self._current and self._session is not None:
                self._session.abort()

    def count_tokens(self, request: CountTokens) -> None:
        """Answer how many tokens a text has, also in the middle of a reply."""
        with self._session_lock:
            session = self._session
            if session is None:
                self._send(Failed(id=request.id, kind="no_model", sentence="No model is loaded."))
                return
            counted = request.text[:LONGEST_COUNTED]
            count = len(session.vocabulary.tokenize(counted))
            if counted:
                count = count * len(request.text) // len(counted)
        self._send(TokenCount(id=request.id, count=count))

    def statistics(self, request: GetStatistics) -> None:
        """Answer with a snapshot, also in the middle of a reply."""
        ram = psutil.virtual_memory()
        saving = self._saving
        with self._session_lock:
            session = self._session
            answer = Statistics(
                id=request.id,
                rss=psutil.Process().memory_info().rss,
                ram_total=ram.total,
                ram_available=ram.available,
                devices=self._ggml.devices(),
                memory=session.memory() if session is not None else (),
                context_used=session.context_used if session is not None else 0,
                context_size=session.context_size if session is not None else 0,
                live_conversation=session.live_conversation if session is not None else None,
                saved_bytes=saving.bytes() if saving is not None else 0,
                saved_budget=saving.budget if saving is not None else 0,
                saved_generation=saving.store.generation if saving is not None else 0,
                read_rate=session.rates.prefill if session is not None else 0.0,
                restore_rate=session.rates.restore if session is not None else 0.0,
                busy=self._current is not None,
            )
        self._send(answer)

    def finish(self) -> None:
        """Stop what runs, and write what waits to be saved, for a few seconds at most; the process ends afterwards."""
        if self._saving is None:
            return
        deadline = time.monotonic() + LAST_SECONDS
        with self._lock:
            running = self._current
        if running is not None:
            self.cancel(running)
            self._idle.wait(LAST_SECONDS)
        self._saving.writer.flush(max(0.0, deadline - time.monotonic()))

    # --- the saved state, asked for from the reader's thread and answered from one that may wait for the disk --------

    def ask_saved(self, request: SavedQuestion) -> None:
        """Answer a question about the saved state, or change it, also in the middle of a reply."""
        with self._lock:
            self._waiting.add(request.id)
            now = time.time()
            began = now if self._is_told(now) else self._began
        self._helpers.run(functools.partial(self._answer_saved, request, began))

    def _is_told(self, now: float) -> bool:
        """Whether the window knows the tips of all turns; to be asked under the lock."""
        return not self._is_turn and now - self._ended > TELLING_SECONDS

    def _answer_saved(self, request: SavedQuestion, turn_began: float) -> None:
        saving = self._saving
        answer: Answer = Failed(id=request.id, kind="saved_state", sentence="There is no saved state just now.")
        try:
            if saving is not None:
                answer = answer_saved(saving, request, self._send, lambda: request.id in self._cancelled, turn_began)
        except StoreUnavailable as error:
            sentence = f"The saved state cannot be reached because {error.reason}. Chats and their text are safe."
            answer = Failed(id=request.id, kind="saved_state", sentence=sentence)
        with self._lock:
            self._waiting.discard(request.id)
            self._cancelled.discard(request.id)
        self._send(answer)

    # --- the llama thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            work = self._queue.get()
            with self._lock:
                self._waiting.discard(work.id)
                self._current = work.id
                if isinstance(work, Generate):
                    now = time.time()
                    self._began = now if self._is_told(now) else self._began
                    self._is_turn = True
                self._idle.clear()
                if self._session is not None:
                    self._session.lower_abort()
            try:
                self._carry_out(work)
            except EmberError as error:
                logger.warning("request %d: %s (%s)", work.id, error.sentence, error.kind)
                offers = error.offers if isinstance(error, DoesNotFitError) else ()
                self._send(Failed(id=work.id, kind=error.kind, sentence=error.sentence, offers=offers))
            finally:
                with self._lock:
                    self._current, self._calibrating = None, None
                    if self._is_turn:
                        self._is_turn, self._ended = False, time.time()
                    self._idle.set()
                    self._cancelled.discard(work.id)

    def _stopped(self, work: Work) -> bool:
        return work.id in self._cancelled

    def _carry_out(self, work: Work) -> None:
        """Do one request; raises EmberError."""
        if self._stopped(work) and not isinstance(work, Generate):
            raise EmberError("It was cancelled before it began.", "cancelled")
        match work:
            case LoadModel():
                self._load(work)
            case EstimateMemory():
                self._send(MemoryEstimated(id=work.id, plan=self._planner.plan(work, work.given_back).memory))
            case Unload():
                self._swap(None)
                self._send(Unloaded(id=work.id))
            case OpenStore():
                self._open_store(work)
            case Prepare():
                self._send(self._need_session().prepare(work, lambda: self._stopped(work) or self._is_wanted))
            case Generate():
                stopped = functools.partial(self._stopped, work)
                self._need_session().turn(work, self._send, stopped, lambda: self._is_wanted)
            case Calibrate():
                self._calibrate(work)
            case ClearCache():
                tokens, freed = self._need_session().free_context()
                self._send(CacheCleared(id=work.id, tokens=tokens, freed_bytes=freed))

    def _calibrate(self, work: Calibrate) -> None:
        """Measure, unless something else waits: then and whenever something comes it ends."""
        with self._lock:
            self._calibrating = work.id
            if self._is_wanted:
                self._cancelled.add(work.id)

        def progress(done: int, total: int) -> None:
            self._send(CalibrationProgress(id=work.id, done=done, total=total))

        calibration = self._need_session().calibrate(work, progress, lambda: self._stopped(work))
        self._send(Calibrated(id=work.id, calibration=calibration))

    @property
    def _is_wanted(self) -> bool:
        """Whether something else waits for this thread."""
        return not self._queue.empty()

    def _open_store(self, work: OpenStore) -> None:
        if self._saving is None:
            self._saving = Saving(Path(work.folder), work.budget, self._ggml.commit(), self._helpers, work.pinned)
            if self._session is not None:
                self._session.use_saving(self._saving)
        else:
            self._saving.set_budget(work.budget)
        self._send(StoreOpened(id=work.id, budget=self._saving.budget))

    def _need_session(self) -> Session:
        if self._session is None:
            raise EmberError("No model is loaded. Choose one first; your message is kept.", "no_model")
        return self._session

    def _swap(self, session: Session | None) -> None:
        """Put a session in place of the old one, which is freed."""
        with self._session_lock:
            old, self._session = self._session, session
            if old is not None:
                old.close()

    def _load(self, work: LoadModel) -> None:
        started = time.perf_counter()
        last = 0.0

        def progress(fraction: float) -> None:
            nonlocal last
            now = time.perf_counter()
            if now - last >= PROGRESS_INTERVAL:
                last = now
                self._send(LoadProgress(id=work.id, fraction=fraction))

        try:
            plan = self._planner.plan(work, self._given_back())
        finally:
            self._planner.release()
        plan.require()
        if self._session is not None:
            if not plan.memory.is_dry_run:
                refuse_unloadable(plan.path)
            self._send(OldModelFreed(id=work.id))
        self._swap(None)  # two models at once may not fit; the plan has refused what cannot work
        devices = self._ggml.pointers(plan.devices)
        try:
            session = Session.load(plan, devices, self._saving, progress, lambda: self._stopped(work))
        except EmberError as error:
            if error.kind == "out_of_memory":
                raise DoesNotFitError(error.sentence, error.kind, plan.after_failure()) from error
            raise
        self._is_mapped = work.options.use_mmap
        self._swap(session)
        seconds = time.perf_counter() - started
        self._send(Loaded(id=work.id, model=session.info, seconds=seconds, plan=plan.memory))

    def _given_back(self) -> dict[str, int]:
        """What the present model gives back before another is loaded, by device."""
        memory = self._session.memory() if self._session is not None else ()
        return given_back(memory, is_mapped=self._is_mapped)
