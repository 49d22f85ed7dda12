"""From stored messages to what the transcript shows of them."""

from collections.abc import Mapping, Sequence

from app.core.conversation import ConversationTree, Message, MessageId, was_cut
from app.gui import wording
from app.gui.transcript.shown import ShownMessage
from app.services.turns import RunningTurn, TurnRequest

WAITING = "waiting"
"""The transcript's id of a message that is not sent yet."""

Children = Mapping[MessageId | None, Sequence[Message]]
"""The messages of a tree by their parent, oldest first."""


def shown_page(
    tree: ConversationTree, children: Children, running: RunningTurn | None, request: TurnRequest | None
) -> list[ShownMessage]:
    """The messages of the shown branch; `request`, if its words wait there, stands in the place they go to."""
    path = tree.path()
    page = [shown_message(tree, children, message, running) for message in path]
    if request is None or request.text is None:
        return page
    edited = tree.messages.get(request.edits) if request.edits is not None else None
    parent = edited.parent if edited is not None else request.parent
    places = [None, *(message.id for message in path)]
    if parent not in places:  # another branch was chosen since
        return page
    return [*page[: places.index(parent)], waiting_message(request, running)]


def waiting_message(request: TurnRequest, running: RunningTurn | None) -> ShownMessage:
    """A message that waits for the reply that runs, or for the model."""
    until = "the model is loaded" if running is None else "the other reply is done"
    return ShownMessage(WAITING, "user", request.text or "", "You", notice=f"Will be sent when {until}.")


def shown_message(
    tree: ConversationTree, children: Children, message: Message, running: RunningTurn | None
) -> ShownMessage:
    """A message of the tree, which grows if it is the reply that runs."""
    variants = children[message.parent]
    variant, count = [each.id for each in variants].index(message.id) + 1, len(variants)
    if message.role == "user":
        return ShownMessage(
            message.id, "user", message.text, "You", variant=variant, variants=count, actions=("copy", "edit")
        )
    if running is not None and running.reply.id == message.id:
        return ShownMessage(
            message.id,
            "assistant",
            running.text,
            message.model or "Reply",
            streaming=True,
            variant=variant,
            variants=count,
        )
    figures = message.figures
    notice, is_error = wording.reply_notice(message)
    return ShownMessage(
        message.id,
        "assistant",
        message.text,
        message.model or "Reply",
        figures=wording.figures_line(figures) if figures is not None else "",
        figures_detail=wording.figures_detail(figures) if figures is not None else "",
        notice=" ".join(filter(None, (notice, wording.reread_notice(figures)))),
        is_error=is_error,
        actions=_actions(message, is_last=message.id == tree.conversation.leaf, is_leaf=message.id not in children),
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
