"""From stored messages to what the transcript shows of them."""

from collections.abc import Sequence

from app.core.conversation import Message, was_cut
from app.gui import wording
from app.gui.transcript.shown import ShownMessage

WAITING = "waiting"
"""The transcript's id of a message that is not sent yet."""


def waiting_message(text: str, until: str) -> ShownMessage:
    """A message that is sent when `until` has happened."""
    return ShownMessage(WAITING, "user", text, "You", notice=f"Will be sent when {until}.")


def shown_message(
    message: Message, variants: Sequence[Message], streamed: str | None, *, is_last: bool, is_leaf: bool
) -> ShownMessage:
    """A message, one of its `variants`; `streamed` is what has come of a reply that is being written, else None.

    `is_last`: the shown branch ends with it. `is_leaf`: nothing follows it in any branch.
    """
    variant, count = [each.id for each in variants].index(message.id) + 1, len(variants)
    if message.role == "user":
        return ShownMessage(
            message.id, "user", message.text, "You", variant=variant, variants=count, actions=("copy", "edit")
        )
    streaming = streamed is not None
    text = message.text if streamed is None else streamed
    notice, is_error = ("", False) if streaming else wording.reply_notice(message)
    reread = "" if streaming else wording.reread_notice(message.figures)
    figures = None if streaming else message.figures
    return ShownMessage(
        message.id,
        "assistant",
        text,
        message.model or "Reply",
        figures=wording.figures_line(figures) if figures is not None else "",
        figures_detail=wording.figures_detail(figures) if figures is not None else "",
        notice=" ".join(filter(None, (notice, reread))),
        is_error=is_error,
        streaming=streaming,
        actions=("copy",) if streaming else _actions(message, is_last=is_last, is_leaf=is_leaf),
        variant=variant,
        variants=count,
    )


def _actions(reply: Message, *, is_last: bool, is_leaf: bool) -> tuple[str, ...]:
    """What can be done with a reply: of one without a word there is nothing to copy or to go on from.

    After the last one the next message comes anyway, so there a branch would be nothing new.
    """
    if not reply.text.strip():
        return ("regenerate",)
    more = ("continue",) if is_leaf and was_cut(reply) else ()
    return ("copy", "regenerate", *more, *(() if is_last else ("branch",)))
