"""Folders for files that are being made: theirs alone, and gone with the process."""

import shutil
from pathlib import Path

import pytest

from app.folder_lock import FolderLock
from app.storage.working_folder import remove_leftovers, working_folder


@pytest.mark.parametrize("moment", ["before", "locked", "after"])
def test_a_folder_that_another_process_takes_for_a_leftover_is_made_again(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, taken = FolderLock.acquire, list[Path]()

    def acquire(lock: FolderLock) -> bool:
        """The first time the other one looks just now, before or after this one has the lock."""
        folder = lock._path.parent
        if taken:
            return real(lock)
        taken.append(folder)
        if moment == "locked":
            other = FolderLock(lock._path)
            assert real(other)
            found = real(lock)
            other.release()
            return found
        found = moment == "after" and real(lock)
        shutil.rmtree(folder)
        return found or real(lock)

    monkeypatch.setattr(FolderLock, "acquire", acquire)
    with working_folder(tmp_path) as folder:
        assert folder not in taken
        (folder / "x").touch()
        remove_leftovers(tmp_path)
        assert (folder / "x").exists()
    assert not folder.exists()
