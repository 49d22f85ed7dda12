"""Whole files out of one store and into another: what comes is what was written, and nothing that does not fit."""

import errno
import hashlib
import os
import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.kvstore.chunk_file import HEADER_BYTES
from app.kvstore.errors import Damaged
from app.kvstore.records import Outcome, PlacedFile
from app.kvstore.schema import INDEX_VERSION
from app.kvstore.store import Store
from tests.unit.kvstore.made import OTHER_ROOT, PLENTY, ROOT, Clock, all_sound, files, found, keys_of, save, tip_of

_OFFSETS = {"root": 16, "parent": 48, "key": 80, "start": 112, "tokens": 120, "rows_bytes": 124}


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "staging"
    folder.mkdir()
    return folder


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    """Another store, empty."""
    store = Store(tmp_path / "other", PLENTY, Clock())
    yield store
    store.close()


def stage(store: Store, staging: Path, *tips: bytes) -> list[Path]:
    return [file.path for file in store.stage(tips, staging, lambda _done, _total: None)]


def adopt_all(store: Store, paths: list[Path]) -> list[Outcome]:
    return [store.adopt(store.inspect(path)).outcome for path in paths]


def forge(path: Path, **fields: Any) -> None:
    """Change fields of a file's header, and make its checksum right again."""
    data = bytearray(path.read_bytes())
    for name, value in fields.items():
        packed = value if isinstance(value, bytes) else struct.pack("<I" if name == "tokens" else "<Q", value)
        data[_OFFSETS[name] : _OFFSETS[name] + len(packed)] = packed
    data[HEADER_BYTES - 4 : HEADER_BYTES] = struct.pack("<I", zlib.crc32(data[: HEADER_BYTES - 4]))
    path.unlink()  # it may be the store's own file under a second name
    path.write_bytes(data)


def test_a_chain_with_its_checkpoint_comes_out_of_one_store_and_into_another(
    store: Store, other: Store, staging: Path, tmp_path: Path
) -> None:
    save(store, "once upon a")
    tip = save(store, "once upon a time", checkpoint=[b"state"])
    save(store, "something else")
    paths = stage(store, staging, tip)
    assert [path.name for path in paths] == [f"{key.hex()}.chunk" for key in keys_of("once upon a time")] + [
        f"{tip.hex()}.checkpoint"
    ]
    assert set(adopt_all(other, paths)) == {Outcome.WRITTEN}
    assert found(other, "once upon a time there") == "once upon a time"
    (*_, row) = other.find(ROOT, [ord(letter) for letter in "onceuponatime"])
    assert other.read_checkpoint(row) == b"state"
    assert other.root_of(tip) == ROOT
    assert files(tmp_path / "other") == {path.name for path in paths}
    assert all_sound(other) and all_sound(store)
    assert not list(staging.iterdir())


def test_what_is_there_already_stays_as_it_is(store: Store, staging: Path) -> None:
    tip = save(store, "once upon")
    assert set(adopt_all(store, stage(store, staging, tip))) == {Outcome.PRESENT}
    assert all_sound(store)


def test_a_tip_that_is_not_there_has_no_files(store: Store, staging: Path) -> None:
    save(store, "once")
    assert stage(store, staging, tip_of("never")) == []


def test_without_hard_links_the_files_are_copied(
    store: Store, other: Store, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tip = save(store, "once upon")

    def refused(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refused)
    assert set(adopt_all(other, stage(store, staging, tip))) == {Outcome.WRITTEN}
    assert all_sound(other)


def test_the_progress_ends_with_all_bytes(store: Store, staging: Path) -> None:
    tip = save(store, "once upon a time")
    told: list[tuple[int, int]] = []
    store.stage([tip], staging, lambda done, total: told.append((done, total)))
    assert len(told) == 4 and told[-1] == (store.totals().all.bytes,) * 2


def test_a_chunk_without_its_parent_is_not_taken(store: Store, other: Store, staging: Path) -> None:
    first, second = stage(store, staging, save(store, "once upon"))
    assert adopt_all(other, [second, first]) == [Outcome.NO_PARENT, Outcome.WRITTEN]
    assert all_sound(other)


def test_a_checkpoint_without_its_chunk_is_not_taken(store: Store, other: Store, staging: Path) -> None:
    _, checkpoint = stage(store, staging, save(store, "once", checkpoint=[b"state"]))
    assert adopt_all(other, [checkpoint]) == [Outcome.NO_PARENT]


def test_the_budget_holds(store: Store, tmp_path: Path, staging: Path) -> None:
    paths = stage(store, staging, save(store, "once upon a time"))
    small = Store(tmp_path / "small", paths[0].stat().st_size + paths[1].stat().st_size, Clock())
    try:
        assert adopt_all(small, paths) == [Outcome.WRITTEN, Outcome.WRITTEN, Outcome.FULL, Outcome.NO_PARENT]
        assert all_sound(small)
    finally:
        small.close()


LIES: dict[str, dict[str, Any]] = {
    "tokens": {"tokens": 5},
    "no tokens": {"tokens": 0},
    "key": {"key": tip_of("else")},
    "size": {"rows_bytes": 2**40},
    "a place beyond all": {"start": 2**40},
    "parent": {"parent": OTHER_ROOT},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_lies_about_itself_is_refused_before_it_is_taken(
    lie: str, store: Store, other: Store, staging: Path
) -> None:
    (path,) = stage(store, staging, save(store, "once"))
    forge(path, **LIES[lie])
    with pytest.raises(Damaged):
        other.inspect(path)


@pytest.mark.parametrize("lie", [{"start": 0}, {"start": 5}, {"root": OTHER_ROOT}], ids=["no start", "gap", "root"])
def test_a_file_that_lies_about_its_place_is_refused_when_it_is_taken(
    lie: dict[str, Any], store: Store, other: Store, staging: Path
) -> None:
    first, second = stage(store, staging, save(store, "once upon"))
    forge(second, **lie)
    adopt_all(other, [first])
    with pytest.raises(Damaged):
        other.adopt(other.inspect(second))
    assert found(other, "once upon") == "once"
    assert all_sound(other)


def test_a_checkpoint_of_another_chunk_is_refused(store: Store, other: Store, staging: Path) -> None:
    chunk, checkpoint = stage(store, staging, save(store, "once", checkpoint=[b"state"]))
    forge(checkpoint, root=OTHER_ROOT, parent=OTHER_ROOT)
    adopt_all(other, [chunk])
    with pytest.raises(Damaged):
        other.adopt(other.inspect(checkpoint))
    assert all_sound(other)


def test_flipped_content_other_names_and_what_is_no_file_are_refused(
    store: Store, other: Store, staging: Path, tmp_path: Path
) -> None:
    (path,) = stage(store, staging, save(store, "once"))
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(Damaged):
        other.inspect(path)
    path.write_bytes(data)
    for name in (f"{tip_of('upon').hex()}.chunk", "notes.txt", f"{tip_of('once').hex()}.checkpoint"):
        wrong = path.with_name(name)
        wrong.write_bytes(data)
        with pytest.raises(Damaged):
            other.inspect(wrong)
    path.unlink()
    outside = tmp_path / "outside"
    outside.write_bytes(data)
    path.symlink_to(outside)
    with pytest.raises(Damaged):
        other.inspect(path)


def sums_of(path: Path) -> tuple[bytes, int]:
    data = path.read_bytes()
    return hashlib.sha256(data).digest(), zlib.crc32(data)


def staged(store: Store, folder: Path, *tips: bytes) -> list[PlacedFile]:
    folder.mkdir(exist_ok=True)
    return store.stage(tips, folder, lambda _done, _total: None)


def with_window_and_checkpoint(store: Store) -> bytes:
    """A chain of which the last chunk has all that a chunk can have; its tip."""
    above = save(store, "once")
    return store.put(ROOT, above, 4, [1, 2, 3], [b"rows" * 99], [b"window rows"], [b"state"]).key


def test_what_comes_out_has_the_sums_of_its_files(store: Store, staging: Path) -> None:
    files = staged(store, staging, with_window_and_checkpoint(store))
    assert len(files) == 3
    for file in files:
        assert (file.sha256, file.crc32) == sums_of(file.path)
        assert file.bytes == file.path.stat().st_size


def test_a_digest_is_that_of_what_was_saved_so_that_later_damage_is_noticed(
    store: Store, other: Store, staging: Path, folder: Path
) -> None:
    tip = save(store, "once")
    store.learn_digests(tip)
    (path,) = folder.rglob("*.chunk")
    before = sums_of(path)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    (file,) = staged(store, staging, tip)
    assert (file.sha256, file.crc32) == before != sums_of(file.path)
    with pytest.raises(Damaged):
        other.inspect(file.path)


def without_digests(folder: Path) -> None:
    """The index as an older Ember wrote it."""
    with closing(sqlite3.connect(folder / "index.db")) as db, db:
        db.execute("DROP TRIGGER chunk_file_removed")
        db.execute("DROP TRIGGER checkpoint_file_changed")
        db.execute("DROP TABLE digest")
        db.execute(f"PRAGMA user_version = {INDEX_VERSION - 1}")


def without_index(folder: Path) -> None:
    (folder / "index.db").unlink()


def nothing(_folder: Path) -> None:
    """It was saved just now."""


@pytest.mark.parametrize("lose", [without_digests, without_index, nothing])
def test_digests_that_are_not_known_are_made_when_they_are_wanted_and_kept(
    lose: Callable[[Path], None], folder: Path, tmp_path: Path
) -> None:
    with closing(Store(folder, PLENTY, Clock())) as store:
        tip = with_window_and_checkpoint(store)
    lose(folder)
    with closing(Store(folder, PLENTY, Clock())) as store:
        first = staged(store, tmp_path / "first", tip)
        assert [(file.sha256, file.crc32) for file in first] == [sums_of(file.path) for file in first]
        for path in folder.rglob("*.ch*"):  # nothing but what is remembered can say the same now
            data = path.read_bytes()
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        second = staged(store, tmp_path / "second", tip)
        assert [file.sha256 for file in second] == [file.sha256 for file in first]


def test_an_index_of_an_older_ember_keeps_what_it_knows(folder: Path) -> None:
    with closing(Store(folder, PLENTY, Clock())) as store:
        for words in ("once upon", "once more"):
            save(store, words)
        store.touch([tip_of("once upon")])
        before = store.totals()
    without_digests(folder)
    with closing(Store(folder, PLENTY, Clock())) as store:
        assert store.totals() == before
        store.set_budget(before.all.bytes - 1)
        assert found(store, "once upon") == "once upon" and found(store, "once more") == "once"


def test_a_damaged_file_of_which_no_digest_is_known_is_left_out_with_all_that_follows(
    folder: Path, staging: Path
) -> None:
    with closing(Store(folder, PLENTY, Clock())) as store:
        tip = save(store, "once upon a time")
    without_digests(folder)
    (path,) = folder.rglob(f"{keys_of('once upon')[1].hex()}.chunk")
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with closing(Store(folder, PLENTY, Clock())) as store:
        assert [file.path.name for file in staged(store, staging, tip)] == [f"{tip_of('once').hex()}.chunk"]


def test_no_digest_is_learnt_of_what_is_damaged_or_gone(store: Store, staging: Path, folder: Path) -> None:
    tip = with_window_and_checkpoint(store)
    checkpoint = next(folder.rglob("*.checkpoint"))
    checkpoint.unlink()
    chunk = next(folder.rglob(f"{tip.hex()}.chunk"))
    data = chunk.read_bytes()
    chunk.write_bytes(bytes(len(data)))
    store.learn_digests(tip)
    store.learn_digests(tip_of("never"))
    chunk.write_bytes(data)
    assert [file.sha256 for file in staged(store, staging, tip)][1:] == [sums_of(chunk)[0]]


def test_a_file_saved_anew_has_its_own_digest(store: Store, other: Store, tmp_path: Path) -> None:
    tip = save(store, "once", checkpoint=[b"state"])
    staged(store, tmp_path / "first", tip)
    store.drop_checkpoint(tip)
    store.add_checkpoint(tip, [b"another state"])
    files = staged(store, tmp_path / "second", tip)
    assert [file.sha256 for file in files] == [sums_of(file.path)[0] for file in files]
    adopt_all(other, [file.path for file in files])
    other.drop([tip], [])
    save(other, "once", size=50)
    (file,) = staged(other, tmp_path / "third", tip)
    assert file.sha256 == sums_of(file.path)[0]
