"""What is chosen from measurements."""

from dataclasses import replace

import pytest

from app.core.calibration import choose, gain, thread_candidates
from app.core.load_options import Trial

DEFAULT = Trial(flash_attention=False, threads=4, batch=256, follow_up=140.0, decode=60.0, prefill=300.0)
FLASH = replace(DEFAULT, flash_attention=True)


# --- the choice ------------------------------------------------------------------------------------------------------


def test_the_faster_way_is_chosen() -> None:
    faster = replace(FLASH, follow_up=200.0, decode=70.0)
    assert choose([DEFAULT, faster]) == faster


def test_within_three_percent_the_default_stays() -> None:
    slightly = replace(FLASH, follow_up=140.0 * 1.029, decode=60.0 * 1.029, prefill=300.0 * 1.029)
    assert choose([DEFAULT, slightly]) == DEFAULT
    clearly = replace(FLASH, follow_up=140.0 * 1.04, decode=60.0 * 1.04, prefill=300.0 * 1.04)
    assert choose([DEFAULT, clearly]) == clearly


def test_several_ties_do_not_add_up_to_a_change() -> None:
    two_percent = replace(DEFAULT, threads=3, decode=60.0 * 1.04)
    three_percent = replace(DEFAULT, threads=2, decode=60.0 * 1.06)
    assert gain(three_percent, two_percent) < gain(three_percent, DEFAULT) < 1.03
    assert choose([DEFAULT, two_percent, three_percent]) == DEFAULT


def test_follow_ups_and_replies_outweigh_a_long_cold_text() -> None:
    """SmolLM2 on two cores (KV_STATE): flash attention reads a long text faster, and is slower in a chat."""
    off = replace(DEFAULT, follow_up=144.0, decode=62.0, prefill=156.0)
    on = replace(FLASH, follow_up=75.0, decode=54.0, prefill=186.0)
    assert choose([off, on]) == off
    assert choose([on, off]) == off


def test_the_choice_is_the_same_whatever_the_unit() -> None:
    faster = replace(FLASH, follow_up=170.0)
    slow = [replace(t, follow_up=t.follow_up / 50, decode=t.decode / 50, prefill=t.prefill) for t in (DEFAULT, faster)]
    assert choose([DEFAULT, faster]).flash_attention == choose(slow).flash_attention is True


def test_a_slice_is_chosen_by_reading_alone() -> None:
    longer = replace(DEFAULT, batch=512, prefill=600.0)
    assert gain(longer, DEFAULT) == 2.0
    assert choose([DEFAULT, longer]) == longer


def test_a_slice_that_takes_longer_than_a_second_is_not_chosen() -> None:
    longer = replace(DEFAULT, batch=512, prefill=500.0)
    assert gain(longer, DEFAULT) > 1.5
    assert choose([DEFAULT, longer]) == DEFAULT


def test_where_the_default_slice_is_long_an_equally_fast_shorter_one_is_chosen() -> None:
    slow = replace(DEFAULT, prefill=150.0)
    shorter = replace(slow, batch=128, prefill=147.0)
    assert choose([slow, shorter]) == shorter
    assert choose([slow, replace(shorter, prefill=140.0)]) == slow


def test_a_shorter_slice_wins_no_tie_where_the_default_is_quick() -> None:
    assert choose([DEFAULT, replace(DEFAULT, batch=128, prefill=305.0)]) == DEFAULT


# --- the threads -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cores", "allowed", "tried"),
    [
        (1, 1, (1,)),
        (2, 2, (2,)),
        (2, 4, (2, 4)),
        (4, 4, (4, 2, 3)),
        (8, 16, (8, 4, 6, 16)),
    ],
)
def test_threads_are_tried_around_the_physical_cores(cores: int, allowed: int, tried: tuple[int, ...]) -> None:
    assert thread_candidates(cores, allowed) == tried
