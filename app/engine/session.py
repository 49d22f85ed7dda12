"""A loaded model with its context: what the engine works with between a load and the next."""

import dataclasses
import logging
import time
from collections.abc import Callable

import msgspec
import psutil

from app.core.calibration import thread_candidates
from app.core.errors import EmberError
from app.core.load_decision import CPU_BATCH, GPU_BATCH
from app.core.load_options import Calibration
from app.core.memory_estimate import kv_bytes_per_token
from app.engine.calibration import Calibrator, Candidates
from app.engine.chat_template import ChatTemplate
from app.engine.chunk_reader import ChunkReader
from app.engine.chunk_writer import Written
from app.engine.context import Context
from app.engine.library import device_of
from app.engine.load_plan import FLASH_ATTENTION, LoadPlan, allowed_threads, default_threads
from app.engine.model import DeviceList, Model
from app.engine.prompt import PromptBuilder
from app.engine.rates import Rates
from app.engine.saved_state import SavedState
from app.engine.saving import Saving
from app.engine.sequence import LiveSequence
from app.engine.state import ContextState
from app.engine.turn import TurnRunner
from app.engine.vocabulary import Vocabulary
from app.protocol.answers import Prepared, Saved
from app.protocol.messages import Answer
from app.protocol.parts import DeviceMemory, MemoryMode, ModelInfo
from app.protocol.requests import Calibrate, Generate, Prepare

logger = logging.getLogger(__name__)

CONTEXT_CLEARED = "The cache was cleared."
MEASURED = "It was measured meanwhile how this model runs fastest."
MODEL_LOADED = "The model was loaded since."
SELF_TEST_TOKENS = 3
MAPPED = "_Mapped"
"""How llama.cpp ends the names of buffers that are a part of the file."""
NOT_SAVED = "This chat's state could not be saved because {}. Its text is; the next time it is opened it is read again."


class Session:
    """A model, its template, and a context that is made when it is needed."""

    def __init__(self, plan: LoadPlan, model: Model, saving: Saving | None) -> None:
        """Make the context; raises EmberError (out_of_memory). `model` is closed by `close`."""
        self._model = model
        self._header, self._saving, self.rates = plan.header, saving, Rates()
        self.vocabulary: Vocabulary = model.vocabulary
        self._template = ChatTemplate(
            model.chat_template,
            bos=self.vocabulary.text_of(self.vocabulary.bos),
            eos=self.vocabulary.text_of(self.vocabulary.eos),
        )
        self._plan = plan
        self._settings = plan.settings
        self._planned = {part.device: part.weights for part in plan.memory.devices}
        self._builder = PromptBuilder(self.vocabulary, self._template)
        self._mode = memory_mode(model)
        self.kv_bytes_per_token = kv_bytes_per_token(plan.header, plan.asked.kv_type, plan.asked.kv_type)
        self._context: Context | None = None
        self._sequence: LiveSequence | None = None
        self._runner: TurnRunner | None = None
        self._calibrator: Calibrator | None = None
        self._freed_because = CONTEXT_CLEARED
        self._is_layout_settled = False
        self._make_context(MODEL_LOADED)
        self._keep_layout()
        self.info = self._describe(plan, (*self._template.notices, *plan.notices(model.context_trained)))

    # --- loading ---------------------------------------------------------------------------------------------------

    @classmethod
    def load(
        cls,
        plan: LoadPlan,
        devices: DeviceList,
        saving: Saving | None,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> "Session":
        """Load the weights onto `devices`, the plan's, and make the context; raises EmberError."""
        model = Model(
            plan.path, plan.layout.gpu_layers, progress, cancelled, devices=devices, use_mmap=plan.asked.use_mmap
        )
        try:
            return cls(plan, model, saving)
        except EmberError:
            model.close()
            raise

    def _describe(self, plan: LoadPlan, notices: tuple[str, ...]) -> ModelInfo:
        layers = self._model.layers
        return ModelInfo(
            path=str(plan.path),
            name=plan.header.name or plan.path.stem,
            architecture=plan.header.architecture or "unknown",
            description=self._model.description,
            parameters=self._model.parameters,
            file_bytes=plan.path.stat().st_size,
            tokenizer_key=self.vocabulary.key,
            context_trained=self._model.context_trained,
            context=self._settings.tokens,
            kv_bytes_per_token=self.kv_bytes_per_token,
            memory_mode=self._mode,
            gpu_layers=min(plan.layout.gpu_layers, layers + 1),
            layers=layers,
            notices=notices,
        )

    # --- work ------------------------------------------------------------------------------------------------------

    def turn(
        self,
        request: Generate,
        send: Callable[[Answer], None],
        stopped: Callable[[], bool],
        wanted: Callable[[], bool],
    ) -> None:
        """Answer a conversation; Done is sent, and Saved from the writer's thread. Raises EmberError.

        `stopped` ends the reply; a slow disk is waited for after it until something else is `wanted`.
        """
        runner = self._need_runner()
        done = runner.run(request, send, stopped, self.kv_bytes_per_token)
        sequence, saved = self._sequence, runner.saved_for(request)
        if sequence is None or saved is None:
            send(done)
            send(Saved(id=request.id, conversation=request.conversation))
            return
        saved.collect(sequence.tokens, runner.boundaries, final=True)
        send(msgspec.structs.replace(done, tip=saved.tip, root=saved.root if saved.tip else None))
        saved.catch_up(sequence.tokens, runner.boundaries, wanted)
        saved.report(sequence.tokens, lambda written, tip: send(_saved(request, written, tip, saved.root)))

    def prepare(self, request: Prepare, stopped: Callable[[], bool]) -> Prepared:
        """Restore what is saved of a conversation that was opened. Raises EmberError."""
        began = time.perf_counter()
        tokens, restored = self._need_runner().restore_ahead(request, stopped)
        return Prepared(
            id=request.id,
            conversation=request.conversation,
            tokens=tokens,
            restored=restored,
            seconds=time.perf_counter() - began,
        )

    def _need_runner(self) -> TurnRunner:
        """The runner; the context is made again if it was freed."""
        if self._runner is None:
            self._make_context(self._freed_because)
        self._keep_layout()
        assert self._runner is not None
        return self._runner

    def free_context(self) -> tuple[int, int]:
        """Give the context's memory back to the system; (tokens, bytes) that were in it.

        Clearing gives nothing back, freeing does (KV_STATE); making it again takes about 0.1 s.
        """
        if self._context is None or self._sequence is None:
            return 0, 0
        tokens, freed = len(self._sequence.tokens), sum(self._context.buffers.values())
        self._freed_because = CONTEXT_CLEARED
        self._drop_context()
        return tokens, freed

    def calibrate(
        self, request: Calibrate, progress: Callable[[int, int], None], stopped: Callable[[], bool]
    ) -> Calibration:
        """Measure what is fastest, and make the context so from now on; it is free meanwhile, and after an error.

        Raises EmberError (cancelled, out_of_memory).
        """
        self._need_runner()
        has_any = self._has_saved_state(stopped)
        assert self._context is not None
        candidates = self._candidates(self._context, keeps_layout=has_any and not request.may_change_layout)
        if stopped():
            raise EmberError("Measuring was stopped before it began.", "cancelled")
        self._freed_because = MEASURED
        self._drop_context()
        self._calibrator = Calibrator(
            self._model, self._settings, self._mode, on_gpu=self._plan.on_gpu, progress=progress, stopped=stopped
        )
        try:
            calibration = self._calibrator.run(candidates)
            calibration = dataclasses.replace(calibration, is_layout_free=has_any and request.may_change_layout)
        finally:
            self._calibrator = None
        before = self._plan, self._settings
        self._plan = self._plan.measured(calibration)
        self._settings = dataclasses.replace(self._plan.settings, tokens=self._settings.tokens)
        try:
            self._make_context(MEASURED)
        except EmberError:  # the next turn makes it as it was
            self._plan, self._settings = before
            raise
        return calibration

    def _has_saved_state(self, stopped: Callable[[], bool]) -> bool:
        """Whether anything is saved that this model can use; waits until its file is hashed, or `stopped`."""
        if self._sequence is None or self._sequence.saved is None:
            return False
        self._sequence.saved.wait_for_root(stopped)
        self._keep_layout()
        return self._sequence.saved.has_any()

    def _candidates(self, context: Context, *, keeps_layout: bool) -> Candidates:
        """What is worth trying here: a longer slice only where its buffers surely fit."""
        on_gpu = self._plan.on_gpu
        default = GPU_BATCH if on_gpu else CPU_BATCH
        flash: tuple[bool, ...] = (on_gpu, not on_gpu)
        if self._plan.asked.kv_type != "f16":
            flash = (True,)
        elif keeps_layout:
            kind = self._settings.flash_attention
            flash = (on_gpu if kind == FLASH_ATTENTION["auto"] else kind == FLASH_ATTENTION["on"],)
        batches: tuple[int, ...] = (default // 2, 2 * default)
        compute = sum(size for (_, what), size in context.buffers.items() if what == "compute")
        if 4 * compute > psutil.virtual_memory().available:
            batches = (default // 2,)
        threads = thread_candidates(default_threads(), allowed_threads())
        is_all_there = on_gpu and self.info.gpu_layers > self.info.layers
        return Candidates(flash, threads[:1] if is_all_there else threads, (default, *batches))

    def _make_context(self, because: str) -> None:
        self._context = Context(self._model, self._settings)
        # llama.cpp rounds the context's size up
        self._settings = dataclasses.replace(self._settings, tokens=self._context.size)
        self._attach(because)

    def _attach(self, because: str) -> None:
        """Test how the context's state can be saved, and begin an empty sequence in it."""
        context = self._context
        assert context is not None
        state = ContextState(context, self._mode, range(min(SELF_TEST_TOKENS, self.vocabulary.size)))
        self._mode = state.mode
        saved = None
        if self._saving is not None and state.works:
            root = self._saving.root_of(self._model.path, self._header, context, state)
            reader = ChunkReader(self._saving.store, state, self._saving.helpers)
            saved = SavedState(context, state, self._saving.store, self._saving.writer, reader, root, self.rates)
        self._sequence = LiveSequence(context, self._mode, self._model.window, saved)
        self._sequence.emptied_because = because
        self._runner = TurnRunner(self._model, self._builder, context, self._sequence)

    def _keep_layout(self) -> None:
        """Have flash attention the other way where only so what is saved of this model can be used, and where it fits.

        Looked at once, as soon as the model's file is hashed, and while the context is empty.
        """
        sequence, before = self._sequence, self._settings
        saved = sequence.saved if sequence is not None else None
        if self._is_layout_settled or sequence is None or sequence.tokens or saved is None or not saved.is_root_known:
            return
        self._is_layout_settled = True
        is_refused = saved.is_transposed and before.flash_attention == FLASH_ATTENTION["auto"]  # by the device
        if not self._plan.leaves_layout_open or is_refused or not saved.is_only_turned():
            return
        kept, because = "on" if saved.is_transposed else "off", sequence.emptied_because
        logger.info("flash attention stays %s, as the state of this model was saved", kept)
        self._drop_context()
        self._settings = dataclasses.replace(before, flash_attention=FLASH_ATTENTION[kept])
        try:
            self._make_context(because)
        except EmberError as error:
            logger.warning("what is saved of this model cannot be used: %s", error.sentence)
            self._settings = before
            self._make_context(because)

    def use_saving(self, saving: Saving) -> None:
        """Save from now on, for a store that was opened after the model was loaded."""
        self._saving = saving
        if self._context is not None:
            self._attach(MODEL_LOADED)
            self._keep_layout()

    def _drop_context(self) -> None:
        context, self._context = self._context, None
        self._sequence = self._runner = None
        if context is not None:
            context.close()

    def close(self) -> None:
        """Free everything."""
        self._drop_context()
        self._model.close()

    # --- called from other threads ---------------------------------------------------------------------------------

    def abort(self) -> None:
        """Let the running decode end as soon as it can."""
        if (context := self._context) is not None:
            context.abort.raise_()
        if (calibrator := self._calibrator) is not None:
            calibrator.abort()

    def lower_abort(self) -> None:
        """Let decodes run again."""
        if (context := self._context) is not None:
            context.abort.lower()

    def memory(self) -> tuple[DeviceMemory, ...]:
        """What the model and its context take, by device."""
        return _device_memory(self._model, self._planned, self._context, self._sequence)

    @property
    def context_size(self) -> int:
        """Tokens of the context, also while its memory is given back."""
        return self._settings.tokens

    @property
    def context_used(self) -> int:
        """Tokens in the live sequence."""
        return len(sequence.tokens) if (sequence := self._sequence) is not None else 0

    @property
    def live_conversation(self) -> str | None:
        """The conversation that the live sequence belongs to."""
        return sequence.conversation if (sequence := self._sequence) is not None else None


def _saved(request: Generate, written: Written, tip: bytes | None, root: bytes | None) -> Saved:
    return Saved(
        id=request.id,
        conversation=request.conversation,
        bytes_written=written.bytes,
        checkpoint_bytes=written.checkpoint_bytes,
        tip=tip,
        root=root if tip else None,
        trouble=NOT_SAVED.format(written.trouble) if written.trouble else "",
    )


def _device_memory(
    model: Model, planned: dict[str, int], context: Context | None, sequence: LiveSequence | None
) -> tuple[DeviceMemory, ...]:
    """llama.cpp's own buffer sizes, by device.

    Of mapped weights at most what the tensor table says (`planned`, bytes by device): a buffer that is mapped from the
    file is a range of it, which also covers tensors that lie on another device or were repacked for the processor.
    """
    sums: dict[str, dict[str, int]] = {}
    buffers = list(model.buffers.items()) + (list(context.buffers.items()) if context is not None else [])
    for (buffer, what), size in buffers:
        kind = {"model": "weights", "compute": "compute", "output": "compute"}.get(what, "kv")
        part = sums.setdefault(device_of(buffer), {"weights": 0, "kv": 0, "compute": 0})
        part[kind] += size
    mapped = {device_of(buffer) for buffer, what in model.buffers if what == "model" and buffer.endswith(MAPPED)}
    share = len(sequence.tokens) / context.size if context is not None and sequence is not None else 0.0
    return tuple(
        DeviceMemory(
            device=device,
            weights=min(part["weights"], planned.get(device, 0)) if device in mapped else part["weights"],
            kv_reserved=part["kv"],
            kv_used=round(part["kv"] * share),
            compute=part["compute"],
        )
        for device, part in sorted(sums.items())
    )


def memory_mode(model: Model) -> MemoryMode:
    """What llama.cpp says of a model's memory; the self-test may find otherwise."""
    if model.is_recurrent:
        return "recurrent"
    if model.is_hybrid:
        return "hybrid"
    return "window" if model.window else "full"
