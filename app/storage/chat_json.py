"""A conversation in the form in which OpenAI's API takes a chat."""

from typing import Any, Final

import msgspec

from app.core.conversation import ConversationTree, Message
from app.core.errors import EmberError
from app.storage.records import storable

BRANCH_BYTES: Final = 64 * 1024 * 1024
"""What all branches may take together: the messages that they share stand in each of them."""

_ENTRY: Final = 100
"""What a message takes beside its text."""


def to_chat_json(tree: ConversationTree, *, one: bool = True) -> bytes:
    """{"messages": [{"role", "content"}…]} of the shown path, or a list of these for all branches, the shown one first.

    Each also has the `title`, and the `conversation`, by which importing them puts the branches together again.
    Raises EmberError of kind "too_large".
    """
    shown = tree.path()
    if one:
        return _formatted(_branch(tree, shown))
    above = {message.parent for message in tree.messages.values()}
    leaves = [message.id for message in tree.messages.values() if message.id not in above]
    branches = [shown] if shown else []
    length = 0
    for leaf in leaves:
        if shown and leaf == shown[-1].id:
            continue
        branch = tree.path(leaf)
        length += sum(len(message.text) + _ENTRY for message in branch)
        if length > BRANCH_BYTES:
            raise EmberError(
                f"“{tree.conversation.title}” has too many long branches to be written one after the other. "
                "Nothing was written; export one branch, or an .ember file.",
                kind="too_large",
            )
        branches.append(branch)
    return _formatted([_branch(tree, branch) for branch in branches])


def _branch(tree: ConversationTree, path: list[Message]) -> dict[str, Any]:
    conversation = tree.conversation
    messages = [{"role": message.role, "content": storable(message.text)} for message in path if message.text.strip()]
    if conversation.system_prompt.strip():
        messages.insert(0, {"role": "system", "content": storable(conversation.system_prompt)})
    return {"title": storable(conversation.title), "conversation": conversation.id, "messages": messages}


def _formatted(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
