"""How long a context begins, and when a conversation is full."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.context_budget import (
    SMALLEST_MARGIN,
    ContextBudget,
    default_context,
    largest_context,
    remaining,
)
from app.core.gguf_header import GgufHeader, parse_bytes
from app.core.memory_estimate import ContextOptions, estimate
from tests.support.tiny_models import Kind, make

GIB = 1024**3
TOKENS = st.integers(0, 20_000)


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> GgufHeader:
    """Return the header of a small model."""
    path = tmp_path_factory.mktemp("budget") / "model.gguf"
    return parse_bytes(make(Kind.FULL, path).read_bytes())


def test_with_much_memory_the_training_or_8192_decides(header: GgufHeader) -> None:
    assert default_context(131_072, 64 * GIB, header) == 8192
    assert default_context(2048, 64 * GIB, header) == 2048
    assert default_context(3000, 64 * GIB, header) == 2816
    assert default_context(None, 64 * GIB, header) == 8192


def test_with_little_memory_what_fits_decides(header: GgufHeader) -> None:
    free = estimate(header, 2048).total + SMALLEST_MARGIN
    assert default_context(8192, free, header) == 2048
    assert default_context(8192, free - 1, header) == 1792


def test_with_no_memory_the_smallest_context_is_named_and_nothing_fits(header: GgufHeader) -> None:
    assert default_context(8192, 0, header) == 512
    assert largest_context(header, 0, 8192) == 0


def test_a_model_trained_for_very_little_gets_no_more(header: GgufHeader) -> None:
    assert default_context(300, 64 * GIB, header) == 300


def test_smaller_keys_and_values_allow_a_longer_context(header: GgufHeader) -> None:
    free = estimate(header, 2048).total + SMALLEST_MARGIN
    lean = ContextOptions(type_k="q4_0", type_v="q4_0", flash_attention=True)
    assert default_context(8192, free, header, lean) > 2048


@given(st.integers(0, 2 * GIB), st.integers(512, 32_768))
def test_a_chosen_context_fits_and_is_a_multiple_of_256(header: GgufHeader, free: int, trained: int) -> None:
    chosen = default_context(trained, free, header)
    assert chosen % 256 == 0
    assert 512 <= chosen <= max(512, min(trained, 8192))
    if chosen > 512:
        assert estimate(header, chosen).total <= free - SMALLEST_MARGIN


@given(TOKENS, TOKENS, TOKENS, st.integers(0, 512))
def test_a_draft_fits_exactly_when_a_reply_still_does(limit: int, used: int, draft: int, reserve: int) -> None:
    budget = ContextBudget(limit, used, draft, reserve)
    assert budget.fits == (used + draft + reserve <= limit)
    assert budget.remaining == remaining(limit, used, draft, reserve)
    assert not (budget.is_full and budget.fits and draft > 0)
    assert not budget.fits or budget.longest_reply >= reserve
    assert 0 <= budget.share_used <= 1


def test_a_conversation_is_full_before_its_last_token() -> None:
    assert not ContextBudget(8192, 8127).is_full
    assert ContextBudget(8192, 8128).is_full
    assert ContextBudget(8192, 3895).share_used == pytest.approx(0.4755, abs=1e-4)
