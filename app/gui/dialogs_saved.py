"""The settings of saved state: whether it is saved, how much of the disk it may take, and checking it."""

import math
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QLocale, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.core.units import format_bytes
from app.gui import theme
from app.gui.budget_slider import SMALLEST, BudgetSlider
from app.gui.pages_dialog import PagesDialog
from app.gui.parts import pad_number, scrolled, set_kind, set_tone
from app.gui.saved_shares_model import CHATS, MODELS
from app.gui.saved_shares_page import SharesPage

GIB: Final = 1024**3
LARGEST: Final = 99_999 * GIB
"""Bytes that the field takes while it is not known what the disk has."""
SIZE: Final = QSize(800, 580)
MINIMUM: Final = QSize(400, 360)
AT_ONCE: Final = "What you do here takes effect at once, and what is cleared cannot be brought back. All texts stay."
MOST_BY_DEFAULT: Final = 10 * GIB
"""A disk with much room gets this instead of a tenth of it."""


@dataclass(frozen=True, slots=True)
class SavedChoice:
    """What the person chose."""

    is_on: bool
    budget: int | None
    """Bytes; None for the default."""


@dataclass(frozen=True, slots=True)
class SavedTotals:
    """What there is; bytes."""

    used: int
    budget: int
    written: int
    """Ever."""
    disk_free: int
    set_aside: int
    """Damaged files."""
    written_today: int = 0
    pinned: int = 0
    """What the pinned chats take together."""


class SavedStateDialog(PagesDialog):
    """Shows and changes the settings of saved state; `choice()` after it was accepted."""

    check_requested = Signal()
    stop_requested = Signal()

    def __init__(self, choice: SavedChoice, default: int, parent: QWidget) -> None:
        """Show a choice; `default` is the default budget in bytes, 0 while it is not known."""
        super().__init__("Saved state", SIZE, MINIMUM, parent)
        self._before, self._default = choice, default
        self._totals: SavedTotals | None = None
        self._build()
        self._show_choice(choice)
        self.switch.toggled.connect(self._explain)
        self.budget.valueChanged.connect(self._budget_changed)
        self.slider.chosen.connect(lambda size: self.budget.setValue(size / GIB))
        self.tabs.currentChanged.connect(self._offer_buttons)
        self._explain()

    # --- what it shows -----------------------------------------------------------------------------------------------

    def choice(self) -> SavedChoice:
        """What is chosen now; a budget that nobody touched stays as it was, to the byte."""
        value = self.budget.value()
        budget: int | None = round(value * GIB)
        if value == self._shown(self._before.budget):
            budget = self._before.budget
        elif value == self._shown(None):
            budget = None
        return SavedChoice(self.switch.isChecked(), budget)

    def show_totals(self, totals: SavedTotals) -> None:
        """Show what there is."""
        self._totals = totals
        self.used.setText(f"{format_bytes(totals.used)} of {format_bytes(totals.budget)}")
        self.written.setText(f"{format_bytes(totals.written_today)} today, {format_bytes(totals.written)} ever")
        self.free.setText(format_bytes(totals.disk_free))
        self.set_aside.setText(f"{format_bytes(totals.set_aside)}; never used, and removed with the next clearing")
        self._form.setRowVisible(self.set_aside, totals.set_aside > 0)
        self._set_scale()
        self._explain()

    def set_check_enabled(self, enabled: bool) -> None:
        """Offer the check."""
        self.check.setEnabled(enabled)

    def show_progress(self, done: int, total: int) -> None:
        """The check runs; `total` 0 while it begins."""
        self._check_row.setCurrentIndex(1)
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.outcome.clear()

    def show_result(self, words: str, tone: str = "soft") -> None:
        """The check is over."""
        had_focus = self.stop.hasFocus()
        self._check_row.setCurrentIndex(0)
        self.outcome.setText(words)
        set_tone(self.outcome, tone)
        if had_focus:
            self.check.setFocus(Qt.FocusReason.OtherFocusReason)

    # --- building ----------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.chats = SharesPage("Saved state by chat", CHATS, AT_ONCE, "There are no chats yet.", self)
        self.models = SharesPage("Saved state by model", MODELS, AT_ONCE, "Nothing is saved yet.", self)
        button = QDialogButtonBox.StandardButton
        pages = {"Saving": self._build_saving(), "Chats": self.chats, "Models": self.models}
        self.put_in("Pages of the saved state", pages, button.Save | button.Cancel | button.Close)
        self.save, self.cancel, self.leave = map(self.buttons.button, (button.Save, button.Cancel, button.Close))
        set_kind(self.save, "primary")

    def _build_saving(self) -> QWidget:
        """The switch, the budget, what there is, and the check; it scrolls in a low window."""
        self.switch = QCheckBox("Save chats' state on this disk", self)
        about = self._words("A chat then goes on where it was, without being read again. Texts are always kept.")
        self.off = self._words("", "warning")
        self._form = QFormLayout()
        self._form.setVerticalSpacing(8)
        self._form.setHorizontalSpacing(16)
        self._form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self._form.addRow("At most", self._budget_row())
        self.default_line = self._words("", "faint")
        self.too_small, self.too_pinned = self._words("", "warning"), self._words("", "warning")
        for line in (self.default_line, self.too_small, self.too_pinned):
            self._form.addRow("", line)
        self.used, self.written, self.free, self.set_aside = (self._words("…") for _ in range(4))
        for name, label in (
            ("Used now", self.used),
            ("Written", self.written),
            ("Free on the disk", self.free),
            ("Damaged, set aside", self.set_aside),
        ):
            self._form.addRow(name, label)
            label.setFont(theme.font("body"))
            label.setAccessibleName(name)
        self.written.setToolTip("Today: since Ember first looked today. The counts begin anew if the index is lost.")
        self._form.setRowVisible(self.set_aside, False)
        self.outcome = self._words("")
        page = QWidget(self)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 12, 12, 0)
        column.setSpacing(8)
        for widget in (self.switch, about, self.off):
            column.addWidget(widget)
        column.addSpacing(8)
        column.addLayout(self._form)
        column.addSpacing(8)
        column.addWidget(self._build_check())
        column.addWidget(self.outcome)
        column.addStretch(1)
        return scrolled(page, self)

    def _words(self, text: str, tone: str = "soft") -> QLabel:
        label = QLabel(text, self)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setFont(theme.font("small"))
        label.setWordWrap(True)
        label.setProperty("tone", tone)
        return label

    def _budget_row(self) -> QHBoxLayout:
        self.slider = BudgetSlider(self)
        self.slider.setAccessibleName("Disk space for saved state")
        self.budget = QDoubleSpinBox(self)
        self.budget.setLocale(QLocale.c())
        self.budget.setDecimals(2)
        pad_number(self.budget)
        self.budget.setSingleStep(0.25)
        self.budget.setRange(SMALLEST / GIB, LARGEST / GIB)
        self.budget.setSuffix(" GiB")
        self.budget.setMinimumHeight(32)
        self.budget.setAccessibleName("Disk space for saved state, in GiB")
        self.to_default = QPushButton("Default", self)
        self.to_default.setProperty("kind", "quiet")
        self.to_default.clicked.connect(lambda: self.budget.setValue(self._shown(None)))
        self.to_default.setVisible(self._default > 0)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.slider, 1)
        row.addWidget(self.budget)
        row.addWidget(self.to_default)
        return row

    def _build_check(self) -> QWidget:
        """The button, or in its place the progress of the check with a way to stop it."""
        self.check = QPushButton("Check the files", self)
        self.check.setToolTip("Reads every file of the saved state, and sets aside what is damaged.")
        self.check.setAccessibleDescription(self.check.toolTip())
        self.check.setAutoDefault(False)
        self.check.clicked.connect(self.check_requested)
        self.progress = QProgressBar(self)
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName("Checking the saved state")
        self.stop = QPushButton("Stop", self)
        self.stop.setAutoDefault(False)
        self.stop.clicked.connect(self.stop_requested)
        self._check_row = QStackedWidget(self)
        for widgets in ((self.check, None), (self.progress, self.stop)):
            page = QWidget(self._check_row)
            row = QHBoxLayout(page)
            row.setContentsMargins(0, 0, 0, 0)
            row.setSpacing(8)
            first, second = widgets
            row.addWidget(first, 1 if second is not None else 0)
            if second is not None:
                row.addWidget(second)
            else:
                row.addStretch(1)
            self._check_row.addWidget(page)
        self._check_row.setSizePolicy(
            self._check_row.sizePolicy().horizontalPolicy(), self.check.sizePolicy().Policy.Fixed
        )
        return self._check_row

    # --- inside ------------------------------------------------------------------------------------------------------

    def _show_choice(self, choice: SavedChoice) -> None:
        self.switch.setChecked(choice.is_on)
        self.budget.setValue(self._shown(choice.budget))
        self._set_scale()
        self.slider.set_bytes(round(self.budget.value() * GIB))
        if self._default:
            share = "" if self._default >= MOST_BY_DEFAULT else " (a tenth of what the disk had free at first)"
            self.default_line.setText(f"Default: {format_bytes(self._default)}{share}.")

    def _shown(self, budget: int | None) -> float:
        """A budget as the field shows it, in GiB; None for the default."""
        size = self._default if budget is None else budget
        return round(min(max(size, SMALLEST), LARGEST) / GIB, 2)

    def _set_scale(self) -> None:
        """As far as the disk has room, and never below what is chosen."""
        known = self._totals
        room = known.used + known.disk_free if known is not None else 0
        largest = max(room, self._default, round(self.budget.value() * GIB), self._before.budget or 0)
        self.slider.set_scale(largest, known.used if known is not None else 0)
        if known is not None and known.disk_free:
            self.budget.setMaximum(math.ceil(100 * largest / GIB) / 100)

    def _budget_changed(self, value: float) -> None:
        self.slider.set_bytes(round(value * GIB))
        self._explain()

    def _explain(self) -> None:
        """What follows from the choice."""
        used = self._totals.used if self._totals is not None else 0
        off = ""
        if not self.switch.isChecked():
            off = "Nothing is written any more."
            if used:
                off += f" The {format_bytes(used)} that are saved stay, unused, until you clear them."
        chosen = self.choice().budget
        budget = self._default if chosen is None else chosen
        over = used - budget if self._totals is not None else 0
        goes = f"{format_bytes(over)} of what was used longest ago will be removed." if over > 0 else ""
        pinned = pins_warning(self._totals.pinned if self._totals is not None else 0, budget)
        self.off.setText(off)
        self.off.setVisible(bool(off))
        for label, words in ((self.too_small, "" if pinned else goes), (self.too_pinned, pinned)):
            label.setText(words)
            self._form.setRowVisible(label, bool(words))
        self._form.setRowVisible(self.default_line, self._default > 0)
        self._offer_buttons()

    def _offer_buttons(self) -> None:
        """Save where there is something to save: on the first page, and elsewhere while a change of it waits."""
        can_save = self.tabs.currentIndex() == 0 or self.choice() != self._before
        for button in (self.save, self.cancel):
            button.setVisible(can_save)
        self.leave.setVisible(not can_save)


def pins_warning(pinned: int, budget: int) -> str:
    """What follows from pinned chats that take more than the budget; empty where they do not."""
    if not budget or pinned <= budget:
        return ""
    return (
        f"The pinned chats take {format_bytes(pinned)}, more than the {format_bytes(budget)} that may be saved. "
        "Nothing else is saved until you unpin some or allow more."
    )
