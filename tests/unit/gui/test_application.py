"""A second start: it hands its files over, also to a window that only now opens, and opens one where that closes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.errors import EmberError
from app.gui import application
from app.services import import_command
from app.services.single_instance import SingleInstance, in_use


@pytest.fixture
def first(tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Iterator[SingleInstance]:
    """The window that has the folder; it does not listen."""
    monkeypatch.setattr(application, "BETWEEN_TRIES", 0.0)
    held = SingleInstance(tmp_path)
    assert held.acquire()
    yield held
    held.release()


def test_a_window_that_only_now_opens_is_waited_for(
    first: SingleInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[Sequence[Path]] = []

    def reached_at_the_third(files: Sequence[Path], _root: Path | None) -> bool:
        tries.append(files)
        return len(tries) == 3

    monkeypatch.setattr(import_command, "hand_over", reached_at_the_third)
    file = tmp_path / "roads.ember"
    assert application.open_workspace(tmp_path, [file]) is None
    assert tries == [[file]] * 3


def test_where_the_window_closes_just_then_this_start_opens_one(
    first: SingleInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def goes(_files: Sequence[Path], root: Path | None) -> bool:
        first.release()
        raise in_use(tmp_path)

    monkeypatch.setattr(import_command, "hand_over", goes)
    workspace = application.open_workspace(tmp_path, [tmp_path / "roads.ember"])
    assert workspace is not None
    workspace.close()


def test_a_folder_that_stays_taken_is_said(
    first: SingleInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "PATIENCE", 0.0)
    with pytest.raises(EmberError) as refused:
        application.open_workspace(tmp_path, [])
    assert refused.value.kind == "in_use"
