"""The dialog in which a person chooses how the words of a chat's replies are drawn."""

from collections.abc import Callable
from dataclasses import fields
from typing import Final

from PySide6.QtCore import QLocale, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from app.core.sampling import SamplerSettings
from app.gui import theme
from app.gui.parts import pad_number, scrolled, set_kind, small_words

_WIDTH: Final = 520
_HEIGHT: Final = 560
_LARGEST_SEED: Final = 2**32 - 1
_FIELDS: Final = (
    (
        "temperature",
        "Temperature",
        2.0,
        2,
        "Low is steady, high is varied. At 0 the likeliest word is always taken.",
    ),
    ("top_p", "Top-p", 1.0, 2, "Chooses among the likeliest words that together have this share; at 1 among all."),
    ("min_p", "Min-p", 1.0, 2, "Leaves out words that are less likely than this part of the likeliest; at 0 none."),
    ("top_k", "Top-k", 1_000.0, 0, "Chooses among so many of the likeliest words; at 0 among all."),
    ("repeat_penalty", "Repetition penalty", 2.0, 2, "Above 1, words that were used lately become less likely."),
)
"""A setting's name, its words, the most that can be chosen, its decimals, and what it does."""


class _Number(QDoubleSpinBox):
    """A number that the wheel does not change in passing, while the page is scrolled."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Only where the keyboard is."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class RepliesDialog(QDialog):
    """Temperature and the like; what is not shown stays as it was."""

    def __init__(self, settings: SamplerSettings, parent: QWidget, *, is_new: bool) -> None:
        """Show the settings of a chat; with `is_new` those that new chats begin with."""
        super().__init__(parent)
        self._numbers: dict[str, _Number] = {}
        self.setWindowTitle("Reply settings of new chats" if is_new else "Reply settings of this chat")
        self.setMinimumSize(360, 320)
        self.resize(min(theme.scaled(_WIDTH), self.screen().availableGeometry().width() * 9 // 10), _HEIGHT)
        page = QWidget(self)
        rows = QVBoxLayout(page)
        rows.setContentsMargins(20, 20, 20, 8)
        rows.setSpacing(12)
        where = "Later chats begin with it too." if is_new else "Other chats stay as they are."
        about = f"How the words of replies are chosen, from the next reply on. {where}"
        rows.addWidget(small_words(about, page))
        rows.addLayout(self._build_numbers(page))
        rows.addStretch(1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(scrolled(page, self), 1)
        whole.addWidget(self._build_buttons())
        self._show(settings)

    def settings(self) -> SamplerSettings:
        """What is chosen now."""
        chosen = {field.name: getattr(self._before, field.name) for field in fields(SamplerSettings)}
        for name, number in self._numbers.items():
            if number.value() != self._at_first[name]:  # what the field cannot show stays as it was till it is changed
                chosen[name] = number.value() if number.decimals() else round(number.value())
        chosen["seed"] = round(self.seed.value()) if self.fixed.isChecked() else None
        return SamplerSettings(**chosen)

    # --- building ----------------------------------------------------------------------------------------------------

    def _build_numbers(self, page: QWidget) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(0, 1)
        for name, words, most, decimals, about in _FIELDS:
            self._numbers[name] = self._number(page, words, most, decimals, about)
            self._add(grid, QLabel(words, page), self._numbers[name], small_words(about, page))
        self.fixed = QCheckBox("Always the same seed", page)
        self.seed = self._number(page, "Seed", _LARGEST_SEED, 0, "")
        self.fixed.toggled.connect(self.seed.setEnabled)
        about = "With the same seed, model and words the same reply comes again. Without it each one is new."
        self._add(grid, self.fixed, self.seed, small_words(about, page))
        return grid

    def _add(self, grid: QGridLayout, name: QWidget, number: QWidget, about: QWidget) -> None:
        row = grid.rowCount()
        grid.addWidget(name, row, 0)
        grid.addWidget(number, row, 1, Qt.AlignmentFlag.AlignRight)
        grid.addWidget(about, row + 1, 0, 1, 2)
        grid.setRowMinimumHeight(row + 2, 8)

    def _number(self, page: QWidget, words: str, most: float, decimals: int, about: str) -> _Number:
        number = _Number(page)
        number.setLocale(QLocale.c())  # as everywhere in the window
        number.setDecimals(decimals)
        pad_number(number)
        number.setRange(0.01 if words.startswith("Rep") else 0.0, most)
        number.setSingleStep(0.05 if decimals else 1.0)
        number.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        number.setMinimumHeight(32)
        number.setMinimumWidth(theme.scaled(120))
        number.setAccessibleName(words)
        number.setAccessibleDescription(about)
        return number

    def _build_buttons(self) -> QWidget:
        foot = QWidget(self)
        buttons = QDialogButtonBox(foot)
        self.save = buttons.addButton("Save", QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        self.back = buttons.addButton("Back to the usual", QDialogButtonBox.ButtonRole.ResetRole)
        set_kind(self.back, "quiet")
        self.back.clicked.connect(lambda: self._show(SamplerSettings()))
        set_kind(self.save, "primary")
        self.save.setDefault(True)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        row = QHBoxLayout(foot)
        row.setContentsMargins(20, 8, 20, 16)
        row.addWidget(buttons)
        return foot

    def _show(self, settings: SamplerSettings) -> None:
        self._before = settings
        for name, number in self._numbers.items():
            number.setValue(getattr(settings, name))
        self._at_first = {name: number.value() for name, number in self._numbers.items()}
        self.fixed.setChecked(settings.seed is not None)
        self.seed.setEnabled(settings.seed is not None)
        self.seed.setValue(settings.seed or 0)


def open_replies(
    parent: QWidget, settings: SamplerSettings, save: Callable[[SamplerSettings], None], *, is_new: bool
) -> RepliesDialog:
    """Show the dialog; `save` is given what was chosen."""
    dialog = RepliesDialog(settings, parent, is_new=is_new)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.accepted.connect(lambda: save(dialog.settings()))
    dialog.open()
    return dialog
