"""Which way to compute is fastest for a chat: what is tried, and the choice from what was measured."""

from collections.abc import Sequence
from typing import Final

from app.core.load_options import Trial

TIE: Final = 1.03
"""What is not faster by more than this is taken for equal: a measurement is not more exact."""
FOLLOW_UP_WEIGHT: Final = 0.45
DECODE_WEIGHT: Final = 0.45
PREFILL_WEIGHT: Final = 0.1
LONGEST_SLICE: Final = 1.0
"""Seconds that reading one slice should take at most, so that progress keeps moving."""


def gain(trial: Trial, other: Trial) -> float:
    """How many times as fast a chat is with `trial` as with `other`.

    The weighted geometric mean of the three ratios: (follow-up)^0.45 · (decode)^0.45 · (prefill)^0.1, because every
    turn reads a few words and writes a reply, while a long text comes now and then. Trials that differ in the slice
    alone are compared by prefill alone: the others never fill a slice.
    """
    prefill = trial.prefill / other.prefill
    if (trial.flash_attention, trial.threads) == (other.flash_attention, other.threads):
        return prefill
    follow_up, decode = trial.follow_up / other.follow_up, trial.decode / other.decode
    return float(follow_up**FOLLOW_UP_WEIGHT * decode**DECODE_WEIGHT * prefill**PREFILL_WEIGHT)


def choose(trials: Sequence[Trial]) -> Trial:
    """The best of the trials; the first is the default, and stays where none is faster by more than a tie.

    A longer slice must not take longer than LONGEST_SLICE, and where the default does, a shorter one wins a tie.
    """
    best = trials[0]
    for trial in trials[1:]:
        if trial.batch > best.batch and not _is_quick(trial):
            continue
        wins_ties = trial.batch < best.batch and not _is_quick(best)
        if gain(trial, best) > (1 / TIE if wins_ties else TIE):
            best = trial
    return best


def _is_quick(trial: Trial) -> bool:
    return trial.batch <= LONGEST_SLICE * trial.prefill


def thread_candidates(default: int, allowed: int) -> tuple[int, ...]:
    """Numbers of threads to try, the default (the physical cores) first; never more than `allowed`.

    Fewer, because writing waits for memory and some cores are slow ones; more, where cores run two threads each.
    """
    fewer = (default // 2, default * 3 // 4) if default >= 4 else ()
    return tuple(dict.fromkeys((default, *fewer, max(default, allowed))))
