"""Three threads on one store, as in the engine: one finds and reads, one saves, one asks and clears."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.kvstore.errors import Damaged
from app.kvstore.keys import Digest
from app.kvstore.records import Outcome
from app.kvstore.store import Store
from tests.unit.kvstore.made import ROOT, Clock, all_sound, disk_bytes, rows_of

CHATS = 12
CHUNKS = 6


def word(chat: int, number: int) -> str:
    """What stands in a chunk; the first is the same in all chats."""
    return "system" if number == 0 else f"chat{chat:02}-{number}"


def tokens(chat: int) -> list[int]:
    """A whole chat."""
    return [ord(letter) for number in range(CHUNKS) for letter in word(chat, number)]


def test_a_writer_a_finder_and_a_clearer_do_not_disturb_each_other(folder: Path) -> None:
    store = Store(folder, 40 * disk_bytes("chat00-1", 500), Clock())
    tips: list[Digest] = []
    done = threading.Event()

    def save() -> None:
        for chat in range(CHATS):
            parent, start = ROOT, 0
            for number in range(CHUNKS):
                text = word(chat, number)
                result = store.put(ROOT, parent, start, [ord(x) for x in text], [rows_of(text, 500)])
                if result.outcome is Outcome.NO_PARENT:
                    break  # the clearer was here
                assert result.outcome in (Outcome.WRITTEN, Outcome.PRESENT)
                parent, start = result.key, start + len(text)
            tips.append(parent)

    def find() -> None:
        while not done.is_set():
            for chat in range(CHATS):
                chain = store.find(ROOT, tokens(chat))
                assert [row.start for row in chain] == [0, *(row.end for row in chain)][: len(chain)]
                store.touch([row.key for row in chain])
                for number, row in enumerate(chain):
                    try:
                        assert store.read(row, window=False).rows == rows_of(word(chat, number), 500)
                    except Damaged:  # evicted or dropped since
                        store.quarantine(row.key)

    def ask_and_clear() -> None:
        while not done.is_set():
            known = tuple(tips)
            usage = store.usage([[tip] for tip in known])
            assert all(part.own_bytes >= 0 and part.shared_bytes >= 0 for part in usage)
            store.pin(known[-1:])
            store.drop(known[:1], known[1:])
            assert store.totals().all.bytes <= store.totals().budget

    with ThreadPoolExecutor() as threads:
        others = [threads.submit(find), threads.submit(ask_and_clear)]
        try:
            save()
        finally:
            done.set()
        for other in others:
            other.result()  # raises what failed there
    assert all_sound(store)
    assert store.totals().quarantined_bytes == 0
    store.close()
