"""Opens the help page with the figures of the chat that is open."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from app.core.conversation import Message
from app.gui.open_chat import OpenChat
from app.protocol.answers import Statistics
from app.services.workspace import Workspace

if TYPE_CHECKING:  # a window that only starts does not need the page
    from app.gui.help_page import HelpFigures, HelpPage
    from app.gui.help_picture import Part


class HelpFeed(QObject):
    """Gathers what the page shows."""

    def __init__(self, chat: OpenChat, workspace: Workspace, parent: QWidget) -> None:
        """Nothing is open yet."""
        super().__init__(parent)
        self._window, self._chat = parent, chat
        self._engine, self._saved = workspace.engine, workspace.saved
        self._statistics: Statistics | None = None
        self._page: HelpPage | None = None
        workspace.engine.statistics.connect(self._take)
        workspace.engine.model_changed.connect(lambda model: self._take(None) if model is None else None)

    def open(self) -> "HelpPage":
        """Show the page, with the figures of now."""
        from app.gui import help_page

        if self._page is not None:
            self._page.close()
        page = self._page = help_page.open(self._window, self.figures())
        page.finished.connect(lambda _result: self._gone(page))
        return page

    def figures(self) -> "HelpFigures":
        """What is known of the open chat."""
        from app.gui.help_page import HelpFigures

        here, now, model = self._chat.conversation_id, self._statistics, self._engine.model
        tree = self._chat.tree
        path = tree.path() if tree is not None else []
        usage = self._saved.of(here)
        is_live = now is not None and here is not None and now.live_conversation == here
        return HelpFigures(
            parts=prompt_parts(path, self._chat.tokens.of("instructions")),
            in_memory=now.context_used if now is not None and is_live else 0,
            bytes_per_token=model.kv_bytes_per_token if model is not None else 0,
            own=usage.own if usage is not None else 0,
            shared=usage.shared if usage is not None else 0,
            saved=usage.tokens if usage is not None else 0,
            read_rate=now.read_rate if now is not None else 0.0,
            restore_rate=now.restore_rate if now is not None else 0.0,
            last=next((message.figures for message in reversed(path) if message.figures is not None), None),
            mode=model.memory_mode if model is not None else None,
        )

    def _take(self, statistics: Statistics | None) -> None:
        self._statistics = statistics

    def _gone(self, page: "HelpPage") -> None:
        if self._page is page:
            self._page = None


def prompt_parts(path: Sequence[Message], instructions: int) -> "tuple[Part, ...]":
    """The prompt as parts, from the figures of its turns: a reply's prompt, less what was there before, was asked."""
    from app.gui.help_picture import Part

    parts: list[Part] = []
    before = 0
    for message in path:
        figures = message.figures
        if message.role != "assistant" or figures is None:
            continue
        asked = figures.tokens.prompt - before
        if not parts and 0 < instructions < asked:
            parts.append(Part("instructions", instructions))
            asked -= instructions
        if asked > 0:
            parts.append(Part("you", asked))
        if figures.tokens.generated:
            parts.append(Part("model", figures.tokens.generated))
        before = figures.tokens.prompt + figures.tokens.generated
    return tuple(parts)
