"""Fills the page of downloads, and carries out what is wanted with one of them."""

from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QMessageBox

from app.core.errors import EmberError
from app.core.units import format_bytes
from app.gui import library_words as words
from app.gui.library_downloads_page import DownloadEntry, DownloadsPage
from app.gui.library_rows import Row
from app.services.downloads import Download
from app.services.workspace import Workspace


class LibraryDownloads(QObject):
    """Connects the page with `Downloads`; made with the dialog and gone with it."""

    look_requested = Signal(str)
    """A repository shall be looked at."""

    def __init__(self, page: DownloadsPage, workspace: Workspace) -> None:
        """Show those that are not finished."""
        super().__init__(page)
        self._page, self._downloads = page, workspace.downloads
        self._search = workspace.model_search
        page.pause_requested.connect(lambda key: self._downloads.pause(Path(key)))
        page.resume_requested.connect(self._resume)
        page.first_requested.connect(self._prefer)
        page.cancel_requested.connect(self._ask_to_cancel)
        page.about_requested.connect(self._show_repository)
        self._downloads.changed.connect(self.fill)
        self.fill()

    def fill(self) -> None:
        """Show how things are."""
        downloads = self._downloads.downloads
        self._page.show_entries([_entry(each, downloads) for each in downloads])

    def show(self, path: Path) -> None:
        """Choose one."""
        self._page.list.choose(str(path))

    def _find(self, key: str) -> Download | None:
        return next((each for each in self._downloads.downloads if str(each.path) == key), None)

    def _resume(self, key: str) -> None:
        if self._search.is_offline:
            self._page.say(
                "Ember is set to stay offline. Allow the network under “Find and download” first.", "warning"
            )
            return
        self._downloads.resume(Path(key))

    def _prefer(self, key: str) -> None:
        self._downloads.prefer(Path(key))
        self._resume(key)

    def _ask_to_cancel(self, key: str) -> None:
        """What has come is worth a question; where nothing has, there is nothing to lose."""
        download = self._find(key)
        if download is None:
            return
        if not download.progress.done:
            self._cancel(download.path)
            return
        box = QMessageBox(
            QMessageBox.Icon.NoIcon, "Cancel", "", QMessageBox.StandardButton.NoButton, self._page.window()
        )
        box.setObjectName("cancel")
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setText(f"Give up the download of {words.download_name(download)}?")
        box.setInformativeText(
            f"The {format_bytes(download.progress.done)} that have come are removed. To go on another time, pause it."
        )
        yes = box.addButton("Give it up", QMessageBox.ButtonRole.AcceptRole)
        keep = box.addButton("Keep it", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        box.setEscapeButton(keep)
        yes.clicked.connect(partial(self._cancel, download.path))
        box.open()

    def _cancel(self, path: Path, _checked: bool = False) -> None:
        try:
            self._downloads.cancel(path)
        except EmberError as error:
            self._page.say(error.sentence, "warning")

    def _show_repository(self, key: str) -> None:
        download = self._find(key)
        if download is not None:
            self.look_requested.emit(download.record.repository)


def _entry(download: Download, downloads: tuple[Download, ...]) -> DownloadEntry:
    record, progress = download.record, download.progress
    lines = [
        (words.download_line(download), "soft"),
        (download.problem, "warning"),
        (words.BETWEEN.join(filter(None, (record.repository, record.licence))), "faint"),
    ]
    row = Row(
        str(download.path),
        words.download_name(download),
        record.label if record.label != record.files[0].name else "",
        tuple((text, tone) for text, tone in lines if text),
        progress=progress.done / progress.total if progress.total else 0.0,
        is_alive=download.state == "running",
    )
    queued = [each.path for each in downloads if each.state == "waiting"]
    is_next = queued[:1] == [download.path]
    return DownloadEntry(row, download.state, can_be_first=bool(queued) and not is_next and download.state != "running")
