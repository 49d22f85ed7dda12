"""Saving, reading, reopening, damage."""

import os
import stat
from pathlib import Path

import pytest

from app.kvstore.errors import Damaged, StoreUnavailable
from app.kvstore.folder import QUARANTINE_FILES, Folder
from app.kvstore.records import Outcome
from app.kvstore.store import Store
from app.kvstore.verification import verify
from tests.unit.kvstore.made import (
    PLENTY,
    ROOT,
    all_sound,
    disk_bytes,
    files,
    found,
    ids,
    keys_of,
    rows_of,
    save,
    tip_of,
)


def chunk_path(folder: Path, words: str, suffix: str = ".chunk") -> Path:
    """The file of the last of these words."""
    (path,) = folder.rglob(tip_of(words).hex() + suffix)
    return path


def harm(path: Path) -> None:
    """Turn one bit over in the middle of its payload."""
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def test_saving_twice_writes_once(store: Store) -> None:
    first = store.put(ROOT, ROOT, 0, ids("one"), [b"rows"])
    again = store.put(ROOT, ROOT, 0, ids("one"), [b"rows"])
    assert (first.outcome, again.outcome, again.written) == (Outcome.WRITTEN, Outcome.PRESENT, 0)
    assert first.key == again.key
    assert store.totals().bytes_written == first.written


def test_a_chunk_whose_chain_was_dropped_is_not_saved(store: Store) -> None:
    tip = save(store, "system")
    store.drop([tip], [])
    result = store.put(ROOT, tip, 6, ids("one"), [b"rows"])
    assert result.outcome is Outcome.NO_PARENT
    assert store.add_checkpoint(tip, [b"state"]).outcome is Outcome.NO_PARENT
    assert store.totals().all.chunks == 0


def test_a_chunk_that_leaves_a_gap_is_a_mistake_of_the_caller(store: Store) -> None:
    tip = save(store, "system")
    with pytest.raises(ValueError, match="does not begin where"):
        store.put(ROOT, tip, 7, ids("one"), [b"rows"])


def test_everything_is_there_after_reopening(store: Store, folder: Path) -> None:
    save(store, "system one", checkpoint=[b"state"])
    before = store.totals()
    store.close()
    again = Store(folder, PLENTY)
    assert again.totals() == before
    assert found(again, "system one") == "system one"
    again.close()


def test_a_closed_store_says_so(store: Store) -> None:
    save(store, "system")
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.find(ROOT, ids("system"))


def test_a_checkpoint_can_come_later_and_go_without_its_chunk(store: Store, folder: Path) -> None:
    tip = save(store, "system one")
    assert store.add_checkpoint(tip, [b"sta", b"te"]).outcome is Outcome.WRITTEN
    assert store.add_checkpoint(tip, [b"other"]).outcome is Outcome.PRESENT
    row = store.find(ROOT, ids("systemone"))[-1]
    assert store.read_checkpoint(row) == b"state"
    assert store.drop_checkpoint(tip) == row.checkpoint_bytes
    assert store.drop_checkpoint(tip) == 0
    assert found(store, "system one") == "system one"
    assert store.totals().all.checkpoint_bytes == 0
    assert not any(name.endswith(".checkpoint") for name in files(folder))


def test_window_rows_that_come_later_stand_beside_their_chunk(store: Store) -> None:
    with_window = store.put(ROOT, ROOT, 0, ids("one"), [b"rows"], [b"window"]).key
    without = save(store, "two")
    assert store.add_window(with_window, [b"others"]).outcome is Outcome.PRESENT
    assert store.add_window(without, [b"late"]).outcome is Outcome.WRITTEN
    assert store.add_window(tip_of("never"), [b"late"]).outcome is Outcome.NO_PARENT
    (row,) = store.find(ROOT, ids("two"))
    assert store.read_checkpoint(row) == b"late"


def test_a_checkpoint_that_comes_with_a_chunk_that_is_there_is_added(store: Store) -> None:
    save(store, "one")
    result = store.put(ROOT, ROOT, 0, ids("one"), [rows_of("one")], (), [b"state"])
    assert (result.outcome, result.written) == (Outcome.WRITTEN, disk_bytes("", size=5))


def test_the_generation_moves_with_every_change_and_with_nothing_else(store: Store) -> None:
    seen = [store.generation]

    def moved() -> bool:
        seen.append(store.generation)
        return seen[-1] != seen[-2]

    tip = save(store, "system one")
    assert moved()
    store.find(ROOT, ids("systemone"))
    store.touch([tip])
    store.pin([tip])
    store.totals()
    save(store, "system one")
    assert not moved()
    store.add_checkpoint(tip, [b"state"])
    assert moved()
    store.drop_checkpoint(tip)
    assert moved()
    store.drop([tip], [tip_of("system")])
    assert moved()
    store.drop_all()
    assert moved()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_only_this_account_may_look_into_the_folder(store: Store, folder: Path) -> None:
    save(store, "system one", checkpoint=[b"state"])
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


class TestDamage:
    """What a reader refuses goes into quarantine."""

    def test_a_damaged_chunk_is_set_aside_and_takes_what_follows_along(self, store: Store, folder: Path) -> None:
        save(store, "system one two", checkpoint=[b"state"])
        save(store, "system three")
        harm(chunk_path(folder, "system one"))
        row = store.find(ROOT, ids("systemone"))[-1]
        with pytest.raises(Damaged):
            store.read(row, window=False)
        assert store.quarantine(row.key)
        assert found(store, "system one two") == "system"
        assert found(store, "system three") == "system three"
        assert (folder / "quarantine" / f"{row.key.hex()}.chunk").exists()
        assert store.totals().quarantined_bytes == disk_bytes("one")
        assert len(files(folder)) == 2
        # Read again by the model, it is saved again.
        save(store, "system one two")
        assert found(store, "system one two") == "system one two"

    def test_a_damaged_checkpoint_leaves_its_chunk(self, store: Store, folder: Path) -> None:
        tip = save(store, "system one", checkpoint=[b"state"])
        harm(chunk_path(folder, "system one", ".checkpoint"))
        row = store.find(ROOT, ids("systemone"))[-1]
        with pytest.raises(Damaged):
            store.read_checkpoint(row)
        assert store.quarantine_checkpoint(tip)
        assert not store.quarantine_checkpoint(tip)
        assert found(store, "system one") == "system one"
        assert store.totals().all.checkpoint_bytes == 0
        assert store.totals().quarantined_bytes == disk_bytes("", size=5)

    def test_a_file_that_vanished_is_refused_and_its_chunk_forgotten(self, store: Store, folder: Path) -> None:
        save(store, "system one")
        row = store.find(ROOT, ids("systemone"))[-1]
        chunk_path(folder, "system one").unlink()
        with pytest.raises(Damaged):
            store.read(row, window=False)
        assert not store.quarantine(row.key)
        assert found(store, "system one") == "system"
        assert store.totals().quarantined_bytes == 0

    def test_what_was_dropped_meanwhile_is_not_quarantined(self, store: Store) -> None:
        tip = save(store, "system")
        (row,) = store.find(ROOT, ids("system"))
        store.drop([tip], [])
        with pytest.raises(Damaged):
            store.read(row, window=False)
        assert not store.quarantine(tip)

    def test_the_quarantine_keeps_the_newest_few(self, store: Store, folder: Path) -> None:
        words = [f"word{number}" for number in range(QUARANTINE_FILES + 3)]
        for word in words:
            save(store, word)
            os.utime(chunk_path(folder, word), (1, 1))
            store.quarantine(tip_of(word))
        aside = {path.name for path in (folder / "quarantine").iterdir()}
        assert aside == {f"{tip_of(word).hex()}.chunk" for word in words[-QUARANTINE_FILES:]}

    def test_the_quarantine_has_a_limit_in_bytes(
        self, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.kvstore.folder.QUARANTINE_BYTES", 2 * disk_bytes("a"))
        for word in "abc":
            save(store, word)
            store.quarantine(tip_of(word))
        assert store.totals().quarantined_bytes == 2 * disk_bytes("a")
        save(store, "d", size=10_000)
        store.quarantine(tip_of("d"))
        assert store.totals().quarantined_bytes == 0

    def test_dropping_a_conversation_empties_the_quarantine(self, store: Store) -> None:
        save(store, "system one")
        store.quarantine(tip_of("system one"))
        store.drop([tip_of("system")], [])
        assert store.totals().quarantined_bytes == 0

    def test_a_check_of_every_file_finds_what_is_damaged(self, store: Store, folder: Path) -> None:
        save(store, "system one two")
        state = save(store, "system three", checkpoint=[b"state"])
        harm(chunk_path(folder, "system one"))
        harm(chunk_path(folder, "system three", ".checkpoint"))
        steps: list[tuple[int, int]] = []
        report = verify(store, lambda done, of: steps.append((done, of)), lambda: False)
        assert report.finished
        assert set(report.damaged) == {tip_of("system one"), state}
        assert [done for done, _ in steps] == list(range(1, len(steps) + 1))
        assert found(store, "system one") == "system"
        assert found(store, "system three") == "system three"
        assert all_sound(store)

    def test_what_a_kill_left_of_a_removal_is_not_damaged(self, store: Store, folder: Path) -> None:
        save(store, "system one two")
        chunk_path(folder, "system one").unlink()  # the file goes first, then its row
        report = verify(store, lambda _done, _of: None, lambda: False)
        assert (report.chunks, report.damaged) == (1, ())
        assert found(store, "system one two") == "system"

    def test_a_check_can_be_cancelled(self, store: Store) -> None:
        save(store, "system one two")
        steps: list[int] = []
        report = verify(store, lambda done, of: steps.append(done), lambda: bool(steps))
        assert (report.finished, report.chunks) == (False, 1)


def test_a_name_in_the_folder_that_is_not_ours_is_left_alone(store: Store, folder: Path) -> None:
    save(store, "system")
    foreign = chunk_path(folder, "system").parent / "notes.txt"
    foreign.write_text("mine")
    store.reconcile()
    assert foreign.exists()
    assert Folder(folder).files(foreign.parent.name)[0].key == keys_of("system")[0]
