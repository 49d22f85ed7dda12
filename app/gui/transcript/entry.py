"""A message and what the page knows about it."""

from typing import TYPE_CHECKING

from PySide6.QtGui import QTextFrame

from app.gui.transcript.shown import ShownMessage

if TYPE_CHECKING:
    from app.gui.transcript.live_reply import LiveReply


class Entry:
    """One message, its frame while it is on the page, and what the person did to it."""

    __slots__ = ("frame", "live", "message", "natural", "pieces", "status", "unfolded")

    def __init__(self, message: ShownMessage) -> None:
        self.message = message
        self.pieces: list[str] = [message.text]
        self.frame: QTextFrame | None = None
        """None as long as the message is not on the page."""
        self.live: LiveReply | None = None
        """What writes the reply while it streams."""
        self.status = ""
        """What happens before the first word."""
        self.unfolded = False
        """Whether the person opened the reasoning."""
        self.natural = 0.0
        """How wide a bubble would be with all the room it wants."""

    @property
    def text(self) -> str:
        """All of the message's text up to now."""
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0]

    def replace(self, message: ShownMessage) -> None:
        """Be another message, or another state of it; what the person unfolded stays."""
        self.message = message
        self.pieces = [message.text]
        if message.text or not message.streaming:
            self.status = ""
