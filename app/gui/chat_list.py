"""Keeps the sidebar in step with the stored conversations."""

import re
import time
from dataclasses import replace
from typing import Final

from PySide6.QtCore import QObject, QTimer

from app.core.conversation import ConversationId
from app.core.errors import EmberError
from app.core.units import format_seconds
from app.gui.sidebar.item import SidebarItem, State
from app.gui.sidebar.sidebar import Sidebar
from app.protocol.answers import Statistics
from app.protocol.parts import TipUsage
from app.services.workspace import Workspace
from app.storage.conversations import ChangeKind
from app.storage.records import SearchHit

QUIET_CHANGES: Final[tuple[ChangeKind, ...]] = ("draft", "reply", "leaf", "sampler", "model", "system_prompt")
"""Changes that the list does not show."""
NO_STATE: Final[tuple[State, str]] = ("unsaved", "")
WORTH_TELLING: Final = 2.0
"""Seconds of reading from which on it is told what saved state spares."""
NOTICED: Final = 0.1
"""Rates that changed by less than this share are told as before."""
_FEW: Final = 8
"""More changes than these at once are one reading of the whole list."""
_FRAME: Final = 0.016
_REST: Final = 8
"""Where showing changes took longer than a frame (seconds), the next ones wait that many times as long: during an
import they come without end, and the window has other things to do."""
AT_ONCE: Final = 20
"""So many of those are shown without such a rest, as a person's own are."""
_MARKS: Final = re.compile(r"</?think>|[*_`#|]+")
"""Signs in a message's source that a person does not see, and need not in a piece of it."""
FOUND: Final = 120
"""At most so many chats are found by their texts."""
_BEFORE: Final = 12
"""Characters before the words that were found, so that a narrow list shows the words too."""
_TYPING_MS: Final = 120
"""Texts are searched when nothing was typed for so long."""
_PAUSE: Final = 0.5
"""Seconds without a change, after which they are counted anew."""


class ChatList(QObject):
    """Feeds the sidebar: titles and times from the store, states from the engine and the queue."""

    def __init__(self, sidebar: Sidebar, workspace: Workspace, parent: QObject) -> None:
        """Fill the sidebar, and follow what changes."""
        super().__init__(parent)
        self._sidebar = sidebar
        self._workspace = workspace
        self._live: str | None = None
        self._items: dict[str, SidebarItem] = {}
        self._states: dict[str, tuple[State, str]] = {}
        """The states of the conversations that have one to show, and words for them where the state's own do not do."""
        self._rates = (0.0, 0.0)
        """Tokens a second read, bytes a second restored."""
        self._words: dict[TipUsage, str] = {}
        """What is said of saved state with these rates: ten thousand sentences are not made anew each time."""
        self._changed: set[str] = set()
        self._not_before = 0.0
        self._shown_at_once, self._ended = 0, 0.0
        self._is_closed = False
        self._later = QTimer(self)  # many changes in one turn of the event loop are shown together
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._read_changed)
        self._sought = ""
        self._search = QTimer(self)
        self._search.setSingleShot(True)
        self._search.setInterval(_TYPING_MS)
        self._search.timeout.connect(self._find)
        sidebar.filter_changed.connect(self._seek)
        workspace.store_changed.connect(self._note_change)
        workspace.engine.statistics.connect(self._statistics)
        workspace.engine.died.connect(lambda _death: self._set_live(None))
        workspace.chats.queue_changed.connect(self.show_states)
        workspace.saved.changed.connect(self.show_states)
        self.read()

    def close(self) -> None:
        """Show nothing more: the database closes."""
        self._is_closed = True
        self._later.stop()
        self._search.stop()

    def read(self) -> None:
        """Read the whole list again."""
        self._later.stop()
        self._changed.clear()
        self._states = self._states_now()
        self._items = {
            each.id: SidebarItem(each.id, each.title, each.updated, *self._states.get(each.id, NO_STATE))
            for each in self._workspace.store.summaries(counted=False)
        }
        self._sidebar.set_conversations(list(self._items.values()))

    def show_states(self) -> None:
        """Show the states again; only rows that differ are painted."""
        before, self._states = self._states, self._states_now()
        changed = []
        for conversation in before.keys() | self._states.keys():
            now, item = self._states.get(conversation, NO_STATE), self._items.get(conversation)
            if item is not None and now != before.get(conversation, NO_STATE):
                changed.append(replace(item, state=now[0], detail=now[1]))
        self._items.update((item.id, item) for item in changed)
        self._sidebar.update_states(changed)

    def neighbour(self, conversation: str) -> str | None:
        """The conversation to open when this one goes: the next older one, else the next newer."""
        order = [item.id for item in sorted(self._items.values(), key=lambda item: item.updated, reverse=True)]
        if conversation not in order:
            return order[0] if order else None
        at = order.index(conversation)
        rest = order[at + 1 :] + order[:at][::-1]
        return rest[0] if rest else None

    # --- searching ---------------------------------------------------------------------------------------------------

    def _seek(self, words: str) -> None:
        """Look for the words in the texts too, as soon as the person stops typing."""
        self._sought = words
        if words.strip() and not self._is_closed:
            self._search.start()
        else:
            self._search.stop()

    def _find(self) -> None:
        """Show the chats whose text holds all the words, each with the newest place."""
        found: dict[str, str] = {}
        for hit in self._workspace.store.search(self._sought, FOUND):
            if hit.message is not None:
                found[hit.conversation] = _piece(hit)
        self._sidebar.set_found(found)

    # --- what changes ------------------------------------------------------------------------------------------------

    def _note_change(self, kind: str, conversation: str) -> None:
        if kind not in QUIET_CHANGES:
            self._changed.add(conversation)
            if not self._later.isActive() and not self._is_closed:
                self._later.start(max(0, round(1e3 * (self._not_before - time.monotonic()))))

    def _read_changed(self) -> None:
        """Read the conversations that have changed, and rest after much work."""
        began = time.monotonic()
        if began - self._ended > _PAUSE:
            self._shown_at_once = 0
        self._show_changed()
        self._ended = time.monotonic()
        took = self._ended - began
        self._shown_at_once += took > _FRAME
        self._not_before = began + took * (1 + _REST) if took > _FRAME and self._shown_at_once > AT_ONCE else 0.0

    def _show_changed(self) -> None:
        """Read the conversations that have changed, and no others."""
        if len(self._changed) > _FEW:
            self.read()
            return
        changed, self._changed = self._changed, set()
        for each in changed:
            try:
                stored = self._workspace.store.get(ConversationId(each))
            except EmberError as error:
                if error.kind != "no_conversation":
                    raise
                self._items.pop(each, None)
                self._sidebar.remove_item(each)
            else:
                self._show(SidebarItem(each, stored.title, stored.updated, *self._states.get(each, NO_STATE)))

    def _statistics(self, statistics: Statistics) -> None:
        rates = (statistics.read_rate, statistics.restore_rate)
        if any(abs(now - before) > NOTICED * before for now, before in zip(rates, self._rates, strict=True)):
            self._rates = rates
            self._words.clear()
        self._set_live(statistics.live_conversation)

    def _set_live(self, conversation: str | None) -> None:
        """Note whose state the engine holds in memory."""
        if conversation != self._live:
            self._live = conversation
            self.show_states()

    def _states_now(self) -> dict[str, tuple[State, str]]:
        chats, saved = self._workspace.chats, self._workspace.saved
        states: dict[str, tuple[State, str]] = {}
        known, self._words = self._words, {}
        for conversation, usage in saved.all().items():
            words = known[usage] if usage in known else self._time_to_open(usage)
            self._words[usage] = words
            states[conversation] = ("saved", words)
        if self._live is not None:
            states[self._live] = ("memory", "")
        for conversation in chats.waiting_conversations:
            states[conversation] = ("queued", "")
        if chats.running is not None:
            states[chats.running.request.conversation] = ("writing", "")
        return states

    def _time_to_open(self, usage: TipUsage) -> str:
        """What the saved state is worth, once both ways were measured with this model."""
        read, restore = self._rates
        if not read or not restore:
            return ""
        saved, again = (usage.own + usage.shared) / restore, usage.tokens / read
        if again < WORTH_TELLING or again < 2 * saved:
            return ""
        return f"opens in {format_seconds(max(saved, 0.1))} instead of {format_seconds(again)}"

    def _show(self, item: SidebarItem) -> None:
        self._items[item.id] = item
        self._sidebar.update_item(item)


def _piece(hit: SearchHit) -> str:
    """What the list shows of a place: little before the words that were found, and no signs of Markdown."""
    start = hit.matches[0][0] if hit.matches else 0
    # Not in the middle of a word; without a blank in reach, all of it.
    cut = hit.excerpt.find(" ", max(start - _BEFORE, 0), start) if start > _BEFORE else -1
    text = hit.excerpt if cut < 0 else f"…{hit.excerpt[cut + 1 :]}"
    return " ".join(_MARKS.sub(" ", text).split())
