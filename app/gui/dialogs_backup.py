"""Back up and restore: two pages, one that makes backups and one that puts a backup in the library's place."""

from pathlib import Path
from typing import Final

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QFileDialog, QWidget

from app.gui import theme
from app.gui.backup_page import BackupPage
from app.gui.pages_dialog import PagesDialog
from app.gui.restore_page import RestorePage
from app.services.backup_copies import SUFFIX
from app.services.backup_work import Schedule
from app.storage.upgrade import unused

SIZE: Final = QSize(640, 400)
HIGH: Final = 560
"""Pixels of height that the schedule needs once there is one."""
MINIMUM: Final = QSize(400, 360)
_FILTER: Final = f"Ember backup (*{SUFFIX})"


class BackupDialog(PagesDialog):
    """The two pages; what is chosen on them holds when the dialog is closed, however that is done."""

    def __init__(self, schedule: Schedule, own_folder: Path, parent: QWidget) -> None:
        """Show a schedule; `own_folder` is where copies go if no folder is chosen."""
        super().__init__("Back up and restore", SIZE, MINIMUM, parent)
        self.backup = BackupPage(schedule, own_folder, self)
        self.restore = RestorePage(self)
        self.put_in("Pages of the backups", {"Back up": self.backup, "Restore": self.restore})
        self._window = parent.window()
        self.backup.every.currentIndexChanged.connect(self._make_room)
        self._make_room()

    def _make_room(self) -> None:
        """A schedule has more to say than its absence; it never outgrows the window, nor shrinks under the hand."""
        if self.backup.schedule().every != "never":
            high = min(theme.scaled(HIGH), self._window.height())
            self.resize(self.width(), max(self.height(), high))

    def show_restore(self) -> None:
        """Turn to the page for restoring."""
        self.tabs.setCurrentWidget(self.restore)


def ask_where(parent: QWidget, proposal: Path) -> Path | None:
    """Ask where a backup shall be written; None if the person changed their mind."""
    name, _ = QFileDialog.getSaveFileName(parent, "Back up", str(proposal), _FILTER)
    if not name:
        return None
    path = Path(name)
    # With the ending added it is a name that the system's dialog has not asked about.
    return path if path.suffix else unused(path.parent, path.name, SUFFIX)


def ask_which(parent: QWidget, folder: Path) -> Path | None:
    """Ask which backup shall be restored."""
    name, _ = QFileDialog.getOpenFileName(parent, "Restore a backup", str(folder), f"{_FILTER};;All files (*)")
    return Path(name) if name else None
