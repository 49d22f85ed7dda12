"""Conversations stored for the bench."""

import random
import time

from app.core.conversation import (
    Conversation,
    ConversationId,
    ConversationTree,
    Message,
    MessageId,
    messages_by_id,
    new_conversation_id,
)
from app.core.turn import KvFigures, TokenCounts, TurnFigures, TurnSeconds
from app.storage.conversations import ConversationStore
from tests.bench.prose import question, reply, sentence

DAY = 24 * 3600.0
SYLLABLES = ("ba", "co", "di", "fen", "gu", "hal", "ir", "jo", "kel", "lum", "mar", "nor", "os", "pi", "quin", "ros")
FIGURES = TurnFigures(
    TokenCounts(prompt=1200, reused_memory=1150, evaluated=50, generated=120),
    TurnSeconds(0.0, 0.1, 0.15, 1.5),
    tokens_per_second=88.0,
    kv=KvFigures(bytes_per_token=23040),
)


def long_chat(messages: int) -> ConversationTree:
    """A conversation of that many messages, half of them replies in Markdown."""
    conversation = new_conversation_id()
    made: list[Message] = []
    for number in range(messages):
        parent = made[-1].id if made else None
        identity = MessageId(f"{conversation[:20]}{number:012x}")
        if number % 2 == 0:
            made.append(Message(identity, conversation, parent, "user", question(number)))
        else:
            text = reply(number // 2)
            made.append(
                Message(
                    identity,
                    conversation,
                    parent,
                    "assistant",
                    text,
                    model="SmolLM2 135M",
                    finish_reason="stop",
                    figures=FIGURES,
                )
            )
    head = Conversation(conversation, title="A very long chat", leaf=made[-1].id)
    return ConversationTree(head, messages_by_id(made))


def fill(store: ConversationStore, chats: int, messages: int) -> None:
    """Store that many conversations of that many short messages, of the last two years; the same words each time."""
    words = random.Random(7)
    vocabulary = ["".join(words.choices(SYLLABLES, k=3)) for _ in range(4000)]
    now = time.time()
    with store.database.transaction():
        for number in range(chats):
            store.insert_tree(_short_chat(words, vocabulary, number, messages, now - number * 730 * DAY / chats), {})


def _short_chat(words: random.Random, vocabulary: list[str], number: int, messages: int, at: float) -> ConversationTree:
    identity = ConversationId(f"{number:032x}")
    made: list[Message] = []
    for place in range(messages):
        made.append(
            Message(
                MessageId(f"{number:020x}{place:012x}"),
                identity,
                made[-1].id if made else None,
                "user" if place % 2 == 0 else "assistant",
                f"{sentence(number + place)} {' '.join(words.choices(vocabulary, k=24))}",
                created=at,
                finish_reason=None if place % 2 == 0 else "stop",
            )
        )
    title = " ".join(words.choices(vocabulary, k=4)).capitalize()
    head = Conversation(identity, title=title, created=at, updated=at, leaf=made[-1].id)
    return ConversationTree(head, messages_by_id(made))
