"""The conversation on the page: one document with a frame per message, from Markdown to pixels."""

from app.gui.transcript.shown import Role, ShownMessage
from app.gui.transcript.view import TranscriptView

__all__ = ["Role", "ShownMessage", "TranscriptView"]
