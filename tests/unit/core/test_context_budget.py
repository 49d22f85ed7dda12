"""When a conversation is full."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.context_budget import ContextBudget, remaining

TOKENS = st.integers(0, 20_000)


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
