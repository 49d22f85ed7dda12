"""The library of models: those on this computer, those that can be found, and the downloads."""

from typing import Final

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtWidgets import QWidget

from app.gui.library_downloads_page import DownloadsPage
from app.gui.library_find_page import FindPage
from app.gui.library_page import LibraryPage
from app.gui.pages_dialog import PagesDialog

SIZE: Final = QSize(820, 640)
MINIMUM: Final = QSize(460, 440)


class LibraryDialog(PagesDialog):
    """Three pages beside each other; the window can be used while it is open."""

    def __init__(self, hub: str, parent: QWidget) -> None:
        """`hub` is what the place is called that is searched."""
        super().__init__("Models", SIZE, MINIMUM, parent)
        self.models, self.search, self.downloads = LibraryPage(self), FindPage(hub, self), DownloadsPage(self)
        pages = {"On this computer": self.models, "Find and download": self.search, "Downloads": self.downloads}
        self.put_in("Pages of the models", pages)
        self.tabs.currentChanged.connect(self._turned)

    def changeEvent(self, event: QEvent) -> None:
        """Whoever comes back may have changed a model's settings."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange and self.isActiveWindow():
            self.models.list.looked.emit()

    def show_count(self, unfinished: int) -> None:
        """How many downloads are not finished."""
        words = f"Downloads ({unfinished})" if unfinished else "Downloads"
        self.tabs.setTabText(self.tabs.indexOf(self.downloads), words)

    def turn_to(self, page: QWidget) -> None:
        """Show one of the pages."""
        self.tabs.setCurrentWidget(page)
        self._focus(page)

    def _turned(self) -> None:
        """Whoever walks through the tabs by keyboard stays on them."""
        if not self.tabs.tabBar().hasFocus():
            self._focus(self.tabs.currentWidget())

    def _focus(self, page: QWidget) -> None:
        """The keyboard goes where one begins."""
        first = {self.models: self.models.filter, self.search: self.search.words, self.downloads: self.downloads.list}
        first[page].setFocus(Qt.FocusReason.OtherFocusReason)
