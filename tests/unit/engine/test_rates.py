"""Whether saved state is worth loading, by what this machine was measured to do."""

from app.engine.rates import RATE_BYTES, Rates

SIZE, TOKENS = 100 * RATE_BYTES, 4000


def rates(prefill: float = 200.0, restore: float = 0.0) -> Rates:
    return Rates(prefill, restore)


def test_what_was_never_measured_is_restored() -> None:
    assert not Rates().reading_wins(1, SIZE)
    assert not rates().reading_wins(1, SIZE)
    assert not rates(0.0, 1.0).reading_wins(1, SIZE)


def test_the_faster_of_the_two_wins() -> None:
    seconds = TOKENS / 200
    assert rates(restore=SIZE / seconds / 1.1).reading_wins(TOKENS, SIZE)
    assert not rates(restore=SIZE / seconds * 1.1).reading_wins(TOKENS, SIZE)


def test_a_small_restore_says_nothing_of_a_large_one() -> None:
    """It is all opening of files: a large one would seem to take ages."""
    measured = rates()
    measured.measured_restore(RATE_BYTES - 1, 1.0)
    assert measured.restore == 0.0
    measured.measured_restore(SIZE, 0.5)
    assert measured.restore == SIZE / 0.5


def test_a_short_prompt_says_nothing_of_a_long_one() -> None:
    measured = Rates()
    measured.measured_prefill(5, 1.0)
    assert measured.prefill == 0.0
    measured.measured_prefill(400, 2.0)
    measured.measured_prefill(400, 4.0)
    assert measured.prefill == 150.0


def test_one_slow_moment_of_the_disk_does_not_decide_for_ever() -> None:
    measured = rates()
    measured.measured_restore(SIZE, 2000.0)
    skipped = 0
    while measured.reading_wins(TOKENS, SIZE):
        measured.skipped_restore()
        skipped += 1
    assert 0 < skipped < 10
    measured.measured_restore(SIZE, 0.1)
    assert not measured.reading_wins(TOKENS, SIZE)
