"""The settings of one model: what may be chosen about how it is loaded, and beside it what that takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QDialog,
    QDialogButtonBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.core.load_options import (
    MIN_CONTEXT,
    MOST_BATCH,
    MOST_CONTEXT,
    MOST_LAYERS,
    MOST_THREADS,
    Calibration,
    FlashAttention,
    KvType,
    LoadOptions,
)
from app.core.units import format_count
from app.gui import icons, theme
from app.gui.estimate_card import EstimateCard
from app.gui.measured_box import MeasuredBox
from app.gui.model_fields import ChoiceField, Field, ManyField, NumberField, SwitchField, words
from app.gui.parts import scrolled, set_kind
from app.protocol.parts import Device, MemoryPlan

STACKED: Final = 640
"""Below this width, in pixels, the card stands over the fields."""
_CARD: Final = 304
_WIDE, _LOW, _HIGH = 800, 480, 720
"""The page's size in pixels, with text of the usual size; the height without and with what is advanced."""
_SLIDER_FROM: Final = 512
KV_TYPES: Final = (
    ("f16", "Full: 16 bits (f16)"),
    ("q8_0", "About half the size (q8_0)"),
    ("q4_0", "About a quarter (q4_0)"),
)
FLASH: Final = (("auto", "Automatic"), ("on", "On"), ("off", "Off"))
ADVANCED: Final = ("devices", "kv_on_gpu", "flash_attention", "threads", "batch", "use_mmap", "window_in_full")
OF_GPU: Final = ("gpu_layers", "devices", "kv_on_gpu")


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the page has to know of the model and the computer."""

    is_known: bool = False
    """Whether it is known what GPUs there are."""
    gpus: tuple[Device, ...] = ()
    context_trained: int = 0
    """Tokens; 0 while it is not known."""
    layers: int = 0
    """The output not counted; 0 while it is not known."""
    has_window: bool = False
    calibration: Calibration | None = None
    is_other: bool = False
    """Whether what is chosen would be measured anew, and the model is loaded with something else."""
    can_measure: bool = False
    """Whether the model is loaded, and with options for which it would be measured."""


def context_stops(trained: int) -> tuple[int, ...]:
    """Where the slider of the context stops, in tokens: half and whole powers of two up to what was trained for."""
    stops, size = [], _SLIDER_FROM
    while size < trained:
        stops += [size, size * 3 // 2]
        size *= 2
    return (*(stop for stop in stops if stop < trained), trained)


class ModelSettingsDialog(QDialog):
    """Shows and changes the options of one model; `options()` after it was accepted."""

    changed = Signal()
    """Another option was chosen."""

    def __init__(self, name: str, options: LoadOptions, parent: QWidget) -> None:
        """Show the options of the model called `name`; `set_facts` says what they are chosen from."""
        super().__init__(parent)
        self._facts = ModelFacts()
        self._before = self._hidden = options
        """As on opening; and what holds for the fields that are not shown."""
        self._refused = ""
        self.setWindowTitle(f"Settings of {name}")
        self.setMinimumSize(400, 380)
        self.resize(min(theme.scaled(_WIDE), self.screen().availableGeometry().width() * 9 // 10), _LOW)
        self._build()
        self._show(options)
        self._explain()
        if any(getattr(options, field) != getattr(LoadOptions(), field) for field in ADVANCED):
            self.advanced_button.setChecked(True)

    # --- what it shows -----------------------------------------------------------------------------------------------

    def options(self) -> LoadOptions:
        """What is chosen now; what cannot be chosen on this computer stays as it was, without GPUs that are gone."""
        return LoadOptions(
            context=self.context.value(),
            gpu_layers=self.gpu_layers.value() if self._facts.gpus else self._hidden.gpu_layers,
            devices=self._devices(),
            kv_on_gpu=self.kv_on_gpu.value(),
            kv_type=cast(KvType, self.kv_type.value()),
            flash_attention=cast(FlashAttention, self.flash_attention.value()),
            threads=self.threads.value(),
            batch=self.batch.value(),
            use_mmap=self.use_mmap.value(),
            window_in_full=self.window_in_full.value(),
        )

    def set_facts(self, facts: ModelFacts) -> None:
        """What the options are chosen from, and what was measured."""
        self._facts = facts
        self.card.set_devices(facts.gpus)
        self.devices.set_choices([(gpu.name, gpu.description or gpu.name) for gpu in facts.gpus])
        if self.options().devices != self._before.devices and not self.is_changed("devices"):
            self.devices.set_value(self._before.devices)
        if facts.context_trained:
            self.context.set_range(MIN_CONTEXT, facts.context_trained, context_stops(facts.context_trained))
        if facts.layers:
            self.gpu_layers.set_range(0, facts.layers + 1)
        for name in OF_GPU:
            self._fields[name].setVisible(bool(facts.gpus))
        self.devices.setVisible(len(facts.gpus) > 1)
        self.window_in_full.setVisible(facts.has_window)
        best = facts.calibration.best if facts.calibration is not None else None
        self.threads.set_automatic(best.threads if best is not None else None)
        self.batch.set_automatic(best.batch if best is not None else None)
        flash = f"Automatic (measured: {'on' if best.flash_attention else 'off'})" if best is not None else "Automatic"
        self.flash_attention.set_words("auto", flash)
        self.measured.show_calibration(facts.calibration, is_other=facts.is_other)
        self.measured.set_enabled(facts.can_measure)
        self._explain()

    def show_plan(self, plan: MemoryPlan) -> None:
        """Show what the chosen options take."""
        self.card.show_plan(plan)
        self._arrange()
        self.context.set_automatic(plan.context)
        self.gpu_layers.set_automatic(plan.gpu_layers)

    def show_costs(self, costs: Mapping[str, int]) -> None:
        """What each changed field takes more than as it was, in bytes, as far as it is known."""
        chosen = self.options()
        for name, field in self._fields.items():
            is_changed = getattr(chosen, name) != getattr(self._before, name)
            field.show_cost(costs.get(name), is_changed=is_changed)

    def is_changed(self, name: str) -> bool:
        """Whether a field was changed since the page was opened."""
        return bool(getattr(self.options(), name) != getattr(self._before, name))

    def set_note(self, note: str) -> None:
        """What becomes of the saved state; empty for nothing."""
        self.note.setText(note)
        self.note.setVisible(bool(note))

    def set_refusal(self, sentence: str) -> None:
        """Why these options cannot be taken now; empty where they can."""
        self.refusal.setText(sentence)
        self.refusal.setVisible(bool(sentence))
        self.save.setEnabled(not sentence)

    def set_save_words(self, label: str) -> None:
        """What saving does."""
        self.save.setText(label)

    # --- Qt's side ---------------------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a narrow window the card stands over the fields."""
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self) -> None:
        """Place the card; over the fields it is as high as its words, but never most of the page."""
        stacked, card = self.width() < theme.scaled(STACKED), theme.scaled(_CARD)
        way = QBoxLayout.Direction
        self._card_page.setContentsMargins(*((20, 16, 20, 0) if stacked else (4, 16, 20, 8)))
        self._body.setDirection(way.BottomToTop if stacked else way.LeftToRight)
        self._card_area.setMinimumWidth(0 if stacked else card)
        self._card_area.setMaximumWidth(16_777_215 if stacked else card)
        high = min(self._beside.sizeHint().height(), self.height() * 2 // 5) if stacked else 0
        self._card_area.setMinimumHeight(high)
        self._card_area.setMaximumHeight(high or 16_777_215)

    # --- building ----------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        page = QWidget(self)
        self._page = QVBoxLayout(page)
        self._page.setContentsMargins(20, 16, 16, 16)
        self._page.setSpacing(16)
        self._build_fields(page)
        self._page.addStretch(1)
        beside = QWidget(self)
        self.card = EstimateCard(beside)
        self._card_page = around = QVBoxLayout(beside)
        around.addWidget(self.card)
        around.addStretch(1)
        self._beside = beside
        self._fields_area, self._card_area = scrolled(page, self), scrolled(beside, self)
        self._body = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._body.setSpacing(0)
        self._body.addWidget(self._fields_area, 1)
        self._body.addWidget(self._card_area)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addLayout(self._body, 1)
        whole.addWidget(self._build_foot())

    def _build_fields(self, page: QWidget) -> None:
        self.context = NumberField("Context", "", page, least=MIN_CONTEXT, most=MOST_CONTEXT, slider=True)
        self.context.set_range(MIN_CONTEXT, MOST_CONTEXT, context_stops(8192))
        self.gpu_layers = NumberField("Layers on the GPU", "", page, least=0, most=MOST_LAYERS, slider=True)
        self.kv_type = ChoiceField(
            "The chat's memory (KV)",
            "Smaller takes less room for the same context; replies become a little less exact.",
            page,
            KV_TYPES,
        )
        self.advanced_button = QToolButton(page)  # before what it unfolds: Tab follows the order of their making
        self.devices = ManyField("GPUs to use", "", page)
        self.kv_on_gpu = SwitchField(
            "Keep the chat's memory (KV) on the GPU too", "Faster; without it there is room for more layers.", page
        )
        self.flash_attention = ChoiceField(
            "Flash attention", "Another way to compute the same; what is faster depends on the computer.", page, FLASH
        )
        self.threads = NumberField("Processor threads", "", page, least=1, most=MOST_THREADS)
        self.batch = NumberField(
            "Tokens read at a time",
            "More can be faster; Stop and progress then take longer.",
            page,
            least=1,
            most=MOST_BATCH,
        )
        self.use_mmap = SwitchField(
            "Map the file into memory",
            "It loads faster, and the system may take the memory back where it is short. Without it the weights are "
            "copied.",
            page,
        )
        self.window_in_full = SwitchField(
            "Keep all tokens of the sliding window's layers",
            "Takes more memory; going back in a chat reads less.",
            page,
        )
        self._fields: dict[str, Field] = {name: getattr(self, name) for name in LoadOptions.__slots__}
        for name, field in self._fields.items():
            field.changed.connect(self._field_changed)
            if name not in ADVANCED:
                self._page.addWidget(field)
        self._build_advanced(page)

    def _build_advanced(self, page: QWidget) -> None:
        self.advanced_button.setText("Advanced")
        self.advanced_button.setCheckable(True)
        self.advanced_button.setProperty("kind", "icon")
        self.advanced_button.setProperty("words", "true")
        self.advanced_button.setFont(theme.font("small_strong"))
        self.advanced_button.setIcon(icons.icon("right"))
        self.advanced_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.advanced = QWidget(page)
        column = QVBoxLayout(self.advanced)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(16)
        for name in ADVANCED:
            column.addWidget(self._fields[name])
        self.measured = MeasuredBox(self.advanced)
        column.addWidget(self.measured)
        self.advanced.hide()
        self.advanced_button.toggled.connect(self._fold)
        self._page.addWidget(self.advanced_button, 0, Qt.AlignmentFlag.AlignLeft)
        self._page.addWidget(self.advanced)

    def _build_foot(self) -> QWidget:
        foot = QWidget(self)
        self.note, self.refusal = words("", foot, "warning"), words("", foot, "warning")
        buttons = QDialogButtonBox(foot)
        self.save = buttons.addButton("Save", QDialogButtonBox.ButtonRole.AcceptRole)
        self.cancel = buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        self.to_automatic = buttons.addButton("Back to automatic", QDialogButtonBox.ButtonRole.ResetRole)
        set_kind(self.to_automatic, "quiet")
        self.to_automatic.clicked.connect(self._reset)
        set_kind(self.save, "primary")
        self.save.setDefault(True)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(foot)
        column.setContentsMargins(20, 8, 20, 16)
        column.setSpacing(8)
        for label in (self.note, self.refusal):
            label.hide()
            column.addWidget(label)
        column.addWidget(buttons)
        return foot

    # --- inside ------------------------------------------------------------------------------------------------------

    def _show(self, options: LoadOptions) -> None:
        for name, field in self._fields.items():
            field.set_value(getattr(options, name))  # type: ignore[attr-defined]

    def _devices(self) -> tuple[str, ...] | None:
        """The GPUs that may be used; None for all."""
        if len(self._facts.gpus) > 1:
            return self.devices.value()
        chosen, there = self._hidden.devices, {gpu.name for gpu in self._facts.gpus}
        return chosen if chosen is None or not self._facts.is_known or there.issuperset(chosen) else None

    def _reset(self) -> None:
        self._hidden = LoadOptions()
        self._show(LoadOptions())
        self._field_changed()

    def _field_changed(self) -> None:
        self._explain()
        self.show_costs({})
        self.changed.emit()

    def _explain(self) -> None:
        """The lines below the fields, with the figures of this model."""
        trained = self._facts.context_trained
        about = "How much of a chat the model can have in view at once."
        self.context.set_hint(f"{about} It was trained for {format_count(trained)} tokens." if trained else about)
        layers = self._facts.layers + 1 if self._facts.layers else 0
        every = f"All {layers} on the GPU are fastest" if layers else "All on the GPU are fastest"
        self.gpu_layers.set_hint(f"{every}, if they fit; the processor computes the rest.")
        self.to_automatic.setEnabled(self.options() != LoadOptions())

    def _fold(self, is_open: bool) -> None:
        self.advanced.setVisible(is_open)
        self.advanced_button.setIcon(icons.icon("down" if is_open else "right"))
        if is_open:
            self.resize(
                self.width(), max(self.height(), min(_HIGH, self.screen().availableGeometry().height() * 7 // 8))
            )
