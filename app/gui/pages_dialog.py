"""The frame of a dialog with pages under tabs."""

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QTabWidget, QVBoxLayout, QWidget

_Button = QDialogButtonBox.StandardButton


class PagesDialog(QDialog):
    """Tabs over pages, and the buttons below; whoever derives from it makes the pages and puts them in."""

    def __init__(self, title: str, size: QSize, minimum: QSize, parent: QWidget) -> None:
        """An empty dialog, no larger than the window of `parent` where that is larger than `minimum`."""
        super().__init__(parent)
        self.tabs = QTabWidget(self)  # before the pages: Tab goes from one to the next in the order of their making
        self.setWindowTitle(title)
        self.setMinimumSize(minimum)
        self.resize(size.boundedTo(parent.window().size().expandedTo(minimum)))

    def put_in(self, name: str, pages: dict[str, QWidget], buttons: _Button = _Button.Close) -> None:
        """Show pages by their titles; `name` is what the row of tabs is called. Enter presses no Close button."""
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        self.tabs.tabBar().setAccessibleName(name)
        for title, page in pages.items():
            self.tabs.addTab(page, title)
        self.buttons = box = QDialogButtonBox(buttons)
        box.accepted.connect(self.accept)
        box.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 12, 20, 16)
        column.setSpacing(12)
        column.addWidget(self.tabs, 1)
        column.addWidget(box)
        close = box.button(_Button.Close)
        if close is not None:
            close.setAutoDefault(False)
