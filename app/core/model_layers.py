"""What each layer of a model remembers: keys and values of all tokens or of a window, a fixed state, nothing.

Source: `load_arch_hparams` of each architecture in llama.cpp's src/models, `llama_model::create_memory` in
llama-model.cpp and `llama_hparams` (llama.cpp 0c1e570). Where the header and this table leave a doubt a layer
counts as full attention, which costs most.
"""

from dataclasses import dataclass
from typing import Final

from app.core.gguf_cursor import damaged
from app.core.gguf_description import GgufHeader

RECURRENT_ONLY: Final = frozenset(("mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"))
"""`llm_arch_is_recurrent`."""
RECURRENT_WITHOUT_HEADS: Final = frozenset(
    (
        *("jamba", "plamo2", "granitehybrid", "lfm2", "lfm2moe", "kimi-linear", "kimi-k3", "bailingmoe3"),
        *("glm5-next", "nemotron_h", "nemotron_h_moe"),
    )
)
"""Hybrids in which a layer without key and value heads is the recurrent one."""
RECURRENT_BY_INTERVAL: Final = {
    "qwen3next": 4,
    "qwen35": 4,
    "qwen35moe": 4,
    "qwen4exp": 4,
    "minimax-01": 8,
}
"""Hybrids in which every so-many-th layer is attention, where the header does not say otherwise."""


@dataclass(frozen=True, slots=True)
class WindowRule:
    """Where an architecture has sliding windows: all layers but every `period`-th one.

    `period` 0 means all layers. `tokens` is the window's size where the file states none, `fixed` that the
    stated size is ignored, `dense_first` that a period begins with the full layer.
    """

    period: int
    dense_first: bool = False
    tokens: int = 0
    fixed: bool = False


WINDOW_RULES: Final = {
    "afmoe": WindowRule(4),
    "cohere2": WindowRule(4),
    "cohere2moe": WindowRule(4, dense_first=True),
    "exaone-moe": WindowRule(4, tokens=128),
    "exaone4": WindowRule(4, tokens=4096),
    "gemma2": WindowRule(2, tokens=4096),
    "gemma3": WindowRule(6),
    "gemma3n": WindowRule(5),
    "gpt-oss": WindowRule(2),
    "laguna": WindowRule(4, dense_first=True),
    "lfm2": WindowRule(0),
    "llama4": WindowRule(4, tokens=8192, fixed=True),
    "mellum": WindowRule(4),
    "muse-glimmer": WindowRule(4),
    "olmo2": WindowRule(4),
    "plamo3": WindowRule(8),
    "smallthinker": WindowRule(4, dense_first=True, tokens=4096, fixed=True),
}
WINDOW_BY_LIST: Final = frozenset(("dots3note", "gemma4", "granite_swa", "maple", "mimo2", "spark2_5", "step35"))
"""Architectures whose files must list the layers with a window one by one."""
EXAONE4_WINDOW_BLOCKS: Final = 64
"""Only the 32B model of exaone4, known by its layers, has windows."""
SMALLTHINKER: Final = "smallthinker"
GEMMA3N_KV_LAYERS: Final = 20
"""gemma3n keeps keys and values in its first layers only; the later ones read those."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: the values of its key row and its value row per token, its window, its fixed state.

    A row of 0 means that nothing is kept. `state` counts the 32-bit numbers of a recurrent layer for one
    sequence.
    """

    key_row: int
    value_row: int
    windowed: bool
    state: int


def window_tokens(header: GgufHeader) -> int:
    """Return the tokens a window layer looks back, 0 where the model has no windows."""
    architecture = header.architecture or ""
    stated = header.sliding_window
    rule = WINDOW_RULES.get(architecture)
    if rule is None:
        return (stated or 0) if architecture in WINDOW_BY_LIST else 0
    if architecture == "exaone4" and header.block_count != EXAONE4_WINDOW_BLOCKS:
        return 0
    if stated is None:
        return 0 if architecture == SMALLTHINKER else rule.tokens
    return rule.tokens if rule.fixed and stated else stated


def layers(header: GgufHeader) -> tuple[Layer, ...]:
    """Return the model's layers, those left out that only predict ahead; empty where the header has none."""
    total = header.block_count or 0
    count = max(0, total - (header.number("nextn_predict_layers") or 0)) or total
    windows = _windowed(header, count)
    recurrent = _recurrent(header, count)
    heads = _spread(header.head_count_kv, count)
    kept = _layers_with_own_keys(header, count)
    state = _state(header)
    indexer = header.number("attention.indexer.key_length") or 0
    widths = {windowed: _head_widths(header, windowed) for windowed in set(windows)}
    result = []
    for index in range(count):
        key, value = widths[windows[index]]
        attends = index < kept and heads[index] > 0 and _attends(header, recurrent[index])
        result.append(
            Layer(
                key_row=heads[index] * key + indexer if attends else 0,
                value_row=heads[index] * value if attends else 0,
                windowed=windows[index],
                state=state if recurrent[index] else 0,
            )
        )
    return tuple(result)


def _spread(figure: int | tuple[int, ...] | None, count: int) -> tuple[int, ...]:
    """Return one figure for each of `count` layers."""
    return figure[:count] if isinstance(figure, tuple) else (figure or 0,) * count


def _windowed(header: GgufHeader, count: int) -> tuple[bool, ...]:
    """Return for each layer whether it looks back a window only (`load_swa_pattern`, `set_swa_pattern`)."""
    architecture = header.architecture or ""
    rule = WINDOW_RULES.get(architecture)
    if not window_tokens(header):
        return (False,) * count
    pattern = header.metadata.get(f"{architecture}.attention.sliding_window_pattern")
    if isinstance(pattern, tuple) and architecture != "lfm2":
        flags = tuple(bool(flag) for flag in pattern[:count])
        return flags + (False,) * (count - len(flags))
    if rule is None:
        return (False,) * count
    period = rule.period
    if pattern is not None and period:
        period = header.number("attention.sliding_window_pattern") or 0
    if period == 0:
        return (True,) * count
    dense = 0 if rule.dense_first else period - 1
    return tuple(index % period != dense for index in range(count))


def _recurrent(header: GgufHeader, count: int) -> tuple[bool, ...]:
    """Return for each layer whether it keeps a state of fixed size."""
    architecture = header.architecture or ""
    if architecture in RECURRENT_ONLY or architecture == "falcon-h1":
        return (True,) * count
    if architecture in RECURRENT_WITHOUT_HEADS:
        heads = _spread(header.head_count_kv, count)
        feed_forward = _spread(header.per_layer("feed_forward_length"), count)
        only_without = architecture.startswith("nemotron_h")
        return tuple(kv == 0 and not (only_without and width) for kv, width in zip(heads, feed_forward, strict=True))
    if architecture not in RECURRENT_BY_INTERVAL:
        return (False,) * count
    listed = header.metadata.get(f"{architecture}.attention.recurrent_layers")
    if isinstance(listed, tuple):
        return tuple(bool(flag) for flag in listed[:count]) + (False,) * (count - len(listed))
    interval = header.number("full_attention_interval")
    if interval == 0:
        raise damaged("it says that every 0th layer is an attention layer")
    interval = interval or RECURRENT_BY_INTERVAL[architecture]
    return tuple((index + 1) % interval != 0 for index in range(count))


def _attends(header: GgufHeader, recurrent: bool) -> bool:
    """Return whether a layer with key heads keeps keys: falcon-h1 does so beside its state."""
    return not recurrent or header.architecture == "falcon-h1"


def _layers_with_own_keys(header: GgufHeader, count: int) -> int:
    """Return the number of layers, from the first, that keep keys of their own (`has_kv`)."""
    if header.architecture == "gemma3n":
        return min(count, GEMMA3N_KV_LAYERS)
    if header.architecture == "gemma4":
        return max(0, count - (header.number("attention.shared_kv_layers") or 0))
    return count


def _head_widths(header: GgufHeader, windowed: bool) -> tuple[int, int]:
    """Return the widths of a key and a value; with MLA the key holds both and no value is kept."""
    key, value = header.key_length or 0, header.value_length or 0
    if windowed:
        key_swa = header.number("attention.key_length_swa")
        value_swa = header.number("attention.value_length_swa")
        key = key if key_swa is None else key_swa
        value = value if value_swa is None else value_swa
    mla = header.number("attention.key_length_mla") and header.number("attention.value_length_mla")
    return key, 0 if mla else value


def _state(header: GgufHeader) -> int:
    """Return the 32-bit numbers of one recurrent layer's state (`n_embd_r` and `n_embd_s`)."""
    width = header.embedding_length or 0
    heads = header.head_count
    first_heads = (heads[0] if isinstance(heads, tuple) else heads) or 0
    wkv = header.number("wkv.head_size")
    if wkv:
        shift = header.number("token_shift_count")
        return width * (2 if shift is None else shift) + width * wkv
    convolution = header.number("shortconv.l_cache")
    if convolution:
        return width * (convolution - 1)
    kernel, inner, state, groups = (
        header.number(f"ssm.{name}") or 0 for name in ("conv_kernel", "inner_size", "state_size", "group_count")
    )
    kda = header.number("kda.head_dim")
    if kda:
        return 3 * (kernel - 1 if kernel else 3) * first_heads * kda + kda * kda * first_heads
    if header.architecture == "minimax-01":
        return (header.key_length or 0) ** 2 * first_heads
    return max(0, kernel - 1) * (inner + 2 * groups * state) + state * inner
