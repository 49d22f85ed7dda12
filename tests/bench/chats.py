"""10,000 chats: the list, and the search, on the real database."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from app.gui.application import make_application
from app.gui.sidebar.conversation_list import ConversationList
from app.gui.sidebar.item import SidebarItem
from app.gui.sidebar.sidebar import Sidebar
from app.storage.conversations import ConversationStore
from app.storage.database import Database
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
    """Reading and showing the whole list, as after a change; then searches as they are typed."""
    make_application()
    with TemporaryDirectory() as folder:
        database = Database.open(Path(folder) / "ember.db", Path(folder) / "backups")
        try:
            store = ConversationStore(database)
            fill(store, CHATS, MESSAGES)
            yield from _list(store)
            yield from _search(store)
        finally:
            database.close()


def _list(store: ConversationStore) -> Iterator[Figure]:
    yield against_bar(f"{CHATS:,} chats read from the database", timed(store.summaries, RUNS), LIST_BAR)
    sidebar = Sidebar()
    sidebar.resize(268, 760)
    sidebar.show()
    rows = sidebar.findChild(ConversationList)
    assert rows is not None
    paints = Paints(rows.viewport())

    def show() -> None:
        sidebar.set_conversations([SidebarItem(each.id, each.title, each.updated) for each in store.summaries()])

    seconds = [paints.seconds_until_painted(show) for _ in range(RUNS + 1)][1:]
    yield against_bar(f"{CHATS:,} chats read, shown and painted", seconds, LIST_BAR)
    sidebar.close()
    sidebar.deleteLater()


def _search(store: ConversationStore) -> Iterator[Figure]:
    for what, words in SEARCHES.items():
        hits = len(store.search(words))
        name = f"search in {CHATS * MESSAGES:,} messages, {what} ({hits})"
        yield against_bar(name, timed(lambda words=words: store.search(words), RUNS), SEARCH_BAR)  # type: ignore[misc]
