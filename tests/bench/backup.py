"""10,000 chats: the whole library backed up to one file, and restored from it."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from app.paths import DataDir
from app.services.backup_work import back_up
from app.storage.conversations import ConversationStore
from app.storage.database import Database
from app.storage.restore import restore_library
from tests.bench.chats import CHATS, MESSAGES
from tests.bench.figure import Figure, against_bar
from tests.bench.stored import fill

BAR = 60.0
RUNS = 3


def measure() -> Iterator[Figure]:
    """A backup while the library is open, as the command makes it, and restoring it over that library."""
    with TemporaryDirectory() as folder:
        data_dir, file = DataDir(Path(folder)), Path(folder) / "library.emberbackup"
        database = Database.open(data_dir.database, data_dir.backups)
        fill(ConversationStore(database), CHATS, MESSAGES)
        reports: list[int] = []
        written = []
        for _ in range(RUNS):
            started = perf_counter()
            back_up(data_dir, file, lambda done, _: reports.append(done))
            written.append(perf_counter() - started)
        database.close()
        amount = f"{CHATS:,} chats of {MESSAGES} messages"
        told = len(reports) // RUNS
        yield against_bar(f"{amount} backed up, progress told {told} times", written, BAR)
        started = perf_counter()
        restore_library(file, data_dir.database, data_dir.backups, lambda *_: None, key=b"k" * 32)
        seconds, backing_up = perf_counter() - started, median(written)
        yield Figure(f"{amount} restored, checked and swapped in", 1e3 * seconds, "ms", 1e3 * backing_up, "backing up")
