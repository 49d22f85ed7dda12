"""Feeds the gauges and the Clear button from the engine's statistics."""

from dataclasses import replace

from PySide6.QtCore import QObject

from app.core.conversation import ConversationId
from app.core.units import format_bytes, format_count
from app.gui.gauges.clearing import CLEAR, NO_MODEL, NOTHING_OF_THIS, NOTHING_SAVED, WRITING
from app.gui.gauges.figures import ClearFigures, ContextFigures, MemoryFigures, SavedFigures
from app.gui.gauges.strip import GaugeStrip
from app.gui.notices import Notice, NoticeBar
from app.gui.open_chat import OpenChat
from app.protocol.messages import CacheCleared, ClearCache, Device, Failed, ModelInfo, Response, Statistics, TipUsage
from app.services.workspace import Workspace

CLEARED = "cleared"


class GaugeFeed(QObject):
    """Shows context, memory and saved state, and clears the cache."""

    def __init__(
        self, strip: GaugeStrip, chat: OpenChat, notices: NoticeBar, workspace: Workspace, parent: QObject
    ) -> None:
        """Show that nothing is loaded yet."""
        super().__init__(parent)
        self._strip = strip
        self._chat = chat
        self._notices = notices
        self._engine = workspace.engine
        self._chats = workspace.chats
        self._saved = workspace.saved
        self._statistics: Statistics | None = None
        self._engine.statistics.connect(self._take)
        self._engine.model_changed.connect(self._model_changed)
        self._chats.queue_changed.connect(self._show_clear)
        chat.figures_changed.connect(self._show_context)
        chat.opened.connect(lambda _conversation: self._show_state())
        self._saved.changed.connect(self._show_state)
        strip.clear.connect(self.clear)
        self._show()

    def _take(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._show()

    def _model_changed(self, model: ModelInfo | None) -> None:
        if model is None:
            self._statistics = None
        self._engine.refresh_statistics()
        self._show()

    def _show(self) -> None:
        self._show_context()
        statistics = self._statistics
        self._strip.show_memory(memory_figures(statistics) if statistics is not None else None)
        self._show_state()

    def _show_state(self) -> None:
        self._show_saved()
        self._show_clear()

    def _show_saved(self) -> None:
        statistics, conversation, everything = self._statistics, self._chat.conversation_id, self._saved.usage
        if statistics is None:
            self._strip.show_saved(None)
            return
        usage = self._saved.of(conversation)
        own, shared = (usage.own, usage.shared) if usage is not None else (0, 0)
        self._strip.show_saved(
            SavedFigures(
                min(own + shared, statistics.saved_bytes),
                statistics.saved_bytes,
                statistics.saved_budget,
                shared=min(shared, statistics.saved_bytes),
                disk_free=everything.disk_free if everything is not None else None,
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

    def _show_clear(self) -> None:
        here, statistics = self._chat.conversation_id, self._statistics
        usage = self._saved.of(here)
        budget = self._chat.budget()
        figures = ClearFigures(
            own=usage.own if usage is not None else 0,
            shared=usage.shared if usage is not None else 0,
            tokens=budget.used if budget is not None else 0,
            no_memory=self._why_no_memory(),
            no_chat=self._why_no_chat(here, usage),
            no_saved=NOTHING_SAVED,
        )
        if statistics is not None:
            live = ConversationId(statistics.live_conversation) if statistics.live_conversation is not None else None
            figures = replace(
                figures,
                memory=sum(memory.kv_reserved + memory.compute for memory in statistics.memory),
                held=statistics.context_used,
                held_saved=self._saved_bytes(live),
                is_held=live is not None and live == here and statistics.context_used > 0,
                all_saved=statistics.saved_bytes,
                read_rate=statistics.read_rate,
                restore_rate=statistics.restore_rate,
                no_saved=self._why_not_all(statistics),
            )
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
        return "" if usage is not None else NOTHING_OF_THIS

    def _why_not_all(self, statistics: Statistics) -> str:
        if not statistics.saved_bytes:
            return NOTHING_SAVED
        return WRITING if self._chats.running is not None else ""

    def _saved_bytes(self, live: ConversationId | None) -> int:
        """What is saved of the chat in memory and would be used; 0 for nothing."""
        usage = self._saved.of(live) if live is not None and self._saved.may_save(live) else None
        return usage.own + usage.shared if usage is not None else 0

    def clear(self) -> None:
        """Free the context's memory; the text is untouched, the next reply reads it again."""
        self._engine.send(ClearCache(id=self._engine.new_id()), self._cleared)

    def _cleared(self, answer: Response) -> None:
        if isinstance(answer, CacheCleared):
            text = f"{format_bytes(answer.freed_bytes)} of memory given back. Your chats are untouched"
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


def memory_figures(statistics: Statistics) -> MemoryFigures | None:
    """The device that holds the model's weights, else the computer's memory."""
    on_gpu = [memory for memory in statistics.memory if _device(statistics, memory.device).kind != "cpu"]
    mine = max(on_gpu or statistics.memory, key=lambda memory: memory.weights, default=None)
    device = _device(statistics, mine.device if mine is not None else "CPU")
    weights, kv_used, kv_reserved, compute = (
        (mine.weights, mine.kv_used, mine.kv_reserved, mine.compute) if mine is not None else (0, 0, 0, 0)
    )
    ours = weights + kv_reserved + compute
    if device.kind == "cpu":
        # Mapped weights are page cache, which the system counts as available.
        total, taken = statistics.ram_total, statistics.ram_total - statistics.ram_available
        other = max(0, taken - kv_reserved - compute)
    else:
        total, taken = device.total_bytes, device.total_bytes - device.free_bytes
        other = max(0, taken - ours)
    return MemoryFigures(
        device_label=device.description or device.name,
        kind=device.kind,
        total=total,
        weights=weights,
        kv_used=kv_used,
        kv_reserved=kv_reserved,
        compute=compute,
        other=min(other, max(0, total - ours)),
        free=max(0, total - ours - other),
    )


def _device(statistics: Statistics, name: str) -> Device:
    """The device of that name; the computer's memory for a buffer that names none."""
    for device in statistics.devices:
        if device.name == name:
            return device
    return Device(
        name="CPU",
        description="this computer's memory",
        kind="cpu",
        free_bytes=statistics.ram_available,
        total_bytes=statistics.ram_total,
    )
