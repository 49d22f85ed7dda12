"""A conversation that is here already and comes again in a file: what is new in the file, and adding just that."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.core.conversation import ConversationId, ConversationTree, Message, MessageId
from app.core.errors import EmberError
from app.storage.archive import ended
from app.storage.archive_format import ImportedConversation
from app.storage.conversations import ConversationStore
from app.storage.records import TokenIds, unpack_ids


@dataclass(frozen=True, slots=True)
class Difference:
    """What a file has of a conversation that is here."""

    new: tuple[MessageId, ...]
    """Messages that are not here, parents before children."""
    branches: int
    """How many of them have none below."""
    differing: frozenset[MessageId]
    """Messages that are here too, with other words or in another place."""
    fits: bool
    """Whether each new message follows words that are the same here, so that all can be added."""

    @property
    def is_none(self) -> bool:
        """Whether the file has nothing that is not here."""
        return not self.new and not self.differing

    @property
    def can_be_added(self) -> bool:
        """Whether there is something new, and all of it fits."""
        return bool(self.new) and self.fits


def difference(there: Mapping[MessageId, bool], coming: Mapping[MessageId, Message]) -> Difference:
    """Compare the messages of a conversation; a message of `coming` stands behind its parent.

    `there` has those that are here, and whether each reads the same.
    """
    differing = frozenset(key for key in coming if not there.get(key, True))
    new = tuple(key for key in coming if key not in there)
    above = {coming[key].parent for key in coming}
    loose = set(differing)  # messages below which nothing can be added: their words, or those above, are others here
    for key, message in coming.items():
        if message.parent in loose:
            loose.add(key)
    fits = not any(key in loose for key in new)
    return Difference(new, sum(key not in above for key in new), differing, fits)


def compare(store: ConversationStore, coming: ConversationTree) -> Difference | None:
    """What the conversation of a file has that the one here has not; None where it is not here, or was deleted."""
    try:
        store.get(coming.conversation.id)
    except EmberError as error:
        if error.kind != "no_conversation":
            raise
        return None
    read = {key: store.reads_as(message) for key, message in coming.messages.items()}
    found = difference({key: same for key, same in read.items() if same is not None}, coming.messages)
    if found.can_be_added and store.knows_any_message(found.new):  # in another chat: an id belongs to one message
        return Difference(found.new, found.branches, found.differing, fits=False)
    return found


def add_new(
    store: ConversationStore, imported: ImportedConversation, *, trust_token_ids: bool = False
) -> tuple[MessageId, ...]:
    """Add what a file has more of a conversation that is here, in one transaction; the messages that were added.

    Nothing that is here changes: messages, what is shown, the title. Exact token ids are taken as by `place`, and only
    where none are. Raises EmberError of kind "cannot_merge" where the new messages do not fit.
    """
    tree = imported.tree
    with store.database.transaction():
        found = compare(store, tree)
        if found is None or not found.fits:
            raise EmberError(
                f"“{tree.conversation.title}” reads differently here, so what is new in the file cannot be added to "
                "it. Nothing was changed; import it as a copy instead.",
                "cannot_merge",
            )
        if found.new:
            store.add_messages(tree.conversation.id, [ended(tree.messages[key]) for key in found.new])
        if trust_token_ids:
            same = {
                tokenizer: {key: packed for key, packed in ids.items() if key not in found.differing}
                for tokenizer, ids in imported.token_ids.items()
            }
            add_token_ids(store, tree.conversation.id, same)
    return found.new


def add_token_ids(store: ConversationStore, conversation: ConversationId, token_ids: TokenIds) -> None:
    """Keep the token ids of messages of the conversation that have none for that tokenizer yet."""
    with store.database.transaction():
        present = store.packed_token_ids(conversation)
        for tokenizer, ids in token_ids.items():
            known = present.get(tokenizer, {})
            store.store_token_ids(
                tokenizer, {key: unpack_ids(packed) for key, packed in ids.items() if key not in known}
            )
