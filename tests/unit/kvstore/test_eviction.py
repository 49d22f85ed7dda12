"""The byte budget: checked before writing, leaves first, the least recently used first, never what is pinned."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.kvstore.eviction import default_budget
from app.kvstore.records import Outcome
from app.kvstore.store import Store
from tests.unit.kvstore.made import ROOT, Clock, all_sound, disk_bytes, found, ids, keys_of, rows_of, save, tip_of

WORD = disk_bytes("word")
"""What a chunk of four letters takes."""


@pytest.fixture
def small(folder: Path) -> Iterator[Store]:
    """A store that takes five words of four letters."""
    store = Store(folder, 5 * WORD, Clock())
    yield store
    store.close()


def test_the_least_recently_used_conversation_shrinks_from_its_end(small: Store) -> None:
    save(small, "firs seco thir")
    save(small, "othe talk")
    save(small, "mine")
    assert found(small, "firs seco thir") == "firs seco"
    save(small, "more")
    assert found(small, "firs seco thir") == "firs"
    assert found(small, "othe talk") == "othe talk"
    assert small.totals().all.bytes == 5 * WORD


def test_what_was_used_again_stays(small: Store) -> None:
    save(small, "firs seco thir")
    save(small, "othe talk")
    small.touch(keys_of("firs seco thir"))
    save(small, "mine")
    assert found(small, "firs seco thir") == "firs seco thir"
    assert found(small, "othe talk") == "othe"


def test_saving_what_is_there_counts_as_use(small: Store) -> None:
    save(small, "firs seco thir")
    save(small, "othe talk")
    save(small, "firs seco thir")
    save(small, "mine")
    assert found(small, "firs seco thir") == "firs seco thir"


def test_a_prefix_was_as_lately_of_use_as_what_followed_it(small: Store) -> None:
    save(small, "firs seco")
    save(small, "othe")
    small.touch([tip_of("firs seco")])
    small.drop([tip_of("firs seco")], [tip_of("firs")])
    small.set_budget(2 * WORD)
    save(small, "mine")
    assert found(small, "firs") == "firs"
    assert found(small, "othe") == ""


def test_a_pinned_chain_stays_however_old(small: Store) -> None:
    save(small, "firs seco thir")
    save(small, "othe talk")
    small.pin([tip_of("firs seco thir")])
    save(small, "mine more")
    assert found(small, "firs seco thir") == "firs seco thir"
    assert found(small, "othe") == ""


def test_pins_are_replaced_by_the_next(small: Store) -> None:
    save(small, "firs seco thir")
    small.pin([tip_of("firs seco thir")])
    save(small, "othe talk")
    small.pin([tip_of("othe talk")])
    save(small, "mine")
    assert found(small, "firs seco thir") == "firs seco"


def test_the_chain_that_is_written_is_not_eaten_by_its_own_end(small: Store) -> None:
    save(small, "aaaa bbbb cccc dddd eeee")
    result = small.put(ROOT, tip_of("aaaa bbbb cccc dddd eeee"), 20, ids("ffff"), [rows_of("ffff")])
    assert (result.outcome, result.written) == (Outcome.FULL, 0)
    assert found(small, "aaaa bbbb cccc dddd eeee") == "aaaa bbbb cccc dddd eeee"


def test_nothing_is_evicted_for_what_would_not_fit_anyway(small: Store) -> None:
    save(small, "firs seco")
    save(small, "othe")
    small.pin([tip_of("firs seco")])
    assert small.put(ROOT, ROOT, 0, ids("huge"), [bytes(4 * WORD)]).outcome is Outcome.FULL
    assert found(small, "othe") == "othe"


def test_checkpoints_count_in_the_budget(small: Store) -> None:
    save(small, "firs seco thir")
    tip = save(small, "mine")
    assert small.add_checkpoint(tip, [bytes(2 * WORD)]).outcome is Outcome.WRITTEN
    assert small.totals().all.bytes <= 5 * WORD
    assert found(small, "firs seco thir") == "firs"
    assert small.add_checkpoint(tip_of("firs"), [bytes(4 * WORD)]).outcome is Outcome.FULL


def test_what_the_person_keeps_stays_beside_the_pins_of_each_turn(small: Store) -> None:
    save(small, "firs seco")
    save(small, "othe talk")
    small.keep([tip_of("firs seco")])
    small.pin([tip_of("othe talk")])
    save(small, "mine")
    save(small, "more")
    assert found(small, "mine") == ""
    assert found(small, "firs seco") == "firs seco"
    assert found(small, "othe talk") == "othe talk"
    small.pin([])
    save(small, "last word")
    assert found(small, "firs seco") == "firs seco"
    small.keep([])
    save(small, "very much more last word")
    assert found(small, "firs seco") == ""


def test_a_smaller_budget_holds_at_once_but_for_pins(small: Store) -> None:
    save(small, "firs seco thir")
    save(small, "othe talk")
    small.pin([tip_of("firs seco")])
    assert small.set_budget(0) == 3 * WORD
    assert found(small, "firs seco thir") == "firs seco"
    assert small.totals().all.bytes == 2 * WORD
    assert small.totals().budget == 0
    assert all_sound(small)


def test_the_default_is_a_tenth_of_the_free_disk_up_to_ten_gib() -> None:
    assert default_budget(50 * 1024**3) == 5 * 1024**3
    assert default_budget(10**15) == 10 * 1024**3
    assert default_budget(0) == 0
