"""Everything that can be done with one message, as a menu for the keyboard and the right button."""

from collections.abc import Iterator
from typing import Final, Protocol

from PySide6.QtGui import QTextFrame
from PySide6.QtWidgets import QMenu, QWidget

from app.gui import icons
from app.gui.parts import popup_menu
from app.gui.transcript import reasoning
from app.gui.transcript.action_row import ACTIONS, action_label
from app.gui.transcript.code_card import cards_in, language_shown
from app.gui.transcript.entry import Entry

_MOST: Final = 9
"""The most cards and the most links that a menu names."""


class Deeds(Protocol):
    """What the lines of the menu do."""

    def act(self, entry: Entry, action: str) -> None:
        """Do an action of the message."""

    def copy_card(self, frame: QTextFrame) -> None:
        """Copy a card's code."""

    def copy_everything(self, entry: Entry) -> None:
        """Copy the message with its reasoning."""

    def open_link(self, href: str) -> None:
        """Let the window open an address."""

    def toggle_thought(self, entry: Entry) -> None:
        """Show or hide the reasoning."""

    def step(self, entry: Entry, step: int) -> None:
        """Ask for another variant."""


def message_menu(parent: QWidget, entry: Entry, deeds: Deeds) -> QMenu:
    """A menu with all that this message offers."""
    message = entry.message
    menu = popup_menu(parent)
    menu.setAccessibleName(f"Actions for the message by {message.author}")
    for name in message.actions:
        known = ACTIONS.get(name)
        line = menu.addAction(icons.icon(known.icon if known else "more"), action_label(name, message.role))
        line.triggered.connect(lambda _checked=False, name=name: deeds.act(entry, name))
    _add_variants(menu, entry, deeds)
    _add_thought(menu, entry, deeds)
    _add_cards(menu, entry, deeds)
    _add_links(menu, entry, deeds)
    _add_figures(menu, entry)
    return menu


def _add_variants(menu: QMenu, entry: Entry, deeds: Deeds) -> None:
    message = entry.message
    if message.variants < 2:
        return
    menu.addSeparator()
    back = menu.addAction(icons.icon("left"), "The variant before")
    back.setEnabled(message.variant > 1)
    back.triggered.connect(lambda: deeds.step(entry, -1))
    on = menu.addAction(icons.icon("right"), "The next variant")
    on.setEnabled(message.variant < message.variants)
    on.triggered.connect(lambda: deeds.step(entry, 1))


def _add_thought(menu: QMenu, entry: Entry, deeds: Deeds) -> None:
    if entry.message.role != "assistant" or not reasoning.split(entry.text).present:
        return
    menu.addSeparator()
    fold = menu.addAction("Hide the thinking" if entry.unfolded else "Show the thinking")
    fold.triggered.connect(lambda: deeds.toggle_thought(entry))
    both = menu.addAction("Copy with the thinking")
    both.triggered.connect(lambda: deeds.copy_everything(entry))


def _add_cards(menu: QMenu, entry: Entry, deeds: Deeds) -> None:
    cards = cards_in(entry.frame, _MOST) if entry.frame is not None else []
    if cards:
        menu.addSeparator()
    for number, card in enumerate(cards, start=1):
        which = f" {number}" if len(cards) > 1 else ""
        line = menu.addAction(icons.icon("copy"), f"Copy code{which} ({_plain(language_shown(card))})")
        line.triggered.connect(lambda _checked=False, card=card: deeds.copy_card(card))


def _add_links(menu: QMenu, entry: Entry, deeds: Deeds) -> None:
    links = list(_links(entry.frame)) if entry.frame is not None else []
    if links:
        menu.addSeparator()
    for href in links:
        line = menu.addAction(f"Open {_plain(href)}")
        line.triggered.connect(lambda _checked=False, href=href: deeds.open_link(href))


def _add_figures(menu: QMenu, entry: Entry) -> None:
    """What the tooltip of the figures says, for the keyboard."""
    if entry.message.figures_detail:
        menu.addSeparator()
        for sentence in entry.message.figures_detail.split("\n"):
            menu.addAction(sentence).setEnabled(False)


def _links(frame: QTextFrame) -> Iterator[str]:
    """The first addresses in a message, each once."""
    block, seen = frame.firstCursorPosition().block(), set[str]()
    while block.isValid() and block.position() <= frame.lastPosition() and len(seen) < _MOST:
        for form in block.textFormats():
            href = form.format.anchorHref()
            if href and href not in seen:
                seen.add(href)
                yield href
        block = block.next()


def _plain(words: str) -> str:
    """Words for a menu's line: short, and without the sign that marks a key."""
    words = words if len(words) <= 60 else words[:60] + "…"
    return words.replace("&", "&&")
