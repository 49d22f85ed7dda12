"""The list itself: keys, clicks, the context menu and editing in place."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QModelIndex, QPoint, Qt, Signal
from PySide6.QtGui import QAction, QContextMenuEvent, QKeyEvent, QKeySequence, QMouseEvent
from PySide6.QtWidgets import QAbstractItemDelegate, QAbstractItemView, QFrame, QListView, QMenu, QWidget

from app.gui.parts import popup_menu
from app.gui.sidebar.delegate import ConversationDelegate
from app.gui.sidebar.item import SidebarItem
from app.gui.sidebar.model import ConversationModel, Index


class ConversationList(QListView):
    """Opens with a click or the arrow keys, finds by typing, renames with F2, deletes with Delete alone."""

    opened = Signal(str)
    rename_requested = Signal(str, str)
    delete_requested = Signal(str)
    export_requested = Signal(str)
    settled = Signal()
    """A chat was chosen by a click or with Enter, not only passed by the arrow keys."""

    def __init__(self, model: ConversationModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._delegate = ConversationDelegate(self)
        self._current: str | None = None
        self._quiet = False
        self._scroll = 0
        self.setModel(model)
        self.setItemDelegate(self._delegate)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAccessibleName("Chats")
        self.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setMouseTracking(True)
        self.viewport().setAutoFillBackground(False)
        self.clicked.connect(self.settled)
        model.renamed.connect(self.rename_requested)
        model.modelAboutToBeReset.connect(self._remember_scroll)
        model.modelReset.connect(self._restore)

    @property
    def current(self) -> str | None:
        """The conversation that is open, shown in the list or not."""
        return self._current

    def set_current(self, conversation: str | None) -> None:
        """Mark a conversation as the open one without reporting it as opened."""
        self._current = conversation
        index = self._model.index_of(conversation)
        self._show_current(index)
        if index.isValid():
            self.scrollTo(index)

    def open_first(self) -> None:
        """Open the topmost conversation, if there is one."""
        index = self._model.first()
        if index.isValid():
            self._open(index)

    def rename_current(self) -> bool:
        """Let the title of the row that the keyboard is on be typed in place; False if there is none."""
        index = self.currentIndex()
        if index.isValid():
            self.edit(index)
        return index.isValid()

    def measure(self) -> None:
        """Take the fonts anew and lay the rows out."""
        self._delegate.measure()
        self.scheduleDelayedItemsLayout()

    def build_menu(self, item: SidebarItem) -> QMenu:
        """The menu of one conversation; it deletes itself when it closes."""
        menu = popup_menu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        rename = QAction("Rename", menu)
        rename.setShortcut(QKeySequence(Qt.Key.Key_F2))
        rename.triggered.connect(lambda: self.edit(self._model.index_of(item.id)))
        menu.addAction(rename)
        export = QAction("Export…", menu)
        export.triggered.connect(lambda: self.export_requested.emit(item.id))
        menu.addAction(export)
        menu.addSeparator()
        delete = QAction("Delete", menu)
        delete.setShortcut(QKeySequence(Qt.Key.Key_Delete))
        delete.triggered.connect(lambda: self.delete_requested.emit(item.id))
        menu.addAction(delete)
        return menu

    # --- Qt's side ----------------------------------------------------------------------------------

    def currentChanged(self, current: Index, previous: Index) -> None:
        """Open what the arrow keys, a click or typing went to."""
        super().currentChanged(current, previous)
        item = self._model.item_at(current.row()) if current.isValid() else None
        if item is not None and not self._quiet and item.id != self._current:
            self._current = item.id
            self.opened.emit(item.id)

    def dataChanged(self, top_left: Index, bottom_right: Index, roles: Sequence[int] = ()) -> None:
        """Paint the row again; QListView would lay all rows out (34 ms for 10,000), and no height changed."""
        QAbstractItemView.dataChanged(self, top_left, bottom_right, roles)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Delete asks to delete, Enter opens; Backspace does nothing at all."""
        item = self._current_item()
        key = event.key()
        if key == Qt.Key.Key_Backspace:
            event.accept()
        elif key == Qt.Key.Key_Delete and event.modifiers() == Qt.KeyboardModifier.NoModifier:
            if item is not None:
                self.delete_requested.emit(item.id)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and item is not None:
            self.opened.emit(item.id)
            self.settled.emit()
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Only the left button opens; the right one belongs to the menu."""
        if event.button() == Qt.MouseButton.LeftButton:
            super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Hovering only: sweeping over the list with the button down opens nothing."""
        if event.buttons() == Qt.MouseButton.NoButton:
            super().mouseMoveEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """The menu of the row under the pointer, or of the current one when the keyboard asked."""
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            index = self.currentIndex()
            place = self.viewport().mapToGlobal(self.visualRect(index).bottomLeft() + QPoint(28, 0))
        else:
            index, place = self.indexAt(event.pos()), event.globalPos()
        item = self._model.item_at(index.row()) if index.isValid() else None
        if item is None:
            return
        menu = self.build_menu(item)
        self._mark(item.id)
        menu.aboutToHide.connect(lambda: self._mark(None))
        menu.popup(place)

    def closeEditor(self, editor: QWidget, hint: QAbstractItemDelegate.EndEditHint) -> None:
        """Editing has ended (the delegate made the model hold still): show what changed meanwhile."""
        super().closeEditor(editor, hint)
        self._model.hold(False)

    def changeEvent(self, event: QEvent) -> None:
        """Rows are as high as the fonts ask."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self.measure()

    # --- inside -------------------------------------------------------------------------------------

    def _current_item(self) -> SidebarItem | None:
        index = self.currentIndex()
        return self._model.item_at(index.row()) if index.isValid() else None

    def _open(self, index: QModelIndex) -> None:
        item = self._model.item_at(index.row())
        if item is not None:
            self.set_current(item.id)
            self.opened.emit(item.id)

    def _mark(self, conversation: str | None) -> None:
        self._delegate.marked = conversation
        self.viewport().update()

    def _show_current(self, index: QModelIndex) -> None:
        self._quiet = True
        try:
            self.setCurrentIndex(index)
            if not index.isValid():
                self.clearSelection()
        finally:
            self._quiet = False

    def _remember_scroll(self) -> None:
        self._scroll = self.verticalScrollBar().value()

    def _restore(self) -> None:
        """After a reset: the same chat is current, and the list stands where it stood."""
        self._show_current(self._model.index_of(self._current))
        self.executeDelayedItemsLayout()
        self.verticalScrollBar().setValue(self._scroll)
