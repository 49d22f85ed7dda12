"""What a model would take with the options that are being chosen: the verdict, and a bar with figures by device."""

from dataclasses import dataclass
from html import escape
from typing import Final

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from app.core.units import format_bytes, format_count
from app.gui import theme
from app.gui.gauges.gauge import Gauge
from app.gui.gauges.reading import Reading, Segment
from app.gui.model_fields import words
from app.gui.parts import paint_card, set_tone
from app.protocol.parts import Device, DeviceEstimate, MemoryPlan

WORKING: Final = "Working it out…"
TONES: Final = {"fits": "", "fewer_layers": "soft", "does_not_fit": "warning"}
ESTIMATED: Final = "Worked out from the file's header; llama.cpp's own figures could not be had."


def device_name(name: str, devices: tuple[Device, ...]) -> str:
    """What a device is called beside its bar."""
    if name == "CPU":
        return "RAM"
    return next((device.description or device.name for device in devices if device.name == name), name)


def read_estimate(estimate: DeviceEstimate, devices: tuple[Device, ...]) -> Reading:
    """What a model would take of one device, as a gauge shows it."""
    name = device_name(estimate.device, devices)
    own = max(0, estimate.other)
    others = max(0, estimate.total_bytes - estimate.free_bytes)
    left = max(0, estimate.free_bytes - estimate.total)
    segments = (
        _part("weights of the model", estimate.weights, "weights"),
        _part("KV, the chat's memory", estimate.kv, "kv_used"),
        _part("compute buffers", estimate.compute, "compute"),
        _part("Ember's own share", own, "text_soft"),
        _part("other programs", others, "other"),
        _part("free after that", left, "track"),
    )
    over = estimate.total - estimate.free_bytes
    taken = format_bytes(estimate.weights + estimate.kv + estimate.compute)  # as the verdict's sentence counts
    return Reading(
        (name,),
        figures=(f"{taken} of {format_bytes(estimate.free_bytes)} free", taken),
        segments=tuple(part for part in segments if part.value > 0),
        total=estimate.total_bytes,
        sentence=f"What the model would take of {name}.",
        alert=f"{format_bytes(over)} more than is free." if over > 0 else "",
    )


def _part(name: str, value: int, role: str) -> Segment:
    return Segment(name, value, role, f"{format_bytes(value)} ({format_count(value)} bytes)")


def table(reading: Reading) -> str:
    """The parts of a bar and their sizes as rich text, in the colours of the palette."""
    rows = "".join(
        f'<tr><td width="{theme.scaled(16)}" style="color:{getattr(theme.current(), part.role)}">■</td>'
        f"<td>{escape(part.name)}</td>"
        f'<td align="right">{format_bytes(round(part.value)).replace(" ", "&nbsp;")}</td></tr>'
        for part in reading.segments
    )
    return f"<table width='100%' cellspacing='1'>{rows}</table>"


@dataclass(frozen=True, slots=True)
class _Block:
    """One device: its bar, what is too much, its figures."""

    gauge: Gauge
    over: QLabel
    figures: QLabel


class EstimateCard(QWidget):
    """Shows an estimate, that one is being worked out, or why there is none."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._devices: tuple[Device, ...] = ()
        self._blocks: list[_Block] = []
        title = QLabel("What it takes", self)
        title.setFont(theme.font("small_strong"))
        self.verdict = words("", self)
        self.verdict.setFont(theme.font("body"))
        self.working = words(WORKING, self, "faint")
        self.footnote = words("", self, "faint")
        self.footnote.hide()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(16, 12, 16, 14)
        self._column.setSpacing(8)
        for widget in (title, self.verdict, self.working, self.footnote):
            self._column.addWidget(widget)
        self._column.addStretch(1)
        self.set_working(False)
        theme.notifier().changed.connect(self._recolour)

    def set_devices(self, devices: tuple[Device, ...]) -> None:
        """The devices' own names."""
        self._devices = devices

    def set_working(self, working: bool) -> None:
        """Say that the figures are being worked out; those of before stay."""
        self.working.setVisible(working)

    def show_plan(self, plan: MemoryPlan) -> None:
        """Show an estimate."""
        self._say(plan.sentence, TONES[plan.verdict])
        self.footnote.setText("" if plan.is_dry_run else ESTIMATED)
        self.footnote.setVisible(not plan.is_dry_run)
        while len(self._blocks) > len(plan.devices):
            block = self._blocks.pop()
            for widget in (block.gauge, block.over, block.figures):
                self._column.removeWidget(widget)
                widget.deleteLater()
        in_order = sorted(plan.devices, key=lambda each: each.device == "CPU")  # as the sentence names them
        for number, estimate in enumerate(in_order):
            self._show_device(number, read_estimate(estimate, self._devices))

    def show_trouble(self, sentence: str) -> None:
        """Say why there is no estimate, or why these options cannot be; the bars of before would be untrue."""
        self._say(sentence, "warning")
        for block in self._blocks:
            for widget in (block.gauge, block.over, block.figures):
                widget.hide()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A card with a hairline."""
        painter = QPainter(self)
        paint_card(painter, QRectF(self.rect()), fill="card", line="border", radius=12)
        painter.end()

    def _say(self, sentence: str, tone: str) -> None:
        self.verdict.setText(sentence)
        self.verdict.setVisible(bool(sentence))
        set_tone(self.verdict, tone)
        self.setAccessibleName(sentence)

    def _show_device(self, number: int, reading: Reading) -> None:
        if number == len(self._blocks):
            gauge = Gauge(reading, self)
            gauge.set_line_shown(False)
            figures = words("", self)
            figures.setTextFormat(Qt.TextFormat.RichText)
            block = _Block(gauge, words("", self, "warning"), figures)
            self._blocks.append(block)
            for widget in (block.gauge, block.over, block.figures):
                self._column.insertWidget(self._column.indexOf(self.footnote), widget)
        block = self._blocks[number]
        block.gauge.show_reading(reading)
        block.over.setText(reading.alert)
        block.figures.setText(table(reading))
        block.gauge.show()
        block.figures.show()
        block.over.setVisible(bool(reading.alert))

    def _recolour(self) -> None:
        for block in self._blocks:
            block.figures.setText(table(block.gauge.reading()))
