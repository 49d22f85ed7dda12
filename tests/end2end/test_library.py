"""A person finds a model on a hub, downloads it, loads it and talks to it."""

from pathlib import Path

import pytest
from huggingface_hub import constants
from pytestqt.qtbot import QtBot

from tests.end2end.conftest import LOAD_MS, Start, use_greedy
from tests.support.hub import HubRepository, running_hub
from tests.support.tiny_models import Kind, make

FILE = "tiny-Q4_K_M.gguf"


def test_from_the_search_to_the_first_reply(
    start: Start, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make(Kind.FULL, tmp_path / "made.bin").read_bytes()
    monkeypatch.setenv("HOME", str(tmp_path))
    with running_hub() as hub:
        hub.repositories["acme/Tiny-GGUF"] = HubRepository({FILE: data})
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        ember = start(model=None)
        ember.workspace.library.unloaded()
        library = ember.window.library
        library.open_search()
        assert library.dialog is not None
        page = library.dialog.search
        assert hub.requests == []
        qtbot.keyClicks(page.words, "tiny")
        qtbot.waitUntil(lambda: page.results.rows.index_of("hub:acme/Tiny-GGUF").isValid(), timeout=LOAD_MS)
        page.results.choose("hub:acme/Tiny-GGUF")
        page.results.acted.emit(page.results.chosen_key())
        qtbot.waitUntil(page.download.isEnabled, timeout=LOAD_MS)
        with qtbot.waitSignal(ember.workspace.downloads.finished, timeout=LOAD_MS):
            page.download.click()
        path = ember.workspace.data_dir.models / "acme" / "Tiny-GGUF" / FILE
        models = library.dialog.models
        qtbot.waitUntil(lambda: models.list.rows.index_of(str(path)).isValid(), timeout=LOAD_MS)
        library.dialog.turn_to(models)
        models.list.choose(str(path))
        models.load.click()
        qtbot.waitUntil(lambda: _loaded(ember.workspace.engine.model) == path, timeout=LOAD_MS)
        use_greedy(ember, max_tokens=6)
        ember.say("Name a colour.")
        assert path.read_bytes() == data
        assert ember.workspace.store.summaries()[0].messages == 2


def _loaded(model: object) -> Path | None:
    return Path(model.path) if model is not None else None  # type: ignore[attr-defined]
