"""What the open chat and its draft take of the model's context: counted, and shown at the composer."""

from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.context_budget import ContextBudget
from app.core.conversation import path_to
from app.gui.composer import Composer
from app.gui.token_counts import TokenCounts, used_tokens
from app.protocol.answers import Statistics
from app.services.engine_client import EngineState
from app.services.workspace import Workspace

if TYPE_CHECKING:
    from app.gui.open_chat import OpenChat

DRAFT_COUNT_MS: Final = 250


class ContextUse(QObject):
    """Counts while something is written, and while a reply grows."""

    changed = Signal()

    def __init__(self, chat: "OpenChat", workspace: Workspace, composer: Composer) -> None:
        """Nothing is counted yet."""
        super().__init__(chat)
        self._chat = chat
        self._engine = workspace.engine
        self._composer = composer
        self.tokens = TokenCounts(workspace.engine, self)
        self._live = 0
        """What the context holds of this conversation while its reply is written."""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DRAFT_COUNT_MS)
        self._timer.timeout.connect(self._count_draft)
        self.tokens.changed.connect(self.show)
        composer.draft_changed.connect(self._draft_changed)
        workspace.engine.statistics.connect(self._take_statistics)
        workspace.engine.state_changed.connect(self._engine_changed)

    def begin(self) -> None:
        """Another chat is open."""
        self._live = 0
        self.tokens.forget("draft", "instructions")
        self.count()

    def count(self) -> None:
        """Count what is not sent: the draft and the instructions."""
        self._count_draft()
        self.tokens.count("instructions", self._chat.instructions)

    def used(self) -> int:
        """Tokens of the open conversation that come before what is written; 0 before the first turn."""
        tree, edited = self._chat.tree, self._chat.writing.edited
        if tree is None:
            return 0
        return used_tokens(tree.path() if edited is None else path_to(tree.messages, edited.parent))

    def budget(self) -> ContextBudget | None:
        """What the conversation and the draft take of the context; None without a model."""
        model = self._engine.model
        if model is None:
            return None
        used = max(self.used(), self._live if self._chat.runs_in_sight() else 0)
        return ContextBudget(limit=model.context, used=used, draft=self.tokens.of("draft"))

    def show(self) -> None:
        """Let the composer show what is left."""
        self._composer.set_budget(self.budget())
        self.changed.emit()

    def _draft_changed(self, text: str) -> None:
        self._timer.start()
        budget = None if self._composer.fits() else self.budget()
        if budget is not None and len(text.encode("utf-8", "surrogatepass")) <= budget.remaining + budget.draft:
            self.tokens.forget("draft")  # no more tokens than bytes: it may be sent before it is counted

    def _engine_changed(self, state: EngineState) -> None:
        if state == "stopped":
            self._timer.stop()  # the app ends: whatever a count would lead to finds the database closed

    def _take_statistics(self, statistics: Statistics) -> None:
        here = self._chat.conversation_id
        self._live = statistics.context_used if statistics.live_conversation == here else 0
        if self._chat.runs_in_sight():
            self.show()

    def _count_draft(self) -> None:
        self.tokens.count("draft", self._composer.draft())
