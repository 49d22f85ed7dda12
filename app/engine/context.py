"""llama.cpp's context: it decodes tokens into sequence 0 and keeps their keys and values."""

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import llama_cpp

from app.core.errors import EmberError
from app.core.memory_estimate import OUTPUTS
from app.core.units import format_count
from app.engine.library import log
from app.engine.model import Model

SEQUENCE = 0
SCRATCH = 1
"""The sequence for saving and restoring (KV_STATE: costs nothing on a full-attention model)."""
WHOLE = -1
ABORTED = 2
NO_ROOM = 1


class Interrupted(Exception):
    """The decode was aborted by the abort flag; what it leaves depends on the kind of memory."""


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """What a context is made with."""

    tokens: int
    batch: int
    """Tokens of one slice; also the physical batch."""
    threads: int
    flash_attention: int
    """LLAMA_FLASH_ATTN_TYPE_*."""
    type_k: int = llama_cpp.GGML_TYPE_F16
    """GGML_TYPE_* of the keys; and of the values, for which all but f16 and f32 need flash attention."""
    type_v: int = llama_cpp.GGML_TYPE_F16
    kv_on_gpu: bool = True
    """Whether the keys and values of layers on a GPU are kept there too."""
    window_in_full: bool = False
    """Whether layers with a sliding window keep all tokens."""


def context_parameters(settings: ContextSettings) -> Any:
    """The settings as llama.cpp takes them, a llama_context_params."""
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = settings.tokens
    params.n_batch = params.n_ubatch = settings.batch
    params.n_seq_max = 2  # SEQUENCE and SCRATCH
    params.n_outputs_max = OUTPUTS  # llama.cpp otherwise has room for the logits of a whole slice: 257 MiB for Gemma 3
    params.kv_unified = True
    params.swa_full = settings.window_in_full
    params.flash_attn_type = settings.flash_attention
    params.type_k, params.type_v = settings.type_k, settings.type_v
    params.offload_kqv = settings.kv_on_gpu
    params.n_threads = params.n_threads_batch = settings.threads
    return params


class AbortFlag:
    """A flag that llama.cpp reads without Python: `strlen` of one byte of memory.

    The CPU backend asks the abort callback at every node of the graph; a Python callback there would take the
    interpreter's lock a thousand times a token. strlen("") is 0 (go on), strlen("x") is 1 (abort).
    """

    def __init__(self) -> None:
        """Start lowered."""
        self.armed = True
        self._byte = ctypes.create_string_buffer(2)
        library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
        self.callback = ctypes.cast(library.strlen, llama_cpp.ggml_abort_callback)
        self.address = ctypes.addressof(self._byte)

    def raise_(self) -> None:
        """Let the running decode end as soon as it looks, unless that would cost more than waiting for it."""
        if self.armed:
            self._byte[0] = b"x"

    def lower(self) -> None:
        """Let decodes run again."""
        self._byte[0] = b"\0"


class Context:
    """A context of one model with one live sequence; freed by `close`."""

    def __init__(self, model: Model, settings: ContextSettings) -> None:
        """Allocate the KV memory.

        Raises EmberError (out_of_memory) where it does not fit.
        """
        self.settings = settings
        self.window = model.window
        """Tokens of the sliding window; 0 for none."""
        self.abort = AbortFlag()
        params = context_parameters(settings)
        params.abort_callback = self.abort.callback
        params.abort_callback_data = self.abort.address
        log.lines.clear()
        self.pointer = llama_cpp.llama_init_from_model(model.pointer, params)
        if not self.pointer:
            raise EmberError(
                f"There is not enough memory for a context of {format_count(settings.tokens)} tokens. "
                "Nothing was lost; choose a smaller context or a smaller model.",
                "out_of_memory",
            )
        self.buffers = log.buffer_sizes()
        self.memory = llama_cpp.llama_get_memory(self.pointer)
        self._batch = llama_cpp.llama_batch_init(settings.batch, 0, 1)
        self.size = int(llama_cpp.llama_n_ctx(self.pointer))

    def close(self) -> None:
        """Free the context and its memory."""
        if self.pointer:
            llama_cpp.llama_batch_free(self._batch)
            llama_cpp.llama_free(self.pointer)
            self.pointer = None

    def decode(self, tokens: Sequence[int], position: int) -> None:
        """Decode at most `settings.batch` tokens at `position`…; the last one's logits are kept.

        Raises Interrupted after an abort, EmberError (context_full) with the state left as it was.
        """
        batch = self._batch
        count = len(tokens)
        batch.n_tokens = count
        for index, token in enumerate(tokens):
            batch.token[index] = token
            batch.pos[index] = position + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = SEQUENCE
            batch.logits[index] = index == count - 1
        code = llama_cpp.llama_decode(self.pointer, batch)
        if code == 0:
            # A GPU has only been told what to do: progress and rates are of work that is done.
            llama_cpp.llama_synchronize(self.pointer)
            return
        if code == ABORTED:
            raise Interrupted
        if code == NO_ROOM:
            raise EmberError("The context is full. Start a new chat to go on.", "context_full")
        raise EmberError(
            f"llama.cpp could not read the text (error {code}). The text is kept; try again.", "decode_failed"
        )

    def remove_from(self, position: int) -> bool:
        """Take back all tokens from `position` on; False where this memory cannot (nothing is changed then)."""
        return bool(llama_cpp.llama_memory_seq_rm(self.memory, SEQUENCE, position, WHOLE))

    def oldest_position(self) -> int:
        """The oldest position still held, also by the window's cache; -1 when empty."""
        return int(llama_cpp.llama_memory_seq_pos_min(self.memory, SEQUENCE))

    def clear(self) -> None:
        """Empty the memory, data included: with flash attention off NaN rows survive otherwise (KV_STATE)."""
        llama_cpp.llama_memory_clear(self.memory, True)
