"""Saved state: looking a conversation up in a store of 100,000 chunks."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from app.kvstore.keys import Digest
from app.kvstore.store import Store
from tests.bench.figure import Figure, against_bar, timed

CHUNKS = 100_000
CONVERSATIONS = 4_165
TOKENS = 4_000
"""Of the conversation that is looked up, in chunks of 100 tokens, as chats of short messages have them."""
CHUNK = 100
ROWS = [bytes(64)]
"""What is looked up does not depend on the rows, so these are short."""
SYSTEM = [7] * CHUNK
RUNS = 50


def measure() -> Iterator[Figure]:
    """The longest saved prefix of a conversation, found among many that begin with the same system prompt."""
    root = sha256(b"bench").digest()
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "kv", 1 << 40)
        try:
            shared = store.put(root, root, 0, SYSTEM, ROWS).key
            links = TOKENS // CHUNK - 1
            others = (CHUNKS - 1 - links) // CONVERSATIONS
            made = 1 + _put_chain(store, root, shared, 0, links)
            made += sum(_put_chain(store, root, shared, number, others) for number in range(1, CONVERSATIONS + 1))
            asked = SYSTEM + [token for number in range(1, links + 1) for token in _tokens(0, number)]
            assert len(store.find(root, asked)) == TOKENS // CHUNK
            seconds = timed(lambda: store.find(root, asked), RUNS)
        finally:
            store.close()
    yield against_bar(f"{made:,} chunks: the longest prefix of {TOKENS:,} tokens", seconds, 0.005)


def _put_chain(store: Store, root: Digest, parent: Digest, conversation: int, links: int) -> int:
    """Save a conversation behind its system prompt; how many chunks that were."""
    for number in range(1, links + 1):
        parent = store.put(root, parent, number * CHUNK, _tokens(conversation, number), ROWS).key
    return links


def _tokens(conversation: int, number: int) -> list[int]:
    return [1000 + conversation, number, *range(CHUNK - 2)]
