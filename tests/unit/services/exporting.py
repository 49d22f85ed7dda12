"""A workspace with something to export, and an engine that says what the test tells it to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.conversation import Conversation, ConversationId
from app.protocol.answers import SavedExported, StoreOpened
from app.protocol.requests import ExportSaved, OpenStore
from app.services.exports import ExportOrder, ExportReport, ExportRun, ExportStep
from app.services.workspace import Workspace
from app.storage.saved_roots import SavedModel, SavedTip
from tests.unit.services.archives import exported
from tests.unit.services.fakes import FakeProcess
from tests.unit.storage.made import forked_tree, message_id, put

ROOT, TIP = b"r" * 32, b"t" * 32
STATE = b"k" * 3000
OTHER = ConversationId("d" * 32)
"""A chat without a message."""


class Exporting:
    """A workspace with two chats, the state of one of them saved, and an engine that says what the test tells it to."""

    def __init__(self, folder: Path, qtbot: QtBot) -> None:
        self.folder, self.qtbot = folder, qtbot
        self.workspace = Workspace(folder / "data")
        put(self.workspace.store, forked_tree())
        self.workspace.store.create(Conversation(OTHER, title="Roman roads"))
        self.workspace.roots.adopt([SavedTip(message_id(5), ROOT, TIP)], {ROOT: SavedModel("", "a model")})
        self.workspace.engine.start()
        self.steps: list[ExportStep] = []
        self.reports: list[ExportReport] = []

    @property
    def engine(self) -> FakeProcess:
        return FakeProcess.made[-1]

    def open_store(self) -> None:
        self.engine.greet()
        self.engine.say(StoreOpened(id=self.engine.asked(OpenStore)[-1].id, budget=1 << 30))

    def begin(self, *conversations: ConversationId, name: str = "chat.ember", **how: object) -> ExportRun:
        run = self.workspace.exports.begin(ExportOrder(conversations, self.folder / name, **how))  # type: ignore[arg-type]
        run.progressed.connect(self.steps.append)
        run.finished.connect(self.reports.append)
        return run

    def staged(self, files: int = 1, patience: float = 5) -> ExportSaved:
        """Wait some seconds until the engine is asked for the state, and put files of it into the folder."""
        self.qtbot.waitUntil(lambda: bool(self.engine.asked(ExportSaved)), timeout=round(1000 * patience))
        asked: ExportSaved = self.engine.asked(ExportSaved)[-1]
        for number in range(files):
            name = TIP.hex() if not number else f"{number:064x}"
            (Path(asked.folder) / f"{name}.chunk").write_bytes(STATE)
        return asked

    def tell(self, asked: ExportSaved) -> None:
        files = tuple(exported(path) for path in sorted(Path(asked.folder).iterdir()))
        self.engine.say(SavedExported(id=asked.id, files=files, hashes=(None,)))

    def report(self) -> ExportReport:
        """Of the order that ends next."""
        count = len(self.reports)
        self.qtbot.waitUntil(lambda: len(self.reports) > count)
        return self.reports[-1]

    def left(self) -> list[str]:
        """What lies beside the data folder, and in the staging folder."""
        staging = self.workspace.data_dir.staging
        return sorted(path.name for path in self.folder.iterdir() if path.name != "data") + (
            sorted(path.name for path in staging.iterdir()) if staging.exists() else []
        )


@pytest.fixture
def exporting(tmp_path: Path, qtbot: QtBot, processes: list[FakeProcess]) -> Iterator[Exporting]:
    made = Exporting(tmp_path, qtbot)
    yield made
    made.workspace.close()
