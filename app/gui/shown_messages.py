"""From stored messages to what the transcript shows of them."""

from collections.abc import Sequence

from app.core.conversation import Message
from app.gui import wording
from app.gui.transcript.shown import ShownMessage

WAITING = "waiting"
"""The transcript's id of a message that is not sent yet."""


def waiting_message(text: str, until: str) -> ShownMessage:
    """A message that is sent when `until` has happened."""
    return ShownMessage(WAITING, "user", text, "You", notice=f"Will be sent when {until}.")


def shown_message(message: Message, variants: Sequence[Message], streamed: str | None) -> ShownMessage:
    """A message, one of its `variants`; `streamed` is what has come of a reply that is being written, else None."""
    variant, count = [each.id for each in variants].index(message.id) + 1, len(variants)
    if message.role == "user":
        return ShownMessage(message.id, "user", message.text, "You", variant=variant, variants=count)
    streaming = streamed is not None
    text = message.text if streamed is None else streamed
    notice, is_error = ("", False) if streaming else wording.reply_notice(message)
    return ShownMessage(
        message.id,
        "assistant",
        text,
        message.model or "Reply",
        figures=wording.figures_line(message.figures) if message.figures is not None else "",
        notice=" ".join(filter(None, (notice, wording.reread_notice(message.figures)))),
        is_error=is_error,
        streaming=streaming,
        actions=_actions(text, streaming=streaming),
        variant=variant,
        variants=count,
    )


def _actions(reply: str, *, streaming: bool) -> tuple[str, ...]:
    """What can be done with a reply: of one without a word there is nothing to copy."""
    if streaming:
        return ("copy",)
    return ("copy", "regenerate") if reply.strip() else ("regenerate",)
