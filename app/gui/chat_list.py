"""Keeps the sidebar in step with the stored conversations."""

from typing import Final

from PySide6.QtCore import QObject, QTimer

from app.core.conversation import ConversationId
from app.gui.sidebar.item import SidebarItem, State
from app.gui.sidebar.sidebar import Sidebar
from app.protocol.messages import Statistics
from app.services.workspace import Workspace
from app.storage.conversations import ChangeKind
from app.storage.records import ConversationSummary

QUIET_CHANGES: Final[tuple[ChangeKind, ...]] = ("draft", "reply", "leaf", "sampler", "model", "system_prompt")
"""Changes that the list does not show."""


class ChatList(QObject):
    """Feeds the sidebar: titles and times from the store, states from the engine and the queue."""

    def __init__(self, sidebar: Sidebar, workspace: Workspace, parent: QObject) -> None:
        """Fill the sidebar, and follow what changes."""
        super().__init__(parent)
        self._sidebar = sidebar
        self._workspace = workspace
        self._live: str | None = None
        self._summaries: dict[str, ConversationSummary] = {}
        self._later = QTimer(self)  # many changes in one turn of the event loop are one reading of the list
        self._later.setSingleShot(True)
        self._later.timeout.connect(self.read)
        workspace.store_changed.connect(self._changed)
        workspace.engine.statistics.connect(self._statistics)
        workspace.chats.queue_changed.connect(self.show_states)
        self.read()

    def read(self) -> None:
        """Read the whole list again."""
        self._summaries = {summary.id: summary for summary in self._workspace.store.summaries()}
        self._sidebar.set_conversations([self._item(summary) for summary in self._summaries.values()])

    def show_states(self) -> None:
        """Show the states again; only rows that differ are painted."""
        for summary in self._summaries.values():
            self._sidebar.update_item(self._item(summary))

    def _changed(self, kind: str, _conversation: str) -> None:
        if kind not in QUIET_CHANGES:
            self._later.start(0)

    def _statistics(self, statistics: Statistics) -> None:
        if statistics.live_conversation != self._live:
            before, self._live = self._live, statistics.live_conversation
            for conversation in (before, self._live):
                if conversation is not None and conversation in self._summaries:
                    self._sidebar.update_item(self._item(self._summaries[conversation]))

    def _item(self, summary: ConversationSummary) -> SidebarItem:
        return SidebarItem(summary.id, summary.title, summary.updated, self._state(summary.id))

    def _state(self, conversation: ConversationId) -> State:
        chats = self._workspace.chats
        if chats.is_running(conversation):
            return "writing"
        if chats.waiting(conversation) is not None:
            return "queued"
        return "memory" if conversation == self._live else "unsaved"

    def neighbour(self, conversation: str) -> str | None:
        """The conversation to open when this one goes: the next older one, else the next newer."""
        order = list(self._summaries)
        if conversation not in order:
            return order[0] if order else None
        at = order.index(conversation)
        rest = order[at + 1 :] + order[:at][::-1]
        return rest[0] if rest else None
