"""What was measured of a model on this computer, in words and as a table, and measuring it again."""

from html import escape
from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from app.core.load_options import Calibration, Trial
from app.core.units import format_bytes, format_count
from app.gui.model_fields import words

NOT_MEASURED: Final = "What is fastest for this model here has not been measured yet."
OTHER: Final = "What is fastest with these settings is measured once the model is loaded with them."
HEADS: Final = ("Flash", "Threads", "At a time", "Follow-up", "Writing", "Reading")


class MeasuredBox(QWidget):
    """Shows a calibration; asks for another, which can be stopped."""

    measure_requested = Signal()
    stop_requested = Signal()

    def __init__(self, parent: QWidget) -> None:
        """Nothing was measured yet."""
        super().__init__(parent)
        self.sentence = words(NOT_MEASURED, self)
        self.trials = words("", self)
        self.trials.setTextFormat(Qt.TextFormat.RichText)
        self.trials.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.measure = QPushButton("Measure now", self)
        self.measure.setAutoDefault(False)
        self.measure.clicked.connect(self.measure_requested)
        self.progress = QProgressBar(self)
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName("Measuring")
        self.stop = QPushButton("Stop", self)
        self.stop.setAutoDefault(False)
        self.stop.clicked.connect(self.stop_requested)
        self.layout_may_change = QCheckBox("Flash attention may change", self)
        self.layout_hint = words("", self, "faint")
        self.outcome = words("", self)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.measure)
        row.addWidget(self.progress, 1)
        row.addWidget(self.stop)
        row.addStretch(0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        for widget in (self.sentence, self.trials):
            column.addWidget(widget)
        column.addWidget(self.layout_may_change)
        column.addWidget(self.layout_hint)
        column.addLayout(row)
        column.addWidget(self.outcome)
        self.set_saved(0)
        self.show_calibration(None)
        self.show_end()

    def show_calibration(self, calibration: Calibration | None, *, is_other: bool = False) -> None:
        """Show what was measured; None for nothing yet. `is_other`: of options that the model is not loaded with."""
        self.trials.setVisible(calibration is not None)
        self.measure.setText("Measure now" if calibration is None else "Measure again")
        if calibration is None:
            self.sentence.setText(OTHER if is_other else NOT_MEASURED)
            return
        best = calibration.best
        self.sentence.setText(
            f"Measured with {format_count(calibration.depth)} tokens in the context: fastest with flash attention "
            f"{'on' if best.flash_attention else 'off'}, {best.threads} threads and {best.batch} tokens at a time."
        )
        self.trials.setText(_table(calibration))

    @property
    def may_change_layout(self) -> bool:
        """Whether the person lets flash attention change, with what is saved."""
        return self.layout_may_change.isChecked() or self.layout_may_change.isHidden()

    @property
    def is_measuring(self) -> bool:
        """Whether it shows a measurement that is going on."""
        return not self.progress.isHidden()

    def set_saved(self, size: int) -> None:
        """What is saved of this model's chats, in bytes: only if the person lets it, a measurement makes it useless."""
        self.layout_hint.setText(
            f"The {format_bytes(size)} that are saved of this model's chats could then not be used."
        )
        self.layout_may_change.setAccessibleDescription(self.layout_hint.text())
        for widget in (self.layout_may_change, self.layout_hint):
            widget.setVisible(size > 0)

    def set_enabled(self, enabled: bool) -> None:
        """Offer to measure."""
        self.measure.setEnabled(enabled)
        self.layout_may_change.setEnabled(enabled)

    def show_progress(self, done: int, total: int) -> None:
        """It is being measured; `total` 0 while that begins."""
        self._set_measuring(True)
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.outcome.hide()

    def show_end(self, sentence: str = "") -> None:
        """The measurement is over; a sentence where there is something to say."""
        had_focus = self.stop.hasFocus()
        self._set_measuring(False)
        self.outcome.setText(sentence)
        self.outcome.setVisible(bool(sentence))
        if had_focus:
            self.measure.setFocus(Qt.FocusReason.OtherFocusReason)

    def _set_measuring(self, measuring: bool) -> None:
        self.measure.setVisible(not measuring)
        self.progress.setVisible(measuring)
        self.stop.setVisible(measuring)


def _table(calibration: Calibration) -> str:
    """All that was tried as rich text, the best in bold; tokens a second."""
    rows = [_row(HEADS)]
    rows += [_row(_cells(trial), bold=trial == calibration.best) for trial in calibration.trials]
    return f"<table cellspacing='2'>{''.join(rows)}</table><p>The last three are tokens a second.</p>"


def _cells(trial: Trial) -> tuple[str, ...]:
    rates = (trial.follow_up, trial.decode, trial.prefill)
    shown = (f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}" for rate in rates)
    return ("on" if trial.flash_attention else "off", str(trial.threads), str(trial.batch), *shown)


def _row(cells: tuple[str, ...], *, bold: bool = False) -> str:
    before, after = ("<b>", "</b>") if bold else ("", "")
    return f"<tr>{''.join(f'<td align=right>{before}{escape(cell)}{after}&nbsp;&nbsp;</td>' for cell in cells)}</tr>"
