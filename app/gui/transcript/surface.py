"""The transcript's surface: one text browser with its column, its painting, pointer and keys."""

from typing import Any, Final, cast

import shiboken6
from PySide6.QtCore import QEvent, QMargins, QMimeData, QPointF, QRectF, Qt, QUrl, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QFocusEvent,
    QHelpEvent,
    QHideEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QResizeEvent,
    QShowEvent,
    QTextCursor,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QFrame, QTextBrowser, QTextEdit, QToolTip, QWidget

from app.gui import theme
from app.gui.transcript import layout
from app.gui.transcript.action_row import ActionRow
from app.gui.transcript.code_highlight import Highlighter
from app.gui.transcript.copying import selected_text
from app.gui.transcript.deeds import Deeds
from app.gui.transcript.entry import Entry
from app.gui.transcript.filling import Filling
from app.gui.transcript.hand import Target, target_at
from app.gui.transcript.jump_button import JumpButton
from app.gui.transcript.keys import Keys
from app.gui.transcript.page import Page
from app.gui.transcript.painting import Painting
from app.gui.transcript.row_place import RowPlace
from app.gui.transcript.scrolling import Scrolling
from app.gui.transcript.selecting import Selecting
from app.gui.transcript.streaming import Streaming
from app.gui.transcript.variant_marks import VariantMarks

PAGE_MAX: Final = theme.COLUMN + 2 * (layout.MARGIN - layout.INSET)
"""How wide the page of the document gets: the column, and room for the mark of the focus beside it."""
_AWAY: Final = 48
"""How far the end must be out of sight for the button that leads there."""


class Surface(QTextBrowser):
    """Holds the transcript's parts together; what it shows is the business of `TranscriptView`."""

    zoomed = Signal(int)
    """The wheel was turned with Ctrl held: by so many eighths of a degree, away from the person or (below 0) back."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._set_up_browser()
        bar = self.verticalScrollBar()
        self._page = Page(self.document(), Highlighter(self))
        self._painting = Painting(self.document(), self._page.writer.styles)
        self._scrolling = Scrolling(bar, self._page, self)
        self._filling = Filling(self._page, self._scrolling, bar, self)
        self._streaming = Streaming(self._page, self._scrolling, self)
        self._selecting = Selecting(self, self._page)
        self._row = ActionRow(self.viewport(), self)
        self._place = RowPlace(self._row, self._page, bar, self.has_keyboard)
        self._marks = VariantMarks(self._page, self._place)
        self._jump = JumpButton(self)
        self._deeds = Deeds(self, self._page, self._painting, self._scrolling, self._streaming, self._row)
        self._keys = Keys(self, self._page, self._place, self._scrolling, bar, self._deeds)
        helpers = (self._page.highlighter, self._scrolling, self._filling, self._streaming, self._deeds)
        self._parts = (bar, self.document(), self.viewport(), self._row, self._jump, *helpers)
        self._pressed: Target | None = None
        self._pointing = False
        self._page_width = 0
        self._fitting = False
        self._connect_parts()
        self._dress()
        self._fit()

    def _set_up_browser(self) -> None:
        self.setAccessibleName("Conversation")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.setLineWrapMode(QTextEdit.LineWrapMode.FixedPixelWidth)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAutoFillBackground(True)
        self.setAcceptDrops(False)
        self.viewport().setMouseTracking(True)

    def _connect_parts(self) -> None:
        self._scrolling.moved.connect(self._place_floating)
        self._scrolling.following_changed.connect(self._place_floating)
        self._row.triggered.connect(self._on_row_action)
        self._row.stepped.connect(self._on_row_step)
        self._deeds.changed.connect(self._refresh)
        self._keys.moved.connect(self._refresh)
        self.anchorClicked.connect(self._on_anchor)

    def _dress(self) -> None:
        """Take the colours of the theme in use."""
        palette, role = self.palette(), QPalette.ColorRole
        for which, color in (
            (role.Base, "page"),
            (role.Window, "page"),
            (role.Text, "text"),
            (role.Highlight, "selection"),
            (role.HighlightedText, "text"),
        ):
            palette.setColor(which, theme.color(color))
        self.setPalette(palette)
        # The application's style sheet keeps the viewport from inheriting it: it would stay in the colours before.
        self.viewport().setPalette(palette)

    # Size

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Centre the column; only a change of the column's own width lays the words out again."""
        if not self._fit():
            super().resizeEvent(event)
        self._place_floating()

    def _fit(self) -> bool:
        """Fit margins and page to the view; whether that has sent a resize event of its own.

        The room for the scroll bar is always kept, so that nothing moves when the bar comes or goes.
        """
        if self._fitting:
            return False
        room, bar = self.contentsRect().width(), self.verticalScrollBar().sizeHint().width()
        width = max(1, min(room - bar, PAGE_MAX))
        left = (room - width) // 2 if width == PAGE_MAX else 0
        margins = QMargins(left, 0, max(0, room - left - width - bar), 0)
        sent = margins != self.viewportMargins()
        if width != self._page_width:
            self._set_page_width(width)
        if sent:
            self.setViewportMargins(margins)
        return sent

    def _set_page_width(self, width: int) -> None:
        self._page_width = width
        place = self._scrolling.place()
        entry = self._page.find(place.message_id) if place is not None else None
        around = self._page.index(entry) if entry is not None else None
        self._fitting = True
        with self._scrolling.kept(lambda: place):
            self._page.fit_column(width - 2 * layout.MARGIN, around)
            self.setLineWrapColumnOrWidth(width)
        self._fitting = False
        self._filling.wait()

    def _is_alive(self) -> bool:
        """Whether all parts still are: at the application's end the binding lets go of them one by one."""
        return all(shiboken6.isValid(part) for part in self._parts)

    def _refresh(self) -> None:
        if self._is_alive():
            self._place_floating()
            self.viewport().update()

    def _place_floating(self) -> None:
        """Put the row of actions and the button to the end where they belong."""
        if self._fitting or not self._is_alive():
            return
        self._place_row()
        bar = self.verticalScrollBar()
        away = not self._scrolling.following and bar.value() < bar.maximum() - _AWAY
        self._jump.setVisible(away)
        if away:
            self._jump.adjustSize()
            box = self.viewport().geometry()
            left = box.center().x() - self._jump.width() // 2
            self._jump.move(left, box.bottom() - self._jump.height() - 12)
            self._jump.raise_()

    def hideEvent(self, event: QHideEvent) -> None:
        """Do nothing more while nobody looks."""
        super().hideEvent(event)
        if not event.spontaneous() and self._is_alive():
            self._streaming.flush()
            self._filling.stop()
            self._page.highlighter.pause()
            self._deeds.forget()

    def showEvent(self, event: QShowEvent) -> None:
        """Go on with what was left."""
        with self._scrolling.kept():  # when it is shown for the first time, Qt scrolls to the text cursor
            super().showEvent(event)
        if not event.spontaneous():
            self._filling.start()
            self._page.highlighter.go_on()

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint bubbles and cards, then the words over them."""
        painter = QPainter(self.viewport())
        scrolled = self.verticalScrollBar().value()
        painter.translate(0, -scrolled)
        strip = QRectF(event.rect()).translated(0, scrolled)
        self._painting.paint(painter, strip)
        focused = self._place.focused
        if focused is not None and focused.frame is not None and self.has_keyboard():
            self._painting.paint_focus(painter, focused.frame)
        self._marks.paint(painter, strip)
        painter.end()
        super().paintEvent(event)

    def loadResource(self, _kind: int, _name: QUrl | str) -> Any:
        """Nothing: what a message names is never fetched, from the network or from the disk."""
        return None

    # Pointer

    def event(self, event: QEvent) -> bool:
        """Let the wheel scroll beside the column too."""
        if event.type() == QEvent.Type.Wheel:
            self.wheelEvent(cast(QWheelEvent, event))
            return True
        return super().event(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll; with Ctrl the text gets another size, for which Qt's own way knows only one font."""
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoomed.emit(event.angleDelta().y())
        else:
            super().wheelEvent(event)

    def viewportEvent(self, event: QEvent) -> bool:
        """Explain what is under the pointer; Qt's own way looks in the wrong place beside margins."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            point = QPointF(event.pos()) + QPointF(0, self.verticalScrollBar().value())
            at = self.document().documentLayout().hitTest(point, Qt.HitTestAccuracy.ExactHit)
            words = self.viewport().toolTip()
            if at >= 0:
                cursor = QTextCursor(self.document())
                cursor.setPosition(min(at + 1, self.document().characterCount() - 1))  # the format before it
                words = cursor.charFormat().toolTip() or words
            QToolTip.showText(event.globalPos(), words, self.viewport())
            return True
        return super().viewportEvent(event)

    def _document_point(self, event: QMouseEvent) -> QPointF:
        return event.position() + QPointF(0, self.verticalScrollBar().value())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Bring the actions to the message under the pointer."""
        super().mouseMoveEvent(event)
        point = self._document_point(event)
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._selecting.reach(point.y())
        pressed = event.buttons() != Qt.MouseButton.NoButton
        self._hover(None if pressed else target_at(self._page, point))
        index = self._page.index_at_y(point.y())
        self._hover_message(self._page.entries[index] if index >= 0 else None)

    def leaveEvent(self, event: QEvent) -> None:
        """Take the actions back to the last reply."""
        super().leaveEvent(event)
        self._hover(None)
        self._hover_message(None)

    def _hover_message(self, entry: Entry | None) -> None:
        if entry is not self._place.hovered:
            self._place.hovered = entry
            self._place_row()

    def _place_row(self) -> None:
        """Put the row of actions where it belongs; the marks of variants come and go with it."""
        if self._place.update():
            self.viewport().update()

    def _hover(self, target: Target | None) -> None:
        """Show whether a click would do something here."""
        card = target.card.firstPosition() if target is not None and target.card is not None else -1
        if card != self._painting.hovered_card:
            self._painting.hovered_card = card
            self.viewport().setToolTip("Copy this code" if card >= 0 else "")
            self.viewport().update()
        if (target is not None) != self._pointing:
            self._pointing = target is not None
            shape = Qt.CursorShape.PointingHandCursor if self._pointing else Qt.CursorShape.IBeamCursor
            self.viewport().setCursor(shape)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a click on a button of the page, or a selection."""
        self._keys.focus(None)
        left = event.button() == Qt.MouseButton.LeftButton
        self._pressed = target_at(self._page, self._document_point(event)) if left else None
        if self._pressed is None:
            super().mousePressEvent(event)
            if left:
                self._selecting.reach(self._document_point(event).y())  # with Shift it selects up to there

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a click on a button of the page, or a selection."""
        pressed, self._pressed = self._pressed, None
        if pressed is None:
            super().mouseReleaseEvent(event)
            event.accept()
        elif target_at(self._page, self._document_point(event)) == pressed:
            if pressed.card is not None:
                self._deeds.copy_card(pressed.card)
            if pressed.fold is not None:
                self._deeds.toggle_thought(pressed.fold)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Offer what can be done with the message under the pointer, and with the selected words."""
        by_key = event.reason() == QContextMenuEvent.Reason.Keyboard
        if by_key and QApplication.activePopupWidget() is not None:
            return  # the key has already opened it
        index = self._page.index_at_y(event.pos().y() + self.verticalScrollBar().value())
        entry = self._place.focused if by_key else None
        if entry is None and index >= 0:
            entry = self._page.entries[index]
        if entry is None:
            return
        menu = self._deeds.menu(entry)
        if self.textCursor().hasSelection():
            first = menu.actions()[0] if menu.actions() else None
            line = menu.addAction("Copy the selected words")
            line.triggered.connect(self.copy)
            if first is not None:
                menu.insertAction(first, line)
                menu.insertSeparator(first)
        self._deeds.open_menu(entry, event.globalPos(), menu)

    def _on_anchor(self, address: QUrl) -> None:
        self._deeds.open_link(address.toString())

    def _on_row_action(self, name: str) -> None:
        entry = self._page.find(self._row.message_id)
        if entry is not None:
            self._deeds.act(entry, name)

    def _on_row_step(self, step: int) -> None:
        entry = self._page.find(self._row.message_id)
        if entry is not None:
            self._deeds.step(entry, step)

    # Keyboard

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go from message to message, open a message's actions, copy."""
        if not self._keys.handle(event, selection=self.textCursor().hasSelection()):
            super().keyPressEvent(event)

    def has_keyboard(self) -> bool:
        """Whether the keyboard is here or on the buttons of a message."""
        return self.hasFocus() or self._row.has_keyboard

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab goes to the buttons and on, not through hundreds of links: those are in a message's menu."""
        return QWidget.focusNextPrevChild(self, forward)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show where the keyboard is."""
        super().focusInEvent(event)
        by_key = event.reason() in (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)
        if by_key and self._place.focused is None:
            self._keys.step(0)
        self._refresh()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Take the mark away, unless the keyboard only went on to the message's buttons."""
        super().focusOutEvent(event)
        self._refresh()

    # Selection

    def createMimeDataFromSelection(self) -> QMimeData:
        """The selected words as plain, readable text."""
        data = QMimeData()
        data.setText(selected_text(self._page, self._selecting.cursors()))
        return data

    def selected_text(self) -> str:
        """The selected words as they would be copied."""
        return selected_text(self._page, self._selecting.cursors()) if self.textCursor().hasSelection() else ""
