"""A loaded model with its context: what the engine works with between a load and the next."""

import dataclasses
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import llama_cpp
import msgspec
import psutil

from app.core.context_budget import DEFAULT_LIMIT, default_context
from app.core.errors import EmberError
from app.core.gguf_header import GgufHeader
from app.core.load_options import MIN_CONTEXT, FlashAttention, LoadOptions, refuse_impossible
from app.core.memory_estimate import ContextOptions, estimate, kv_bytes_per_token
from app.core.units import format_bytes, format_count
from app.engine.chat_template import ChatTemplate
from app.engine.chunk_writer import Written
from app.engine.context import Context, ContextSettings
from app.engine.model import ALL_LAYERS, Model, read_header
from app.engine.prompt import PromptBuilder
from app.engine.saved_state import Rates, SavedState
from app.engine.saving import Saving
from app.engine.sequence import LiveSequence
from app.engine.state import ContextState
from app.engine.turn import TurnRunner
from app.engine.vocabulary import Vocabulary
from app.protocol.messages import (
    Answer,
    Device,
    DeviceMemory,
    Generate,
    LoadModel,
    MemoryMode,
    ModelInfo,
    Prepare,
    Prepared,
    Saved,
)

logger = logging.getLogger(__name__)

CPU_BATCH = 256
"""Tokens of a prefill slice on the CPU: about 1 s on two cores, so progress moves and Stop is quick."""
GPU_BATCH = 512
MEMORY_MARGIN = 0.9
"""The share of a device's free memory that is used at most; the rest is left to other programs."""
FLASH_ATTENTION = {
    "auto": llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}
CONTEXT_CLEARED = "The cache was cleared."
MODEL_LOADED = "The model was loaded since."
SELF_TEST_TOKENS = 3
NOT_SAVED = "This chat's state could not be saved because {}. Its text is; the next time it is opened it is read again."


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What is going to be loaded, decided before anything is read."""

    path: Path
    header: GgufHeader
    gpu_layers: int
    wanted: LoadOptions
    free_bytes: int
    """Free memory of the devices that take weights and context, before anything is loaded."""
    on_gpu: bool

    @property
    def options(self) -> ContextOptions:
        """What the context is made with, for the estimates."""
        return context_options(self.on_gpu, self.wanted.flash_attention)


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
        tokens, notices = _context_size(plan, model.context_trained)
        self._settings = ContextSettings(
            tokens=tokens,
            batch=min(plan.options.n_ubatch, tokens),
            threads=plan.wanted.threads or _threads(),
            flash_attention=_flash_attention(plan),
        )
        self._builder = PromptBuilder(self.vocabulary, self._template)
        self._mode = memory_mode(model)
        self.kv_bytes_per_token = kv_bytes_per_token(plan.header)
        self._context: Context | None = None
        self._sequence: LiveSequence | None = None
        self._runner: TurnRunner | None = None
        self._make_context(MODEL_LOADED)
        self.info = self._describe(plan, (*self._template.notices, *notices))

    # --- loading ---------------------------------------------------------------------------------------------------

    @staticmethod
    def plan(path: Path, request: LoadModel, devices: tuple[Device, ...]) -> LoadPlan:
        """Read the header and decide layers and memory.

        Raises EmberError for a file that is no model, or one that cannot fit.
        """
        header = read_header(path)
        gpus = [device for device in devices if device.kind in ("gpu", "integrated")]
        ram = psutil.virtual_memory()
        vram = sum(gpu.free_bytes for gpu in gpus)
        wanted = request.options
        refuse_impossible(wanted)
        asked = wanted.gpu_layers if gpus else 0
        options = context_options(asked != 0, wanted.flash_attention)
        _refuse_too_large(path, header, wanted.context, ram.available + vram, options)
        layers = _layers_that_fit(header, vram, options) if asked is None else asked
        whole = layers == ALL_LAYERS or layers > (header.block_count or 0)
        return LoadPlan(
            path=path,
            header=header,
            gpu_layers=layers,
            wanted=wanted,
            free_bytes=(0 if whole else ram.available) + (vram if layers else 0),
            on_gpu=layers != 0,
        )

    @classmethod
    def load(
        cls, plan: LoadPlan, saving: Saving | None, progress: Callable[[float], None], cancelled: Callable[[], bool]
    ) -> "Session":
        """Load the weights and make the context; raises EmberError."""
        model = Model(plan.path, plan.gpu_layers, progress, cancelled)
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
            gpu_layers=layers + 1 if plan.gpu_layers == ALL_LAYERS else min(plan.gpu_layers, layers + 1),
            layers=layers,
            notices=notices,
        )

    # --- work ------------------------------------------------------------------------------------------------------

    def turn(self, request: Generate, send: Callable[[Answer], None], stopped: Callable[[], bool]) -> None:
        """Answer a conversation; Done is sent, and Saved from the writer's thread. Raises EmberError."""
        runner = self._need_runner()
        done = runner.run(request, send, stopped, self.kv_bytes_per_token)
        sequence, saved = self._sequence, runner.saved_for(request)
        if sequence is None or saved is None:
            send(done)
            send(Saved(id=request.id, conversation=request.conversation))
            return
        saved.collect(sequence.tokens, runner.boundaries, final=True)
        send(msgspec.structs.replace(done, tip=saved.tip, root=saved.root if saved.tip else None))
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
            self._make_context(CONTEXT_CLEARED)
        assert self._runner is not None
        return self._runner

    def free_context(self) -> tuple[int, int]:
        """Give the context's memory back to the system; (tokens, bytes) that were in it.

        Clearing gives nothing back, freeing does (KV_STATE); making it again takes about 0.1 s.
        """
        if self._context is None or self._sequence is None:
            return 0, 0
        tokens, freed = len(self._sequence.tokens), sum(self._context.buffers.values())
        self._drop_context()
        return tokens, freed

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
            saved = SavedState(context, state, self._saving.store, self._saving.writer, root, self.rates)
        self._sequence = LiveSequence(context, self._mode, self._model.window, saved)
        self._sequence.emptied_because = because
        self._runner = TurnRunner(self._model, self._builder, context, self._sequence)

    def use_saving(self, saving: Saving) -> None:
        """Save from now on, for a store that was opened after the model was loaded."""
        self._saving = saving
        if self._context is not None:
            self._attach(MODEL_LOADED)

    def _drop_context(self) -> None:
        context, sequence = self._context, self._sequence
        self._context = self._sequence = self._runner = None
        if sequence is not None and sequence.saved is not None:
            sequence.saved.close()
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

    def lower_abort(self) -> None:
        """Let decodes run again."""
        if (context := self._context) is not None:
            context.abort.lower()

    def memory(self) -> tuple[DeviceMemory, ...]:
        """What the model and its context take, by device."""
        return _device_memory(self._model, self._context, self._sequence)

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


def _device_memory(model: Model, context: Context | None, sequence: LiveSequence | None) -> tuple[DeviceMemory, ...]:
    """llama.cpp's own buffer sizes, by device; host buffers of a GPU build count to the CPU."""
    sums: dict[str, dict[str, int]] = {}
    buffers = list(model.buffers.items()) + (list(context.buffers.items()) if context is not None else [])
    for (buffer, what), size in buffers:
        device = "CPU" if buffer.startswith("CPU") or buffer.endswith("_Host") else buffer.split("_")[0]
        kind = {"model": "weights", "compute": "compute"}.get(what, "kv")
        part = sums.setdefault(device, {"weights": 0, "kv": 0, "compute": 0})
        part[kind] += size
    share = len(sequence.tokens) / context.size if context is not None and sequence is not None else 0.0
    return tuple(
        DeviceMemory(
            device=device,
            weights=part["weights"],
            kv_reserved=part["kv"],
            kv_used=round(part["kv"] * share),
            compute=part["compute"],
        )
        for device, part in sorted(sums.items())
    )


def context_options(on_gpu: bool, flash_attention: FlashAttention) -> ContextOptions:
    """What a context is made with on such a device; llama.cpp's own "auto" takes flash attention on a GPU."""
    return ContextOptions(
        n_ubatch=GPU_BATCH if on_gpu else CPU_BATCH,
        flash_attention=flash_attention == "on" or (flash_attention == "auto" and on_gpu),
    )


def _refuse_too_large(path: Path, header: GgufHeader, context: int | None, free: int, options: ContextOptions) -> None:
    """Raise EmberError where the weights, or the context that was asked for, cannot fit into `free` bytes.

    llama.cpp would try: the system gives memory that it does not have, and kills the process when it is used.
    """
    smallest = estimate(header, MIN_CONTEXT, options)
    if smallest.total > free:
        raise EmberError(
            f"{path.name} needs about {format_bytes(smallest.total)} (estimated) and {format_bytes(free)} are free. "
            "Choose a smaller model or close other programs.",
            "too_large",
        )
    tokens = min(context or MIN_CONTEXT, header.context_length or context or MIN_CONTEXT)
    if (wanted := estimate(header, tokens, options)).total > free:
        raise EmberError(
            f"{path.name} with a context of {format_count(tokens)} tokens needs about "
            f"{format_bytes(wanted.total)} (estimated) and {format_bytes(free)} are free. Choose a smaller context.",
            "too_large",
        )


def _context_size(plan: LoadPlan, trained: int) -> tuple[int, tuple[str, ...]]:
    """The context to make in tokens, and sentences about a wish that could not be met."""
    if plan.wanted.context is None:
        return max(MIN_CONTEXT, default_context(trained, plan.free_bytes, plan.header, plan.options)), ()
    if MIN_CONTEXT <= trained < plan.wanted.context:
        wanted = format_count(plan.wanted.context)
        sentence = (
            f"The model was trained for {format_count(trained)} tokens, so the context has those instead of {wanted}."
        )
        return trained, (sentence,)
    return plan.wanted.context, ()


def _flash_attention(plan: LoadPlan) -> int:
    """On a CPU off unless asked for: follow-ups are 1.9 times and decode 1.15 times as fast (KV_STATE, measured)."""
    if plan.wanted.flash_attention == "auto" and not plan.on_gpu:
        return FLASH_ATTENTION["off"]
    return FLASH_ATTENTION[plan.wanted.flash_attention]


def memory_mode(model: Model) -> MemoryMode:
    """What llama.cpp says of a model's memory; the self-test may find otherwise."""
    if model.is_recurrent:
        return "recurrent"
    if model.is_hybrid:
        return "hybrid"
    return "window" if model.window else "full"


def _layers_that_fit(header: GgufHeader, vram: int, options: ContextOptions) -> int:
    """How many layers fit into `vram` bytes with a context's memory; ALL_LAYERS if everything does."""
    layers = header.block_count or 1
    room = int(vram * MEMORY_MARGIN)
    whole = estimate(header, min(header.context_length or DEFAULT_LIMIT, DEFAULT_LIMIT), options)
    if whole.total <= room:
        return ALL_LAYERS
    per_layer = (whole.weights + whole.kv) / (layers + 1)
    return max(0, min(layers, int((room - whole.compute) / per_layer)))


def _threads() -> int:
    """The physical cores that this process may run on: more only get in each other's way."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or allowed, allowed))
