"""Opens the library of models, and tells of downloads while it is closed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from app.core.units import format_bytes
from app.gui import library_words as words
from app.gui.header import Header
from app.gui.live_costs import Asks
from app.gui.model_control import ModelControl
from app.gui.notices import Notice, NoticeBar
from app.services.downloads import Download
from app.services.first_models import FirstModel
from app.services.model_search import hub_name
from app.services.workspace import Workspace

if TYPE_CHECKING:  # a window that only starts does not need the dialog
    from app.gui.library_dialog import LibraryDialog
    from app.gui.library_downloads import LibraryDownloads
    from app.gui.library_find import LibraryFind
    from app.gui.library_models import LibraryModels

NOTICE: Final = "download"
"""The key of what is said of downloads."""


class LibraryControl(QObject):
    """Connects the library's pages with the catalogue, the search and the downloads."""

    def __init__(
        self,
        header: Header,
        notices: NoticeBar,
        model: ModelControl,
        estimator: Callable[[QObject], Asks],
        workspace: Workspace,
        parent: QWidget,
    ) -> None:
        """Nothing is open yet; `estimator` makes one for as long as the library is open."""
        super().__init__(parent)
        self._window, self._header, self._notices, self._model = parent, header, notices, model
        self._estimator, self._workspace = estimator, workspace
        self._downloads = workspace.downloads
        self.dialog: LibraryDialog | None = None
        self._find: LibraryFind | None = None
        self._page_of_downloads: LibraryDownloads | None = None
        self._told: dict[Path, str] = {}
        """What was said of each download that failed."""
        self._wished = ""
        """The name of the file that the person wants to chat with: it is loaded when it is here."""
        header.pill.library.connect(self.open)
        header.downloads.clicked.connect(self.open_downloads)
        self._downloads.changed.connect(self._changed)
        self._downloads.finished.connect(self._finished)
        self._changed()

    # --- opening -----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Show the models on this computer, or the library as it is where it is open already."""
        if self.dialog is None:
            self._open()
        elif not self.dialog.isActiveWindow():
            self.dialog.raise_()
            self.dialog.activateWindow()

    def open_search(self) -> None:
        """Show where models can be found."""
        self.open()
        assert self.dialog is not None
        self.dialog.turn_to(self.dialog.search)

    def open_downloads(self) -> None:
        """Show the downloads."""
        self.open()
        assert self.dialog is not None
        self.dialog.turn_to(self.dialog.downloads)

    def get_first(self, model: FirstModel) -> None:
        """Download one of the good first models; it is loaded when it is here, if there is none by then."""
        self.open_search()
        assert self._find is not None
        self._wished = Path(model.file).name
        self._find.get_first(model)

    def close(self) -> None:
        """The window closes; downloads stay as far as they are."""
        if self.dialog is not None:
            self.dialog.reject()

    def offer_unfinished(self) -> None:
        """At the start: what was not finished can go on."""
        unfinished = [each for each in self._downloads.downloads if each.state in ("paused", "failed")]
        if not unfinished:
            return
        self._told = {each.path: each.problem for each in unfinished}
        there = sum(each.progress.done for each in unfinished)
        total = sum(each.progress.total for each in unfinished)
        name = words.download_name(unfinished[0])
        what = f"The download of {name} is" if len(unfinished) == 1 else f"{len(unfinished)} downloads are"
        text = f"{what} not finished: {format_bytes(there)} of {format_bytes(total)} are here."
        actions = [("Show", self.open_downloads)]
        if not self._workspace.model_search.is_offline:
            actions.insert(0, ("Go on", self._go_on))
        self._notices.show_notice(Notice(text, "info", actions=actions, key=NOTICE))

    def go_on(self, paths: Sequence[Path]) -> None:
        """Go on with downloads that only rest because the window was closed for a moment, unless it is offline now."""
        if not self._workspace.model_search.is_offline:
            for path in paths:
                self._downloads.resume(path)

    def _go_on(self) -> None:
        self.go_on([download.path for download in self._downloads.downloads])

    def _open(self) -> None:
        from app.gui.library_dialog import LibraryDialog
        from app.gui.library_downloads import LibraryDownloads
        from app.gui.library_find import LibraryFind
        from app.gui.library_models import LibraryModels

        self.dialog = dialog = LibraryDialog(hub_name(), self._window)
        models = LibraryModels(dialog.models, self._estimator, self._workspace)
        self._find = LibraryFind(dialog.search, self._workspace)
        self._page_of_downloads = LibraryDownloads(dialog.downloads, self._workspace)
        models.load_requested.connect(self._load)
        models.settings_requested.connect(self._model.settings_requested)
        self._find.started.connect(self._started)
        self._page_of_downloads.look_requested.connect(self._look)
        dialog.finished.connect(lambda _result: self._closed(models))
        dialog.show_count(len(self._downloads.downloads))
        dialog.show()

    def _closed(self, models: "LibraryModels") -> None:
        models.close()
        if self._find is not None:
            self._find.close()
        if self.dialog is not None:
            self.dialog.deleteLater()
        self.dialog = self._find = self._page_of_downloads = None

    def _load(self, path: Path) -> None:
        if self.dialog is not None:
            self.dialog.accept()
        self._model.load(path)

    # --- downloads ---------------------------------------------------------------------------------------------------

    def _look(self, repository: str) -> None:
        self.open_search()
        if self._find is not None:
            self._find.look(repository)

    def _started(self, path: Path) -> None:
        self.open_downloads()
        if self._page_of_downloads is not None:
            self._page_of_downloads.show(path)

    def _changed(self) -> None:
        downloads = self._downloads.downloads
        self._header.downloads.show_downloads(downloads)
        if self.dialog is not None:
            self.dialog.show_count(len(downloads))
        for download in downloads:
            self._tell_problem(download)

    def _tell_problem(self, download: Download) -> None:
        """Say once why a download stopped, unless the page of downloads is looked at, which says it."""
        before = self._told.get(download.path, "")
        self._told[download.path] = download.problem
        if not download.problem or download.problem == before or download.state != "failed" or self._is_watched:
            return
        text = f"The download of {words.download_name(download)} stopped. {download.problem}"
        actions = [
            ("Try again", lambda: self._downloads.resume(download.path)),
            ("Show", self.open_downloads),
        ]
        self._notices.show_notice(Notice(text, "error", actions=actions, key=NOTICE))

    @property
    def _is_watched(self) -> bool:
        return self.dialog is not None and self.dialog.tabs.currentWidget() is self.dialog.downloads

    def _finished(self, path: Path) -> None:
        engine = self._workspace.engine
        if path.name == self._wished and engine.model is None and not engine.is_loading:
            self._wished = ""
            self._load(path)
            return
        text = f"{path.stem} is here; its checksum is right."
        actions = [("Load it", lambda: self._load(path))]
        self._notices.show_notice(Notice(text, "info", actions=actions, key=NOTICE))
