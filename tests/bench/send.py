"""A message sent in a chat of 2,000: until the question and the empty reply are painted."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from unittest.mock import patch

from PySide6.QtWidgets import QApplication

from app.core.conversation import ConversationTree
from app.core.turn import TurnFigures
from app.gui.application import make_application
from app.gui.main_window import MainWindow, prepare
from app.protocol.answers import Done, Loaded
from app.protocol.messages import Request, encode
from app.protocol.requests import Generate, LoadModel
from app.services import engine_client
from app.services.workspace import Workspace
from app.storage.records import pack_ids
from tests.bench.figure import Figure, against_bar, timed
from tests.bench.painting import Paints, run_until
from tests.bench.prose import question
from tests.bench.stored import long_chat
from tests.unit.services.fakes import FakeProcess, model_info

MESSAGES = 2000
CONTEXT = 10**6
SEND_BAR = 0.100
"""Not DESIGN's: a person feels no delay up to here."""
RUNS = 9
CHARACTERS_A_TOKEN = 4


class EncodingProcess(FakeProcess):
    """An engine process that does nothing, but to which every request is written as to a real one."""

    def send(self, request: Request) -> None:
        """Encode the request, as the window's thread does."""
        encode(request)
        super().send(request)


def measure() -> Iterator[Figure]:
    """The whole window on a stored conversation, every message with its token ids; the engine answers at once."""
    make_application()
    with TemporaryDirectory() as folder, patch.object(engine_client, "EngineProcess", EncodingProcess):
        workspace = Workspace(Path(folder))
        prepare(workspace)
        tree = _stored(workspace)
        window = MainWindow(workspace)
        window.show()
        window.conversations.open(tree.conversation.id)
        _load(workspace)
        run_until(lambda: window.transcript.is_complete)
        QApplication.processEvents()
        yield from _send(window)
        yield from _read(workspace, tree)
        window.close()
        window.deleteLater()
        workspace.close()


def _stored(workspace: Workspace) -> ConversationTree:
    tree = long_chat(MESSAGES)
    ids = {each.id: pack_ids(range(len(each.text) // CHARACTERS_A_TOKEN)) for each in tree.messages.values()}
    workspace.store.insert_tree(tree, {model_info().tokenizer_key: ids})
    return tree


def _load(workspace: Workspace) -> None:
    workspace.engine.start()
    process = FakeProcess.made[-1]
    process.greet()
    workspace.engine.load(Path(model_info().path))
    load = process.asked(LoadModel)[-1]  # the window has asked for the starter model before
    process.say(Loaded(id=load.id, model=model_info(context=CONTEXT), seconds=0.1))


def _send(window: MainWindow) -> Iterator[Figure]:
    paints = Paints(window.transcript.viewport())
    seconds = []
    for number in range(RUNS + 1):
        seconds.append(paints.seconds_until_painted(lambda number=number: window.chat.send(question(number))))  # type: ignore[misc]
        _answer()
        run_until(lambda: window.workspace.chats.running is None)
        QApplication.processEvents()
    yield against_bar(f"{MESSAGES:,} messages: from Enter to the paint of the question", seconds[1:], SEND_BAR)


def _answer() -> None:
    """End the turn that runs with a short reply."""
    process = FakeProcess.made[-1]
    turn: Generate = process.asked(Generate)[-1]
    process.say(
        Done(
            id=turn.id,
            conversation=turn.conversation,
            text="Yes.",
            token_ids=(1, 2),
            prompt_ids={},
            finish_reason="stop",
            figures=TurnFigures(),
        )
    )


def _read(workspace: Workspace, tree: ConversationTree) -> Iterator[Figure]:
    """The database's part in it, against reading the whole tree as opening the chat does."""
    store, conversation = workspace.store, tree.conversation
    leaf = next(reversed(tree.messages))
    whole = 1e3 * median(timed(lambda: store.tree(conversation.id), RUNS))
    for what, seconds in (
        ("the path read", timed(lambda: store.path(conversation.id, leaf), RUNS)),
        ("its token ids read", timed(lambda: store.token_ids(conversation.id, model_info().tokenizer_key), RUNS)),
    ):
        runs = tuple(1e3 * each for each in seconds)
        yield Figure(f"{MESSAGES:,} messages: {what}", median(runs), "ms", whole, "the tree read", runs=runs)
