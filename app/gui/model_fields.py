"""The fields of a model's settings: a number that may be automatic, a choice, a switch, each with what it costs."""

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QEvent, QLocale, QObject, QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QSlider, QSpinBox, QVBoxLayout, QWidget

from app.core.units import format_bytes
from app.gui import theme
from app.gui.parts import pad_number, set_tone

UNKNOWN: Final = "–"
"""What stands for an automatic number that is not known yet."""
_HEIGHT: Final = 32


def words(text: str, parent: QWidget, tone: str = "soft") -> QLabel:
    """A small label of plain text that breaks into lines."""
    label = QLabel(text, parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setFont(theme.font("small"))
    label.setWordWrap(True)
    label.setProperty("tone", tone)
    return label


def cost_words(cost: int | None) -> str:
    """What a change costs, such as `+92 MiB`; empty where it is not known."""
    if cost is None:
        return ""
    if cost == 0:
        return "same memory"
    return f"{'+' if cost > 0 else '−'}{format_bytes(abs(cost))}"


class StillWheel(QObject):
    """Keeps the wheel for the page that scrolls: turning it over a field changes nothing unless the field is in use."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Pass the wheel on to what lies around a field without the focus."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False


class Field(QWidget):
    """A name, beside it what the change costs, the editor below, and a line that explains it."""

    changed = Signal()

    def __init__(self, name: str, hint: str, parent: QWidget) -> None:
        """`hint` is a sentence or two."""
        super().__init__(parent)
        self.name = QLabel(name, self)
        self.name.setFont(theme.font("small_strong"))
        self.cost = words("", self, "faint")
        self.cost.setWordWrap(False)
        self.hint = words(hint, self, "faint")
        self.hint.setVisible(bool(hint))
        self._editor: QWidget = self
        """What a screen reader stands on."""
        self._wheel = StillWheel(self)
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self.name, 1)
        head.addWidget(self.cost)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        self._column.addLayout(head)
        self._column.addWidget(self.hint)

    def set_hint(self, hint: str) -> None:
        """Explain it otherwise."""
        self.hint.setText(hint)
        self.hint.setVisible(bool(hint))

    def show_cost(self, cost: int | None, *, is_changed: bool) -> None:
        """What it takes more than on opening, in bytes; None while that is not known."""
        self.cost.setText(cost_words(cost) if is_changed else "")
        set_tone(self.cost, "warning" if cost is not None and cost > 0 else "soft")
        self._tell()

    def _tell(self) -> None:
        """What a screen reader says of the editor after its name."""
        self._editor.setAccessibleDescription(" ".join(filter(None, (self.cost.text(), self.hint.text()))))

    def _add_row(self, *widgets: QWidget, stretch: QWidget | None = None) -> None:
        """The editor's row, between the name and the hint."""
        row = QHBoxLayout()
        row.setSpacing(8)
        for widget in widgets:
            widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            widget.installEventFilter(self._wheel)
            row.addWidget(widget, 1 if widget is stretch else 0)
        if stretch is None:
            row.addStretch(1)
        self._column.insertLayout(1, row)


class NumberField(Field):
    """A whole number, or what Ember chooses; with stops it has a slider too."""

    def __init__(self, name: str, hint: str, parent: QWidget, *, least: int, most: int, slider: bool = False) -> None:
        """From `least` to `most`, both included."""
        super().__init__(name, hint, parent)
        self._least, self._most = least, most
        self._automatic: int | None = None
        self._stops: tuple[int, ...] = ()
        self._editor = self.spin = QSpinBox(self)
        self.spin.setLocale(QLocale(QLocale.Language.English, QLocale.Country.UnitedStates))
        self.spin.setGroupSeparatorShown(True)
        pad_number(self.spin)
        self.spin.setMinimumHeight(_HEIGHT)
        self.spin.setAccessibleName(name)
        self.spin.setKeyboardTracking(False)  # half a number is none
        self.spin.valueChanged.connect(lambda _value: self._chosen())
        self.automatic = QCheckBox("Automatic", self)
        self.automatic.setAccessibleName(f"{name}: automatic")
        self.automatic.toggled.connect(self._toggled)
        self.slider: QSlider | None = None
        if slider:
            self.slider = QSlider(Qt.Orientation.Horizontal, self)
            self.slider.setMinimumWidth(96)
            self.slider.setAccessibleName(f"{name}, slider")
            self.slider.valueChanged.connect(self._slid)
            self._add_row(self.slider, self.spin, self.automatic, stretch=self.slider)
        else:
            self._add_row(self.spin, self.automatic)
        self.set_value(None)

    def value(self) -> int | None:
        """The number; None for automatic."""
        return None if self.automatic.isChecked() else self.spin.value()

    def set_value(self, value: int | None) -> None:
        """Show a number, or (None) the automatic one; nothing is emitted."""
        with QSignalBlocker(self.automatic):
            self.automatic.setChecked(value is None)
        self._show(value)

    def set_automatic(self, value: int | None) -> None:
        """The number that Ember would take; None while it is not known."""
        self._automatic = value
        if self.automatic.isChecked():
            self._show(None)

    def set_range(self, least: int, most: int, stops: Sequence[int] = ()) -> None:
        """Other limits, and where the slider stops; a number beyond them stays as it was chosen."""
        value = self.value()
        self._least, self._most = least, max(most, value or 0)
        self._stops = tuple(stops) if stops else ()
        self._show(value)

    def _show(self, value: int | None) -> None:
        number = self._automatic if value is None else value
        with QSignalBlocker(self.spin):
            unknown = number is None
            self.spin.setRange(self._least - (1 if unknown else 0), max(self._most, number or 0))
            self.spin.setSpecialValueText(UNKNOWN if unknown else "")
            self.spin.setValue(self._least - 1 if number is None else number)
        self._place_slider(number)

    def _place_slider(self, number: int | None) -> None:
        if self.slider is None:
            return
        with QSignalBlocker(self.slider):
            if self._stops:
                last = len(self._stops) - 1
                at = min(range(len(self._stops)), key=lambda place: abs(self._stops[place] - (number or 0)))
            else:
                last = self._most - self._least
                at = (number or self._least) - self._least
            self.slider.setRange(0, last)
            self.slider.setPageStep(1 if self._stops else max(1, last // 8))
            self.slider.setValue(at)
            self.slider.setEnabled(last > 0)

    def _slid(self, place: int) -> None:
        number = self._stops[place] if self._stops else self._least + place
        with QSignalBlocker(self.automatic):
            self.automatic.setChecked(False)
        self._show(number)
        self.changed.emit()

    def _chosen(self) -> None:
        """A number was typed or stepped to."""
        number = max(self._least, self.spin.value())
        with QSignalBlocker(self.automatic):
            self.automatic.setChecked(False)
        self._show(number)
        self.changed.emit()

    def _toggled(self, is_automatic: bool) -> None:
        if is_automatic or self._automatic is not None:
            self._show(None)
        else:
            self._show(self._least)
        self.changed.emit()


class ChoiceField(Field):
    """One of a few values, each in words."""

    def __init__(self, name: str, hint: str, parent: QWidget, choices: Sequence[tuple[str, str]]) -> None:
        """`choices` are values and their words."""
        super().__init__(name, hint, parent)
        self._editor = self.combo = QComboBox(self)
        self.combo.setMinimumHeight(_HEIGHT)
        self.combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)  # its words may change
        self.combo.setAccessibleName(name)
        for value, label in choices:
            self.combo.addItem(label, value)
        self.combo.currentIndexChanged.connect(lambda _index: self.changed.emit())
        self._add_row(self.combo)

    def value(self) -> str:
        """What is chosen."""
        return str(self.combo.currentData())

    def set_value(self, value: str) -> None:
        """Show a choice; nothing is emitted."""
        with QSignalBlocker(self.combo):
            self.combo.setCurrentIndex(self.combo.findData(value))

    def set_words(self, value: str, label: str) -> None:
        """Say a choice in other words."""
        self.combo.setItemText(self.combo.findData(value), label)


class SwitchField(Field):
    """On or off; its name is the switch's own."""

    def __init__(self, name: str, hint: str, parent: QWidget) -> None:
        super().__init__("", hint, parent)
        self._editor = self.switch = QCheckBox(name, self)
        self.switch.toggled.connect(lambda _on: self.changed.emit())
        self.name.hide()
        self.cost.setParent(self)
        self._add_row(self.switch, self.cost, stretch=self.switch)

    def value(self) -> bool:
        """Whether it is on."""
        return self.switch.isChecked()

    def set_value(self, on: bool) -> None:
        """Switch it; nothing is emitted."""
        with QSignalBlocker(self.switch):
            self.switch.setChecked(on)


class ManyField(Field):
    """Some of a few things, at least one; all of them is the automatic choice."""

    def __init__(self, name: str, hint: str, parent: QWidget) -> None:
        super().__init__(name, hint, parent)
        self._switches: dict[str, QCheckBox] = {}

    def set_choices(self, choices: Sequence[tuple[str, str]]) -> None:
        """What there is to choose from: keys and their words; done once."""
        if self._switches:
            return
        for key, label in choices:
            switch = QCheckBox(label.replace("&", "&&"), self)
            switch.setChecked(True)
            switch.toggled.connect(lambda on, box=switch: self._toggled(box, on))
            self._switches[key] = switch
            self._column.insertWidget(self._column.count() - 1, switch)

    def value(self) -> tuple[str, ...] | None:
        """The chosen ones; None for all."""
        chosen = tuple(key for key, switch in self._switches.items() if switch.isChecked())
        return None if len(chosen) == len(self._switches) else chosen

    def set_value(self, chosen: tuple[str, ...] | None) -> None:
        """Show a choice; nothing is emitted."""
        for key, switch in self._switches.items():
            with QSignalBlocker(switch):
                switch.setChecked(chosen is None or key in chosen)

    def _toggled(self, switch: QCheckBox, on: bool) -> None:
        if not on and not any(other.isChecked() for other in self._switches.values()):
            with QSignalBlocker(switch):
                switch.setChecked(True)  # the last one stays; no layer on the GPU is the other field's business
            return
        self.changed.emit()
