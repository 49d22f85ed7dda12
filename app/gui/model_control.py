"""The model: the header's picker, loading with progress, and what is said when the engine fails."""

from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from app.core.units import format_bytes
from app.gui import wording
from app.gui.header import Header
from app.gui.model_pill import ModelChoice
from app.gui.notices import Notice, NoticeBar
from app.gui.open_chat import REFUSED, OpenChat
from app.protocol.answers import Statistics
from app.protocol.parts import ModelInfo
from app.services.engine_client import EngineState
from app.services.engine_process import EngineDeath
from app.services.workspace import Workspace

ENGINE = "engine"
LOAD = "load"
"""Keys of notices, so that a newer one takes the older one's place."""


class ModelControl(QObject):
    """Connects the header's model picker with the engine."""

    settings_requested = Signal(object)
    """The Path of the model whose settings shall open; None for the one in use."""

    def __init__(
        self, header: Header, chat: OpenChat, notices: NoticeBar, workspace: Workspace, parent: QWidget
    ) -> None:
        """Show what is known; `load_at_start` begins."""
        super().__init__(parent)
        self._window = parent
        self._header = header
        self._chat = chat
        self._notices = notices
        self._engine = workspace.engine
        self._library = workspace.library
        self._settings = workspace.model_settings
        self._chats = workspace.chats
        self._statistics: Statistics | None = None
        header.model_chosen.connect(lambda path: self.load(Path(path)))
        header.open_model_file.connect(self.choose_file)
        header.unload.connect(self.unload)
        header.pill.hint_asked.connect(lambda words: notices.show_notice(Notice(words, "info", key="gpu")))
        header.pill.settings.connect(lambda: self.settings_requested.emit(None))
        header.cancel_load.connect(self.cancel)
        self._engine.load_progress.connect(lambda fraction: header.set_loading(True, fraction))
        self._engine.load_failed.connect(self._load_failed)
        self._engine.state_changed.connect(self._state_changed)
        self._engine.model_changed.connect(self._model_changed)
        self._engine.died.connect(self._died)
        self._engine.statistics.connect(self._take_statistics)
        workspace.catalogue.changed.connect(self._show_models)
        self._show_models()

    def load_at_start(self) -> None:
        """Load what was loaded last, as soon as the engine is there; at the first start the starter model.

        A file that is not there any more is named.
        """
        path, gone = self._library.at_start(), self._library.gone_at_start()
        if path is not None:
            self.load(path)
        elif gone is not None:
            text = f"“{gone.name}”, the model you used last, is not in “{gone.parent}” any more. Your chats are kept."
            actions = [("Open another file…", self.choose_file)]
            self._notices.show_notice(Notice(text, "warning", actions=actions, key=LOAD))

    def load(self, path: Path) -> None:
        """Load a model file."""
        self._notices.dismiss(LOAD)
        self._engine.load(path, self._settings.options(path))
        self._header.set_loading(True, 0.0)

    def choose_file(self) -> None:
        """Ask for a GGUF file and load it."""
        name, _ = QFileDialog.getOpenFileName(self._window, "Open a model", "", "Models (*.gguf);;All files (*)")
        if name:
            self.load(Path(name))

    def unload(self) -> None:
        """Free the model; it is not loaded at the next start either."""
        self._library.unloaded()
        self._chats.stop()
        self._engine.unload()

    def cancel(self) -> None:
        """Stop loading."""
        self._engine.cancel_load()
        self._header.set_loading(False)
        self._show_model()

    def _show_models(self) -> None:
        current = self._engine.model.path if self._engine.model is not None else None
        choices = []
        for known in self._library.known():
            try:
                size = format_bytes(known.path.stat().st_size)
            except OSError:  # it went since
                continue
            detail = f"{size} · comes with Ember" if known.is_starter else size
            choices.append(ModelChoice(known.name, str(known.path), detail, str(known.path) == current))
        self._header.set_models(choices)

    def _show_model(self) -> None:
        model = self._engine.model
        if model is None:
            self._header.set_model(None)
        else:
            place, saving = wording.place_of(model, self._statistics), wording.MODES[model.memory_mode]
            self._header.set_model(wording.model_label(model), place, saving)

    def _model_changed(self, model: ModelInfo | None) -> None:
        if not self._engine.is_loading:
            self._header.set_loading(False)
        if model is not None:
            self._notices.dismiss(ENGINE)
            self._notices.dismiss(LOAD)
            self._library.opened(Path(model.path))
            sentences = model.notices
            if model.memory_mode in wording.CANNOT_GO_BACK:
                sentences = (*sentences, wording.MODES[model.memory_mode][1])
            for number, sentence in enumerate(sentences):
                self._notices.show_notice(Notice(sentence, "info", timeout_ms=15_000, key=f"model-{number}"))
        self._show_models()
        self._show_model()

    def _state_changed(self, state: EngineState) -> None:
        hello = self._engine.hello
        if state == "ready" and hello is not None:
            self._header.pill.set_hints(hello.notices)
        if not self._engine.is_loading:
            self._header.set_loading(False)
        elif state == "restarting":
            self._header.set_loading(True)

    def _take_statistics(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._show_model()

    def _load_failed(self, kind: str, sentence: str) -> None:
        if not self._engine.is_loading:
            self._header.set_loading(False)
        self._show_models()
        self._show_model()
        if kind != "cancelled":
            self._notices.dismiss(REFUSED)  # this notice says why, and the words are where they were written
            actions = [("Open another file…", self.choose_file)]
            self._notices.show_notice(Notice(sentence, "error", actions=actions, key=LOAD))

    def _died(self, death: EngineDeath) -> None:
        """Say what happened, unless it is said already; while it restarts by itself there is nothing to do."""
        if self._engine.state == "failed":
            self._notices.dismiss(LOAD)
            text = f"{death.sentence} After several tries it is not started again by itself. Your chats are kept."
            self._notices.show_notice(Notice(text, "error", actions=[("Start again", self._start_again)], key=ENGINE))
        elif self._chat.says(death.sentence):
            text = "The engine is being started again; your chats and what had come of the reply are kept."
            self._notices.show_notice(Notice(text, "info", timeout_ms=20_000, key=ENGINE))
        elif not any(told.key == LOAD and told.text.startswith(death.sentence) for told in self._notices.notices()):
            text = f"{death.sentence} It is being started again; your chats are kept."
            self._notices.show_notice(Notice(text, "warning", timeout_ms=20_000, key=ENGINE))

    def _start_again(self) -> None:
        self._engine.start()
        self.load_at_start()
