"""The last ten minutes: one sample a second at most, and never more room than for those."""

from app.core.history import SECONDS, History, Sample


def test_samples_come_back_with_their_age_the_oldest_first() -> None:
    history = History(2)
    history.note(100, (1, 2))
    history.note(103, (3, 4))
    assert history.until(105) == [Sample(5, (1, 2)), Sample(2, (3, 4))]


def test_a_second_sample_within_a_second_takes_the_place_of_the_first() -> None:
    history = History(1)
    for value in (1, 2, 3):
        history.note(100, (value,))
    assert history.until(100) == [Sample(0, (3,))]


def test_nothing_was_noted_at_first() -> None:
    assert History(3).until(1000) == []


def test_what_is_older_than_ten_minutes_is_gone() -> None:
    history = History(1)
    history.note(0, (1,))
    history.note(1, (2,))
    assert history.until(SECONDS) == [Sample(SECONDS - 1, (2,))]


def test_the_newest_take_the_place_of_the_oldest() -> None:
    history = History(1)
    for second in range(2 * SECONDS + 5):
        history.note(second, (second,))
    found = history.until(2 * SECONDS + 4)
    assert len(found) == SECONDS
    assert found[0] == Sample(SECONDS - 1, (SECONDS + 5,))
    assert found[-1] == Sample(0, (2 * SECONDS + 4,))


def test_large_figures_are_kept_whole() -> None:
    history = History(1)
    history.note(1, (2**45,))
    assert history.until(1)[0].values == (2**45,)
