"""Archives: a conversation of 4,000 tokens with its state exported and reloaded, against copying the same bytes."""

import os
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TypeVar

from PySide6.QtCore import QCoreApplication

from app.core.conversation import Conversation, ConversationId, Message, new_conversation_id, new_message_id
from app.kvstore.keys import MAX_CHUNK_TOKENS, Digest
from app.kvstore.store import Store
from app.services.exports import ExportOrder, ExportReport
from app.services.import_files import ImportedOne, ImportOrder, ImportReport
from app.services.workspace import Workspace
from app.storage.saved_roots import SavedModel, SavedTip
from tests.bench.figure import Bar, Figure
from tests.bench.prose import text_of

T = TypeVar("T")
TOKENS = 4_000
BYTES_A_TOKEN = 23_040
"""What the starter model's keys and values take; which bytes they are makes no difference here."""
RUNS = 5
PIECE = 1024 * 1024
TWICE = Bar("at most", 2)
"""At least half the speed."""


def measure() -> Iterator[Figure]:
    """Out and back again, with an engine that is there already, as it is in the window."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        application = QCoreApplication.instance() or QCoreApplication([])
        root = random.Random(1).randbytes(32)
        tip = _fill(folder / "data" / "kv", root)
        workspace = Workspace(folder / "data")
        try:
            workspace.engine.start()
            workspace.saved.when_open(lambda _why_not: application.quit())
            application.exec()
            conversation = _conversation(workspace, root, tip)
            out, back, copied_out, copied_back = [], [], [], []
            file, copy = folder / "chat.ember", folder / "copy"
            for _ in range(RUNS):
                seconds, _none = _timed(partial(_export, workspace, application, conversation, file))
                out.append(seconds)
                copied_out.append(_timed(lambda: _copy(file, copy, forced=True))[0])
                _clear(workspace, application)
                seconds, reloaded = _timed(partial(_reload, workspace, application, file))
                back.append(seconds)
                copied_back.append(_timed(lambda: _copy(copy, folder / "back", forced=False))[0])
                assert reloaded.state.fate == "used" and reloaded.state.written > TOKENS * BYTES_A_TOKEN, reloaded
                conversation = reloaded.id
        finally:
            workspace.close()
    size = f"{TOKENS:,} tokens with state"
    both = tuple(1e3 * (one + other) for one, other in zip(out, back, strict=True))
    copied = [1e3 * (one + other) for one, other in zip(copied_out, copied_back, strict=True)]
    yield _against(f"{size}: exported", out, copied_out)
    yield _against(f"{size}: reloaded", back, copied_back)
    yield Figure(f"{size}: exported and reloaded", median(both), "ms", median(copied), "copying the bytes", TWICE, both)


def _against(what: str, seconds: list[float], reference: list[float]) -> Figure:
    runs = tuple(1e3 * each for each in seconds)
    return Figure(what, median(runs), "ms", 1e3 * median(reference), "copying the bytes", None, runs)


def _fill(folder: Path, root: Digest) -> Digest:
    """A chain of so many tokens in a new store; its tip."""
    folder.mkdir(parents=True)
    store, rows, parent = Store(folder, 1 << 40), random.Random(2), root
    try:
        for start in range(0, TOKENS, MAX_CHUNK_TOKENS):
            tokens = range(start, min(TOKENS, start + MAX_CHUNK_TOKENS))
            payload = rows.randbytes(len(tokens) * BYTES_A_TOKEN)
            parent = store.put(root, parent, start, tokens, [payload]).key
    finally:
        store.close()
    return parent


def _conversation(workspace: Workspace, root: Digest, tip: Digest) -> ConversationId:
    """A conversation of that length, whose state that is."""
    conversation, message = new_conversation_id(), new_message_id()
    workspace.store.create(Conversation(conversation, title="Long", created=1.0, updated=1.0))
    workspace.store.add_message(Message(message, conversation, None, "user", text_of(4 * TOKENS), created=1.0))
    workspace.roots.adopt([SavedTip(message, root, tip)], {root: SavedModel("", "a model")})
    return conversation


def _reload(workspace: Workspace, application: QCoreApplication, file: Path) -> ImportedOne:
    """Import the archive, as the window does."""
    reports: list[ImportReport] = []

    def done(report: ImportReport) -> None:
        reports.append(report)
        application.quit()

    workspace.imports.run(ImportOrder((file,)), done, lambda _error: application.quit())
    application.exec()
    return reports[0].taken[0]


def _export(workspace: Workspace, application: QCoreApplication, conversation: ConversationId, file: Path) -> None:
    """Write the conversation with its state, as the window and the command do."""
    reports: list[ExportReport] = []
    run = workspace.exports.begin(ExportOrder((conversation,), file, with_state=True))
    run.finished.connect(lambda report: (reports.append(report), application.quit()))
    application.exec()
    assert reports[0].exported[0].state_bytes > TOKENS * BYTES_A_TOKEN, reports


def _clear(workspace: Workspace, application: QCoreApplication) -> None:
    """Remove all state, as Clear cache does."""
    workspace.saved.clear(lambda _answer: application.quit())
    application.exec()


def _copy(source: Path, target: Path, *, forced: bool) -> None:
    """Read a file and write another, forced to the disk or not."""
    with source.open("rb") as file, target.open("wb") as copy:
        while piece := file.read(PIECE):
            copy.write(piece)
        copy.flush()
        if forced:
            os.fsync(copy.fileno())


def _timed(call: Callable[[], T]) -> tuple[float, T]:
    """The seconds that it takes, and what comes of it."""
    started = perf_counter()
    result = call()
    return perf_counter() - started, result
