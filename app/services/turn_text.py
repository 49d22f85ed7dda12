"""A turn's beginning in the database: the person's message, the empty reply, and the prompt that leads to it."""

from dataclasses import dataclass

from app.core.conversation import UNTITLED, Conversation, Message, MessageId, new_message_id, title_from, was_cut
from app.core.errors import EmberError
from app.protocol.parts import ChatMessage, ModelInfo
from app.services.model_library import display_name
from app.services.turns import TurnRequest, typed_since
from app.storage.conversations import ConversationStore


@dataclass(frozen=True, slots=True)
class Begun:
    """A turn that is in the database."""

    conversation: Conversation
    """As it was before."""
    question: Message | None
    """The person's message; None where an old one is answered again, or a reply gone on with."""
    reply: Message
    """Empty; one that is gone on with has its words already."""
    prompt: tuple[ChatMessage, ...]


class TurnText:
    """Stores the words of turns that begin."""

    def __init__(self, store: ConversationStore) -> None:
        """Write to `store`."""
        self._store = store

    def begin(self, request: TurnRequest, model: ModelInfo) -> Begun:
        """Store the message and an empty reply in one go. Raises EmberError."""
        with self._store.database.transaction():
            conversation = self._store.get(request.conversation)
            question = self._add_question(request, conversation)
            if request.continues is not None:
                reply = self._cut_reply(conversation, request.continues)
            else:
                reply = self._add_reply(request, question, model)
            return Begun(conversation, question, reply, self.prompt(conversation, reply.id, model))

    def _add_question(self, request: TurnRequest, conversation: Conversation) -> Message | None:
        """Store the person's message; None where an old one is answered again, or a reply gone on with."""
        if request.text is None:
            return None
        parent = request.parent
        if request.edits is not None:
            parent = self._message(conversation, request.edits).parent
        question = Message(new_message_id(), conversation.id, parent, "user", request.text)
        self._store.add_message(question)
        if conversation.title == UNTITLED and conversation.leaf is None:
            self._store.rename(conversation.id, title_from(request.text), by_person=False)
        self._store.set_draft(conversation.id, typed_since(request, conversation.draft))
        return question

    def _add_reply(self, request: TurnRequest, question: Message | None, model: ModelInfo) -> Message:
        """Store an empty reply to the new message, or another one to an old message."""
        parent = question.id if question is not None else request.answers
        if parent is None:
            raise EmberError("There is no message to answer.", "empty_prompt")
        author = display_name(model.path, model.name)
        reply = Message(new_message_id(), request.conversation, parent, "assistant", "", model=author)
        self._store.add_message(reply)
        return reply

    def _cut_reply(self, conversation: Conversation, which: MessageId) -> Message:
        """The reply to go on with, which is shown from now on; it stays as it is until more of it has come."""
        reply = self._message(conversation, which)
        if not was_cut(reply) or which in self._store.tree(conversation.id).children():
            raise EmberError("This reply is whole, or the chat has gone on after it.", "not_cut")
        self._store.set_leaf(conversation.id, which)
        return reply

    def _message(self, conversation: Conversation, which: MessageId) -> Message:
        """A message of the conversation; raises EmberError (no_message)."""
        message = self._store.tree(conversation.id).messages.get(which)
        if message is None:
            raise EmberError(f"There is no message “{which}” in this conversation; nothing was changed.", "no_message")
        return message

    def prompt(self, conversation: Conversation, leaf: MessageId, model: ModelInfo) -> tuple[ChatMessage, ...]:
        """The path to `leaf` as the engine wants it, with the exact ids known for this tokenizer."""
        path = self._store.path(conversation.id, leaf)
        ids = self._store.token_ids(conversation.id, model.tokenizer_key)
        prompt = [ChatMessage(id=m.id, role=m.role, text=m.text, token_ids=ids.get(m.id)) for m in path if m.text]
        if conversation.system_prompt.strip():
            prompt.insert(0, ChatMessage(id="system", role="system", text=conversation.system_prompt))
        return tuple(prompt)
