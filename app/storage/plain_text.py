"""A conversation as plain text: who said what, as it was written."""

from app.core.conversation import ConversationTree, Message
from app.storage.markdown import variants_of

_RULE = "-" * 40


def to_plain_text(tree: ConversationTree, *, one: bool = True) -> str:
    """The title, the system prompt and the shown path; unless `one`, then every other variant."""
    conversation = tree.conversation
    parts = [" ".join(conversation.title.split())]
    if conversation.system_prompt.strip():
        parts.append(f"System prompt:\n{conversation.system_prompt.strip()}")
    shown = tree.path()
    parts += map(_said, shown)
    if not one:
        for path in variants_of(tree, {message.id for message in shown}):
            parent = None if path[0].parent is None else tree.messages.get(path[0].parent)
            place = "from the beginning" if parent is None else f"after: {' '.join(parent.text.split())[:60]}"
            parts += [f"{_RULE}\nAnother variant, {place}", *map(_said, path)]
    return "\n\n".join(parts) + "\n"


def _said(message: Message) -> str:
    who = "You" if message.role == "user" else message.model or "Assistant"
    error = f"\n({message.error})" if message.error else ""
    return f"{who}:\n{message.text.strip()}{error}"
