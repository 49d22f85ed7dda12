"""A model file is hostile input: whatever its header holds, only GgufError may come of it."""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.gguf_description import GgufHeader
from app.core.gguf_header import GgufError, parse_bytes
from app.core.memory_estimate import estimate
from tests.support.gguf_bytes import described
from tests.unit.core.test_gguf_header import full_model


def touch_everything(header: GgufHeader) -> None:
    """Read every figure, as the window and the estimate do."""
    for name in dir(type(header)):
        if isinstance(getattr(type(header), name), property):
            getattr(header, name)
    estimate(header, 4096)


def survives(data: bytes) -> None:
    """Parse and use whatever `data` is; only GgufError may come of it."""
    try:
        touch_everything(parse_bytes(data))
    except GgufError as error:
        assert error.kind in ("not_gguf", "truncated", "damaged", "unsupported_version")
        assert len(error.sentence) < 400


EXTREME = st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, 65_537, 4097])


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_no_mutation_of_a_header_raises_anything_else(data: st.DataObject) -> None:
    mutated = bytearray(full_model())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutated) - 9))
        how = data.draw(st.sampled_from(["byte", "number", "cut", "insert", "remove"]))
        if how == "byte":
            mutated[at] = data.draw(st.integers(0, 255))
        elif how == "number":
            mutated[at : at + 8] = struct.pack("<Q", data.draw(EXTREME))
        elif how == "insert":
            mutated[at:at] = data.draw(st.binary(max_size=16))
        elif how == "remove":
            del mutated[at : at + data.draw(st.integers(0, 16))]
        else:
            del mutated[max(at, 32) :]
        if len(mutated) < 32:
            break
    survives(bytes(mutated))


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_after_the_magic_raise_anything_else(tail: bytes) -> None:
    survives(b"GGUF\x03\x00\x00\x00" + tail)
    survives(tail)


FIGURE = st.one_of(
    st.integers(0, 2**32 - 1),
    st.integers(0, 64),
    st.text(max_size=3),
    st.booleans(),
    st.lists(st.integers(0, 64), min_size=1, max_size=5),
)
SUFFIXES = st.sampled_from(
    (
        *("block_count", "attention.head_count", "attention.head_count_kv", "embedding_length", "vocab_size"),
        *("attention.key_length", "attention.sliding_window", "attention.sliding_window_pattern"),
        *("attention.key_length_swa", "attention.key_length_mla", "attention.shared_kv_layers"),
        *("feed_forward_length", "expert_used_count", "expert_feed_forward_length", "nextn_predict_layers"),
        *("ssm.state_size", "shortconv.l_cache", "kda.head_dim", "wkv.head_size", "pooling_type"),
        *("full_attention_interval", "attention.recurrent_layers", "attention.indexer.key_length"),
    )
)
ARCHITECTURES = st.sampled_from(
    (
        *("llama", "gemma3", "gemma3n", "gemma4", "lfm2", "qwen3next", "nemotron_h", "falcon-h1", "mamba"),
        *("llama4", "exaone4", "smallthinker", "cohere2moe", "kimi-linear", "minimax-01", "rwkv7", "unknown"),
    )
)


@settings(deadline=None, max_examples=300)
@given(ARCHITECTURES, st.dictionaries(SUFFIXES, FIGURE))
def test_no_figures_of_a_model_raise_anything_else(
    architecture: str, figures: dict[str, int | str | bool | list[int]]
) -> None:
    survives(described(architecture, figures))
