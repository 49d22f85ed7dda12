"""10,000 chats: the list, and the search, on the real database."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from app.core.conversation import ConversationId, Message, new_message_id
from app.gui.application import make_application
from app.gui.chat_list import ChatList
from app.gui.sidebar.conversation_list import ConversationList
from app.gui.sidebar.sidebar import Sidebar
from app.services.workspace import Workspace
from app.storage.conversations import ConversationStore
from tests.bench.figure import Figure, against_bar, timed
from tests.bench.painting import Paints
from tests.bench.stored import fill

CHATS = 10_000
MESSAGES = 20
LIST_BAR = 0.150
SEARCH_BAR = 0.050
RUNS = 9
SEARCHES = {
    "a word in every message": "note",
    "a rare word": "note 4711",
    "two words": "aqueduct river",
    "the beginning of words": "quin",
    "three letters, nothing found": "zzz",
}


def measure() -> Iterator[Figure]:
    """Reading and showing the whole list, as at the start; one changed chat in it; then searches as they are typed."""
    make_application()
    with TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        try:
            fill(workspace.store, CHATS, MESSAGES)
            yield from _list(workspace)
            yield from _search(workspace.store)
        finally:
            workspace.close()


def _list(workspace: Workspace) -> Iterator[Figure]:
    store = workspace.store
    yield against_bar(f"{CHATS:,} chats read from the database", timed(store.summaries, RUNS), LIST_BAR)
    sidebar = Sidebar()
    sidebar.resize(268, 760)
    sidebar.show()
    rows = sidebar.findChild(ConversationList)
    assert rows is not None
    chats = ChatList(sidebar, workspace, sidebar)
    paints = Paints(rows.viewport())
    seconds = [paints.seconds_until_painted(chats.read) for _ in range(RUNS + 1)][1:]
    yield against_bar(f"{CHATS:,} chats read, shown and painted", seconds, LIST_BAR)
    oldest = [each.id for each in store.summaries()[-RUNS:]]
    moved = [paints.seconds_until_painted(lambda chat=chat: _add_message(store, chat)) for chat in oldest]  # type: ignore[misc]
    yield against_bar(f"{CHATS:,} chats: a message in an old one, stored and painted", moved, LIST_BAR)
    stayed = [paints.seconds_until_painted(lambda: _add_message(store, oldest[-1])) for _ in range(RUNS)]
    yield against_bar(f"{CHATS:,} chats: another one in the newest, stored and painted", stayed, LIST_BAR)
    sidebar.close()
    sidebar.deleteLater()


def _add_message(store: ConversationStore, chat: ConversationId) -> None:
    store.add_message(Message(new_message_id(), chat, None, "user", "One more."))


def _search(store: ConversationStore) -> Iterator[Figure]:
    for what, words in SEARCHES.items():
        hits = len(store.search(words))
        name = f"search in {CHATS * MESSAGES:,} messages, {what} ({hits})"
        yield against_bar(name, timed(lambda words=words: store.search(words), RUNS), SEARCH_BAR)  # type: ignore[misc]
