"""What the system's file manager is asked for when a file is to be shown."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QObject
from PySide6.QtDBus import QDBusConnection
from PySide6.QtGui import QDesktopServices
from pytestqt.qtbot import QtBot

from app.gui.file_manager import selecting, show_file

FILE = Path("/some where/ü #1%.gguf")
PROGRAM = """
from jeepney import MessageType, message_bus, new_method_return
from jeepney.io.blocking import open_dbus_connection

bus = open_dbus_connection("SESSION")
bus.send_and_get_reply(message_bus.RequestName("org.freedesktop.FileManager1"))
print("ready", flush=True)
while (message := bus.receive()).header.message_type is not MessageType.method_call:
    pass
print(*message.body[0], flush=True)
bus.send(new_method_return(message))
"""
"""A file manager that says which files it is asked to show."""

on_linux = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("dbus-daemon") is None, reason="needs a bus of its own"
)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were opened without a file being chosen in them."""
    folders: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: not folders.append(url.toLocalFile()))
    return folders


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a session's bus with nobody on it."""
    daemon = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--print-address=1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert daemon.stdout is not None
    address = daemon.stdout.readline().strip()
    connection = QDBusConnection.connectToBus(address, "a test's")
    monkeypatch.setattr(QDBusConnection, "sessionBus", lambda: connection)
    yield address
    QDBusConnection.disconnectFromBus("a test's")
    daemon.terminate()
    daemon.communicate()


@on_linux
def test_linux_has_the_file_chosen_by_the_file_manager(bus: str, opened: list[str], qtbot: QtBot) -> None:
    manager = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env={"DBUS_SESSION_BUS_ADDRESS": bus}, stdout=subprocess.PIPE, text=True
    )
    assert manager.stdout is not None and manager.stdout.readline() == "ready\n"
    parent = QObject()
    show_file(FILE, parent)
    qtbot.waitUntil(lambda: not parent.children())
    assert manager.communicate()[0] == "file:///some%20where/%C3%BC%20%231%25.gguf\n"
    assert opened == []


@on_linux
def test_without_such_a_file_manager_the_folder_is_opened(bus: str, opened: list[str], qtbot: QtBot) -> None:
    show_file(FILE, parent := QObject())
    qtbot.waitUntil(lambda: opened == ["/some where"])
    qtbot.waitUntil(lambda: not parent.children())


def test_where_nothing_shows_folders_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda _url: False)
    told: list[bool] = []
    show_file(FILE, QObject(), lambda: told.append(True))
    assert told == [True]


def test_macos_and_windows_are_asked_without_a_shell_and_linux_over_its_bus() -> None:
    assert selecting(Path("/a b/m.gguf"), "darwin") == ["open", "-R", "/a b/m.gguf"]
    assert selecting(Path("/a, b/m.gguf"), "win32") == 'explorer.exe /select,"/a, b/m.gguf"'
    assert selecting(Path("/a b/m.gguf"), "linux") is None
