"""What Clear cache offers from moment to moment, and clearing the memory."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject

from app.core.conversation import ConversationId
from app.core.units import format_bytes, format_count
from app.gui import wording
from app.gui.device_memory import memory_figures
from app.gui.gauges.clearing import (
    CLEAR,
    NO_MODEL,
    NOTHING_OF_MODEL,
    NOTHING_OF_THIS,
    NOTHING_SAVED,
    UNKNOWN,
    WRITING,
    bytes_by_memory,
)
from app.gui.gauges.figures import ClearFigures, MemoryKind
from app.gui.gauges.strip import GaugeStrip
from app.gui.notices import Notice, NoticeBar
from app.gui.open_chat import OpenChat
from app.protocol.answers import CacheCleared, Failed, Statistics
from app.protocol.messages import Response
from app.protocol.parts import ModelInfo, TipUsage
from app.protocol.requests import ClearCache
from app.services.workspace import Workspace

CLEARED = "cleared"


class ClearFeed(QObject):
    """Says what each clearing frees and costs; what is saved is removed by `SavedFeed`."""

    def __init__(
        self, strip: GaugeStrip, chat: OpenChat, notices: NoticeBar, workspace: Workspace, parent: QObject
    ) -> None:
        """Offer what there is."""
        super().__init__(parent)
        self._strip = strip
        self._chat = chat
        self._notices = notices
        self._engine = workspace.engine
        self._chats = workspace.chats
        self._saved = workspace.saved
        self._statistics: Statistics | None = None
        self._of_model = 0
        """Bytes saved of the loaded model."""
        self._model_name = ""
        self._figures: ClearFigures | None = None
        """What is offered."""
        self._engine.statistics.connect(self._take)
        self._engine.model_changed.connect(self._model_changed)
        self._chats.queue_changed.connect(self._show)
        chat.figures_changed.connect(self._show)
        chat.opened.connect(lambda _conversation: self._show())
        self._saved.changed.connect(self._saved_changed)
        strip.clear.connect(self.clear)
        self._show()

    def _take(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._show()

    def _model_changed(self, model: ModelInfo | None) -> None:
        if model is None:
            self._statistics = None
        self._model_name = wording.model_label(model) if model is not None else ""
        self._saved_changed()

    def _saved_changed(self) -> None:
        model = self._engine.model
        self._of_model = self._saved.bytes_of(Path(model.path)) if model is not None else 0
        self._show()

    # --- what is offered ---------------------------------------------------------------------------------------------

    def _show(self) -> None:
        here = self._chat.conversation_id
        usage, budget, everything = self._saved.of(here), self._chat.budget(), self._saved.usage
        figures = ClearFigures(
            own=usage.own if usage is not None else 0,
            shared=usage.shared if usage is not None else 0,
            tokens=budget.used if budget is not None else 0,
            is_saved=usage is not None,
            model_name=self._model_name,
            of_model=self._of_model,
            all_saved=everything.bytes if everything is not None else 0,
            no_memory=self._why_no_memory(),
            no_chat=self._why_no_chat(here, usage),
            no_model=NO_MODEL if self._engine.model is None else self._why_not(self._of_model, NOTHING_OF_MODEL),
            no_saved=self._why_not(everything.bytes if everything is not None else 0, NOTHING_SAVED),
        )
        statistics = self._statistics
        if statistics is not None:
            live = ConversationId(statistics.live_conversation) if statistics.live_conversation is not None else None
            figures = replace(
                figures,
                memory=_context_memory(statistics),
                held=statistics.context_used,
                held_saved=self._saved_bytes(live),
                is_held=live is not None and live == here and statistics.context_used > 0,
                read_rate=statistics.read_rate,
                restore_rate=statistics.restore_rate,
            )
        if figures != self._figures:
            self._figures = figures
            self._strip.show_clear(figures)

    def _why_no_memory(self) -> str:
        statistics = self._statistics
        if self._engine.model is None:
            return NO_MODEL
        if self._chats.running is not None:
            return WRITING
        if statistics is not None and not any(memory.kv_reserved for memory in statistics.memory):
            return CLEAR
        return ""

    def _why_no_chat(self, here: ConversationId | None, usage: TipUsage | None) -> str:
        if here is not None and self._chats.is_running(here):
            return WRITING
        if self._saved.usage is None:
            return UNKNOWN
        return "" if usage is not None else NOTHING_OF_THIS

    def _why_not(self, saved: int, nothing: str) -> str:
        """Why what is saved of many chats cannot be removed now."""
        if self._saved.usage is None:
            return UNKNOWN
        if not saved:
            return nothing
        return WRITING if self._chats.running is not None else ""

    def _saved_bytes(self, live: ConversationId | None) -> int:
        """What is saved of the chat in memory and would be used; 0 for nothing."""
        usage = self._saved.of(live) if live is not None and self._saved.may_save(live) else None
        return usage.own + usage.shared if usage is not None else 0

    # --- clearing the memory -----------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Free the context's memory; the text is untouched, the next reply reads it again."""
        self._engine.send(ClearCache(id=self._engine.new_id()), self._cleared)

    def _cleared(self, answer: Response) -> None:
        if isinstance(answer, CacheCleared):
            text = f"{self._freed(answer)} given back. Your chats are untouched"
            live = self._statistics.live_conversation if self._statistics is not None else None
            if answer.tokens and live is not None and self._saved_bytes(ConversationId(live)):
                text += "; the next reply goes on from the saved state."
            elif answer.tokens:
                text += f"; the next reply reads {format_count(answer.tokens)} tokens again."
            else:
                text += "."
            self._notices.show_notice(Notice(text, "info", timeout_ms=12_000, key=CLEARED))
        elif isinstance(answer, Failed):
            self._notices.show_notice(Notice(answer.sentence, "error", key=CLEARED))
        self._engine.refresh_statistics()

    def _freed(self, answer: CacheCleared) -> str:
        """What was freed, by kind of memory where the statistics say the same sum."""
        memory = _context_memory(self._statistics) if self._statistics is not None else ()
        if sum(taken for _, taken in memory) == answer.freed_bytes and answer.freed_bytes:
            return bytes_by_memory(memory)
        return f"{format_bytes(answer.freed_bytes)} of memory"


def _context_memory(statistics: Statistics) -> tuple[tuple[MemoryKind, int], ...]:
    """What the context takes, by kind of memory; bytes."""
    taken: Counter[MemoryKind] = Counter()
    for each in memory_figures(statistics):
        taken[each.kind] += each.kv_reserved + each.compute
    return tuple(taken.items())
