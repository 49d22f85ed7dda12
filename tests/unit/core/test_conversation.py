"""The tree of a conversation: its paths, its variants, and which reply can be gone on with."""

from dataclasses import replace

import pytest

from app.core.conversation import (
    Conversation,
    ConversationId,
    ConversationTree,
    Message,
    MessageId,
    Role,
    messages_by_id,
    was_cut,
)
from app.core.turn import FinishReason

CHAT = ConversationId("c")


def message(id_: str, parent: str | None, role: Role = "user", **fields: object) -> Message:
    """A message that came after those whose id is less."""
    above = None if parent is None else MessageId(parent)
    return Message(MessageId(id_), CHAT, above, role, id_, created=float(ord(id_)), **fields)  # type: ignore[arg-type]


@pytest.fixture
def tree() -> ConversationTree:
    """a → b → c → d and, after b, another version e → f; g is another reply to c."""
    messages = (
        message("a", None),
        message("b", "a", "assistant"),
        message("c", "b"),
        message("d", "c", "assistant"),
        message("e", "b"),
        message("f", "e", "assistant"),
        message("g", "c", "assistant"),
    )
    return ConversationTree(Conversation(CHAT, leaf=MessageId("f")), messages_by_id(messages))


def ids(messages: list[Message]) -> str:
    return "".join(each.id for each in messages)


def test_the_path_leads_from_the_first_message_to_the_leaf(tree: ConversationTree) -> None:
    assert ids(tree.path()) == "abef"
    assert ids(tree.path(MessageId("c"))) == "abc"


def test_variants_stand_together_oldest_first(tree: ConversationTree) -> None:
    assert ids(tree.siblings(MessageId("e"))) == "ce"
    assert ids(tree.siblings(MessageId("g"))) == "dg"
    assert ids(tree.siblings(MessageId("a"))) == "a"


def test_a_variant_is_followed_to_its_newest_leaf(tree: ConversationTree) -> None:
    assert tree.newest_leaf(MessageId("c")) == "g"
    assert tree.newest_leaf(MessageId("a")) == "f"


def test_an_added_message_is_shown_and_a_newer_state_of_one_leaves_what_is_shown(tree: ConversationTree) -> None:
    assert ids(tree.with_message(message("h", "d")).path()) == "abcdh"
    changed = tree.with_state(replace(tree.messages[MessageId("d")], text="more"))
    assert ids(changed.path()) == "abef"
    assert changed.messages[MessageId("d")].text == "more"
    assert list(changed.messages) == list(tree.messages)


@pytest.mark.parametrize(
    ("finish", "cut"), [("length", True), ("cancelled", True), ("failed", True), ("stop", False), (None, False)]
)
def test_a_reply_with_words_that_did_not_come_to_its_end_was_cut(finish: FinishReason | None, cut: bool) -> None:
    reply = message("b", "a", "assistant", finish_reason=finish)
    assert was_cut(reply) is cut
    assert not was_cut(replace(reply, text=" \n"))
    assert not was_cut(replace(reply, role="user"))


def test_a_chat_goes_on_after_a_message_unless_only_a_reply_that_never_came_stands_there(
    tree: ConversationTree,
) -> None:
    assert tree.goes_on_after(MessageId("b"))
    assert not tree.goes_on_after(MessageId("d"))
    refused = replace(message("i", "h", "assistant", finish_reason="failed"), text="")
    tree = tree.with_message(message("h", "d")).with_message(refused)
    assert not tree.goes_on_after(MessageId("d"))
    assert tree.with_message(message("j", "h", "assistant")).goes_on_after(MessageId("d"))
