"""Where a message is written and sent, and where a reply is stopped."""

from dataclasses import replace
from typing import Final

from PySide6.QtCore import QRectF, Qt, Signal, SignalInstance
from PySide6.QtGui import QKeySequence, QMouseEvent, QPainter, QPaintEvent, QResizeEvent, QShortcut
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.core.context_budget import ContextBudget
from app.core.units import format_amount, format_count
from app.gui import theme
from app.gui.aim_line import Aim, AimLine
from app.gui.draft_edit import DraftEdit
from app.gui.parts import ElidedLabel, announce, paint_card, set_tone
from app.gui.send_button import SendButton

_WAITING: Final = "Waiting for another reply to finish."
_STREAMING: Final = "The reply is still being written: Esc stops it."
_ELSEWHERE: Final = "The reply is being written in another branch."
_NARROW: Final = 480
"""Below this width, in pixels, the token count is said shorter."""
_LEFT: Final = 18
_AROUND: Final = 6
_GAP: Final = 8
"""Of the card: from its edge to the words, to the button, and between them, in pixels."""
_RADIUS: Final = 16
_SURELY_LONG: Final = 400
"""Characters that no line of the card takes."""


class _Card(QWidget):
    """The rounded surface around the field; a click anywhere on it goes to the field."""

    def __init__(self, edit: DraftEdit, parent: QWidget) -> None:
        super().__init__(parent)
        self._edit = edit
        self._focused = False
        self.setCursor(Qt.CursorShape.IBeamCursor)
        edit.focus_changed.connect(self._set_focused)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The surface, its line alive while the field has the focus."""
        painter = QPainter(self)
        if self.rect().adjusted(_RADIUS, _RADIUS, -_RADIUS, -_RADIUS).contains(event.rect()):
            painter.fillRect(event.rect(), theme.color("card"))  # behind the cursor, which blinks all day
            painter.end()
            return
        line = "writing" if self._focused else "border"
        paint_card(painter, QRectF(self.rect()), fill="card", line=line, radius=_RADIUS)
        painter.end()

    def mousePressEvent(self, _event: QMouseEvent) -> None:
        """Beside the text is still the field."""
        self._edit.setFocus(Qt.FocusReason.MouseFocusReason)

    def _set_focused(self, focused: bool) -> None:
        self._focused = focused
        self.update()


class Composer(QWidget):
    """The message being written, the tokens that are left for it, Send and Stop."""

    send = Signal(str)
    """The message, as written; the field is empty by then, and Undo brings the words back."""
    stop = Signal()
    take_back = Signal()
    new_chat = Signal()
    """The message shall go into a new chat, as it does not fit into this one."""
    draft_changed = Signal(str)
    edit_last = Signal()
    """The person's last message shall be edited."""
    aim_dropped = Signal()
    """The message shall go where messages go by themselves: at the end."""
    show_reply = Signal()
    """The reply that is being written out of sight shall be shown."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._streaming = False
        self._elsewhere = False
        self._queued = False
        self._waits_for = _WAITING
        self._reason: str | None = None
        self._hint = ""
        self._budget: ContextBudget | None = None
        self._tail_below: bool | None = None
        self.edit = DraftEdit(self)
        self.button = SendButton(self)
        self._build()
        self._escape = QShortcut(QKeySequence(Qt.Key.Key_Escape), self)
        self._escape.setEnabled(False)
        self._escape.activated.connect(self.stop)
        self._escape_aim = QShortcut(QKeySequence(Qt.Key.Key_Escape), self)
        self._escape_aim.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self._escape_aim.activated.connect(self.aim_dropped)
        self.aim_line.dropped.connect(self.aim_dropped)
        self.edit.send_pressed.connect(self._try_send)
        self.edit.up_pressed.connect(self.edit_last)
        self.edit.textChanged.connect(self._on_text)
        theme.notifier().text_size_changed.connect(self._place_tail)
        self.button.clicked.connect(self._on_button)
        self.set_model_name(None)
        self._refresh()

    # --- what it shows ------------------------------------------------------------------------------

    def draft(self) -> str:
        """What was written and not sent."""
        return self.edit.text()

    def set_draft(self, text: str) -> None:
        """Put a draft back into the field, for instance after sending failed; Undo takes it back."""
        if text != self.edit.text():
            self.edit.replace_text(text)

    def open_draft(self, text: str) -> None:
        """Show another conversation's draft; Undo does not reach into the one before."""
        self.edit.start_with(text)

    def set_model_name(self, name: str | None) -> None:
        """Name the one who will read the message."""
        self.edit.set_placeholder(f"Message {name} …" if name else "Write a message …")

    def set_budget(self, budget: ContextBudget | None) -> None:
        """What conversation and draft take of the context; None is not known. Too long a message is not sent."""
        if budget != self._budget:
            did_fit, self._budget = self.fits(), budget
            self._show_tokens()
            self._refresh()
            if did_fit and not self.fits():
                announce(self, self._too_long())

    def fits(self) -> bool:
        """Whether the draft fits into what is left, as far as is known; into nothing left nothing fits."""
        return self._budget is None or (self._budget.fits and not self._budget.is_full)

    def set_streaming(self, streaming: bool, *, elsewhere: bool = False) -> None:
        """A reply is being written in this conversation, perhaps out of sight: the button stops it."""
        self._streaming = streaming
        self._elsewhere = streaming and elsewhere
        self._hint = ""
        self._escape.setEnabled(streaming)
        self.button.set_stops(streaming)
        self._refresh()

    def set_queued(self, queued: bool, words: str = _WAITING) -> None:
        """This conversation's message waits, `words` say for what; it can be taken back."""
        self._queued = queued
        self._waits_for = words
        self._refresh()

    def set_aim(self, aim: Aim | None) -> None:
        """Where the message goes, if it does not simply go to the end."""
        if aim != self.aim_line.aim:
            self.aim_line.set_aim(aim)
            self.edit.setAccessibleName(f"Message. {aim.sentence}" if aim is not None else "Message")
            self._refresh()

    def set_enabled_reason(self, reason: str | None) -> None:
        """A sentence why nothing can be sent now; the words may still be written. None: it can."""
        self._reason = reason
        self._refresh()

    def focus_draft(self) -> None:
        """Put the cursor into the field."""
        self.edit.setFocus(Qt.FocusReason.OtherFocusReason)

    # --- building -----------------------------------------------------------------------------------

    def _build(self) -> None:
        self.setProperty("surface", "page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        column = QWidget(self)
        column.setMaximumWidth(theme.COLUMN)
        column.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        outer = QHBoxLayout(self)
        outer.setContentsMargins(16, 4, 16, 12)
        outer.addWidget(column)  # narrower than its place at most: Qt puts it into the middle
        rows = QVBoxLayout(column)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        rows.addWidget(self._build_status(column))
        rows.addWidget(self._build_card(column))

    def _build_status(self, parent: QWidget) -> QWidget:
        self._status = QWidget(parent)
        row = QHBoxLayout(self._status)
        row.setContentsMargins(16, 0, 4, 0)
        row.setSpacing(8)
        self.sentence = ElidedLabel("", self._status)
        self.sentence.setFont(theme.font("small"))
        self.sentence.setProperty("tone", "soft")
        self.take_back_button = self._link("Take back", self.take_back)
        self.show_reply_button = self._link("Show it", self.show_reply)
        self.new_chat_button = self._link("New chat", self.new_chat)
        self.new_chat_button.setToolTip("Take this message to a new chat with the same instructions")
        row.addWidget(self.sentence)
        row.addWidget(self.take_back_button)
        row.addWidget(self.show_reply_button)
        row.addWidget(self.new_chat_button)
        row.addStretch(1)
        return self._status

    def _link(self, words: str, wish: SignalInstance) -> QPushButton:
        button = QPushButton(words, self._status)
        button.setFont(theme.font("small"))
        button.setProperty("kind", "link")
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(wish)
        return button

    def _build_card(self, parent: QWidget) -> QWidget:
        card = _Card(self.edit, parent)
        self.card = card
        self.tokens = QLabel("", card)
        self.tokens.setFont(theme.font("small"))
        self.tokens.setProperty("tone", "faint")
        self.tokens.setTextFormat(Qt.TextFormat.PlainText)
        self._tail = QWidget(card)
        self._tail.setCursor(Qt.CursorShape.ArrowCursor)
        tail = QHBoxLayout(self._tail)
        tail.setContentsMargins(0, 0, 0, 0)
        tail.setSpacing(_GAP)
        tail.addWidget(self.tokens)
        tail.addWidget(self.button)
        rows = QVBoxLayout(card)
        rows.setContentsMargins(_LEFT, _AROUND, _AROUND, _AROUND)
        rows.setSpacing(0)
        self.aim_line = AimLine(card)
        rows.addWidget(self.aim_line)
        self._first_row, self._last_row = QHBoxLayout(), QHBoxLayout()
        self._field = QVBoxLayout()
        self._field.addWidget(self.edit)
        self._first_row.addLayout(self._field, 1)
        self._last_row.addStretch(1)
        rows.addLayout(self._first_row)
        rows.addLayout(self._last_row)
        self._place_tail()
        return card

    def _place_tail(self) -> None:
        """Count and button beside a short text, and in a row of their own under one that needs the whole width."""
        below = self._needs_whole_width()
        if below == self._tail_below:
            return
        self._tail_below = below
        before, row = (self._first_row, self._last_row) if below else (self._last_row, self._first_row)
        before.removeWidget(self._tail)
        row.addWidget(self._tail, 0, Qt.AlignmentFlag.AlignBottom)
        self._field.setContentsMargins(0, 8, _LEFT - _AROUND if below else _GAP, 0 if below else 8)

    def _needs_whole_width(self) -> bool:
        """Whether the text is longer than one line beside count and button, however it is laid out now."""
        text = self.edit.toPlainText()
        if "\n" in text or len(text) > _SURELY_LONG:
            return True
        room = self.card.width() - _LEFT - _AROUND - _GAP - self._tail.sizeHint().width()
        return self.edit.fontMetrics().horizontalAdvance(text) > room

    # --- reactions ----------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A narrow card says the count shorter."""
        super().resizeEvent(event)
        self._show_tokens()
        self._place_tail()

    def _can_send(self) -> bool:
        return self._reason is None and not self._streaming and not self._queued and self.fits()

    def _try_send(self) -> None:
        text = self.edit.text()
        if not text.strip():
            return
        if self._can_send():
            self.edit.replace_text("")
            self.send.emit(text)
        elif self._streaming:
            self._hint = _STREAMING
            self._refresh()

    def _on_button(self) -> None:
        if self._streaming:
            self.stop.emit()
        else:
            self._try_send()
            self.edit.setFocus(Qt.FocusReason.OtherFocusReason)

    def _on_text(self) -> None:
        self._hint = ""
        self._refresh()
        self._place_tail()
        self.draft_changed.emit(self.edit.text())

    def _refresh(self) -> None:
        empty = self.edit.document().isEmpty()
        self.button.setEnabled(self._streaming or (self._can_send() and not empty))
        why_not = self._reason or ("" if self._streaming else self._too_long())
        hint = self._hint or (_ELSEWHERE if self._elsewhere else "")
        sentence = self._waits_for if self._queued else (why_not or hint)
        self.sentence.setText(sentence)
        self.sentence.setAccessibleName(sentence)
        self._status.setVisible(bool(sentence))
        self._escape_aim.setEnabled(self.aim_line.aim is not None and not self._streaming)
        self.take_back_button.setVisible(self._queued)
        self.show_reply_button.setVisible(self._elsewhere and sentence == _ELSEWHERE)
        self.new_chat_button.setVisible(not self._queued and self._reason is None and self._fits_a_new_chat())
        if not self._streaming:
            self.button.setToolTip(why_not or "Send (Enter)")
        for part in (self.edit, self.button):
            if part.accessibleDescription() != sentence:
                part.setAccessibleDescription(sentence)

    def _too_long(self) -> str:
        """Why the message does not fit; empty if it does."""
        budget = self._budget
        if budget is None or self.fits():
            return ""
        draft, room = format_amount(budget.draft, "token"), format_count(max(0, budget.remaining + budget.draft))
        if budget.is_full and not budget.used:
            return f"The model's context of {format_count(budget.limit)} tokens is too short for a chat."
        if budget.is_full:
            return f"This chat is full: {format_count(budget.used)} of {format_count(budget.limit)} tokens are in use."
        if not budget.used:
            return f"This message is too long: it has {draft}, and {room} fit. Shorten it to send it."
        return f"This message is too long for this chat: it has {draft}, and {room} fit."

    def _fits_a_new_chat(self) -> bool:
        """Whether what does not fit here would fit where nothing of the context is used."""
        budget = self._budget
        return budget is not None and not self.fits() and budget.used > 0 and replace(budget, used=0).fits

    def _token_words(self) -> str:
        budget = self._budget
        if budget is None:
            return ""
        if budget.is_full:
            return "no room left"
        if not budget.fits:
            return f"{format_amount(-budget.remaining, 'token')} too long"
        left = f"{format_count(budget.remaining)} left"
        if budget.is_nearly_full:
            return f"nearly full · {left}"
        draft = f"{format_amount(budget.draft, 'token')} · " if budget.draft and self.width() >= _NARROW else ""
        return draft + left

    def _show_tokens(self) -> None:
        words = self._token_words()
        has_room = self._budget is None or not self._budget.is_nearly_full
        set_tone(self.tokens, "faint" if has_room else "warning")
        if words != self.tokens.text():
            self.tokens.setText(words)
        self.tokens.setToolTip(self._explain_tokens())
        self.tokens.setVisible(bool(words))
        self._place_tail()

    def _explain_tokens(self) -> str:
        budget = self._budget
        if budget is None:
            return ""
        parts = [
            f"{format_count(budget.used)} are in use",
            f"{format_count(budget.reserve)} are kept for the reply",
            f"{format_count(budget.draft)} are this message's",
            f"{format_count(max(0, budget.remaining))} are left",
        ]
        return f"Of the {format_count(budget.limit)} tokens of the context {', '.join(parts[:-1])}, and {parts[-1]}."
