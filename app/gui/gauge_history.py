"""Keeps the last ten minutes of the gauges, and shows them on the card that a gauge opens."""

import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from PySide6.QtCore import QObject

from app.core.conversation import ConversationId
from app.core.errors import EmberError
from app.core.history import History
from app.gui.gauges import figures, reading
from app.gui.gauges.card import CardFigures
from app.gui.gauges.gauge import Gauge
from app.gui.gauges.section import Record
from app.gui.gauges.strip import GaugeStrip
from app.gui.open_chat import OpenChat
from app.protocol.answers import Statistics
from app.services.background import run_in_background
from app.services.workspace import Workspace
from app.storage.reuse import Reused, reused_tokens

logger = logging.getLogger(__name__)

CONTEXT_ROLES: Final = ("system", "history", "accent_soft")
MEMORY_ROLES: Final = ("weights", "kv_used", "kv_reserved", "compute", "process")
SAVED_ROLES: Final = ("kv_used", "system", "kv_reserved")
"""The parts that are kept and drawn, from the bottom up."""


class GaugeHistory(QObject):
    """Takes a sample whenever it is told to, and feeds the card while it is open."""

    def __init__(self, strip: GaugeStrip, chat: OpenChat, workspace: Workspace, parent: QObject) -> None:
        """Nothing is kept yet."""
        super().__init__(parent)
        self._strip = strip
        self._chat = chat
        self._store = workspace.store
        self._engine = workspace.engine
        self._context = History(len(CONTEXT_ROLES))
        self._memory: dict[str, History] = {}
        """By the device's name."""
        self._saved = History(len(SAVED_ROLES))
        self._open: Gauge | None = None
        self._reused: Reused | None = None
        self._is_counting = False
        self._read_rate = 0.0
        for gauge in strip.gauges():
            gauge.clicked.connect(partial(self._open_card, gauge))
        workspace.chats.turn_ended.connect(lambda _outcome: self._count())
        chat.opened.connect(lambda _conversation: self._chat_opened())

    def take(self, statistics: Statistics) -> None:
        """Keep what the gauges show now; at most one sample a second."""
        self._read_rate = statistics.read_rate
        now = int(time.monotonic())
        strip = self._strip
        if strip.context.reading().total:
            self._context.note(now, _values(strip.context.reading(), CONTEXT_ROLES))
        for each in strip.memories():
            self._memory.setdefault(each.device, History(len(MEMORY_ROLES))).note(now, _values(each, MEMORY_ROLES))
        if strip.saved.reading().figures:
            self._saved.note(now, _values(strip.saved.reading(), SAVED_ROLES))
        self._show()

    # --- the card ----------------------------------------------------------------------------------------------------

    def _open_card(self, gauge: Gauge) -> None:
        self._open = gauge
        self._strip.card.open_over(gauge, self._figures(gauge))
        self._count()

    def _show(self) -> None:
        if self._open is not None and self._strip.card.isVisible():
            self._strip.card.show_figures(self._figures(self._open))

    def _figures(self, gauge: Gauge) -> CardFigures:
        now, strip = int(time.monotonic()), self._strip
        if gauge is strip.memory:
            records = tuple(
                Record(each, MEMORY_ROLES, self._memory[each.device].until(now) if each.device in self._memory else ())
                for each in strip.memories()
            )
            shown = gauge.reading()
            notes = tuple(filter(None, (*_notes(shown), self._estimated())))
            return CardFigures("Memory", records or (Record(shown, MEMORY_ROLES, ()),), notes, reading.MEMORY)
        shown = gauge.reading()
        if gauge is strip.context:
            record = Record(shown, CONTEXT_ROLES, self._context.until(now), limit=round(shown.total))
            return CardFigures("Context", (record,), _notes(shown), reading.CONTEXT)
        record = Record(shown, SAVED_ROLES, self._saved.until(now))
        reuse = self._reuse()
        sentence = " ".join(filter(None, (shown.sentence, reading.read_rate(reuse))))
        return CardFigures("Saved state", (record,), reading.read_reuse(reuse), sentence)

    def _estimated(self) -> str:
        """What the loaded model was to take; empty without one."""
        plan = self._engine.plan if self._engine.model is not None else None
        devices = plan.devices if plan is not None else ()
        return reading.read_estimated(*((each.device, each.weights + each.kv + each.compute) for each in devices))

    # --- what was not read again -------------------------------------------------------------------------------------

    def _reuse(self) -> figures.ReuseFigures:
        reused = self._reused
        if reused is None:
            return figures.ReuseFigures()
        here = reused.here if self._chat.conversation_id is not None else None
        return figures.ReuseFigures(here, reused.everywhere, self._read_rate)

    def _chat_opened(self) -> None:
        self._reused = None
        self._count()

    def _count(self) -> None:
        """Sum up what was not read again, only while somebody looks; the last sum is shown meanwhile."""
        if self._open is not self._strip.saved or not self._strip.card.isVisible() or self._is_counting:
            return
        self._is_counting = True
        conversation = self._chat.conversation_id
        run_in_background(
            self,
            lambda: reused_tokens(self._store.database, conversation),
            lambda reused: self._counted(conversation, reused),
            self._not_counted,
        )

    def _counted(self, conversation: ConversationId | None, reused: Reused) -> None:
        self._is_counting = False
        if conversation != self._chat.conversation_id:
            self._count()
            return
        self._reused = reused
        self._show()

    def _not_counted(self, error: EmberError) -> None:
        self._is_counting = False
        logger.warning("what was not read again could not be counted: %s", error.sentence)


def _notes(shown: reading.Reading) -> tuple[str, ...]:
    """What is to be said before anything else: that it is getting tight, or why there are no figures."""
    if shown.alert:
        return (shown.alert,)
    return (f"{reading.NO_MODEL}.",) if reading.NO_MODEL in shown.lines else ()


def _values(shown: reading.Reading, roles: Sequence[str]) -> tuple[int, ...]:
    return tuple(shown.of_role(role) for role in roles)
