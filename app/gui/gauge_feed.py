"""Feeds the gauges from the engine's statistics and from the account of saved state."""

from PySide6.QtCore import QObject

from app.gui.clear_feed import ClearFeed
from app.gui.device_memory import memory_figures
from app.gui.gauge_history import GaugeHistory
from app.gui.gauges.figures import ContextFigures, SavedFigures
from app.gui.gauges.strip import GaugeStrip
from app.gui.notices import NoticeBar
from app.gui.open_chat import OpenChat
from app.protocol.answers import Statistics
from app.protocol.parts import ModelInfo
from app.services.workspace import Workspace


class GaugeFeed(QObject):
    """Shows context, memory and saved state, and has their history kept."""

    def __init__(
        self, strip: GaugeStrip, chat: OpenChat, notices: NoticeBar, workspace: Workspace, parent: QObject
    ) -> None:
        """Show that nothing is loaded yet."""
        super().__init__(parent)
        self._strip = strip
        self._chat = chat
        self._engine = workspace.engine
        self._saved = workspace.saved
        self._statistics: Statistics | None = None
        self._history = GaugeHistory(strip, chat, workspace, self)
        self._clear = ClearFeed(strip, chat, notices, workspace, self)
        self._engine.statistics.connect(self._take)
        self._engine.model_changed.connect(self._model_changed)
        chat.figures_changed.connect(self._show_context)
        chat.opened.connect(lambda _conversation: self._show_saved())
        self._saved.changed.connect(self._show_saved)
        self._show()

    def _take(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._show_engine()
        self._history.take(statistics)

    def _model_changed(self, model: ModelInfo | None) -> None:
        if model is None:
            self._statistics = None
        self._engine.refresh_statistics()
        self._show()

    def _show(self) -> None:
        self._show_engine()
        self._show_saved()

    def _show_engine(self) -> None:
        """What the engine's statistics say, every second; what is saved tells itself when it changes."""
        self._show_context()
        self._strip.show_memory(*(memory_figures(self._statistics) if self._statistics is not None else ()))

    def _show_saved(self) -> None:
        conversation, everything = self._chat.conversation_id, self._saved.usage
        if everything is None:
            self._strip.show_saved(None)
            return
        usage = self._saved.of(conversation)
        own, shared = (usage.own, usage.shared) if usage is not None else (0, 0)
        self._strip.show_saved(
            SavedFigures(
                own + shared,
                everything.bytes,
                everything.budget,
                shared=shared,
                disk_free=everything.disk_free,
                is_off=not self._saved.is_on,
                is_never=conversation is not None and not self._saved.is_let(conversation),
            )
        )

    def _show_context(self) -> None:
        """The same budget that the composer shows."""
        budget = self._chat.budget()
        if budget is None:
            self._strip.show_context(None)
            return
        system = min(budget.used, self._chat.tokens.of("instructions"))
        self._strip.show_context(
            ContextFigures(
                budget.used,
                budget.limit,
                system=system,
                history=budget.used - system,
                draft=budget.draft,
                reserve=budget.reserve,
            )
        )
