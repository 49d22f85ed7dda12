"""How many tokens the open chat has: what its turns took, and what is being written."""

from collections.abc import Sequence
from typing import Literal

from PySide6.QtCore import QObject, Signal

from app.core.conversation import Message
from app.core.reasoning_marks import REASONING_END
from app.protocol.answers import TokenCount
from app.protocol.messages import Response
from app.protocol.requests import CountTokens
from app.services.engine_client import EngineClient

Counted = Literal["draft", "instructions"]


class TokenCounts(QObject):
    """Lets the engine count what is not sent yet; the newest text of each kind wins."""

    changed = Signal()

    def __init__(self, engine: EngineClient, parent: QObject) -> None:
        """Nothing is known yet."""
        super().__init__(parent)
        self._engine = engine
        self._known: dict[Counted, int] = {}
        self._asked: dict[Counted, int] = {}
        """The request whose answer is awaited."""

    def of(self, what: Counted) -> int:
        """The tokens; 0 where they are not known."""
        return self._known.get(what, 0)

    def count(self, what: Counted, text: str) -> None:
        """Count a text; without a model nothing is known of it."""
        if self._engine.model is None or not text:
            self.forget(what)
            return
        request = self._asked[what] = self._engine.new_id()

        def counted(answer: Response) -> None:
            if isinstance(answer, TokenCount) and self._asked.get(what) == request:
                self._known[what] = answer.count
                self.changed.emit()

        self._engine.send(CountTokens(id=request, text=text), counted)

    def forget(self, *what: Counted) -> None:
        """What was counted, or is being counted, belongs to an older text."""
        for each in what:
            self._known.pop(each, None)
            self._asked.pop(each, None)
        self.changed.emit()


def used_tokens(path: Sequence[Message]) -> int:
    """Tokens of a conversation in the context after its last turn; 0 before the first."""
    for message in reversed(path):
        if message.figures is not None:
            # templates leave earlier reasoning out of the next prompt: its share of the tokens is estimated
            answer = message.text.rpartition(REASONING_END)[2]
            generated = message.figures.tokens.generated * len(answer) // max(1, len(message.text))
            return message.figures.tokens.prompt + generated
    return 0
