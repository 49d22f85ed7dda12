"""Which saved state came with an archive, and which belongs to a conversation."""

from app.storage.conversations import ConversationStore
from app.storage.saved_roots import SavedModel, SavedRoots, SavedTip
from tests.unit.storage.made import CHAT, forked_tree, message_id, put

KNOWN, NEW = b"k" * 32, b"n" * 32
TIP = b"t" * 32


def test_adopted_tips_belong_to_their_chat_and_known_models_stay_as_they_are(store: ConversationStore) -> None:
    put(store, forked_tree())
    roots = SavedRoots(store.database)
    model = SavedModel("/models/a.gguf", "A")
    roots.record(message_id(2), KNOWN, TIP, model)
    tips = [SavedTip(message_id(3), KNOWN, b"u" * 32), SavedTip(message_id(5), NEW, b"v" * 32)]
    roots.adopt(tips, {KNOWN: SavedModel("", "says who"), NEW: SavedModel("", "B")})
    assert roots.models() == {KNOWN: model, NEW: SavedModel("", "B")}
    assert set(roots.of(CHAT)) == {SavedTip(message_id(2), KNOWN, TIP), *tips}
    assert set(roots.wanted()) == {TIP, b"u" * 32, b"v" * 32}


def test_tips_of_messages_that_are_not_there_are_not_noted(store: ConversationStore) -> None:
    put(store, forked_tree())
    roots = SavedRoots(store.database)
    roots.adopt([SavedTip(message_id(99), NEW, TIP)], {})
    assert roots.of(CHAT) == [] and roots.wanted() == ()
