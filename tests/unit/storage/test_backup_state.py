"""Saved state in a backup of the library: its files come out as they went in, or none of them does."""

import hashlib
import zipfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.core.errors import EmberError
from app.storage import backup_state
from app.storage.archive_format import RefusedError, StateFile
from app.storage.archive_state import OutgoingFile
from app.storage.backup import write_backup
from app.storage.backup_format import look_into
from app.storage.backup_state import CarriedState, check_state, extract_state
from app.storage.conversations import ConversationStore
from tests.unit.storage.made import forked_tree, outgoing, put
from tests.unit.storage.test_backup import KEY, restored, silently

Json = dict[str, Any]
A, B = "a" * 64, "b" * 64
PIECES = {f"{A}.chunk": b"rows of a" * 400, f"{B}.chunk": b"rows of b" * 500, f"{A}.checkpoint": b"c"}


@pytest.fixture
def saved(store: ConversationStore, tmp_path: Path) -> Path:
    """A signed backup with three files of saved state."""
    put(store, forked_tree())
    folder = tmp_path / "pieces"
    folder.mkdir()
    for name, data in PIECES.items():
        (folder / name).write_bytes(data)
    write_backup(store.database, tmp_path / "x", silently, KEY, [outgoing(folder / name) for name in PIECES])
    return tmp_path / "x"


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "staging"
    folder.mkdir()
    return folder


def carried(path: Path) -> CarriedState:
    return CarriedState(path, look_into(path))


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(path: Path, parts: dict[str, bytes], packing: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def with_list(path: Path, change: Callable[[Json], object]) -> Path:
    """The backup with another list of the state, whose checksum is right."""
    parts = members(path)
    listed, manifest = msgspec.json.decode(parts["state.json"]), msgspec.json.decode(parts["manifest.json"])
    change(listed)
    parts["state.json"] = msgspec.json.encode(listed)
    manifest["state"]["sha256"] = hashlib.sha256(parts["state.json"]).hexdigest()
    return written(path, parts | {"manifest.json": msgspec.json.encode(manifest)})


def test_the_files_come_out_as_they_went_in(saved: Path, staging: Path) -> None:
    told: list[tuple[int, int]] = []
    files = extract_state(carried(saved), staging, lambda done, all_: told.append((done, all_)))
    assert {path.name: path.read_bytes() for path in staging.iterdir()} == PIECES
    assert {file.name: file.sha256 for file in files} == {
        name: hashlib.sha256(data).hexdigest() for name, data in PIECES.items()
    }
    assert told[-1] == (sum(map(len, PIECES.values())),) * 2


def test_the_text_stands_first_in_the_file_and_state_is_not_packed(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[0] == "ember.db" and archive.namelist()[-2:] == ["state.json", "manifest.json"]
        assert all(archive.getinfo(f"state/{name}").compress_type == zipfile.ZIP_STORED for name in PIECES)
    assert look_into(saved).version == 2


def test_a_backup_without_state_is_of_the_first_format(store: ConversationStore, tmp_path: Path) -> None:
    write_backup(store.database, tmp_path / "x", silently, KEY)
    manifest = msgspec.json.decode(members(tmp_path / "x")["manifest.json"])
    assert manifest["version"] == 1 and "state" not in manifest


def test_a_restore_hands_the_state_on_only_where_it_is_trusted(saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    assert restored(saved, folder).state == carried(saved)
    parts = members(saved)
    manifest = msgspec.json.decode(parts["manifest.json"])
    unsigned = written(saved, parts | {"manifest.json": msgspec.json.encode(manifest | {"signature": "0" * 64})})
    assert restored(unsigned, folder).state is None
    assert restored(unsigned, folder, trust=True).state == carried(unsigned)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["state"].update(files=2), "saved state is not what"),
        (lambda m: m["state"].update(bytes=5), "saved state is not what"),
        (lambda m: m["state"].update(files=0), "manifest.json"),
        (lambda m: m["state"].update(surprise=1), "manifest.json"),
        (lambda m: m.pop("state"), "another version"),
        (lambda m: m.update(version=1), "do not belong"),
    ],
    ids=[*map(str, range(6))],
)
def test_a_manifest_that_lies_about_the_state_is_refused(
    change: Callable[[Json], object], words: str, saved: Path
) -> None:
    parts = members(saved)
    manifest = msgspec.json.decode(parts["manifest.json"])
    change(manifest)
    written(saved, parts | {"manifest.json": msgspec.json.encode(manifest)})
    with pytest.raises(EmberError, match=words):
        look_into(saved)


@pytest.mark.parametrize("name", ["state/../escape", "state/x.chunk", f"/state/{A}.chunk", "more.json"])
def test_a_member_of_another_name_is_refused(name: str, saved: Path) -> None:
    with zipfile.ZipFile(saved, "a") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(EmberError, match="do not belong"):
        look_into(saved)


def test_packed_state_is_refused(saved: Path) -> None:
    written(saved, members(saved), zipfile.ZIP_DEFLATED)
    with pytest.raises(EmberError, match="saved state is not what"):
        look_into(saved)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one.update(bytes=1), "longer than it says"),
        (lambda one: one.update(bytes=10_000), "shorter than it says"),
        (lambda one: one.update(name="c" * 64 + ".chunk"), "damaged"),
        (lambda one: one.update(name="../../escape.chunk"), "state.json"),
    ],
)
def test_a_list_that_lies_is_refused(
    change: Callable[[Json], object], words: str, saved: Path, staging: Path, tmp_path: Path
) -> None:
    with_list(saved, lambda listed: change(listed["files"][0]))
    with pytest.raises(RefusedError, match=words):
        extract_state(carried(saved), staging, silently)
    assert not list(tmp_path.rglob("escape*"))


def test_a_list_that_is_not_the_one_of_the_manifest_is_refused(saved: Path, staging: Path) -> None:
    parts = members(saved)
    written(saved, parts | {"state.json": parts["state.json"].replace(b'"sha256":"', b'"sha256": "')})
    with pytest.raises(RefusedError, match="checksum"):
        extract_state(carried(saved), staging, silently)


def test_a_backup_that_was_exchanged_after_its_text_was_restored_is_refused(
    saved: Path, staging: Path, store: ConversationStore
) -> None:
    before = carried(saved)
    write_backup(store.database, saved, silently, KEY)
    with pytest.raises(RefusedError, match="changed meanwhile"):
        extract_state(before, staging, silently)
    saved.unlink()
    with pytest.raises(RefusedError, match="does not exist"):
        extract_state(before, staging, silently)


Usage = namedtuple("Usage", "total used free")


def test_a_disk_without_room_for_it_is_said(saved: Path, staging: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_state.shutil, "disk_usage", lambda _: Usage(2**30, 2**30, 2**20))
    with pytest.raises(RefusedError, match=r"no room for the 7\.9 KiB"):
        extract_state(carried(saved), staging, silently)


def test_state_in_very_many_pieces_is_said_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_state, "STATE_FILE_LIMIT", 2)
    with pytest.raises(RefusedError, match="more pieces than the 2"):
        check_state([OutgoingFile(Path(name), 1, A, 0) for name in PIECES])


def test_every_changed_byte_of_state_is_noticed_by_its_digest(saved: Path, staging: Path) -> None:
    data, before = saved.read_bytes(), carried(saved)
    at = data.index(PIECES[f"{B}.chunk"])
    saved.write_bytes(data[:at] + b"X" + data[at + 1 :])
    try:
        files = {file.name: file for file in extract_state(before, staging, silently)}
    except RefusedError as error:
        assert "damaged" in str(error)  # the zip file's own checksum
    else:
        assert any(not is_right(file, staging) for file in files.values())


def is_right(file: StateFile, folder: Path) -> bool:
    return hashlib.sha256((folder / file.name).read_bytes()).hexdigest() == file.sha256
