"""Which models are known, what is wrong with some, and what may be removed."""

import errno
import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from app.core.errors import EmberError
from app.services import folder_walk, header_cache, model_catalogue
from app.services.folder_walk import files_below
from app.services.model_catalogue import ModelCatalogue, ModelFile, Sources, add_model, find, remove_model
from app.services.model_places import MOST_FILES, Computer, foreign_models
from app.services.model_verification import verify
from tests.support.gguf_bytes import entry, gguf
from tests.support.tiny_models import make_truncated
from tests.unit.services.model_files import Home, ollama_model, split


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    return Home(tmp_path)


def test_models_of_other_programs_are_found_where_they_lie(home: Home) -> None:
    places = {
        ".lmstudio/models/owner/repo/a-Q4_0.gguf": "lm_studio",
        ".config/Jan/data/llamacpp/models/b/model.gguf": "jan",
        ".local/share/nomic.ai/GPT4All/c.gguf": "gpt4all",
        "ember/models/owner/repo/d.gguf": "downloaded",
    }
    for place in places:
        home.model(place)
    found = {str(model.path.relative_to(home.root)): model.origin for model in home.scan()}
    assert found == places


@pytest.mark.parametrize(
    ("platform", "variables", "jan", "gpt4all"),
    [
        ("linux", {}, ".config/Jan/data/models", ".local/share/nomic.ai/GPT4All"),
        (
            "darwin",
            {},
            "Library/Application Support/Jan/data/models",
            "Library/Application Support/nomic.ai/GPT4All",
        ),
        ("win32", {}, "AppData/Roaming/Jan/data/models", "AppData/Local/nomic.ai/GPT4All"),
        ("win32", {"APPDATA": "R", "LOCALAPPDATA": "L"}, "R/Jan/data/models", "L/nomic.ai/GPT4All"),
        ("linux", {"XDG_CONFIG_HOME": "C", "XDG_DATA_HOME": "D"}, "C/Jan/data/models", "D/nomic.ai/GPT4All"),
    ],
)
def test_each_system_has_its_own_places(
    tmp_path: Path, platform: str, variables: dict[str, str], jan: str, gpt4all: str
) -> None:
    for place in (jan, gpt4all):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "m.gguf").touch()
    named = {name: str(tmp_path / value) for name, value in variables.items()}
    found = {each.origin: each.path for each in foreign_models(Computer(tmp_path, named, platform))}
    assert found == {"jan": tmp_path / jan / "m.gguf", "gpt4all": tmp_path / gpt4all / "m.gguf"}


def test_places_that_variables_name_are_looked_into(tmp_path: Path, home: Home) -> None:
    blob = home.model("scratch").read_bytes()
    ollama_model(tmp_path / "ollama", "tiny", blob)
    home.model("hub/models--o--r/snapshots/c/m.gguf")
    variables = {"OLLAMA_MODELS": str(tmp_path / "ollama"), "HF_HUB_CACHE": str(tmp_path / "hub")}
    found = foreign_models(Computer(tmp_path, variables, "darwin"))
    assert [(each.origin, each.name) for each in found] == [("hugging_face", ""), ("ollama", "tiny:latest")]


def test_lm_studios_moved_folder_is_followed(home: Home) -> None:
    home.model("big/models/owner/repo/a.gguf")
    settings = home.root / ".lmstudio" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"downloadsFolder": str(home.root / "big" / "models")}))
    assert [model.origin for model in home.scan()] == ["lm_studio"]


def test_ollamas_blobs_have_the_names_of_their_manifests(home: Home) -> None:
    blob = home.model("scratch").read_bytes()
    path = ollama_model(home.root / ".ollama" / "models", "gemma3", blob, tag="4b")
    (model,) = home.scan()
    assert (model.name, model.path, model.origin) == ("gemma3:4b", path, "ollama")
    assert model.checksums == (hashlib.sha256(blob).hexdigest(),)
    assert model.facts is not None and model.is_usable


def test_the_hugging_face_cache_is_read_through_its_links_and_once(home: Home) -> None:
    data = home.model("scratch").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    repository = home.root / ".cache" / "huggingface" / "hub" / "models--owner--repo"
    (repository / "blobs").mkdir(parents=True)
    (repository / "blobs" / digest).write_bytes(data)
    for commit in ("aaa", "bbb"):
        link = repository / "snapshots" / commit / "m-Q4_0.gguf"
        link.parent.mkdir(parents=True)
        link.symlink_to(Path("..") / ".." / "blobs" / digest)
    (model,) = home.scan()
    assert (model.name, model.origin, model.checksums) == ("m-Q4_0", "hugging_face", (digest,))


def test_a_file_that_is_found_twice_keeps_the_rules_of_its_program(home: Home) -> None:
    path = home.model(".lmstudio/models/o/r/a.gguf")
    add_model(home.data_dir, path)
    (model,) = home.scan(path)
    assert model.origin == "lm_studio"


def test_parts_are_one_model_and_missing_ones_are_said(home: Home) -> None:
    source = home.model("scratch")
    folder = home.data_dir.models / "o" / "r"
    split(source, folder, "whole", 2)
    split(source, folder, "torn", 3)[1].unlink()
    torn, whole = sorted(home.scan(), key=lambda model: model.name)
    assert (whole.name, len(whole.files), whole.problem) == ("whole", 2, "")
    assert whole.size == 2 * source.stat().st_size
    assert torn.problem == "1 of its 3 parts is missing."


def test_parts_of_which_one_checksum_is_known_cannot_be_verified(home: Home) -> None:
    source = home.model("scratch")
    cache = home.root / ".cache" / "huggingface" / "hub" / "models--o--r"
    blob = cache / "blobs" / hashlib.sha256(source.read_bytes()).hexdigest()
    blob.parent.mkdir(parents=True)
    blob.write_bytes(source.read_bytes())
    for part in split(source, cache / "snapshots" / "c", "m", 2):
        part.unlink()
        part.symlink_to(blob)
    (model,) = home.scan()
    assert (model.origin, len(model.files), model.checksums) == ("hugging_face", 2, ())


def test_a_damaged_file_and_one_for_something_else_say_so(home: Home) -> None:
    folder = home.data_dir.models
    source = home.model("scratch")
    folder.mkdir(parents=True)
    make_truncated(source, folder / "cut.gguf")
    (folder / "eyes.gguf").write_bytes(gguf([entry("general.architecture", "clip")]))
    cut, eyes = home.scan()
    assert "cut off" in cut.problem
    assert "mmproj" in eyes.problem
    assert not cut.is_usable and not eyes.is_usable


def test_headers_are_read_once_and_again_when_a_file_changed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home.model("ember/models/m.gguf")
    read: list[Path] = []
    real = header_cache.read_header
    monkeypatch.setattr(header_cache, "read_header", lambda each: (read.append(each), real(each))[1])
    assert [model.notice for model in home.scan()] == [""]
    home.scan()
    assert read.count(path) == 1
    make_truncated(home.model("scratch", seed=1), path, 1.0)
    os.utime(path, (1_000, 1_000))
    (model,) = home.scan()
    assert read.count(path) == 2
    assert model.notice == "The file was replaced by another one since Ember looked at it last."
    (used,) = home.scan(used={str(path): 2_000.0})
    assert used.notice == ""


def test_headers_of_the_largest_place_are_all_remembered() -> None:
    assert header_cache.REMEMBERED >= 2 * MOST_FILES


def test_a_file_that_may_not_be_read_says_so(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home.model(".lmstudio/models/locked.gguf")
    opened = Path.open

    def refuse(self: Path, *arguments: Any, **options: Any) -> Any:
        if self == path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    (model,) = (model for model in home.scan() if model.path == path)
    assert model.problem == "The file cannot be read because this account may not read it."


def test_an_added_model_is_known_and_forgotten_without_being_touched(home: Home) -> None:
    path = home.model("anywhere/m.gguf")
    add_model(home.data_dir, path)
    (model,) = home.scan()
    assert model.origin == "added"
    assert "stays where it is" in remove_model(home.data_dir, model)
    assert home.scan() == []
    assert path.is_file()


def test_what_cannot_chat_is_not_added(home: Home) -> None:
    eyes = home.root / "eyes.gguf"
    eyes.write_bytes(gguf([entry("general.architecture", "clip")]))
    for path, word in ((eyes, "mmproj"), (home.root / "nothing.gguf", "does not exist")):
        with pytest.raises(EmberError, match=word):
            add_model(home.data_dir, path)
    assert home.scan() == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
def test_a_pipe_is_not_waited_for(home: Home) -> None:
    path = home.root / "pipe.gguf"
    os.mkfifo(path)
    with pytest.raises(EmberError, match="because it is no file"):
        add_model(home.data_dir, path)
    assert "pipe" not in {model.name for model in home.scan()}


def test_jans_models_are_called_by_their_folders(home: Home) -> None:
    home.model(".config/Jan/data/llamacpp/models/maker/Tiny-4B/model.gguf")
    home.model(".config/Jan/data/llamacpp/models/other/named.gguf")
    assert {"maker/Tiny-4B", "named"} <= {model.name for model in home.scan()}


def test_an_own_model_goes_to_the_trash(home: Home) -> None:
    path = home.model("ember/models/o/r/m.gguf")
    (model,) = home.scan()
    assert remove_model(home.data_dir, model) == "m is in the trash."
    assert not path.exists()
    assert [each.name for each in (home.root / "share" / "Trash" / "files").iterdir()] == ["m.gguf"]
    assert list((home.root / "ember" / "models").iterdir()) == []  # nor are o and r there


def test_folders_that_hold_something_else_stay_when_a_model_goes(home: Home) -> None:
    home.model("ember/models/o/r/m.gguf")
    other = home.model("ember/models/o/other.gguf", seed=1)
    remove_model(home.data_dir, find(home.scan(), "m"))
    assert list((home.root / "ember" / "models" / "o").iterdir()) == [other]


def test_links_to_folders_are_followed_and_circles_end(home: Home) -> None:
    home.model("disk/big/a.gguf")
    home.model(".lmstudio/models/own/b.gguf", seed=1)
    models = home.root / ".lmstudio" / "models"
    (models / "another-disk").symlink_to(home.root / "disk")
    (models / "again").symlink_to(models / "own")
    (home.root / "disk" / "back").symlink_to(models)
    (home.root / "disk" / "nowhere").symlink_to(home.root / "gone")
    found = {str(model.path.relative_to(models)): model.origin for model in home.scan()}
    assert found == {"own/b.gguf": "lm_studio", "another-disk/big/a.gguf": "lm_studio"}


def test_a_link_that_leads_to_a_whole_disk_is_left_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "m.gguf").touch()
    monkeypatch.setattr(folder_walk, "MOST_FOLDERS", 5)
    assert len(list(files_below(tmp_path, ".gguf"))) == 4


def test_what_a_link_in_embers_folder_leads_to_is_used_but_never_removed(home: Home) -> None:
    path = home.model("disk/a.gguf")
    lm_studios = home.model(".lmstudio/models/b.gguf", seed=1)
    models = home.root / "ember" / "models"
    models.mkdir(parents=True)
    (models / "disk").symlink_to(path.parent)
    (models / "studio").symlink_to(lm_studios.parent)
    origins = {model.name: model.origin for model in home.scan()}
    assert origins == {"a": "linked", "b": "lm_studio"}
    with pytest.raises(EmberError, match="belongs to another folder, through a link, so Ember does not touch it"):
        remove_model(home.data_dir, find(home.scan(), "a"))
    assert path.is_file()


def test_a_model_that_was_removed_and_came_again_is_not_called_replaced(home: Home) -> None:
    place = "ember/models/o/r/tiny.gguf"
    for seed in (0, 1):
        path = home.model(place, seed=seed)
        (model,) = (model for model in home.scan() if model.path == path)
        assert model.notice == ""
        remove_model(home.data_dir, model)


def test_a_file_of_another_program_is_never_removed(home: Home) -> None:
    path = home.model(".lmstudio/models/o/r/a.gguf")
    (model,) = home.scan()
    with pytest.raises(EmberError, match="belongs to LM Studio"):
        remove_model(home.data_dir, model)
    assert path.is_file()


def test_a_model_is_meant_by_its_name_and_doubt_is_said(home: Home) -> None:
    home.model("ember/models/alpha-7b.gguf")
    home.model("ember/models/alpha-13b.gguf", seed=1)
    models = home.scan()
    assert find(models, "ALPHA-7B").path.name == "alpha-7b.gguf"
    assert find(models, "13b").path.name == "alpha-13b.gguf"
    with pytest.raises(EmberError, match="stands for 2 models"):
        find(models, "alpha")
    with pytest.raises(EmberError, match="No model is called"):
        find(models, "beta")


def test_a_verification_tells_right_from_wrong_and_unknown(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"weights")
    right = hashlib.sha256(b"weights").hexdigest()
    steps: list[tuple[int, int]] = []
    stop = threading.Event()

    def verdict(*checksums: str) -> str:
        check = verify((path,), checksums, lambda done, total: steps.append((done, total)), stop)
        assert check is not None and check.digests == (right,)
        return check.verdict

    assert [verdict(right), verdict("0" * 64), verdict()] == ["right", "wrong", "unknown"]
    assert set(steps) == {(7, 7)}
    stop.set()
    assert verify((path,), (right,), lambda _done, _total: None, stop) is None


class TestForAWindow:
    """The catalogue as a page uses it."""

    @pytest.fixture
    def catalogue(self, home: Home, qtbot: QtBot) -> ModelCatalogue:
        return ModelCatalogue(home.sources)

    def test_a_refresh_tells_what_there_is_now(self, home: Home, catalogue: ModelCatalogue, qtbot: QtBot) -> None:
        home.model("ember/models/m.gguf")
        with qtbot.waitSignal(catalogue.changed):
            catalogue.refresh()
        assert "m" in [model.name for model in catalogue.models]

    def test_a_scan_that_fails_is_followed_by_the_one_that_was_asked_for_meanwhile(
        self, home: Home, catalogue: ModelCatalogue, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home.model("ember/models/m.gguf")
        real = model_catalogue.scan

        def fails_once(_sources: Sources) -> tuple[ModelFile, ...]:
            monkeypatch.setattr(model_catalogue, "scan", real)
            raise EmberError("The disk does not answer.", "no_disk")

        monkeypatch.setattr(model_catalogue, "scan", fails_once)
        with qtbot.waitSignals([catalogue.failed, catalogue.changed]):
            catalogue.refresh()
            catalogue.refresh()
        assert "m" in [model.name for model in catalogue.models]

    def test_adding_and_removing_refresh_it(self, home: Home, catalogue: ModelCatalogue, qtbot: QtBot) -> None:
        with qtbot.waitSignal(catalogue.changed):
            catalogue.add(home.model("x/m.gguf"))
        (model,) = (each for each in catalogue.models if each.origin == "added")
        with qtbot.waitSignals([catalogue.told, catalogue.changed]):
            catalogue.remove(model)
        assert model not in catalogue.models

    def test_a_refusal_is_told(self, home: Home, catalogue: ModelCatalogue, qtbot: QtBot) -> None:
        with qtbot.waitSignal(catalogue.failed) as told:
            catalogue.add(home.root / "nothing.gguf")
        assert "does not exist" in told.args[0]

    def test_a_check_tells_how_far_it_is_and_its_end(self, home: Home, catalogue: ModelCatalogue, qtbot: QtBot) -> None:
        home.model("ember/models/m.gguf")
        (model,) = home.scan()
        with qtbot.waitSignals([catalogue.checking, catalogue.checked]):
            catalogue.verify(model)
