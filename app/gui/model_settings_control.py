"""Opens the settings of a model, has what is chosen there estimated, keeps it, and loads the model again with it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from app.core.errors import EmberError
from app.core.load_options import LoadOptions, refuse_impossible
from app.core.units import format_bytes
from app.gui import wording
from app.gui.live_costs import Asks, LiveCosts
from app.gui.model_control import ModelControl
from app.gui.notices import Notice, NoticeBar
from app.protocol.answers import Failed
from app.protocol.parts import MemoryPlan
from app.services.workspace import Workspace

if TYPE_CHECKING:  # a window that only starts does not need the dialog
    from app.gui.dialogs_model import ModelSettingsDialog

GPU_KINDS: Final = ("gpu", "integrated")
WRITING: Final = "A reply is being written. Wait for its end, or stop it; then these settings can be used."


class ModelSettingsControl(QObject):
    """Connects the page of a model's settings with what is kept of it, the estimates and the engine."""

    def __init__(
        self,
        notices: NoticeBar,
        model: ModelControl,
        estimator: Callable[[QObject], Asks],
        workspace: Workspace,
        parent: QWidget,
    ) -> None:
        """Nothing is open yet; `estimator` makes one for as long as the page is open."""
        super().__init__(parent)
        self._window = parent
        self._notices = notices
        self._model = model
        self._settings = workspace.model_settings
        self._estimator = estimator
        self._engine = workspace.engine
        self._saved = workspace.saved
        self._chats = workspace.chats
        self.dialog: ModelSettingsDialog | None = None
        self._path = Path()
        self._before = LoadOptions()
        self._costs: LiveCosts | None = None
        model.settings_requested.connect(self.open)
        self._engine.model_changed.connect(lambda _model: self._show_facts())
        self._chats.queue_changed.connect(self._judge)
        self._chats.turn_ended.connect(lambda _outcome: self._judge())
        self._saved.changed.connect(self._show_facts)
        self._settings.changed.connect(self._remembered)
        self._settings.progress.connect(self._show_measuring)
        self._settings.ended.connect(self._measured)

    def open(self, path: Path | None = None) -> None:
        """Show the settings of a model's file, by default of the one that is loaded or is being loaded."""
        if path is None:
            path = Path(self._engine.model.path) if self._engine.model is not None else self._engine.loading_path
        if path is None:
            text = "Choose a model first; then its settings can be opened."
            self._notices.show_notice(Notice(text, "info", timeout_ms=8_000, key="model-settings"))
            return
        if self.dialog is not None and path != self._path:
            self.dialog.reject()
        if self.dialog is None:
            self._open(path)
        assert self.dialog is not None
        self.dialog.raise_()

    def close(self) -> None:
        """Leave what is open as it was; the window closes."""
        if self.dialog is not None:
            self.dialog.reject()

    def _open(self, path: Path) -> None:
        from app.gui.dialogs_model import ModelSettingsDialog

        self._path, self._before = path, self._settings.options(path)
        model = self._engine.model if self._is_loaded else None
        name = wording.model_label(model) if model is not None else wording.file_label(path)
        self.dialog = ModelSettingsDialog(name, self._before, self._window)
        self._costs = LiveCosts(path, self._settings, self._estimator(self), self)
        self._costs.told.connect(self._show_costs)
        self._costs.working.connect(self.dialog.card.set_working)
        self.dialog.changed.connect(self._chosen)
        self.dialog.measured.measure_requested.connect(self._measure)
        self.dialog.measured.stop_requested.connect(self._settings.cancel)
        self.dialog.accepted.connect(self._keep)
        self.dialog.finished.connect(self._closed)
        self._saved.refresh()
        self._show_facts()
        self._chosen()
        if self._settings.is_measuring and self._is_loaded:
            self._show_measuring(0, 0)
        self.dialog.open()

    @property
    def _is_loaded(self) -> bool:
        """Whether the model is the one that is there."""
        model = self._engine.model
        return model is not None and Path(model.path) == self._path

    # --- what it shows -----------------------------------------------------------------------------------------------

    def _show_facts(self) -> None:
        if self.dialog is None:
            return
        from app.gui.dialogs_model import ModelFacts

        answer = self._costs.answer if self._costs is not None else None
        plan = answer if isinstance(answer, MemoryPlan) else None
        model = self._engine.model if self._is_loaded else None
        hello = self._engine.hello
        gpus = tuple(device for device in hello.devices if device.kind in GPU_KINDS) if hello is not None else ()
        told = model or plan
        has_window = model is not None and model.memory_mode == "window"
        options = self.dialog.options()
        is_other = model is not None and not self._settings.is_measured_alike(self._path, options, self._before)
        self.dialog.set_facts(
            ModelFacts(
                is_known=hello is not None,
                gpus=gpus,
                context_trained=told.context_trained if told is not None else 0,
                layers=told.layers if told is not None else 0,
                has_window=has_window or self._before.window_in_full or (plan is not None and plan.has_window),
                calibration=self._settings.calibration(self._path, options),
                is_other=is_other,
                can_measure=model is not None and not is_other,
            )
        )
        self.dialog.measured.set_saved(self._saved_bytes() if model is not None else 0)
        self.dialog.set_save_words("Save and load again" if model is not None else "Save")
        self._judge()

    def _chosen(self) -> None:
        """Another option was chosen: have it estimated."""
        assert self.dialog is not None and self._costs is not None
        self._costs.want(self.dialog.options(), self._before)
        self._show_facts()

    def _show_costs(self) -> None:
        if self.dialog is None or self._costs is None:
            return
        self.dialog.show_costs(self._costs.costs)
        answer = self._costs.answer
        if isinstance(answer, MemoryPlan):
            self.dialog.show_plan(answer)
            self._show_facts()
        elif isinstance(answer, Failed):
            self.dialog.card.show_trouble(answer.sentence)

    def _judge(self) -> None:
        """Whether the choice can be kept now, and what becomes of saved state."""
        if self.dialog is None:
            return
        options, refusal = self.dialog.options(), ""
        if options != self._before and self._is_loaded and self._chats.running is not None:
            refusal = WRITING
        try:
            refuse_impossible(options)
        except EmberError as error:
            refusal = error.sentence
        self.dialog.set_refusal(refusal)
        self.dialog.set_note(self._note(options))

    def _note(self, options: LoadOptions) -> str:
        """What is said where K and V would be kept otherwise than they were saved."""
        same_v = self._has_flash(options) == self._has_flash(self._before)
        if same_v and options.kv_type == self._before.kv_type:
            return ""
        size = self._saved_bytes()
        if not size:
            return ""
        return (
            f"The {format_bytes(size)} that are saved of this model's chats belong to how it was loaded so far. With "
            "these settings the chats are read again; what is saved stays for when you change them back."
        )

    def _saved_bytes(self) -> int:
        """What is saved of chats with this model."""
        usage, roots = self._saved.usage, self._saved.roots_of(self._path)
        return sum(root.bytes for root in usage.roots if root.root in roots) if usage is not None else 0

    def _has_flash(self, options: LoadOptions) -> bool | None:
        """Whether V is laid out as for flash attention; None where that is decided at the load."""
        if options.flash_attention != "auto":
            return options.flash_attention == "on"
        if options.kv_type != "f16":
            return True
        calibration = self._settings.calibration(self._path, options)
        return calibration.best.flash_attention if calibration is not None else None

    # --- measuring ---------------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        assert self.dialog is not None
        try:
            self._settings.measure_again(may_change_layout=self.dialog.measured.may_change_layout)
        except EmberError as error:
            self.dialog.measured.show_end(error.sentence)
        else:
            self.dialog.measured.show_progress(0, 0)

    def _show_measuring(self, done: int, most: int) -> None:
        if self.dialog is not None and self._is_loaded:
            self.dialog.measured.show_progress(done, most)

    def _measured(self, sentence: str) -> None:
        """Also where the engine is gone, and the model with it."""
        if self.dialog is not None and (self._is_loaded or self.dialog.measured.is_measuring):
            self.dialog.measured.show_end(sentence)

    def _remembered(self, path: str) -> None:
        """What was measured, or what loads take, is otherwise now."""
        if self.dialog is not None and self._costs is not None and Path(path) == self._path:
            self._costs.forget()
            self._show_facts()

    # --- what is done with it ----------------------------------------------------------------------------------------

    def _keep(self) -> None:
        """Store the choice, and load the model with it if it is there."""
        assert self.dialog is not None
        options = self.dialog.options()
        if options == self._before:
            return
        try:
            self._settings.set_options(self._path, options)
        except EmberError as error:
            self._notices.show_notice(Notice(error.sentence, "error", key="settings"))
            return
        if self._is_loaded:
            self._model.load(self._path)

    def _closed(self) -> None:
        if self._costs is not None:
            self._costs.close()
            self._costs.deleteLater()
            self._costs = None
        if self.dialog is not None:
            self.dialog.deleteLater()
            self.dialog = None
