"""A calm strip over the composer: what happened, in a sentence, with a way out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from PySide6.QtCore import QElapsedTimer, QEvent, QObject, QRectF, Qt, QTimer
from PySide6.QtGui import QEnterEvent, QHideEvent, QPainter, QPaintEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QApplication,
    QBoxLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.gui import icons, theme
from app.gui.parts import announce, icon_button, paint_card

Kind = Literal["info", "warning", "error"]
Action = tuple[str, Callable[[], None]]

MOST_ACTIONS: Final = 3
_SENTENCE: Final = 280
"""Pixels that a sentence keeps before the actions move under it; longer ones break."""
_NARROWEST: Final = 320
_AROUND: Final = 96
"""Pixels of a notice's margins, sign and close button."""
_UNDER: Final = (20, 0, 28)
"""Pixels around actions under the sentence: left, top, right."""
_INSIDE: Final = 40
"""Pixels that the card's margins and a button's own take of a line."""

UNDO_MS: Final = 10_000
"""How long an offer to undo stays, in milliseconds, not counting the time that someone is at it."""

_ICONS: Final[dict[Kind, tuple[str, str]]] = {
    "info": ("info", "text_soft"),
    "warning": ("warning", "warning"),
    "error": ("error", "danger"),
}


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence with at most three actions; using an action dismisses the notice."""

    text: str
    kind: Kind = "info"
    actions: tuple[Action, ...] | list[Action] = field(default=())
    timeout_ms: int | None = None
    """Milliseconds after which it goes by itself; None stays until it is dismissed."""
    key: str | None = None
    """A notice with the same key takes this one's place."""

    def __post_init__(self) -> None:
        """Refuse what the strip has no room for."""
        if len(self.actions) > MOST_ACTIONS:
            raise ValueError("a notice has room for three actions")


class _Countdown(QObject):
    """A timer that can be held and goes on where it was."""

    def __init__(self, done: Callable[[], None], parent: QObject) -> None:
        super().__init__(parent)
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(done)
        self._clock = QElapsedTimer()
        self._left: int | None = None

    def start(self, milliseconds: int | None) -> None:
        """Begin anew; None is no countdown."""
        self._timer.stop()
        self._left = milliseconds
        self.resume()

    def hold(self) -> None:
        """Stop for now."""
        if self._timer.isActive() and self._left is not None:
            self._timer.stop()
            self._left = max(0, self._left - int(self._clock.elapsed()))

    def resume(self) -> None:
        """Go on."""
        if self._left is not None and not self._timer.isActive():
            self._clock.start()
            self._timer.start(self._left)

    def running(self) -> bool:
        """Whether time passes."""
        return self._timer.isActive()


class NoticeBar(QWidget):
    """Shows the newest notice; those before it come back when it goes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._notices: list[Notice] = []
        self._hovered = False
        self._countdown = _Countdown(self._on_timeout, self)
        self._build()
        _application().focusChanged.connect(self._on_focus)
        self.hide()

    # --- what it shows ------------------------------------------------------------------------------

    def show_notice(self, notice: Notice) -> None:
        """Show a notice on top; an older one with its key goes, and one that says and offers the same."""
        if notice.key is not None:
            self._notices = [other for other in self._notices if other.key != notice.key]
        if not notice.actions:
            self._notices = [other for other in self._notices if other.actions or other.text != notice.text]
        self._notices.append(notice)
        self._show_top()
        announce(self, notice.text, urgent=notice.kind == "error")

    def dismiss(self, key: str) -> None:
        """Take away the notice with that key, if it is still there."""
        kept = [notice for notice in self._notices if notice.key != key]
        if len(kept) != len(self._notices):
            self._notices = kept
            self._show_top()

    def dismiss_all(self) -> None:
        """Take all notices away."""
        self._notices.clear()
        self._show_top()

    def notices(self) -> tuple[Notice, ...]:
        """Those that wait, and last the one that is shown."""
        return tuple(self._notices)

    def is_counting(self) -> bool:
        """Whether the shown notice is on its way out."""
        return self._countdown.running()

    # --- building -----------------------------------------------------------------------------------

    def _build(self) -> None:
        self.setProperty("surface", "page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        # Not Maximum: that is the height of the words at some other width, which cuts long ones off in a narrow window.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        self.setMinimumWidth(_NARROWEST)  # else the actions side by side would keep the window from getting narrower
        self._card = _NoticeCard(self)
        self._card.setMaximumWidth(theme.COLUMN)
        self._card.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        outer = QHBoxLayout(self)
        outer.setContentsMargins(16, 4, 16, 4)
        outer.addWidget(self._card)  # narrower than its place at most: Qt puts it into the middle
        self._sign = QLabel(self._card)
        self._sign.setFixedSize(icons.SIZE)
        self.words = QLabel(self._card)
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self.words.setWordWrap(True)
        self.words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._count = QLabel(self._card)
        self._count.setFont(theme.font("small"))
        self._count.setProperty("tone", "faint")
        self.buttons = tuple(self._action_button(number) for number in range(MOST_ACTIONS))
        self.close_button = icon_button("close", "Dismiss", self._card, 28)
        self.close_button.clicked.connect(self._dismiss_top)
        self._lay_out()
        theme.notifier().changed.connect(self._show_sign)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self._card)
        column.setContentsMargins(14, 6, 6, 6)
        column.setSpacing(0)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self._sign)
        row.addSpacing(2)
        row.addWidget(self.words, 1)
        row.addWidget(self._count)
        for button in self.buttons:
            row.addWidget(button)
        row.addWidget(self.close_button)
        self._wide_row = row
        column.addLayout(row)
        self._narrow_row = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._narrow_row.setSpacing(4)
        self._narrow_row.addStretch(1)  # side by side they keep together, at the right
        column.addLayout(self._narrow_row)

    def _action_button(self, number: int) -> QPushButton:
        button = QPushButton(self._card)
        button.setProperty("kind", "link")
        button.setFont(theme.font("strong"))
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(lambda _=False: self._act(number))
        return button

    # --- Qt's side ----------------------------------------------------------------------------------

    def enterEvent(self, event: QEnterEvent) -> None:
        """Nothing goes away under the pointer."""
        super().enterEvent(event)
        self._hovered = True
        self._countdown.hold()

    def leaveEvent(self, event: QEvent) -> None:
        """The countdown goes on."""
        super().leaveEvent(event)
        self._hovered = False
        self._resume()

    def showEvent(self, event: QShowEvent) -> None:
        """Time passes again."""
        super().showEvent(event)
        self._resume()

    def hideEvent(self, event: QHideEvent) -> None:
        """No time passes while nobody can see it."""
        super().hideEvent(event)
        self._hovered = False
        self._countdown.hold()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a narrow window the actions stand under the sentence."""
        super().resizeEvent(event)
        self._place_buttons()

    # --- reactions ----------------------------------------------------------------------------------

    def _show_top(self) -> None:
        if not self._notices:
            self._countdown.start(None)
            self.hide()
            return
        notice = self._notices[-1]
        self.words.setText(notice.text)
        self.setAccessibleName(notice.text)
        self._show_sign()
        waiting = len(self._notices) - 1
        self._count.setText(f"and {waiting} more")
        self._count.setVisible(waiting > 0)
        for number, button in enumerate(self.buttons):
            button.setVisible(number < len(notice.actions))
            if number < len(notice.actions):
                button.setText(notice.actions[number][0].replace("&", "&&"))
                button.setAccessibleName(notice.actions[number][0])
        self._place_buttons()
        self.show()
        self._countdown.start(notice.timeout_ms)
        if self._attended() or not self.isVisible():
            self._countdown.hold()

    def _place_buttons(self) -> None:
        """Beside the sentence, or under it where it would keep less room than it needs for a few words."""
        if not self._notices:
            return
        for (label, _), button in zip(self._notices[-1].actions, self.buttons, strict=False):
            self._label(button, label)
        shown: list[QWidget] = [button for button in self.buttons if not button.isHidden()]
        if not self._count.isHidden():
            shown.append(self._count)
        needed = sum(button.sizeHint().width() + 8 for button in shown)
        sentence = min(_SENTENCE, self.words.fontMetrics().horizontalAdvance(self.words.text()))
        room = min(self.width() - 32, theme.COLUMN)
        beside = needed + sentence + _AROUND <= room
        row = self._wide_row if beside else self._narrow_row
        for button in self.buttons:
            self._wide_row.removeWidget(button)
            self._narrow_row.removeWidget(button)
        before_close = self._wide_row.indexOf(self.close_button) if beside else self._narrow_row.count()
        for place, button in enumerate(self.buttons):
            row.insertWidget(before_close + place, button, 0, Qt.AlignmentFlag.AlignRight)
        way = QBoxLayout.Direction
        self._narrow_row.setDirection(way.LeftToRight if needed + 60 <= room else way.TopToBottom)
        self._narrow_row.setContentsMargins(*_UNDER, 0 if beside else 4)

    def _label(self, button: QPushButton, label: str) -> None:
        """Cut an action's words where even a line of its own is too short for them; the tooltip has them all."""
        left, _, right = _UNDER
        room = min(self.width() - 32, theme.COLUMN) - left - right - _INSIDE
        words = button.fontMetrics().elidedText(label, Qt.TextElideMode.ElideRight, room)
        if words.replace("&", "&&") != button.text():
            button.setText(words.replace("&", "&&"))
        button.setToolTip("" if words == label else label)

    def _show_sign(self) -> None:
        if self._notices:
            name, role = _ICONS[self._notices[-1].kind]
            self._sign.setPixmap(icons.icon(name, role).pixmap(icons.SIZE, self.devicePixelRatioF()))

    def _act(self, number: int) -> None:
        _, what = self._notices[-1].actions[number]
        self._dismiss_top()
        what()

    def _dismiss_top(self) -> None:
        self._notices.pop()
        self._show_top()

    def _on_timeout(self) -> None:
        self._dismiss_top()

    def _on_focus(self, _before: QWidget | None, now: QWidget | None) -> None:
        if now is not None and self.isAncestorOf(now):
            self._countdown.hold()
        else:
            self._resume()

    def _attended(self) -> bool:
        focus = QApplication.focusWidget()
        return self._hovered or (focus is not None and self.isAncestorOf(focus))

    def _resume(self) -> None:
        if self._notices and self.isVisible() and not self._attended():
            self._countdown.resume()


class _NoticeCard(QWidget):
    """The rounded surface."""

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A card with a hairline."""
        painter = QPainter(self)
        paint_card(painter, QRectF(self.rect()), fill="card", line="border", radius=12)
        painter.end()


def _application() -> QApplication:
    """The one application, typed."""
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    return app
