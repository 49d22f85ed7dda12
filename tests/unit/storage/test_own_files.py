"""What Ember lives by is never replaced by what a person writes, whatever it is called there."""

import os
import sys
from pathlib import Path

import pytest

from app.core.errors import EmberError
from app.paths import DataDir
from app.storage.own_files import check_place

IN_ITS_FOLDER = ["ember.db", "ember.db-wal", "ember.db-shm", "ember.db.check", "EMBER.DB", "archive.key", "ember.lock"]
BESIDE = ["model-headers.json", "added-models.json", "ember.damaged-20261122-120000.db", ".ember-work-0123456789abcdef"]
BELOW = ["kv", "kv/index.db", "kv/chunks/00/x.chunk", "staging/x", "logs/ember.log", "models", "models/a.gguf"]
TURNED = ["../data/ember.db", "kv/../ember.db", "backups/ember-v3-20261122-120000.db"]


def refusal(path: Path, root: Path) -> str:
    with pytest.raises(EmberError) as caught:
        check_place(path, root)
    assert caught.value.kind == "cannot_write" and caught.value.sentence.endswith("choose another name.")
    return caught.value.sentence


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    """A data folder."""
    (tmp_path / "data" / "kv").mkdir(parents=True)
    return DataDir(tmp_path / "data")


@pytest.mark.parametrize("name", IN_ITS_FOLDER + BESIDE + BELOW + TURNED)
def test_ember_s_own_files_are_refused_whether_they_are_there_yet_or_not(name: str, data: DataDir) -> None:
    assert "one of Ember's own files" in refusal(data.root / name, data.root)


@pytest.mark.parametrize("name", ["chat.ember", "backups/Ember-20261122.emberbackup", "ember.txt", "notes/ember.db"])
def test_other_files_are_the_person_s_also_in_that_folder_and_may_be_replaced(name: str, data: DataDir) -> None:
    path = data.root / name
    check_place(path, data.root)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"of the person")
    check_place(path, data.root)


def test_a_folder_of_the_same_names_elsewhere_is_the_person_s(data: DataDir, tmp_path: Path) -> None:
    for name in ("ember.db", "archive.key", "models/a.ember", "kv"):
        check_place(tmp_path / name, data.root)


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes")
def test_the_library_by_another_name_and_what_is_no_file_are_refused(data: DataDir, tmp_path: Path) -> None:
    data.database.write_bytes(b"x")
    (tmp_path / "link.ember").symlink_to(data.database)
    (tmp_path / "second.ember").hardlink_to(data.database)
    (tmp_path / "door").symlink_to(data.root)
    for name in ("link.ember", "second.ember", "door/ember.db", "door/kv/x"):
        assert "one of Ember's own files" in refusal(tmp_path / name, data.root)
    os.mkfifo(tmp_path / "pipe")
    assert "a device or a pipe" in refusal(tmp_path / "pipe", data.root)


def test_a_model_is_never_replaced_wherever_it_lies(data: DataDir, tmp_path: Path) -> None:
    (tmp_path / "chat.ember").write_bytes(b"GGUF\3\0\0\0")
    assert "the file of a model" in refusal(tmp_path / "chat.ember", data.root)
