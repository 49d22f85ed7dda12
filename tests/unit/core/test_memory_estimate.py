"""The memory a model will take, against figures read from llama.cpp's log."""

from pathlib import Path

import pytest

from app.core.gguf_header import GgufHeader, parse, parse_bytes
from app.core.memory_estimate import ContextOptions, estimate, kv_bytes_per_token, state_bytes
from tests.support.fixtures import find_starter_model
from tests.support.gguf_bytes import described
from tests.support.tiny_models import Kind, make

MIB = 1024**2


@pytest.fixture(scope="module")
def starter() -> GgufHeader:
    """Return the starter model's header."""
    path = find_starter_model()
    with path.open("rb") as file:
        start = file.read(2 * MIB)
    return parse(lambda offset, size: start[offset : offset + size], path.stat().st_size)


def tiny(kind: Kind, folder: Path) -> GgufHeader:
    """Return the header of a tiny model."""
    return parse_bytes(make(kind, folder / "model.gguf").read_bytes())


def test_the_starter_model_keeps_23040_bytes_a_token(starter: GgufHeader) -> None:
    assert kv_bytes_per_token(starter) == 23_040
    assert kv_bytes_per_token(starter, "q8_0", "q8_0") == 12_240
    assert kv_bytes_per_token(starter, "q4_0", "q4_0") == 6_480


def test_the_starter_models_context_takes_what_llama_cpp_logs(starter: GgufHeader) -> None:
    at_8k = estimate(starter, 8192)
    assert at_8k.kv == 180 * MIB
    assert at_8k.weights == starter.tensor_bytes
    assert at_8k.total == at_8k.weights + at_8k.kv + at_8k.compute
    assert estimate(starter, 8000).kv == 180 * MIB
    assert estimate(starter, 7936).kv == 23_040 * 7936


@pytest.mark.parametrize(
    ("n_ctx", "flash_attention", "outputs", "logged"),
    [
        (2048, False, None, 99.38),
        (8192, False, None, 166.38),
        (8192, True, None, 98.25),
        (32768, False, None, 646.38),
        (8192, True, 2, 21.51),
    ],
)
def test_the_compute_buffer_comes_close_to_the_logged_one(
    starter: GgufHeader, n_ctx: int, flash_attention: bool, outputs: int | None, logged: float
) -> None:
    options = ContextOptions(flash_attention=flash_attention, n_outputs=outputs)
    assert estimate(starter, n_ctx, options).compute / MIB == pytest.approx(logged, rel=0.05)


def test_window_layers_stop_growing(tmp_path: Path) -> None:
    header = tiny(Kind.WINDOW, tmp_path)
    row = 2 * 2 * 32 * 2
    assert kv_bytes_per_token(header) == 6 * row
    # Five layers of 768 cells (2 x 64 + 512 tokens, rounded up), one of all.
    assert estimate(header, 8192).kv == row * (5 * 768 + 8192)
    assert estimate(header, 512).kv == row * 6 * 512
    assert estimate(header, 8192, ContextOptions(window_in_full=True)).kv == row * 6 * 8192


def test_a_hybrids_state_does_not_grow(tmp_path: Path) -> None:
    header = tiny(Kind.HYBRID, tmp_path)
    row = 2 * 2 * 32 * 2
    assert kv_bytes_per_token(header) == 2 * row
    assert state_bytes(header) == 2 * 128 * 2 * 4
    for n_ctx in (1024, 4096):
        assert estimate(header, n_ctx).kv == 2 * row * n_ctx + 2 * state_bytes(header)


def test_without_flash_attention_narrow_values_are_padded_to_the_widest() -> None:
    header = parse_bytes(
        described(
            "gemma4",
            {
                "block_count": 2,
                "embedding_length": 64,
                "attention.head_count": 4,
                "attention.head_count_kv": 1,
                "attention.key_length": 64,
                "attention.value_length": 64,
                "attention.key_length_swa": 32,
                "attention.value_length_swa": 32,
                "attention.sliding_window": 1024,
                "attention.sliding_window_pattern": [True, False],
            },
        )
    )
    assert estimate(header, 256, ContextOptions(flash_attention=True)).kv == 256 * 2 * (32 + 32 + 64 + 64)
    assert estimate(header, 256, ContextOptions(flash_attention=False)).kv == 256 * 2 * (32 + 64 + 64 + 64)


def test_a_file_that_describes_no_layers_needs_only_its_weights() -> None:
    nothing = estimate(parse_bytes(described("llama")), 8192)
    assert (nothing.weights, nothing.kv, nothing.compute) == (0, 0, 0)


def test_an_unknown_type_is_a_bug(starter: GgufHeader) -> None:
    with pytest.raises(ValueError, match="q9_9"):
        kv_bytes_per_token(starter, "q9_9")
    with pytest.raises(ValueError, match="q9_9"):
        estimate(starter, 512, ContextOptions(type_k="q9_9"))
