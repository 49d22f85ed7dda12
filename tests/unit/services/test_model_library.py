"""Which models are offered, and which one is loaded at the start."""

from pathlib import Path

import pytest

from app.paths import DataDir
from app.services import model_library
from app.services.added_models import remember_added
from app.services.download_record import DownloadRecord, RecordedFile, write_record
from app.services.model_library import MOST_RECENT, STARTER_NAME, ModelLibrary, display_name
from app.storage.conversations import ConversationStore
from app.storage.settings import SettingsStore


@pytest.fixture
def starter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A starter model that is installed."""
    path = tmp_path / "starter.gguf"
    path.touch()
    monkeypatch.setattr(model_library, "starter_model", lambda: path)
    return path


@pytest.fixture
def library(store: ConversationStore, tmp_path: Path) -> ModelLibrary:
    return ModelLibrary(SettingsStore(store.database), DataDir(tmp_path / "data"))


def made(folder: Path, *names: str) -> list[Path]:
    """Model files."""
    paths = [folder / f"{name}.gguf" for name in names]
    for path in paths:
        path.touch()
    return paths


def test_the_first_start_loads_the_starter_model(library: ModelLibrary, starter: Path) -> None:
    assert library.at_start() == starter
    assert library.gone_at_start() is None
    assert [(model.name, model.is_starter) for model in library.known()] == [(STARTER_NAME, True)]


def test_a_start_loads_what_was_loaded_last(library: ModelLibrary, starter: Path, tmp_path: Path) -> None:
    (other,) = made(tmp_path, "other")
    library.opened(other)
    assert library.at_start() == other


def test_a_model_that_was_unloaded_is_not_loaded_again(library: ModelLibrary, starter: Path) -> None:
    library.opened(starter)
    library.unloaded()
    assert library.at_start() is None
    assert library.gone_at_start() is None


def test_a_file_that_is_gone_is_neither_loaded_nor_offered(
    library: ModelLibrary, starter: Path, tmp_path: Path
) -> None:
    (other,) = made(tmp_path, "other")
    library.opened(other)
    assert library.gone_at_start() is None
    other.unlink()
    assert library.at_start() is None
    assert library.gone_at_start() == other
    assert [model.path for model in library.known()] == [starter]


def test_files_are_offered_the_latest_first_and_once(library: ModelLibrary, starter: Path, tmp_path: Path) -> None:
    first, second = made(tmp_path, "first", "second")
    for path in (first, second, starter, first):
        library.opened(path)
    assert [model.path for model in library.known()] == [starter, first, second]


def test_only_the_latest_files_are_remembered(library: ModelLibrary, starter: Path, tmp_path: Path) -> None:
    paths = made(tmp_path, *(f"m{number}" for number in range(MOST_RECENT + 5)))
    for path in paths:
        library.opened(path)
    assert [model.path for model in library.known()[1:]] == paths[: -MOST_RECENT - 1 : -1]


def test_downloaded_and_added_models_are_offered_after_those_that_were_opened(
    library: ModelLibrary, starter: Path, tmp_path: Path
) -> None:
    data_dir = DataDir(tmp_path / "data")
    opened, added = made(tmp_path, "opened", "added")
    downloaded, unfinished = (data_dir.models / name for name in ("whole.gguf", "part.gguf"))
    for path, is_done in ((downloaded, True), (unfinished, False)):
        file = RecordedFile(path.name, path.name, 1, "0" * 64)
        record = DownloadRecord("o/r", "c", "Q4_0", "", (file,), 0.0, is_done=is_done)
        write_record(path.with_name(path.name + ".ember.json"), record)
        path.touch()
    remember_added(data_dir, added)
    library.opened(opened)
    assert [model.path for model in library.known()] == [starter, opened, downloaded, added]


def test_the_starter_has_a_name_of_its_own_and_others_the_one_in_their_header(starter: Path) -> None:
    assert display_name(str(starter), "smollm2-135m-instruct") == STARTER_NAME
    assert display_name("/models/other.gguf", "Other 7B") == "Other 7B"


def test_the_starter_model_is_found_without_importing_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_library, "STARTER_PACKAGE", "no_such_package_anywhere")
    assert model_library.starter_model() is None
