"""The prefix tree: the longest prefix, branches, what a dropped conversation takes along, who uses what."""

import math
from pathlib import Path

import pytest

from app.kvstore.keys import chunk_key
from app.kvstore.records import Held, Usage
from app.kvstore.store import Store
from tests.unit.kvstore.made import (
    OTHER_ROOT,
    PLENTY,
    ROOT,
    Clock,
    all_sound,
    disk_bytes,
    files,
    found,
    ids,
    keys_of,
    save,
    tip_of,
)


def test_nothing_is_found_in_an_empty_store(store: Store) -> None:
    assert store.find(ROOT, ids("anything")) == []
    assert store.find(ROOT, []) == []


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("system one two and more", "system one two"),
        ("system one two", "system one two"),
        ("system one tw", "system one"),
        ("system oneX", "system one"),
        ("system two", "system"),
        ("syste", ""),
        ("other", ""),
    ],
)
def test_the_longest_saved_prefix_is_found(store: Store, prompt: str, expected: str) -> None:
    save(store, "system one two")
    assert found(store, prompt) == expected


def test_what_was_saved_for_another_model_is_not_found(store: Store) -> None:
    save(store, "system one")
    assert found(store, "system one", OTHER_ROOT) == ""


def test_every_branch_is_found(store: Store) -> None:
    save(store, "system one red car")
    save(store, "system one blue car")
    save(store, "system two")
    assert found(store, "system one blue cart") == "system one blue car"
    assert found(store, "system one red carpet") == "system one red car"
    assert found(store, "system one green") == "system one"
    assert found(store, "system two") == "system two"


def test_a_longer_child_that_does_not_fit_hides_no_shorter_one(store: Store) -> None:
    save(store, "a bcd")
    save(store, "a bc")
    save(store, "a b??????")
    assert found(store, "a bc???????") == "a bc"
    assert found(store, "a bcd??????") == "a bcd"


def test_the_same_words_cut_in_two_ways_are_found_as_far_as_one_of_them_reaches(store: Store) -> None:
    save(store, "abcd")
    save(store, "ab cd ef")
    assert found(store, "abcdefg") == "ab cd ef"
    assert found(store, "abcde") == "abcd"


def test_one_among_many_children_of_many_lengths_is_found(store: Store) -> None:
    for length in range(1, 41):
        save(store, "system " + "x" * length + "y")
        save(store, "system " + "z" * length + "y")
    assert found(store, "system xxxxxyzz") == "system xxxxxy"
    assert found(store, "system " + "z" * 40 + "y") == "system " + "z" * 40 + "y"
    assert found(store, "system " + "z" * 41) == "system"


def test_a_found_chunk_tells_where_it_stands_and_what_it_has(store: Store) -> None:
    store.put(ROOT, ROOT, 0, ids("one"), [b"rows"], [b"win"])
    store.put(ROOT, tip_of("one"), 3, ids("two"), [], [], [b"state"])
    first, second = store.find(ROOT, ids("onetwo"))
    assert (first.start, first.tokens, first.window_bytes, first.checkpoint_bytes) == (0, 3, 3, 0)
    assert (second.start, second.end, second.window_bytes) == (3, 6, 0)
    assert store.read(first, window=True).window == b"win"
    assert store.read_checkpoint(second) == b"state"


def test_a_shared_prefix_stands_on_the_disk_once(store: Store) -> None:
    save(store, "system one red")
    before = store.totals()
    save(store, "system one blue")
    after = store.totals()
    assert after.all.chunks == before.all.chunks + 1
    assert after.bytes_written - before.bytes_written == disk_bytes("blue")


class TestDrop:
    """Dropping a conversation's tips."""

    def test_a_conversation_alone_goes_whole(self, store: Store) -> None:
        tip = save(store, "system one two")
        freed = store.drop([tip], [])
        assert freed == disk_bytes("system") + disk_bytes("one") + disk_bytes("two")
        assert store.totals().all.chunks == 0

    def test_what_others_use_stays(self, store: Store) -> None:
        mine = save(store, "system one two")
        other = save(store, "system one three")
        assert store.drop([mine], [other]) == disk_bytes("two")
        assert found(store, "system one three") == "system one three"
        assert found(store, "system one two") == "system one"

    def test_a_kept_tip_in_the_middle_of_the_chain_stays(self, store: Store) -> None:
        tip = save(store, "system one two")
        store.drop([tip], [tip_of("system")])
        assert found(store, "system one two") == "system"

    def test_a_tip_that_is_kept_itself_is_not_dropped(self, store: Store) -> None:
        tip = save(store, "system one")
        assert store.drop([tip], [tip]) == 0
        assert found(store, "system one") == "system one"

    def test_what_was_saved_after_a_dropped_tip_goes_too(self, store: Store) -> None:
        save(store, "system one two three")
        save(store, "system one two four")
        store.drop([tip_of("system one")], [tip_of("system")])
        assert store.totals().all.chunks == 1

    def test_a_kept_conversation_after_a_dropped_tip_stays_with_all_before_it(self, store: Store) -> None:
        save(store, "system one two three")
        save(store, "system one two four")
        kept = tip_of("system one two four")
        store.drop([tip_of("system"), tip_of("system one")], [kept])
        assert found(store, "system one two four") == "system one two four"
        assert found(store, "system one two three") == "system one two"

    def test_all_boundaries_of_a_conversation_can_be_dropped_together(self, store: Store) -> None:
        save(store, "system one two")
        save(store, "system one red")
        save(store, "system other")
        mine = [*keys_of("system one two"), *keys_of("system one red")]
        store.drop(mine, keys_of("system other"))
        assert store.totals().all.chunks == 2
        assert found(store, "system other") == "system other"

    def test_tips_that_are_not_there_do_no_harm(self, store: Store) -> None:
        save(store, "system one")
        assert store.drop([tip_of("never saved"), b"x" * 32], [tip_of("nor this")]) == 0
        assert found(store, "system one") == "system one"

    def test_the_files_are_gone_from_the_disk(self, store: Store) -> None:
        tip = save(store, "system one", checkpoint=[b"state"])
        folder = store._access.folder.path
        store.drop([tip], [])
        assert files(folder) == set()
        assert list((folder / "trash").iterdir()) == []

    def test_all_of_a_model_can_be_dropped(self, store: Store) -> None:
        save(store, "system one")
        save(store, "system two")
        save(store, "system one", OTHER_ROOT)
        assert store.drop_root(ROOT) == disk_bytes("system") + 2 * disk_bytes("one")
        assert found(store, "system one") == ""
        assert found(store, "system one", OTHER_ROOT) == "system one"

    def test_everything_can_be_dropped_and_the_store_goes_on(self, store: Store) -> None:
        save(store, "system one", checkpoint=[b"state"])
        save(store, "system", OTHER_ROOT)
        before = store.totals()
        assert store.drop_all() == before.all.bytes
        after = store.totals()
        assert after.all.bytes == 0
        assert after.bytes_written == before.bytes_written
        save(store, "system one")
        assert found(store, "system one") == "system one"


class TestSweep:
    """Removing what no tip leads to."""

    def test_what_leads_to_no_wanted_tip_goes(self, store: Store) -> None:
        kept = save(store, "system one two")
        save(store, "system one two three")
        save(store, "system four five", checkpoint=[b"state"])
        save(store, "alone", OTHER_ROOT)
        before = store.totals().all.bytes
        freed = store.sweep([kept, tip_of("never saved")], math.inf)
        assert freed == before - store.totals().all.bytes
        assert store.totals().all.chunks == 3
        assert found(store, "system one two three") == "system one two"
        assert len(files(store._access.folder.path)) == 3
        assert store.sweep([kept], math.inf) == 0

    def test_without_any_tip_all_goes(self, store: Store) -> None:
        save(store, "system one")
        save(store, "system two")
        store.sweep([], math.inf)
        assert store.totals().all.chunks == 0

    def test_what_was_used_in_the_meantime_stays_with_all_before_it(self, folder: Path) -> None:
        clock = Clock()
        store = Store(folder, PLENTY, clock)
        save(store, "system one two")
        save(store, "system red blue")
        since = clock.now + 1
        store.touch(keys_of("system one")[-1:])
        save(store, "new")
        store.sweep([], since)
        assert found(store, "system one two") == "system one"
        assert found(store, "system red") == "system"
        assert found(store, "new") == "new"
        store.close()

    def test_a_lost_index_is_made_anew_before_anything_goes(self, store: Store) -> None:
        kept = save(store, "system one two")
        save(store, "system three")
        store.close()
        folder = store._access.folder.path
        (folder / "index.db").unlink()
        again = Store(folder, PLENTY)
        again.sweep([kept], math.inf)
        assert found(again, "system one two") == "system one two"
        assert found(again, "system three") == "system"
        assert all_sound(again)
        again.close()


class TestUsage:
    """What groups of tips take."""

    def test_own_and_shared_bytes(self, store: Store) -> None:
        first = save(store, "system one", checkpoint=[b"state"])
        second = save(store, "system two words")
        (row,) = [row for row in store.find(ROOT, ids("systemone")) if row.checkpoint_bytes]
        assert store.usage([[first], [second]]) == [
            Usage(disk_bytes("one") + row.checkpoint_bytes, disk_bytes("system"), 9),
            Usage(disk_bytes("two") + disk_bytes("words"), disk_bytes("system"), 14),
        ]

    def test_several_tips_of_one_group_count_once(self, store: Store) -> None:
        save(store, "system one red")
        save(store, "system one blue")
        group = [*keys_of("system one red"), *keys_of("system one blue")]
        everything = store.totals().all
        assert store.usage([group]) == [Usage(everything.bytes, 0, everything.tokens)]

    def test_a_deep_fork_between_three_groups(self, store: Store) -> None:
        tips = [save(store, words) for words in ("a b c", "a b d", "a e")]
        own = disk_bytes("x")
        assert store.usage([[tip] for tip in tips]) == [
            Usage(own, 2 * own, 3),
            Usage(own, 2 * own, 3),
            Usage(own, own, 2),
        ]

    def test_the_same_tip_in_two_groups_is_shared(self, store: Store) -> None:
        tip = save(store, "a b")
        assert store.usage([[tip], [tip], [tip]]) == [Usage(0, 2 * disk_bytes("a"), 2)] * 3

    def test_a_missing_tip_counts_nothing(self, store: Store) -> None:
        save(store, "a")
        assert store.usage([[tip_of("a b")], []]) == [Usage(0, 0, 0)] * 2

    def test_the_sums_per_model(self, store: Store) -> None:
        save(store, "system one", checkpoint=[b"state"])
        save(store, "system", OTHER_ROOT)
        totals = store.totals()
        assert totals.roots[OTHER_ROOT].bytes == disk_bytes("system")
        assert totals.roots[ROOT].chunk_bytes == disk_bytes("system") + disk_bytes("one")
        assert totals.roots[ROOT].checkpoint_bytes == disk_bytes("", size=5)
        assert (totals.all.chunks, totals.all.tokens) == (3, 15)
        assert totals.bytes_written == totals.all.bytes

    def test_held_names_only_what_is_there(self, store: Store) -> None:
        tip = save(store, "system one", checkpoint=[b"state"])
        missing = chunk_key(tip, ids("two"))
        size = disk_bytes("system") + disk_bytes("one") + disk_bytes("", size=5)
        assert store.held([tip, missing]) == {tip: Held(9, size)}
