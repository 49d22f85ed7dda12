"""A person at the library of models: a home folder of their own, and a hub on loopback."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keyring
import pytest
from huggingface_hub import constants
from keyring.backend import KeyringBackend

from app.gui import library_find, library_find_page, library_verdicts
from app.gui.library_dialog import LibraryDialog
from app.gui.library_rows import RowsView
from app.services import download_work
from app.services.first_models import FirstModel
from app.services.workspace import Workspace
from tests.support.hub import PIECE, FakeHub, HubRepository, running_hub
from tests.support.tiny_models import Kind, make
from tests.unit.gui.person import Person

FILE = "tiny-Q4_K_M.gguf"
REPOSITORY = "acme/Tiny-GGUF"
GATED = "acme/Gated-GGUF"
FIRST = FirstModel(1, "Tiny one", "Good for tests.", REPOSITORY, FILE, 2_000_000)
ELSEWHERE = (
    *("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "OLLAMA_MODELS", "XDG_CONFIG_HOME"),
    *("XDG_CACHE_HOME", "XDG_DATA_HOME"),
)


class MemoryKeyring(KeyringBackend):
    """A keyring that forgets with the test."""

    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@dataclass
class Library:
    """The window with its library, and what stands around it."""

    person: Person
    hub: FakeHub
    home: Path
    data: bytes
    """The file that the hub has."""

    @property
    def workspace(self) -> Workspace:
        return self.person.window.workspace

    @property
    def dialog(self) -> LibraryDialog:
        dialog = self.person.window.library.dialog
        assert dialog is not None, "the library is not open"
        return dialog

    def model(self, place: str) -> Path:
        """A tiny model at a place below the home folder."""
        path = self.home / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.data)
        return path

    def open(self) -> LibraryDialog:
        """Open it, and wait until all places were looked through."""
        self.person.window.library.open()
        self.wait(lambda: not self.workspace.catalogue.is_scanning)
        return self.dialog

    def choose(self, view: RowsView, title: str) -> None:
        """Choose the row that has this title."""
        rows = [view.rows.row_at(view.rows.index(number)) for number in range(view.rows.rowCount())]
        (key,) = [row.key for row in rows if row is not None and row.title == title]
        view.choose(key)

    def search(self, words: str) -> None:
        """Type into the search, and wait for what is found."""
        page = self.dialog.search
        self.dialog.turn_to(page)
        self.person.qtbot.keyClicks(page.words, words)
        self.wait(lambda: page.note.isHidden())

    def look(self, repository: str = REPOSITORY) -> None:
        """Search for a repository and open it."""
        self.search("gguf")
        page = self.dialog.search
        page.opened.emit(f"hub:{repository}")
        self.wait(lambda: not page.about.isHidden() or not page.trouble.isHidden())

    def wait(self, happened: object) -> None:
        self.person.qtbot.waitUntil(happened, timeout=10_000)

    def hold(self) -> None:
        """The hub stands still in the middle of each file."""
        self.hub.mood.holds_after = 8 * PIECE

    def release(self) -> None:
        """The hub sends on."""
        self.hub.mood.holds_after = None
        self.hub.go_on.set()


def titles(view: RowsView) -> list[str]:
    """The titles of a list, from the top."""
    return [str(view.rows.index(number).data()) for number in range(view.rows.rowCount())]


def words(view: RowsView, title: str) -> str:
    """All that a row says."""
    rows = [view.rows.row_at(view.rows.index(number)) for number in range(view.rows.rowCount())]
    return next(row.spoken for row in rows if row is not None and row.title == title)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder."""
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    return tmp_path


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """The hub that is asked, with one model and a gated one; nothing is waited for longer than needed."""
    data = make(Kind.FULL, home / "made.bin").read_bytes()
    before = keyring.get_keyring()
    keyring.set_keyring(MemoryKeyring())
    monkeypatch.setattr(download_work, "DELAYS", (0.0,) * 2)
    monkeypatch.setattr(library_verdicts, "REST_MS", 0)
    monkeypatch.setattr(library_find_page, "TYPING_MS", 0)
    monkeypatch.setattr(library_find, "first_models", lambda: (FIRST,))
    with running_hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        monkeypatch.setattr(constants, "ENDPOINT", running.endpoint)  # it was read when the module was imported
        template = running.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        facts = {"total": 135_000_000, "architecture": "llama", "context_length": 8192}
        running.repositories[REPOSITORY] = HubRepository({FILE: data, "tiny-Q8_0.gguf": data}, gguf=facts)
        running.repositories[GATED] = HubRepository({FILE: data}, gated="manual", token="hf_right", licence="llama3.1")
        yield running
    keyring.set_keyring(before)


@pytest.fixture
def library(home: Path, hub: FakeHub, person: Person) -> Library:
    """The window; its library is not open yet."""
    return Library(person, hub, home, hub.repositories[REPOSITORY].files[FILE])
