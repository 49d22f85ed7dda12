"""Backups with saved state as scripts make and restore them: the next turn reads only the new words."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_archive_state import clear, figures, state_files, talk
from tests.support.command import Argument, ember
from tests.support.tiny_models import Kind

TinyModel = Callable[[Kind], Path]


def backup(data: Path, to: Path, *more: Argument) -> Any:
    outcome = ember("backup", "--data-dir", data, to, "--json", *more)
    assert (outcome.status, outcome.err) == (0, "")
    return outcome.line


def restore(data: Path, file: Path, *more: Argument) -> Any:
    outcome = ember("restore", "--data-dir", data, file, "--json", *more)
    assert (outcome.status, outcome.err) == (0, "")
    return outcome.line


@pytest.fixture(scope="module")
def written(tiny_model: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A data folder with saved state, a backup of it with that state, and the conversation."""
    folder = tmp_path_factory.mktemp("written")
    conversation = talk(folder / "data", tiny_model(Kind.FULL))
    told = backup(folder / "data", folder / "all.emberbackup", "--with-state")
    sizes = sum(path.stat().st_size for path in (folder / "data" / "kv").rglob("*.chunk"))
    assert told["state_bytes"] == sizes > 0
    assert not list((folder / "data" / "staging").iterdir())
    return folder / "data", folder / "all.emberbackup", conversation


def test_after_a_restore_with_the_cache_cleared_the_next_turn_reads_only_the_new_words(
    written: tuple[Path, Path, str], tiny_model: TinyModel, tmp_path: Path
) -> None:
    data, file, conversation = written
    plain, home = tmp_path / "plain", tmp_path / "home"
    for copy in (plain, home):
        shutil.copytree(data, copy)
    expected = figures(plain, tiny_model(Kind.FULL), conversation)
    before = state_files(home)
    clear(home)
    assert not state_files(home)
    told = restore(home, file)
    assert (told["conversations"], told["with_tokens"], told["state_bytes"] > 0) == (1, True, True)
    assert state_files(home) == before
    after = figures(home, tiny_model(Kind.FULL), conversation)
    assert after["evaluated"] == expected["evaluated"] < 60
    assert after["reused_saved"] == expected["reused_saved"] > 200


@pytest.mark.parametrize("trust", [False, True])
def test_another_installation_takes_the_state_only_if_it_is_told_to(
    trust: bool, written: tuple[Path, Path, str], tmp_path: Path
) -> None:
    data, file, conversation = written
    told = restore(tmp_path / "other", file, *(["--trust-state"] if trust else []))
    assert (told["with_tokens"], told["state_bytes"] > 0) == (trust, trust)
    assert state_files(tmp_path / "other") == (state_files(data) if trust else set())
    shown = [ember("show", "--data-dir", each, conversation).out for each in (data, tmp_path / "other")]
    assert shown[0] == shown[1]


def test_a_backup_without_state_is_as_small_as_before(written: tuple[Path, Path, str], tmp_path: Path) -> None:
    data, file, _ = written
    told = backup(data, tmp_path / "text.emberbackup")
    assert told["state_bytes"] == 0
    assert (tmp_path / "text.emberbackup").stat().st_size < file.stat().st_size / 2
