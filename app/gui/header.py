"""The top of the page: the conversation's title, the model, and what can be done with the conversation."""

from collections.abc import Callable, Sequence
from typing import Final

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QMenu, QSizePolicy, QStackedWidget, QWidget

from app.core.units import format_bytes
from app.gui import icons, theme
from app.gui.library_indicator import DownloadIndicator
from app.gui.model_pill import ModelChoice, ModelPill
from app.gui.parts import ElidedLabel, claim_escape, icon_button, popup_menu, show_keys

__all__ = ["Header", "ModelChoice"]

EXPORT_KEYS: Final = "Ctrl+E"
RENAME_KEYS: Final = "F2"
HEIGHT: Final = 54
NARROW: Final = 600
"""Below this width, in pixels, one button fewer stands here."""
INSET: Final = 11
"""From the edge of the title's field to its words: they stay where they are when the field opens."""
PILL: Final = 160
"""What the pill may always take, in pixels."""


class _TitleEdit(QLineEdit):
    """The title while it is typed; Esc leaves it as it was."""

    committed = Signal()
    cancelled = Signal()

    def event(self, event: QEvent) -> bool:
        """Esc belongs to this field before it may stop a reply."""
        return claim_escape(event) or super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter is done, Esc gives up; neither goes on to the title behind, which would open again."""
        if event.key() == Qt.Key.Key_Escape:
            self.cancelled.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.committed.emit()
        else:
            super().keyPressEvent(event)


class EditableTitle(QStackedWidget):
    """A title that a double click or F2 turns into a field."""

    renamed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._can_rename = False
        self._typing = False
        self.label = ElidedLabel("", self)
        self.label.setFont(theme.font("title"))
        self.label.setContentsMargins(INSET, 0, INSET, 0)
        self.field = _TitleEdit(self)
        self.field.setFont(theme.font("strong"))
        self.field.setMaxLength(200)
        self.field.setAccessibleName("New title")
        self.addWidget(self.label)
        self.addWidget(self.field)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(36)
        self.field.committed.connect(self._commit)
        self.field.editingFinished.connect(self._commit)
        self.field.cancelled.connect(self._leave)

    def set_title(self, title: str, *, can_rename: bool) -> None:
        """Show a title; what is being typed is given up when it is another conversation's."""
        changed = title != self.label.text()
        self._can_rename = can_rename
        self.label.setText(title)
        self.setAccessibleName(f"Title: {self.label.text()}")
        self.setAccessibleDescription("F2 renames the chat." if can_rename else "")
        if changed and self.is_editing():
            self._leave()

    def title(self) -> str:
        """The title as it is."""
        return self.label.text()

    def is_editing(self) -> bool:
        """Whether the field is open."""
        return self._typing

    def start(self) -> None:
        """Open the field with the whole title selected."""
        if self._can_rename and not self.is_editing():
            self.field.setText(self.label.text())
            self._typing = True
            self.setCurrentWidget(self.field)
            self.field.selectAll()
            self.field.setFocus(Qt.FocusReason.OtherFocusReason)

    def mouseDoubleClickEvent(self, _event: QMouseEvent) -> None:
        """Rename in place."""
        self.start()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """F2 and Enter rename in place."""
        if event.key() in (Qt.Key.Key_F2, Qt.Key.Key_Return, Qt.Key.Key_Enter) and not self.is_editing():
            self.start()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The ring, when the keyboard is here."""
        super().paintEvent(event)
        if self.hasFocus():
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(theme.color("focus"))
            painter.drawRoundedRect(self.rect().adjusted(1, 1, -2, -2), 8, 8)
            painter.end()

    def _commit(self) -> None:
        if not self.is_editing():
            return
        title = " ".join(self.field.text().split())
        self._leave()
        if title and title != self.label.text():
            self.renamed.emit(title)

    def _leave(self) -> None:
        had_focus = self.field.hasFocus()
        self._typing = False  # first, as a field that hides says that editing has finished
        self.setCurrentWidget(self.label)
        if had_focus:
            self.setFocus(Qt.FocusReason.OtherFocusReason)


class Header(QWidget):
    """Title at the left; the model's pill, instructions, export and more at the right."""

    model_chosen = Signal(str)
    """The path of a GGUF file."""
    open_model_file = Signal()
    unload = Signal()
    cancel_load = Signal()
    export_requested = Signal()
    import_requested = Signal()
    import_folder_requested = Signal()
    rename_requested = Signal(str)
    """The new title."""
    delete_requested = Signal()
    instructions_requested = Signal()
    replies_requested = Signal()
    saving_chosen = Signal(bool)
    """Whether this chat's state may be saved."""
    remove_saved_requested = Signal()
    help_requested = Signal()
    """What is kept of this chat."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._of_chat: list[QAction] = []
        self.title = EditableTitle(self)
        self.downloads = DownloadIndicator(self)
        self.pill = ModelPill(self)
        self.instructions_button = icon_button("instructions", "Instructions for this chat…", self)
        self.instructions_button.clicked.connect(self.instructions_requested)
        self.export_button = icon_button("export", "Export or import", self)
        self.export_button.setMenu(self._build_export_menu())
        self.more_button = icon_button("more", "More for this chat", self)
        self.more_button.setMenu(self._build_more_menu())
        self._build()
        self.set_conversation(None)
        self.set_saved(is_let=True, saved=None)

    # --- what it shows ------------------------------------------------------------------------------

    def set_conversation(self, title: str | None) -> None:
        """The open conversation's title; None for a new one, of which nothing is kept yet."""
        self.title.set_title(title if title is not None else "New chat", can_rename=title is not None)
        for action in self._of_chat:
            action.setEnabled(title is not None)

    def set_saved(self, *, is_let: bool, saved: int | None) -> None:
        """Whether this chat's state may be saved, and the bytes that removing it would free; None: nothing is saved."""
        self._saves.setChecked(is_let)
        self._saves.setIcon(icons.icon("check") if is_let else icons.blank())
        size = f" ({format_bytes(saved)})" if saved is not None else ""
        self._removes.setText(f"Remove this chat's saved state{size}")
        self._removes.setEnabled(saved is not None)

    def set_model(self, name: str | None, place: str = "", saving: tuple[str, str] = ("", "")) -> None:
        """The loaded model, where it runs (`on the CPU`), and how its state is saved; None when there is none."""
        self.pill.set_model(name, place, saving)

    def set_models(self, choices: Sequence[ModelChoice]) -> None:
        """The models of the menu, in this order: the starter first."""
        self.pill.set_models(choices)

    def set_loading(self, loading: bool, fraction: float | None = None) -> None:
        """A load is under way, `fraction` (0 to 1) of it done; None while the engine starts again for it."""
        self.pill.set_loading(loading, fraction)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The title keeps its share of a narrow window; Instructions are in the menu too."""
        super().resizeEvent(event)
        narrow = self.width() < NARROW
        self.instructions_button.setVisible(not narrow)
        self.pill.setMaximumWidth(max(PILL, self.width() * (40 if narrow else 50) // 100))
        self._row.setContentsMargins((16 if narrow else 24) - INSET, 0, 8 if narrow else 16, 1)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The page's surface and a hairline below."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.color("page"))
        painter.fillRect(0, self.height() - 1, self.width(), 1, theme.color("border"))
        painter.end()

    # --- building -----------------------------------------------------------------------------------

    def _build(self) -> None:
        self.setFixedHeight(HEIGHT)
        self._row = row = QHBoxLayout(self)
        row.setSpacing(4)
        row.addWidget(self.title, 1)
        row.addSpacing(4)
        row.addWidget(self.downloads)
        row.addWidget(self.pill)
        row.addSpacing(4)
        for button in (self.instructions_button, self.export_button, self.more_button):
            row.addWidget(button)
        self.title.renamed.connect(self.rename_requested)
        self.pill.model_chosen.connect(self.model_chosen)
        self.pill.open_model_file.connect(self.open_model_file)
        self.pill.unload.connect(self.unload)
        self.pill.cancel_load.connect(self.cancel_load)

    def _build_export_menu(self) -> QMenu:
        menu = popup_menu(self.export_button)
        export = self._add(menu, "Export…", self.export_requested.emit, of_chat=True)
        show_keys(export, EXPORT_KEYS)
        show_keys(self._add(menu, "Import…", self.import_requested.emit), QKeySequence.StandardKey.Open)
        self._add(menu, "Import a folder…", self.import_folder_requested.emit)
        return menu

    def _build_more_menu(self) -> QMenu:
        menu = popup_menu(self.more_button)
        rename = self._add(menu, "Rename", self.title.start, of_chat=True)
        show_keys(rename, RENAME_KEYS)
        self._add(menu, "Instructions…", self.instructions_requested.emit)
        self._add(menu, "Reply settings…", self.replies_requested.emit)
        menu.addSeparator()
        self._saves = self._add(menu, "Save this chat's state", self._choose_saving, of_chat=True)
        self._saves.setCheckable(True)
        self._saves.setToolTip("The chat then goes on without being read again. Its text is kept in any case.")
        self._removes = self._add(menu, "Remove this chat's saved state", self.remove_saved_requested.emit)
        self._add(menu, "What is kept?", self.help_requested.emit)
        menu.addSeparator()
        self._add(menu, "Delete", self.delete_requested.emit, of_chat=True)
        return menu

    def _choose_saving(self) -> None:
        self.saving_chosen.emit(self._saves.isChecked())

    def _add(self, menu: QMenu, words: str, what: Callable[[], None], *, of_chat: bool = False) -> QAction:
        action = QAction(words, menu)
        action.triggered.connect(lambda _=False: what())
        menu.addAction(action)
        if of_chat:
            self._of_chat.append(action)
        return action
