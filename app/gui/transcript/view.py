"""The transcript as the window knows it: messages in, the person's wishes out."""

from collections.abc import Iterable
from typing import Final

from PySide6.QtCore import Signal
from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QWidget

from app.gui import theme
from app.gui.parts import announce
from app.gui.transcript.entry import Entry
from app.gui.transcript.finding import find_words
from app.gui.transcript.markdown_parser import parser
from app.gui.transcript.scrolling import Place
from app.gui.transcript.shown import ShownMessage
from app.gui.transcript.styles import Styles
from app.gui.transcript.surface import Surface

_SPOKEN: Final = 300
"""Characters of a variant that a screen reader is given when it is shown."""


class TranscriptView(Surface):
    """Shows a conversation, follows its end, and keeps still for who reads further up."""

    action_requested = Signal(str, str)
    """A message's id and an action; "copy" is done here and comes as `copied`."""
    variant_requested = Signal(str, int)
    """A message's id, and one variant back (-1) or on (1)."""
    link_activated = Signal(str)
    """An http, https or mailto address that the person asked for."""
    copied = Signal(str)
    """The text that is on the clipboard now."""

    text_shown = Signal()
    """Pieces of a streaming reply have come onto the page."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._deeds.requested.connect(self.action_requested)
        self._deeds.stepped.connect(self.variant_requested)
        self._deeds.link_activated.connect(self.link_activated)
        self._deeds.copied.connect(self.copied)
        self._streaming.wrote.connect(self.text_shown)
        self._jump.clicked.connect(self.jump_to_end)
        self._keys.to_end = self.jump_to_end
        theme.notifier().changed.connect(self._on_theme)
        theme.notifier().text_size_changed.connect(self._on_text_size)

    def prepare(self) -> None:
        """Read what writes Markdown, which a view without a message does not have yet; about 20 ms."""
        parser()

    # Messages

    def set_messages(self, messages: Iterable[ShownMessage]) -> None:
        """Show a conversation: its end, or the place where the person was reading if that is still in it."""
        place = self._scrolling.place()
        self._forget_all()
        self._page.take(messages)
        entry = self._page.find(place.message_id) if place is not None else None
        if entry is None:
            self._scrolling.set_following(True)
        self._open(entry, place)

    def show_variant(self, old: str, new: str, messages: Iterable[ShownMessage]) -> None:
        """Show another branch, in which `new` stands where `old` stood: its end, where the buttons are, stays in place.

        What the keyboard and the pointer were at is theirs again.
        """
        entry = self._page.find(old)
        bar, marks = self.verticalScrollBar(), self._place.marks(entry)
        bottom = self._page.rect(entry).bottom() - bar.value() if entry is not None else 0.0
        self._forget_all()
        self._page.take(messages)
        entry = self._page.find(new)
        self._scrolling.set_following(False)
        self._open(entry, None)
        if entry is not None:
            bar.setValue(round(self._page.rect(entry).bottom() - bottom))
            self._place.put_back(entry, marks)
            announce(self, f"Variant {entry.message.variant} of {entry.message.variants}. {entry.text[:_SPOKEN]}")
        self._scrolling.settle()

    def append_message(self, message: ShownMessage) -> None:
        """Add a message at the end, unless its id is there: then it is that one's new state.

        The person's own message is always brought into view.
        """
        if self._page.find(message.id) is not None:
            self.update_message(message)
            return
        with self._scrolling.kept():
            self._page.append(message)
        if message.role == "user":
            self.jump_to_end()
        self._place_floating()

    def append_text(self, message_id: str, piece: str) -> None:
        """Let a streaming reply grow; it shows at the next frame."""
        entry = self._page.find(message_id)
        if entry is not None and piece:
            self._streaming.append(entry, piece)

    def update_message(self, message: ShownMessage) -> None:
        """Put a message in the place of the one with its id; only what differs is written."""
        entry = self._page.find(message.id)
        if entry is None:
            return
        old, old_text = entry.message, entry.text
        entry.replace(message)
        if entry.frame is not None:
            with self._scrolling.kept():
                self._rewrite_changed(entry, old, old_text)
        self._place_floating()

    def _rewrite_changed(self, entry: Entry, old: ShownMessage, old_text: str) -> None:
        message, live = entry.message, entry.live
        more = message.text[len(old_text) :] if message.text.startswith(old_text) else ""
        same_words = message.text == old_text or (live is not None and bool(more))
        starts = live is None and message.streaming
        if (message.role, message.author) != (old.role, old.author) or not same_words or starts:
            self._page.rewrite(entry)
            return
        if live is not None and more:
            self._streaming.append_shown(entry, more)
        if live is not None and not message.streaming:
            self._streaming.finish(entry)
        if _below(message) != _below(old):
            self._page.rewrite_foot(entry)

    def remove_message(self, message_id: str) -> None:
        """Take a message away."""
        entry = self._page.find(message_id)
        if entry is not None:
            self._place.forget(entry)
            with self._scrolling.kept():
                self._page.remove(entry)
            self._place_floating()

    def set_status(self, message_id: str, text: str) -> None:
        """Say in a reply's place what happens before its first word; nothing to say with an empty text."""
        entry = self._page.find(message_id)
        if entry is None or text == entry.status:
            return
        entry.status = text
        if entry.live is not None and not entry.live.begun:
            with self._scrolling.kept():
                entry.live.show_status(text)

    def clear(self) -> None:
        """Show no conversation."""
        self.set_messages([])

    def message_ids(self) -> list[str]:
        """The messages' ids in their order."""
        return [entry.message.id for entry in self._page.entries]

    @property
    def is_complete(self) -> bool:
        """Whether every message is on the page; older ones come in idle slices."""
        return self._page.is_whole

    def trigger(self, message_id: str, action: str) -> None:
        """Do as if the person had pressed that button of a message."""
        entry = self._page.find(message_id)
        if entry is not None:
            self._deeds.act(entry, action)

    # Where the person is

    @property
    def focused_message(self) -> str:
        """The id of the message that the keyboard is on; empty for none."""
        return self._place.focused.message.id if self._place.focused is not None else ""

    @property
    def at_end(self) -> bool:
        """Whether the person is at the end and the view follows it."""
        return self._scrolling.following

    def jump_to_end(self) -> None:
        """Show the end of the conversation and follow it from now on."""
        self._scrolling.set_following(True)
        if self._page.high < len(self._page.entries):
            self._open(None, None)
        self._scrolling.to_end()
        self._place_floating()

    def find_text(self, words: str, forward: bool = True) -> bool:
        """Select the next occurrence of `words`, also in messages that are not on the page yet."""
        start = self.textCursor()
        if not start.hasSelection():
            end = QTextCursor.MoveOperation.Start if forward else QTextCursor.MoveOperation.End
            start.movePosition(end)
        found = find_words(self._page, words, start, forward=forward, open_at=self._open_at)
        if found is None:
            return False
        self._scrolling.set_following(False)
        self.setTextCursor(found)
        self.ensureCursorVisible()
        self._keep_off_the_edges()
        self._scrolling.settle()
        return True

    def _keep_off_the_edges(self) -> None:
        """What was found at an edge comes to a third of the height: it is read with the words around it."""
        top, height = self.cursorRect().top(), self.viewport().height()
        if not height // 8 <= top <= height * 3 // 4:
            bar = self.verticalScrollBar()
            bar.setValue(bar.value() + top - height // 3)

    # The page

    def _forget_all(self) -> None:
        self._filling.stop()
        self._place.forget()
        self._pressed = None

    def _open_at(self, index: int) -> None:
        self._open(self._page.entries[index], None)

    def _open(self, entry: Entry | None, place: Place | None) -> None:
        """Write the page around a message, or its end; the rest follows in idle slices."""
        self._streaming.forget()
        self._painting.forget()
        index = self._page.entries.index(entry) if entry is not None else None
        with self._scrolling.kept(lambda: place):
            self._page.open_at(index)
        self._place_floating()
        self._filling.start()

    def _on_theme(self) -> None:
        """Write everything anew in the theme's colours and fonts, what is in view first."""
        place = self._scrolling.place()
        entry = self._page.find(place.message_id) if place is not None else None
        styles = Styles()
        with self._scrolling.kept(lambda: place):
            self._page.wipe()
            self._page.use(styles)
            self._painting.use(styles)
            self._dress()
            self._open(entry, place)

    def _on_text_size(self) -> None:
        """Write everything anew in another size; the words at the top edge stay about there."""
        place = self._scrolling.place()
        entry = self._page.find(place.message_id) if place is not None else None
        height = self._page.rect(entry).height() if entry is not None else 0.0
        self._on_theme()
        if place is not None and entry is not None and height:
            place.below *= self._page.rect(entry).height() / height
            self._scrolling.restore(place)


def _below(message: ShownMessage) -> tuple[object, ...]:
    """What stands below a message's words, and the room that its actions take there."""
    return message.figures, message.notice, message.is_error, len(message.actions), message.variants > 1
