"""The model in use as a pill in the header: its name, the choice of another, and a load's progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from PySide6.QtCore import QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QFontMetrics,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import QMenu, QSizePolicy, QToolButton, QWidget

from app.gui import icons, theme
from app.gui.parts import icon_button, popup_menu, show_keys

SETTINGS_KEYS: Final = "Ctrl+Shift+M"
LIBRARY_KEYS: Final = "Ctrl+Shift+L"
NOT_USED: Final = "A GPU is not used. Why?"
HEIGHT: Final = 32
_ICON: Final = 18
_LEFT: Final = 12
_GAP: Final = 6
_CARET: Final = 14
_RIGHT: Final = 12
_CANCEL: Final = 24


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model that can be loaded."""

    name: str
    path: str
    detail: str = ""
    """A few words, such as `92 MiB · comes with Ember`."""
    current: bool = False


class ModelPill(QToolButton):
    """Opens the menu of models; while one loads it fills from the left and offers to cancel."""

    model_chosen = Signal(str)
    """The path of a GGUF file."""
    open_model_file = Signal()
    library = Signal()
    """All models, and those that can be downloaded, are asked for."""
    settings = Signal()
    """The settings of the model in use are asked for."""
    hint_asked = Signal(str)
    """A sentence about the computer that shall be shown in full."""
    unload = Signal()
    cancel_load = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name: str | None = None
        self._place = ""
        self._saving = ("", "")
        self._hints: tuple[str, ...] = ()
        self._progress: float | None = None
        self._loading = False
        self._choices: tuple[ModelChoice, ...] = ()
        self.setFont(theme.font("body"))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setMenu(popup_menu(self))
        self.menu().aboutToShow.connect(self._fill_menu)
        self.cancel_button = icon_button("close", "Cancel loading", self, _CANCEL)
        self.cancel_button.setIconSize(QSize(14, 14))
        self.cancel_button.clicked.connect(self.cancel_load)
        self.cancel_button.hide()
        self._show()

    # --- what it shows ------------------------------------------------------------------------------

    def set_models(self, choices: Sequence[ModelChoice]) -> None:
        """The models of the menu, in this order."""
        self._choices = tuple(choices)

    def set_model(self, name: str | None, place: str = "", saving: tuple[str, str] = ("", "")) -> None:
        """The loaded model and where it runs (`on the CPU`); None when there is none.

        `saving` says how its state is saved: in a few words, and in a sentence. Nothing happens if all is the same.
        """
        if (name, place, saving) == (self._name, self._place, self._saving):
            return
        self._name, self._place, self._saving = name, place, saving
        self._show()

    def set_hints(self, hints: Sequence[str]) -> None:
        """Sentences about the computer, such as that a GPU is there which this build cannot use."""
        self._hints = tuple(hints)
        self._show()

    def set_loading(self, loading: bool, fraction: float | None = None) -> None:
        """A load is under way, `fraction` (0 to 1) of it done; None while the engine starts again for it."""
        self._loading = loading
        self._progress = None if fraction is None else min(max(fraction, 0.0), 1.0)
        self._show()

    def words(self) -> str:
        """What the pill says when there is room."""
        if not self._loading:
            return self._idle()
        return "Starting again…" if self._progress is None else f"Loading {round(100 * self._progress)} %"

    # --- Qt's side ----------------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        """All the words; while loading as wide as before, so that nothing beside it moves."""
        metrics = QFontMetrics(self.font())
        widest = max(metrics.horizontalAdvance(words) for words in (self.words(), self._idle()))
        return QSize(widest + self._around() + 1, HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """The icon, a few letters and the caret."""
        return QSize(self._around() + QFontMetrics(self.font()).horizontalAdvance("Smol …"), HEIGHT)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The cancel button keeps to the right."""
        super().resizeEvent(event)
        self.cancel_button.move(self.width() - _CANCEL - 4, (self.height() - _CANCEL) // 2)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Pill, progress, icon, words, caret."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pill = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        path = QPainterPath()
        path.addRoundedRect(pill, pill.height() / 2, pill.height() / 2)
        over = self.underMouse() or self.isDown() or self.menu().isVisible()
        painter.fillPath(path, theme.color("hover" if over and not self._loading else "card"))
        if self._loading and self._progress is not None:
            painter.save()
            painter.setClipPath(path)
            done = QRectF(pill.left(), pill.top(), pill.width() * self._progress, pill.height())
            painter.fillRect(done, theme.color("selection"))
            painter.restore()
        focused = self.hasFocus()
        painter.setPen(QPen(theme.color("focus" if focused else "border"), 2 if focused else 1))
        painter.drawPath(path)
        self._paint_words(painter)
        painter.end()

    # --- inside -------------------------------------------------------------------------------------

    def _paint_words(self, painter: QPainter) -> None:
        middle = (self.height() - _ICON) // 2
        icons.icon("model").paint(painter, QRect(_LEFT, middle, _ICON, _ICON))
        left = _LEFT + _ICON + _GAP
        room = QRect(left, 0, self.width() - self._around(), self.height())
        chosen = self._name is not None or self._loading
        painter.setPen(theme.color("text" if chosen else "text_soft"))
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self.shown_words())
        if not self._loading:
            caret = QRect(self.width() - _RIGHT - _CARET, (self.height() - _CARET) // 2, _CARET, _CARET)
            icons.icon("down", "text_faint").paint(painter, caret)

    def shown_words(self) -> str:
        """What fits: all the words, or the name without its place, or the beginning of it."""
        metrics, room = QFontMetrics(self.font()), self.width() - self._around()
        words = self.words()
        if metrics.horizontalAdvance(words) > room and not self._loading and self._name is not None:
            words = self._name
        return metrics.elidedText(words, Qt.TextElideMode.ElideRight, room)

    def _around(self) -> int:
        return _LEFT + _ICON + _GAP + _GAP + _CARET + _RIGHT

    def _idle(self) -> str:
        if self._name is None:
            return "Choose a model"
        return f"{self._name} · {self._place}" if self._place else self._name

    def _show(self) -> None:
        words = self.words()
        self.cancel_button.setVisible(self._loading)
        self.setAccessibleName(words if self._loading else f"Model: {words}")
        how = self._saving[1] if not self._loading else ""
        about = " ".join(filter(None, (f"{words}.", how, *self._hints)))
        self.setToolTip(words if self._loading else f"<p>{escape(about)}</p><p>Click to choose another model.</p>")
        self.setAccessibleDescription(how)
        if self._name is None and not self._loading:
            self.setToolTip("No model is loaded. Click to choose one.")
        self.updateGeometry()
        self.update()

    def _fill_menu(self) -> None:
        menu: QMenu = self.menu()
        menu.clear()
        for choice in self._choices:
            words = f"{choice.name}   {choice.detail}" if choice.detail else choice.name
            action = QAction(words.replace("&", "&&"), menu)
            action.setToolTip(choice.path)
            action.setIcon(icons.icon("check") if choice.current else icons.blank())
            action.triggered.connect(lambda _=False, path=choice.path: self.model_chosen.emit(path))
            menu.addAction(action)
        if self._choices:
            menu.addSeparator()
        opens = QAction(icons.icon("folder"), "Open a GGUF file…", menu)
        opens.triggered.connect(self.open_model_file)
        menu.addAction(opens)
        library = QAction(icons.icon("model"), "All models…", menu)
        show_keys(library, LIBRARY_KEYS)
        library.triggered.connect(self.library)
        menu.addAction(library)
        if self._name is not None and self._saving[0]:
            menu.addSeparator()
            how = menu.addAction(icons.blank(), self._saving[0])
            how.setToolTip(self._saving[1])
            how.setEnabled(False)
        if self._name is not None:
            settings = QAction(icons.icon("instructions"), "Settings of this model…", menu)
            show_keys(settings, SETTINGS_KEYS)
            settings.triggered.connect(self.settings)
            menu.addAction(settings)
            leave = QAction(icons.blank(), "Unload the model", menu)
            leave.triggered.connect(self.unload)
            menu.addAction(leave)
        for hint in self._hints:
            menu.addSeparator()
            told = QAction(icons.icon("info"), NOT_USED, menu)
            told.setToolTip(hint)
            told.triggered.connect(lambda _=False, sentence=hint: self.hint_asked.emit(sentence))
            menu.addAction(told)
