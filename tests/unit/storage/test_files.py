"""Writing a file whole or not at all."""

import errno
import os
import sys
from pathlib import Path

import pytest

from app.core.errors import EmberError
from app.storage.archive_format import RefusedError
from app.storage.files import open_regular, write_bytes_atomically


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    write_bytes_atomically(tmp_path / "a.md", "für\r\n".encode())
    assert (tmp_path / "a.md").read_bytes() == "für\r\n".encode()
    write_bytes_atomically(tmp_path / "a.md", b"new")
    assert (tmp_path / "a.md").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.md"]


def test_a_name_as_long_as_the_file_system_takes_works(tmp_path: Path) -> None:
    write_bytes_atomically(tmp_path / ("n" * 255), b"x")


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EmberError, match="the disk is full") as caught:
        write_bytes_atomically(tmp_path / "a", b"new")
    assert caught.value.kind == "cannot_write"
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


def test_a_missing_folder_and_a_folder_in_its_place_are_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(EmberError, match="its folder does not exist"):
        write_bytes_atomically(tmp_path / "no" / "a", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(EmberError, match="a folder stands where the file should be"):
        write_bytes_atomically(tmp_path / "folder", b"")


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes among the files")
def test_a_pipe_that_takes_a_file_s_place_just_then_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ember"
    path.write_bytes(b"x")
    real = Path.stat

    def swapped(self: Path, **how: bool) -> os.stat_result:
        status = real(self, **how)
        if self == path:
            path.unlink()
            os.mkfifo(path)
        return status

    monkeypatch.setattr(Path, "stat", swapped)
    with pytest.raises(RefusedError, match="it is not a file"):
        open_regular(path)
