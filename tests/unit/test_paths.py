"""The data folder: where it is, who may read it, and what is said when it cannot be used."""

import errno
import os
import stat
import sys
import tempfile
from pathlib import Path

import pytest

from app.core.errors import EmberError
from app.paths import DataDir, default_root, open_data_dir, read_data_dir

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")


def mode(path: Path) -> int:
    """The permission bits of a path."""
    return stat.S_IMODE(path.stat().st_mode)


def test_the_places_lie_in_the_root_and_are_not_made_by_looking(tmp_path: Path) -> None:
    folder = DataDir(tmp_path)
    assert folder.database == tmp_path / "ember.db"
    assert {folder.logs.name, folder.kv.name, folder.backups.name} == {"logs", "kv", "backups"}
    assert list(tmp_path.iterdir()) == []


def test_without_a_path_it_is_the_systems_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.paths.user_data_dir", lambda name, appauthor: str(tmp_path / name))
    assert open_data_dir().root == tmp_path / "Ember" == default_root() == DataDir().root


@posix_only
def test_a_new_folder_is_made_private_with_its_parents_and_left_empty(tmp_path: Path) -> None:
    root = open_data_dir(tmp_path / "a" / "b").root
    assert mode(root) == 0o700
    assert list(root.iterdir()) == []


@posix_only
def test_an_empty_folder_is_made_private_but_one_with_other_things_keeps_its_permissions(tmp_path: Path) -> None:
    empty, used = tmp_path / "empty", tmp_path / "used"
    for folder in (empty, used):
        folder.mkdir()
        folder.chmod(0o755)
    (used / "letter.txt").write_text("not Ember's")
    open_data_dir(empty)
    open_data_dir(used)
    assert (mode(empty), mode(used)) == (0o700, 0o755)


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_data_dir(Path("data")).root == tmp_path / "data"


def test_a_file_in_its_place_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(EmberError, match="a file stands where a folder should be") as caught:
            open_data_dir(path)
        assert caught.value.kind == "data_folder"
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_to_read_is_neither_made_nor_written(tmp_path: Path) -> None:
    assert read_data_dir(tmp_path / "none").root == tmp_path / "none"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("mine")
    with pytest.raises(EmberError, match="a file stands where a folder should be"):
        read_data_dir(tmp_path / "file")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EROFS, "the disk is read-only"),
        (errno.EACCES, "this account may not write there"),
        (errno.ENOSPC, "the disk is full"),
        (errno.EIO, "the system says"),
    ],
)
def test_a_folder_that_cannot_be_written_is_refused_in_plain_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def refuse(**_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(EmberError, match=words) as caught:
        open_data_dir(tmp_path)
    assert caught.value.kind == "data_folder"
