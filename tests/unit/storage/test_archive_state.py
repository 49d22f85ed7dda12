"""State in archives: written as it is, read only as its list says, and signed by the installation that wrote it."""

import json
import os
import shutil
import stat
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import EmberError
from app.storage import archive_state
from app.storage.archive import CONVERSATION, MANIFEST, read_archive
from app.storage.archive_format import Manifest, RefusedError, StateManifest, StateModel, StateTip
from app.storage.archive_state import OutgoingState, export_with_state, extract_state
from app.storage.signing import KEY_BYTES, installation_key, is_signed
from tests.unit.storage.made import forked_tree, message_id, outgoing

Json = dict[str, Any]
Change = Callable[[Json], None]
KEY = bytes(range(KEY_BYTES))
NAMES = [f"{'a' * 64}.chunk", f"{'b' * 64}.chunk", f"{'b' * 64}.checkpoint"]
FINGERPRINT = "f" * 64


@pytest.fixture
def staged(tmp_path: Path) -> OutgoingState:
    """Three files of state in a folder."""
    folder = tmp_path / "staging"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / name).write_bytes(bytes([number]) * (1000 + number))
    return OutgoingState(
        [outgoing(folder / name) for name in NAMES],
        [StateModel(fingerprint=FINGERPRINT, name="SmolLM2", sha256="e" * 64)],
        [StateTip(message=message_id(5), fingerprint=FINGERPRINT, key="b" * 64)],
    )


@pytest.fixture
def file(staged: OutgoingState, tmp_path: Path) -> Path:
    """An archive with them."""
    path = tmp_path / "chat.ember"
    export_with_state(forked_tree(), {}, path, staged, KEY)
    return path


def manifest_of(path: Path) -> Manifest:
    manifest = read_archive(path).manifest
    assert manifest is not None
    return manifest


def state_of(path: Path) -> StateManifest:
    state = manifest_of(path).state
    assert state is not None
    return state


def changed(file: Path, change: Change, drop: str = "", add: dict[str, bytes] | None = None) -> Path:
    """The archive with a changed manifest and other members."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if name != drop}
    manifest = json.loads(members[MANIFEST])
    change(manifest)
    members[MANIFEST] = json.dumps(manifest).encode()
    path = file.with_name("hostile.ember")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**members, **(add or {})}.items():
            archive.writestr(name, data)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(EmberError) as caught:
        read_archive(path)
    assert caught.value.kind == "bad_archive"
    return str(caught.value)


def test_the_files_come_back_byte_for_byte_and_the_text_with_them(
    file: Path, staged: OutgoingState, tmp_path: Path
) -> None:
    imported = read_archive(file)
    assert imported.tree == forked_tree()
    out = tmp_path / "out"
    out.mkdir()
    told: list[tuple[int, int]] = []
    extract_state(file, state_of(file), out, lambda done, total: told.append((done, total)))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        file.path.name: file.path.read_bytes() for file in staged.files
    }
    assert told[-1] == (3003, 3003)
    if os.name == "posix":
        assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}


def test_any_zip_tool_reads_it_and_the_state_is_stored_as_it_is(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [CONVERSATION, *(f"state/{name}" for name in NAMES), MANIFEST]
        assert {archive.getinfo(f"state/{name}").compress_type for name in NAMES} == {zipfile.ZIP_STORED}


def test_the_signature_is_that_of_this_installation_and_of_this_manifest(file: Path) -> None:
    manifest = manifest_of(file)
    assert is_signed(KEY, manifest.signed_part(), manifest.signature)
    assert not is_signed(bytes(KEY_BYTES), manifest.signed_part(), manifest.signature)
    assert not is_signed(KEY, manifest.signed_part(), None)


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.update(sha256=manifest["sha256"]),
        lambda manifest: manifest["state"]["files"][0].update(sha256="0" * 64),
        lambda manifest: manifest["state"]["tips"][0].update(message=message_id(3)),
        lambda manifest: manifest["state"]["models"][0].update(name="Another"),
        lambda manifest: manifest.update(exported="2020-01-01T00:00:00Z"),
        lambda manifest: manifest.update(signature="0" * 64),
    ],
    ids=["nothing", "digest", "message", "model", "time", "signature"],
)
def test_the_signature_breaks_with_whatever_is_changed(file: Path, change: Change, request: Any) -> None:
    manifest = manifest_of(changed(file, change))
    is_unchanged = request.node.callspec.id == "nothing"
    assert is_signed(KEY, manifest.signed_part(), manifest.signature) == is_unchanged


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["files"][0].update(name="../../escaped.chunk"),
        lambda state: state["files"][0].update(name="/etc/passwd"),
        lambda state: state["files"][0].update(name="A" * 64 + ".chunk"),
        lambda state: state["files"].append(state["files"][0]),
        lambda state: state["files"].pop(),
        lambda state: state["files"][0].update(bytes=10**12),
        lambda state: state["files"][0].update(bytes=500_000_000),
        lambda state: state["files"][0].update(bytes=999),
        lambda state: state["files"][0].update(bytes=-1),
        lambda state: state["files"][0].update(sha256="none"),
        lambda state: state["tips"][0].update(message="9" * 32),
        lambda state: state["tips"][0].update(key="c" * 64),
        lambda state: state["tips"][0].update(fingerprint="0" * 64),
        lambda state: state["tips"].append(state["tips"][0]),
        lambda state: state.update(tips=[]),
        lambda state: state["models"].append(state["models"][0]),
        lambda state: state.update(command="rm"),
        lambda state: state.update(files=state["files"] * 5000),
    ],
    ids=[
        "a path that leads out",
        "an absolute path",
        "upper case",
        "a file twice",
        "a missing file",
        "a size beyond all",
        "a size beyond the file",
        "a shorter size",
        "a negative size",
        "a digest that is none",
        "no such message",
        "no such chunk",
        "no such model",
        "a message twice",
        "no tips",
        "a model twice",
        "an unknown field",
        "too many files",
    ],
)
def test_a_list_that_lies_is_refused(file: Path, change: Change) -> None:
    assert refusal(changed(file, lambda manifest: change(manifest["state"]))).startswith("“hostile.ember” was not")


def test_members_that_no_list_names_are_refused_and_so_are_missing_ones(file: Path) -> None:
    assert "do not belong" in refusal(changed(file, lambda _: None, add={"state/../../x.chunk": b"x"}))
    assert "do not belong" in refusal(changed(file, lambda _: None, add={f"state/{'d' * 64}.chunk": b"x"}))
    assert "do not belong" in refusal(changed(file, lambda _: None, drop=f"state/{NAMES[0]}"))
    assert "do not belong" in refusal(changed(file, lambda manifest: manifest.pop("state")))


def test_packed_state_is_refused_so_that_nothing_unpacks_to_more(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    bomb = file.with_name("bomb.ember")
    with zipfile.ZipFile(bomb, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data, zipfile.ZIP_DEFLATED if name.startswith("state") else zipfile.ZIP_STORED)
    assert "not as long as it says" in refusal(bomb) or "larger than the file" in refusal(bomb)


def test_an_archive_that_is_swapped_after_it_was_read_escapes_nowhere(file: Path, tmp_path: Path) -> None:
    state = state_of(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("state/../../escaped", b"x")
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    with pytest.raises(RefusedError):
        extract_state(file, state, out)
    assert {path.name for path in out.iterdir()} <= set(NAMES)
    assert not (tmp_path / "escaped").exists()


def test_an_archive_that_is_swapped_for_one_with_an_endless_directory_is_not_read(file: Path, tmp_path: Path) -> None:
    state = state_of(file)
    with zipfile.ZipFile(file, "a") as archive:
        for number in range(20):
            archive.writestr(f"{number}" + "n" * 60_000, b"")
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(RefusedError, match="too many files"):
        extract_state(file, state, out)


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes among the files")
def test_a_pipe_that_is_swapped_in_after_it_was_read_is_not_waited_for(file: Path, tmp_path: Path) -> None:
    state = state_of(file)
    file.unlink()
    os.mkfifo(file)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(RefusedError, match="it is not a file"):
        extract_state(file, state, out)
    assert not list(out.iterdir())


def test_a_disk_without_room_is_told_before_anything_is_written(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    usage = shutil.disk_usage(out)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage._replace(free=1000))
    with pytest.raises(RefusedError, match="no room"):
        extract_state(file, state_of(file), out)
    assert not list(out.iterdir())


def test_a_disk_that_is_full_in_the_middle_of_a_piece_is_told(file: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    state, out = state_of(file), tmp_path / "out"
    out.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (900, before[1]))  # of a piece of 1000 bytes the system takes 900
    try:
        with pytest.raises(RefusedError, match="too large"):
            extract_state(file, state, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_more_state_than_an_archive_holds_is_told_and_nothing_is_written(
    staged: OutgoingState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_state, "STATE_LIMIT", 3002)
    with pytest.raises(EmberError, match="its text alone can") as caught:
        export_with_state(forked_tree(), {}, tmp_path / "chat.ember", staged, KEY)
    assert caught.value.kind == "too_large"
    assert [path.name for path in tmp_path.iterdir()] == ["staging"]


def test_stopping_the_export_leaves_nothing(staged: OutgoingState, tmp_path: Path) -> None:
    def stop(_done: int, _total: int) -> None:
        raise EmberError("Stopped.", "cancelled")

    with pytest.raises(EmberError, match="Stopped"):
        export_with_state(forked_tree(), {}, tmp_path / "chat.ember", staged, KEY, stop)
    assert [path.name for path in tmp_path.iterdir()] == ["staging"]


@pytest.mark.parametrize("data", [b"shorter", b"x" * 2000], ids=["shorter", "longer"])
def test_a_file_that_is_not_the_one_any_more_of_which_the_sums_were_told_is_not_written(
    data: bytes, staged: OutgoingState, tmp_path: Path
) -> None:
    staged.files[1].path.write_bytes(data)
    with pytest.raises(EmberError, match="changed meanwhile; its text alone can"):
        export_with_state(forked_tree(), {}, tmp_path / "chat.ember", staged, KEY)
    assert [path.name for path in tmp_path.iterdir()] == ["staging"]


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, b"XX"), (26, b"\xff\xff"), (28, b"\xff\xff"), (30, b"X")],
    ids=["signature", "length of the name", "length of more", "name"],
)
def test_a_member_whose_own_head_lies_gives_nothing_but_bytes_of_the_file(
    at: int, value: bytes, file: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(file) as archive:
        begin = archive.getinfo(f"state/{NAMES[2]}").header_offset + at
    data = file.read_bytes()
    file.write_bytes(data[:begin] + value + data[begin + len(value) :])
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(RefusedError, match="it is damaged"):
        extract_state(file, state_of(file), out)


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "archive.key"
    key = installation_key(path)
    assert len(key) == KEY_BYTES and installation_key(path) == key
    assert [each.name for each in tmp_path.iterdir()] == ["archive.key"]
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_that_is_none_is_made_anew_and_one_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "archive.key"
    path.write_bytes(b"short")
    assert len(installation_key(path)) == KEY_BYTES
    path.unlink()
    path.mkdir()
    with pytest.raises(EmberError, match="All texts are safe"):
        installation_key(path)
