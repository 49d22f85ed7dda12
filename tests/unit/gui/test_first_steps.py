"""The page without a model: the ways to a first one, none of which is taken unasked."""

from pathlib import Path

import pytest

from app.gui import first_steps
from app.gui.first_steps import FILE, SENTENCE
from app.protocol.requests import LoadModel
from tests.unit.gui.library_support import FIRST, Library
from tests.unit.gui.person import Person


def ways(person: Person) -> list[str]:
    """The button, then the other ways."""
    page = person.window.empty
    return [page.button.text(), *(button.text() for button in page.choices)]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, person: Person) -> Person:
    """The window of an installation without the starter model."""
    monkeypatch.setattr(first_steps, "starter_model", lambda: None)
    monkeypatch.setattr(first_steps, "first_model_for", lambda _memory: FIRST)
    person.window.first_steps.show()
    return person


def test_the_starter_is_offered_first_where_it_is_installed(person: Person, starter_model: Path) -> None:
    assert person.window.empty.sentence.text() == SENTENCE
    assert ways(person)[0] == "Use SmolLM2 135M, which is here"
    person.window.empty.button.click()
    assert person.engine.asked(LoadModel)[-1].path == str(starter_model)


def test_without_it_a_download_that_suits_this_computer_is_offered_with_its_size(bare: Person) -> None:
    assert ways(bare) == ["Download Tiny one (1.9 MiB)", "Open a GGUF file…", "All models…"]
    assert bare.window.empty.detail.text().startswith("A download comes from huggingface.co.")


def test_offline_no_download_is_offered(bare: Person) -> None:
    bare.window.workspace.model_search.set_offline(True)
    assert ways(bare) == ["Open a GGUF file…", "All models…"]
    assert bare.window.empty.detail.text() == "Nothing leaves this computer."


def test_all_models_opens_the_library(bare: Person, home: Path) -> None:
    bare.window.empty.choices[-1].click()
    assert bare.window.library.dialog is not None


def test_a_file_can_be_chosen(bare: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = "app.gui.model_control.QFileDialog.getOpenFileName"
    monkeypatch.setattr(chosen, lambda *_arguments: ("/models/mine.gguf", ""))
    bare.window.empty.choice_made.emit(FILE)
    assert bare.engine.asked(LoadModel)[-1].path == "/models/mine.gguf"


def test_the_ways_go_with_the_first_model_and_come_back_without_one(bare: Person) -> None:
    bare.load()
    assert bare.window.empty.choices == ()
    bare.window.header.unload.emit()
    bare.engine.die()
    bare.restart()
    assert "All models…" in ways(bare)


def test_the_download_that_was_chosen_is_loaded_when_it_is_here(library: Library, bare: Person) -> None:
    bare.window.empty.button.click()
    library.wait(lambda: bool(bare.engine.asked(LoadModel)))
    assert Path(bare.engine.asked(LoadModel)[-1].path).read_bytes() == library.data
    assert bare.window.library.dialog is None


def test_a_download_that_was_chosen_takes_no_model_away(library: Library, bare: Person) -> None:
    bare.window.empty.button.click()
    bare.load("/models/other.gguf")
    library.wait(lambda: bool(bare.notices))
    assert bare.notices == ["tiny-Q4_K_M is here; its checksum is right."]
    assert bare.engine.asked(LoadModel)[-1].path == "/models/other.gguf"
