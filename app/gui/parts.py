"""Small parts that several widgets share: flat icon buttons, elided labels, menus, announcements."""

from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QAction,
    QFontMetrics,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QLabel,
    QLineEdit,
    QMenu,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from app.gui import icons, theme

ICON_BUTTON = 32
"""The side of a flat icon button, in pixels."""
_NUMBER_MARGIN = 7
"""Pixels before a number."""


def icon_button(name: str, label: str, parent: QWidget | None = None, side: int = ICON_BUTTON) -> QToolButton:
    """A flat square button with an icon; `label` is its tooltip and its name for a screen reader."""
    button = QToolButton(parent)
    button.setProperty("kind", "icon")
    button.setIcon(icons.icon(name))
    button.setIconSize(icons.SIZE)
    button.setFixedSize(side, side)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    name_button(button, label)
    return button


def name_button(button: QAbstractButton, label: str) -> None:
    """Give a button without words its tooltip and its accessible name."""
    button.setToolTip(label)
    button.setAccessibleName(label)


def scrolled(page: QWidget, parent: QWidget) -> QScrollArea:
    """A page that scrolls up and down where it is too high; the keyboard goes past the area to what is on it."""
    area = QScrollArea(parent)
    area.setWidgetResizable(True)
    area.setFrameShape(QScrollArea.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    area.setWidget(page)
    return area


def popup_menu(parent: QWidget) -> QMenu:
    """A menu with round corners where the platform blends windows; X11 does not promise to."""
    menu = QMenu(parent)
    menu.setToolTipsVisible(True)
    if QGuiApplication.platformName() != "xcb":
        menu.setProperty("rounded", True)
        menu.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        menu.setWindowFlag(Qt.WindowType.FramelessWindowHint)
        menu.setWindowFlag(Qt.WindowType.NoDropShadowWindowHint)
    return menu


def show_keys(action: QAction, keys: QKeySequence | QKeySequence.StandardKey | str) -> None:
    """Show the keys of a menu's line, to which the window listens itself: two that listen silence each other."""
    action.setShortcut(QKeySequence(keys))
    action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)


def announce(widget: QWidget, words: str, *, urgent: bool = False) -> None:
    """Let a screen reader speak `words` now (urgent) or when it is done with what it says."""
    event = QAccessibleAnnouncementEvent(widget, words)
    politeness = QAccessible.AnnouncementPoliteness
    event.setPoliteness(politeness.Assertive if urgent else politeness.Polite)
    QAccessible.updateAccessibility(event)


def claim_escape(event: QEvent) -> bool:
    """Take Esc for the widget that has the focus, before a shortcut of the window sees it; whether it did."""
    escape = isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape
    if escape and event.type() == QEvent.Type.ShortcutOverride:
        event.accept()
        return True
    return False


def set_tone(label: QLabel, tone: str) -> None:
    """Colour a label as the style sheet's `tone` says: soft, faint, warning, danger, or "" for plain text."""
    if label.property("tone") != tone:
        label.setProperty("tone", tone)
        label.style().unpolish(label)
        label.style().polish(label)


def set_kind(button: QAbstractButton, kind: str) -> None:
    """Dress a button as the style sheet's `kind` says: primary for the one that does the thing, quiet, link.

    A button that a box of buttons has made is dressed already and has to be dressed anew.
    """
    button.setProperty("kind", kind)
    button.style().unpolish(button)
    button.style().polish(button)


def pad_number(field: QAbstractSpinBox) -> None:
    """Keep a number off the round corner: Qt leaves out the left padding of a style sheet, but counts it as width."""
    line = field.findChild(QLineEdit)
    assert line is not None, "every field for a number has a line"
    line.setTextMargins(_NUMBER_MARGIN, 0, 0, 0)


def small_words(text: str, parent: QWidget, tone: str = "soft") -> QLabel:
    """Plain text in small letters, which wraps; a long word such as a path is cut off and never widens a window."""
    label = QLabel(text, parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setFont(theme.font("small"))
    label.setWordWrap(True)
    label.setProperty("tone", tone)
    policy = label.sizePolicy()
    policy.setHorizontalPolicy(QSizePolicy.Policy.Ignored)
    label.setSizePolicy(policy)
    return label


def paint_card(painter: QPainter, rect: QRectF, *, fill: str, line: str, radius: float = 14, width: float = 1) -> None:
    """Draw a rounded surface within `rect`; `fill` and `line` are names of the palette's colours."""
    inset = width / 2
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(theme.color(fill))
    painter.setPen(QPen(theme.color(line), width))
    painter.drawRoundedRect(rect.adjusted(inset, inset, -inset, -inset), radius - inset, radius - inset)


class ElidedLabel(QLabel):
    """One line of plain text that gives way in a narrow window; the whole text is then its tooltip."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self._own_tooltip = False

    def setText(self, text: str) -> None:
        """Show another text; line breaks become spaces."""
        text = " ".join(text.split())
        if text != self.text():
            super().setText(text)
            self._explain()

    def is_elided(self) -> bool:
        """Whether some of the text does not fit."""
        return self._metrics().horizontalAdvance(self.text()) > self.contentsRect().width()

    def minimumSizeHint(self) -> QSize:
        """Hardly any width: the text gives way."""
        return QSize(0, super().minimumSizeHint().height())

    def sizeHint(self) -> QSize:
        """The whole text."""
        margins = self.contentsMargins()
        wide = self._metrics().horizontalAdvance(self.text()) + margins.left() + margins.right() + 1
        return QSize(wide, super().sizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Explain by a tooltip what no longer fits."""
        super().resizeEvent(event)
        self._explain()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw as much as fits, an ellipsis after it."""
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        rect = self.contentsRect()
        text = self._metrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, rect.width())
        painter.drawText(rect, self.alignment() | Qt.AlignmentFlag.AlignVCenter, text)
        painter.end()

    def _metrics(self) -> QFontMetrics:
        return QFontMetrics(self.font())

    def _explain(self) -> None:
        elided = self.is_elided()
        if elided or self._own_tooltip:
            self.setToolTip(self.text() if elided else "")
            self._own_tooltip = elided
