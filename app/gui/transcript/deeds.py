"""What the person does with messages: copying, opening, folding, asking the window for the rest."""

import shiboken6
from PySide6.QtCore import QObject, QPoint, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QTextFrame
from PySide6.QtWidgets import QMenu, QWidget

from app.gui.parts import announce
from app.gui.transcript import reasoning
from app.gui.transcript.action_row import ActionRow
from app.gui.transcript.code_card import code_of
from app.gui.transcript.entry import Entry
from app.gui.transcript.inline_writer import may_open
from app.gui.transcript.message_menu import message_menu
from app.gui.transcript.page import Page
from app.gui.transcript.painting import Painting
from app.gui.transcript.scrolling import Scrolling
from app.gui.transcript.streaming import Streaming

_TOLD_MS = 1_500


class Deeds(QObject):
    """Does what belongs to the transcript itself, and passes on what does not."""

    requested = Signal(str, str)
    """A message's id and an action that the window must do."""
    stepped = Signal(str, int)
    """A message's id and the step to another of its variants."""
    link_activated = Signal(str)
    copied = Signal(str)
    changed = Signal()
    """Something on the page has moved."""

    def __init__(
        self,
        view: QWidget,
        page: Page,
        painting: Painting,
        scrolling: Scrolling,
        streaming: Streaming,
        row: ActionRow,
    ) -> None:
        super().__init__(view)
        self._view = view
        self._page = page
        self._painting = painting
        self._scrolling = scrolling
        self._streaming = streaming
        self._row = row
        self._untell = QTimer(self)
        self._untell.setSingleShot(True)
        self._untell.setInterval(_TOLD_MS)
        self._untell.timeout.connect(self._forget_copied_card)

    def act(self, entry: Entry, action: str) -> None:
        """Do an action of the message, or ask for it."""
        if action == "copy":
            self.copy(entry)
        else:
            self.requested.emit(entry.message.id, action)

    def copy(self, entry: Entry) -> None:
        """Copy the message's exact words; of a reply, the answer without its reasoning."""
        text = entry.text
        self._put(reasoning.answer_of(text) if entry.message.role == "assistant" else text)
        if self._row.message_id == entry.message.id:
            self._row.tell_copied()

    def copy_everything(self, entry: Entry) -> None:
        """Copy the message with its reasoning."""
        self._put(entry.text)

    def copy_card(self, frame: QTextFrame) -> None:
        """Copy a card's code, and show for a moment that it was done; nothing if the card is gone by now."""
        if not shiboken6.isValid(frame):
            return
        self._put(code_of(frame))
        self._painting.copied_card = frame.firstPosition()
        self._untell.start()
        self._repaint()

    def _put(self, text: str) -> None:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        QGuiApplication.clipboard().setText(text)
        announce(self._view, "Copied.")
        self.copied.emit(text)

    def forget(self) -> None:
        """Show no longer that something was copied."""
        self._untell.stop()
        self._painting.copied_card = -1

    def _forget_copied_card(self) -> None:
        self._painting.copied_card = -1
        self._repaint()

    def _repaint(self) -> None:
        self.changed.emit()

    def open_link(self, href: str) -> None:
        """Let the window open an address, if it is of a kind that may be opened."""
        if may_open(href):
            self.link_activated.emit(href)

    def toggle_thought(self, entry: Entry) -> None:
        """Show or hide a reply's reasoning; its line stays where it is."""
        if entry.message.role != "assistant" or not reasoning.split(entry.text).present:
            return
        self._streaming.flush()
        entry.unfolded = not entry.unfolded
        if entry.frame is not None:
            index = self._page.index(entry)
            with self._scrolling.kept(lambda: self._scrolling.place_of(index)):
                self._page.rewrite(entry)
            self._scrolling.settle()
        announce(self._view, "The thinking is shown." if entry.unfolded else "The thinking is hidden.")
        self.changed.emit()

    def step(self, entry: Entry, step: int) -> None:
        """Ask for another variant, if there is one in that direction."""
        message = entry.message
        if 1 <= message.variant + step <= message.variants:
            self.stepped.emit(message.id, step)

    def menu(self, entry: Entry) -> QMenu:
        """All that this message offers."""
        return message_menu(self._view, entry, self)

    def open_menu(self, entry: Entry, where: QPoint, first: QMenu | None = None) -> None:
        """Open the message's menu at a point of the screen; it ends itself."""
        menu = first or self.menu(entry)
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(where)
        if menu.actions():
            menu.setActiveAction(menu.actions()[0])
