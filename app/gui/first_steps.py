"""The empty page while there is no model: the starter, a download that suits this computer, a file, all models."""

from typing import Final

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from app.core.units import format_bytes
from app.gui.empty_state import EmptyState
from app.gui.library_control import LibraryControl
from app.gui.model_control import ModelControl
from app.services.first_models import FirstModel, first_model_for
from app.services.model_library import STARTER_NAME, starter_model
from app.services.model_search import hub_name
from app.services.this_machine import this_machine
from app.services.workspace import Workspace

SENTENCE: Final = "Choose a model to begin."
STARTER, DOWNLOAD, FILE, LIBRARY = "starter", "download", "file", "library"


class FirstSteps(QObject):
    """Offers ways to a model; nothing is loaded or asked of a hub before one is chosen."""

    def __init__(
        self, page: EmptyState, model: ModelControl, library: LibraryControl, workspace: Workspace, parent: QWidget
    ) -> None:
        """Nothing is shown until `show`."""
        super().__init__(parent)
        self._page, self._model, self._library = page, model, library
        self._search = workspace.model_search
        self._first = FILE
        page.action.connect(lambda: self._take(self._first))
        page.choice_made.connect(self._take)

    def show(self) -> None:
        """Show what there is to choose from, the likeliest as the button."""
        ways = self._ways()
        (self._first, words), *others = ways
        keys = dict(ways)
        detail = "Nothing leaves this computer."
        if DOWNLOAD in keys:
            detail = f"A download comes from {hub_name()}. Your chats never leave this computer."
        self._page.set_message(SENTENCE, words, detail)
        self._page.set_examples(())
        self._page.set_choices(others)

    def _ways(self) -> list[tuple[str, str]]:
        ways = []
        starter = starter_model()
        if starter is not None:
            ways.append((STARTER, f"Use {STARTER_NAME}, which is here"))
        if not self._search.is_offline:
            suited = self._suited()
            ways.append((DOWNLOAD, f"Download {suited.name} ({format_bytes(suited.about_bytes)})"))
        return [*ways, (FILE, "Open a GGUF file…"), (LIBRARY, "All models…")]

    def _take(self, way: str) -> None:
        starter = starter_model()
        if way == STARTER and starter is not None:
            self._model.load(starter)
        elif way == DOWNLOAD:
            self._library.get_first(self._suited())
        elif way == FILE:
            self._model.choose_file()
        elif way == LIBRARY:
            self._library.open()

    def _suited(self) -> FirstModel:
        return first_model_for(this_machine().cpu.total)
