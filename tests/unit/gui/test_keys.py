"""The page of keys, and that the window listens to them."""

from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QLabel

from app.gui.dialogs_keys import PAGES, KeysDialog, shown
from tests.unit.gui.person import Person

OF_WIDGETS = {"Del", "Enter", "Shift+Enter", "Up", "Esc", "Tab", "Menu"}
"""Keys that belong to the list, to the message and to the chat, each where it is."""


def test_the_window_listens_to_every_key_that_is_told_and_tells_every_key(person: Person) -> None:
    listened = {each.key().toString() for each in person.window.findChildren(QShortcut)}
    told = {QKeySequence(keys).toString() for _, group in PAGES for keys, _ in group}
    assert told - OF_WIDGETS <= listened
    assert listened - {"Esc"} <= told


def test_the_page_opens_and_names_the_keys(person: Person) -> None:
    person.window.sidebar.keys_requested.emit()
    dialog = person.window.findChild(KeysDialog)
    assert dialog is not None
    words = [label.text() for label in dialog.findChildren(QLabel)]
    assert words[words.index("Ctrl+F") + 1] == "Find in this chat"
    dialog.close()


def test_a_standard_key_that_a_system_lacks_is_a_dash() -> None:
    assert shown(QKeySequence.StandardKey.UnknownKey) == "–"
