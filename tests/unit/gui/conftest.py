"""What the window's tests share: the app's own look, and widgets that are shown as a person sees them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from app.gui import theme
from tests.unit.gui.library_support import home, hub, library  # noqa: F401
from tests.unit.gui.person import person, talking  # noqa: F401
from tests.unit.services.fakes import processes  # noqa: F401

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The offscreen platform says what it leaves out (sizes, raising) as a warning; that is no finding."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.qt_log_ignore("^This plugin does not support", extend=True))


@pytest.fixture(autouse=True)
def dressed(qapp: QApplication) -> Iterator[None]:
    """Every test runs in the app's own look, and starts from the system's colours, which are light here."""
    theme.install(qapp)
    theme.set_preference("system")
    yield
    theme.set_preference("system")
    theme.set_text_size(100)


@pytest.fixture
def shown(qtbot: QtBot) -> Iterator[Callable[..., QWidget]]:
    """Show a widget at a size; none may be left with a timer running once it is closed."""
    widgets: list[QWidget] = []

    def show(widget: QWidget, width: int = 600, height: int = 400) -> QWidget:
        qtbot.addWidget(widget)
        widgets.append(widget)
        widget.resize(width, height)
        widget.show()
        qtbot.waitExposed(widget)
        widget.activateWindow()
        qtbot.waitUntil(widget.isActiveWindow)
        QApplication.processEvents()
        return widget

    yield show
    for widget in widgets:
        widget.close()
        running = [timer for timer in widget.findChildren(QTimer) if timer.isActive()]
        assert not running, "a timer outlives its window"
