"""How much memory a model and its context will take, worked out from the file's header alone.

The result is an estimate and is shown as one; what was really taken comes from llama.cpp's log afterwards.
The share of the keys and values follows llama.cpp's own arithmetic and agrees with its log on the models
tested; the compute buffer is an approximation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from app.core.ggml_types import TYPE_BY_NAME, GgmlType
from app.core.gguf_description import GgufHeader
from app.core.model_layers import layers, window_tokens

MIB: Final = 1024 * 1024
OUTPUTS: Final = 2
"""Tokens of a slice whose logits Ember's contexts have room for, as many as sequences; it asks for the last one's."""
CELL_BYTES: Final = 52
"""What the account of one cell takes."""
CONTEXT_STEP: Final = 256
"""llama.cpp rounds a context, and the part for windows, up to a multiple of this (llama-context.cpp)."""


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """How a context is made, with Ember's defaults: two sequences (one is scratch) in unified cells."""

    n_ubatch: int = 512
    """Tokens that are worked on at once."""
    n_seq_max: int = 2
    type_k: str = "f16"
    type_v: str = "f16"
    flash_attention: bool = False
    window_in_full: bool = False
    """llama.cpp's swa_full: window layers keep all tokens."""
    n_outputs: int | None = None
    """Tokens of a batch whose logits can be asked for (n_outputs_max); None is all of them."""

    @property
    def key_type(self) -> GgmlType:
        """The type of the keys; raises ValueError for an unknown name."""
        return _type(self.type_k)

    @property
    def value_type(self) -> GgmlType:
        """The type of the values; raises ValueError for an unknown name."""
        return _type(self.type_v)


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Estimated bytes: the weights, the context's keys, values and states, and the buffer for computing."""

    weights: int
    kv: int
    compute: int

    @property
    def total(self) -> int:
        """All three together."""
        return self.weights + self.kv + self.compute


def kv_bytes_per_token(header: GgufHeader, type_k: str = "f16", type_v: str = "f16") -> int:
    """Return the bytes of keys and values of one token in all layers that keep any, window layers included.

    Source: `ggml_new_tensor_3d(type_k, n_embd_k_gqa, ...)` in llama-kv-cache.cpp; SmolLM2-135M has 23,040.
    Raises ValueError for an unknown type.
    """
    key, value = _type(type_k), _type(type_v)
    return sum(key.row_bytes(layer.key_row) + value.row_bytes(layer.value_row) for layer in layers(header))


def state_bytes(header: GgufHeader) -> int:
    """Return the bytes of all recurrent layers' states for one sequence; they do not grow with the tokens."""
    return 4 * sum(layer.state for layer in layers(header))


def estimate(header: GgufHeader, n_ctx: int, options: ContextOptions | None = None) -> MemoryEstimate:
    """Return the memory for a context of `n_ctx` tokens; `weights` counts only the file of this header."""
    options = options or ContextOptions()
    kv = sum(kv_by_layer(header, n_ctx, options))
    return MemoryEstimate(header.tensor_bytes, kv, compute_bytes(header, n_ctx, options))


def kv_by_layer(header: GgufHeader, n_ctx: int, options: ContextOptions) -> tuple[int, ...]:
    """Return the bytes that each layer keeps for a context of `n_ctx` tokens: keys, values, recurrent states.

    Source: `llama_kv_cache`, `llama_kv_cache_iswa` and `llama_memory_recurrent` of llama.cpp. With MLA a row is
    the compressed key alone, with grouped queries as wide as the key heads, and experts keep nothing.
    """
    states = (4 * options.n_seq_max * layer.state for layer in layers(header))
    return tuple(
        sum(pair) + state for pair, state in zip(_keys_and_values(header, n_ctx, options), states, strict=True)
    )


def largest_kv_by_layer(header: GgufHeader, n_ctx: int, options: ContextOptions) -> tuple[int, ...]:
    """Return the bytes of the larger of each layer's keys and values: each of both is one tensor."""
    return tuple(map(max, _keys_and_values(header, n_ctx, options)))


def _keys_and_values(header: GgufHeader, n_ctx: int, options: ContextOptions) -> Iterator[tuple[int, int]]:
    """The bytes of keys and of values that each layer keeps for a context of `n_ctx` tokens."""
    cells = _padded(n_ctx)
    model = layers(header)
    window = window_cells(header, cells, options)
    widest = max((layer.value_row for layer in model), default=0)
    for layer in model:
        # Without flash attention V lies transposed, and llama.cpp pads it to the widest layer.
        value_row = widest if layer.value_row and not options.flash_attention else layer.value_row
        kept = window if layer.windowed else cells
        yield options.key_type.row_bytes(layer.key_row) * kept, options.value_type.row_bytes(value_row) * kept


def cell_bytes(header: GgufHeader, n_ctx: int) -> int:
    """Return the bytes of the computer's memory in which llama.cpp keeps account of a context's cells.

    Measured with contexts of a million tokens and more (llama.cpp 0c1e570), also where all layers have windows.
    """
    attends = any(layer.key_row or layer.value_row for layer in layers(header))
    return CELL_BYTES * _padded(n_ctx) if attends else 0


def window_cells(header: GgufHeader, cells: int, options: ContextOptions) -> int:
    """Return the cells of a window layer (`size_swa` in llama-kv-cache-iswa.cpp)."""
    if options.window_in_full:
        return cells
    return _padded(min(cells, window_tokens(header) * options.n_seq_max + options.n_ubatch))


def compute_bytes(header: GgufHeader, n_ctx: int, options: ContextOptions) -> int:
    """Return the approximate bytes of the compute buffer: the largest of three moments of one batch.

    They are the logits, the feed-forward layer, and attention, which without flash attention holds a score
    for each head and cell. Fitted to llama.cpp's "compute buffer size" on the CPU for SmolLM2-135M and the
    shapes of Llama-3-8B, Gemma-3-4B and Qwen3-0.6B, n_ctx 2,048 to 32,768 and n_ubatch 256 and 512: within
    5 % of each. A mixture of experts, whose feed-forward part counts the experts used, was not measured.
    """
    model = layers(header)
    cells = _padded(n_ctx)
    window = window_cells(header, cells, options)
    width = header.embedding_length or 0
    heads = _largest(header.head_count)
    batch = options.n_ubatch
    outputs = batch if options.n_outputs is None else min(batch, options.n_outputs)
    attending = [layer for layer in model if layer.key_row or layer.value_row]
    full = any(not layer.windowed for layer in attending)
    reach = (cells if full else window) if attending else 0
    both = window if full and any(layer.windowed for layer in attending) else 0
    keys = max((layer.key_row + layer.value_row for layer in attending), default=0)
    queries = heads * (header.key_length or 0)
    logits = 4 * outputs * (header.vocabulary_size or 0) + 8 * batch * width
    feed_forward = 4 * batch * (3 * _feed_forward_width(header) + 4 * width) + 2 * batch * (reach + both)
    scores = 0 if options.flash_attention else heads * reach
    masks = (reach + both) * (2 if options.flash_attention else 4)
    attention = 4 * batch * (scores + 3 * width + 2 * queries + keys) + batch * masks
    return max(logits, feed_forward, attention)


def _feed_forward_width(header: GgufHeader) -> int:
    """Return the width of the feed-forward part at work on one token."""
    dense = _largest(header.per_layer("feed_forward_length"))
    experts = _largest(header.expert_used_count) * _largest(header.per_layer("expert_feed_forward_length"))
    return max(dense, experts)


def host_compute_bytes(header: GgufHeader, n_ctx: int, options: ContextOptions) -> int:
    """Return the approximate bytes that the CPU computes in while all layers are on GPUs: inputs and the mask."""
    return 4 * options.n_ubatch * ((header.embedding_length or 0) + _padded(n_ctx))


def _largest(figure: int | tuple[int, ...] | None) -> int:
    """Return the largest layer's figure."""
    return max(figure, default=0) if isinstance(figure, tuple) else figure or 0


def _type(name: str) -> GgmlType:
    """Return the tensor type of a name such as "q8_0"."""
    if name.lower() not in TYPE_BY_NAME:
        raise ValueError(f"not a ggml type: {name}")
    return TYPE_BY_NAME[name.lower()]


def _padded(tokens: int) -> int:
    """Return `tokens` rounded up as llama.cpp does."""
    return -(-tokens // CONTEXT_STEP) * CONTEXT_STEP
