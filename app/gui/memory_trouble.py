"""When memory does not suffice or a GPU fails: what happened, and the settings that would do, one click away."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject

from app.core.errors import EmberError
from app.core.load_options import LoadOptions
from app.core.units import format_bytes, format_count
from app.gui import wording
from app.gui.live_costs import Asks, model_bytes
from app.gui.model_control import ENGINE, LOAD, ModelControl
from app.gui.model_settings_control import GPU_KINDS
from app.gui.notices import MOST_ACTIONS, Action, Kind, Notice, NoticeBar
from app.gui.open_chat import OpenChat
from app.protocol.answers import Failed
from app.protocol.parts import MemoryPlan, ModelInfo, Offer
from app.services.engine_client import EngineState, ModelTrouble
from app.services.engine_process import names_gpu
from app.services.memory_offers import offers_below
from app.services.turns import TurnOutcome
from app.services.workspace import Workspace

MEMORY: Final = "memory"
ON_CPU: Final = "on-cpu"
"""Keys of notices: memory did not suffice after the load; a model runs on the CPU for this time."""
TOO_LARGE: Final = "too_large"
"""Refused by the estimate, which has made its offers already: where it has none, nothing would do."""
DID_NOT_FIT: Final = ("out_of_memory", TOO_LARGE)
BAD_OPTIONS: Final = "bad_options"
CPU_THIS_TIME: Final = "Use the CPU this time"


class MemoryTrouble(QObject):
    """Follows what models come to grief with, and offers what takes less."""

    def __init__(
        self,
        chat: OpenChat,
        notices: NoticeBar,
        model: ModelControl,
        estimator: Callable[[QObject], Asks],
        workspace: Workspace,
        parent: QObject,
    ) -> None:
        """`estimator` makes one that is closed after its answer."""
        super().__init__(parent)
        self._chat = chat
        self._notices = notices
        self._model = model
        self._settings = workspace.model_settings
        self._estimator = estimator
        self._asks: Asks | None = None
        self._engine = workspace.engine
        workspace.engine.state_changed.connect(self._engine_changed)
        workspace.engine.trouble.connect(self._told)
        workspace.engine.model_changed.connect(self._model_changed)
        workspace.chats.turn_ended.connect(self._turn_ended)

    def close(self) -> None:
        """Ask nothing any more; the window closes."""
        self._close_estimator()

    # --- what happened -----------------------------------------------------------------------------------------------

    def _turn_ended(self, outcome: TurnOutcome) -> None:
        """A turn for which there was no memory, though the engine lives."""
        failed, request = outcome.failure, self._engine.present
        if failed is not None and failed.kind in DID_NOT_FIT and request is not None:
            self._told(ModelTrouble(request, failed.kind, failed.sentence, False, failed.offers))

    def _told(self, trouble: ModelTrouble) -> None:
        is_memory = trouble.kind in DID_NOT_FIT or (trouble.death is not None and trouble.death.is_memory)
        is_gpu = self._is_gpu(trouble)
        self._close_estimator()
        is_given_up = self._engine.state == "failed" and not trouble.is_loading  # that notice starts it again by hand
        if is_given_up or not (is_memory or is_gpu or trouble.kind == BAD_OPTIONS):
            return
        self._show(trouble, trouble.offers)
        if is_memory and not trouble.offers and trouble.kind != TOO_LARGE:
            self._ask(trouble)

    def _is_gpu(self, trouble: ModelTrouble) -> bool:
        """Whether a GPU failed that the model was to run on."""
        hello = self._engine.hello
        has_gpu = hello is not None and any(device.kind in GPU_KINDS for device in hello.devices)
        named = trouble.death.is_gpu if trouble.death is not None else names_gpu(trouble.sentence)
        return named and has_gpu and trouble.request.options.gpu_layers != 0

    # --- what would do -----------------------------------------------------------------------------------------------

    def _ask(self, trouble: ModelTrouble) -> None:
        """Ask what it was to take, and offer less."""
        path = Path(trouble.request.path)
        self._asks = self._estimator(self)

        def told(answer: MemoryPlan | Failed) -> None:
            self._close_estimator()
            if isinstance(answer, MemoryPlan) and self._is_told(trouble):
                self._show(trouble, offers_below(answer, trouble.request.options), answer)

        options = trouble.request.options
        self._asks.ask(path, options, self._settings.calibration(path, options), self._settings.learnt(path), told)

    def _engine_changed(self, state: EngineState) -> None:
        """Ember ends with its engine, and asks nothing any more."""
        if state == "stopped":
            self._close_estimator()

    def _close_estimator(self) -> None:
        asks, self._asks = self._asks, None
        if asks is not None:
            asks.close()

    def _is_told(self, trouble: ModelTrouble) -> bool:
        """Whether the notice is still there."""
        return any(notice.key == _key(trouble) for notice in self._notices.notices())

    def _show(self, trouble: ModelTrouble, offers: tuple[Offer, ...], plan: MemoryPlan | None = None) -> None:
        path = Path(trouble.request.path)
        actions: list[Action] = []
        if self._is_gpu(trouble):
            actions.append((CPU_THIS_TIME, partial(self._use_cpu, path, trouble.request.options)))
        for offer in offers[: MOST_ACTIONS - 1 - len(actions)]:
            actions.append((offer.label, partial(self._take, path, offer.options)))
        actions.append(("Settings…", partial(self._model.settings_requested.emit, path)))
        if not trouble.is_loading:
            self._notices.dismiss(ENGINE)  # this one says more
        kind: Kind = "error" if trouble.is_loading or trouble.is_given_up else "warning"
        text = _text(trouble, plan, is_told=self._chat.says(trouble.sentence))
        self._notices.show_notice(Notice(text, kind, actions=actions, key=_key(trouble)))

    # --- what the person chose ---------------------------------------------------------------------------------------

    def _take(self, path: Path, options: LoadOptions) -> None:
        """Keep an offer's options for this model, and load with them."""
        try:
            self._settings.set_options(path, options)
        except EmberError as error:
            self._notices.show_notice(Notice(error.sentence, "error", key=MEMORY))
            return
        self._notices.dismiss(MEMORY)
        self._model.load(path)

    def _use_cpu(self, path: Path, options: LoadOptions) -> None:
        """Load without the GPU; the settings stay as they are."""
        self._notices.dismiss(MEMORY)
        self._notices.dismiss(LOAD)
        self._engine.load(path, replace(options, gpu_layers=0))

    def _model_changed(self, model: ModelInfo | None) -> None:
        """While a model runs on the CPU though the settings say otherwise, that is to be seen."""
        request = self._engine.present
        if model is None or request is None:
            return
        self._notices.dismiss(ON_CPU)
        path = Path(model.path)
        if request.options.gpu_layers == 0 and self._settings.options(path).gpu_layers != 0:
            text = f"{wording.model_label(model)} runs on the CPU this time. The next load tries the GPU again."
            again: Action = ("Try the GPU again", lambda: self._model.load(path))
            self._notices.show_notice(Notice(text, "info", actions=[again], key=ON_CPU))


def _key(trouble: ModelTrouble) -> str:
    return LOAD if trouble.is_loading else MEMORY


def _text(trouble: ModelTrouble, plan: MemoryPlan | None, *, is_told: bool) -> str:
    """What happened, unless the reply tells it, what the model was to take, and what follows."""
    name = wording.file_label(Path(trouble.request.path))
    parts = [] if is_told else [trouble.sentence]
    if plan is not None and plan.verdict != "fits":
        parts.append(plan.sentence)
    elif plan is not None:
        context = format_count(plan.context)
        parts.append(f"{name} was to take {format_bytes(model_bytes(plan))} with a context of {context} tokens.")
    if trouble.is_given_up:
        parts.append(
            f"As it happened twice within a minute, {name} is not loaded again by itself; your chats are kept."
        )
    elif trouble.death is not None and not trouble.is_loading:
        parts.append("The engine starts again by itself; your chats are kept.")
    return " ".join(parts or [trouble.sentence])
