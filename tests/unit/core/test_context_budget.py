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


def test_a_conversation_is_full_before_its_last_token() -> None:
    assert not ContextBudget(8192, 8127).is_full
    assert ContextBudget(8192, 8128).is_full


@pytest.mark.parametrize(("limit", "used"), [(8192, 6899), (2048, 1676), (512, 320), (256, 128)])
def test_it_is_nearly_full_while_there_is_room_for_about_a_turn(limit: int, used: int) -> None:
    assert not ContextBudget(limit, used).is_nearly_full
    assert ContextBudget(limit, used + 1).is_nearly_full


@given(st.integers(320, 20_000), st.integers(1, 100))
def test_there_is_a_warning_before_a_turn_finds_no_room(limit: int, turn: int) -> None:
    """A conversation that grows by `turn` tokens at a time is called nearly full before it does not fit any more."""
    used = 0
    while not ContextBudget(limit, used).is_nearly_full:
        used += turn
    assert ContextBudget(limit, used).fits or turn > limit // 8
