"""Pictures of the real window with the real starter model: `python -m tests.support.screenshots [--all DIR]`.

Everything in them happened: the window, the engine and the model are the real ones, in a temporary data folder; only
the list's other conversations are stored by hand, so that they have other dates. Every step waits for its event.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from PySide6.QtCore import QEventLoop, QSize, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.core.conversation import (
    Conversation,
    ConversationId,
    ConversationTree,
    Message,
    messages_by_id,
    new_conversation_id,
    new_message_id,
)
from app.core.sampling import SamplerSettings
from app.gui import theme
from app.gui.application import make_application
from app.gui.main_window import MainWindow, prepare
from app.gui.transcript.view import TranscriptView
from app.protocol.answers import Statistics
from app.services.workspace import Workspace

RESOURCES: Final = Path(__file__).resolve().parents[2] / "resources"
SIZE: Final = QSize(1180, 760)
NARROW: Final = QSize(520, 760)
LARGEST: Final = 200 * 1024
"""Bytes of a picture in the repository."""
LONGEST_WAIT: Final = 120.0
"""Seconds after which an event that does not come is given up."""
MODES: Final[tuple[theme.Preference, ...]] = ("light", "dark")

TITLE: Final = "Planting tomatoes"
TURNS: Final = (
    ("Give me three short tips for planting tomatoes, as a Markdown list.", SamplerSettings(temperature=0.3, seed=22)),
    (
        "The seed packet gives inches. Write a short Python function that converts inches to centimetres.",
        SamplerSettings(temperature=0.3, seed=10),
    ),
)
"""Questions and seeds for which so small a model answers well."""
OTHERS: Final = (
    (0.06, "Letter to the landlord"),
    (0.11, "A haiku about rain"),
    (1, "Sourdough, second try"),
    (1.2, "Names for a sailing boat"),
    (3, "Three days in Lisbon"),
    (5, "Tides for a six-year-old"),
    (24, "Packing for the mountains"),
    (41, "Regular expressions, step by step"),
)
"""How many days ago, and the titles."""
SMALL_TALK: Final = (
    "What is a rainbow?",
    "What is the capital of Italy?",
    "Tell me something about the sea.",
    "Why do cats purr?",
    "What is bread made of?",
    "Name three colours.",
    "How many days has a year?",
)
NOTES: Final = "The harbour was measured again in the spring, and the bridge beside the old wall was repaired. "


class Studio:
    """The real window on a data folder, driven step by step."""

    def __init__(self, folder: Path) -> None:
        """Fill the folder, and show the window on it; its engine starts with the event loop."""
        self.workspace = Workspace(folder)
        _store_others(self.workspace)
        prepare(self.workspace)
        self.window = MainWindow(self.workspace)
        self.window.resize(SIZE)
        self.window.start()

    def close(self) -> None:
        """End the window and the engine."""
        self.window.close()
        self.workspace.close()

    # --- waiting -----------------------------------------------------------------------------------------------------

    def until(self, signal: Any, happened: Callable[..., bool] = lambda *_: True) -> None:
        """Let the event loop run until the signal comes with values for which `happened` holds."""
        loop = QEventLoop()

        def check(*values: object) -> None:
            if happened(*values):
                loop.quit()

        timer = QTimer(singleShot=True, interval=round(1e3 * LONGEST_WAIT))
        timer.timeout.connect(lambda: loop.exit(1))
        timer.start()
        signal.connect(check)
        try:
            if loop.exec():
                raise TimeoutError(f"{signal} did not come")
        finally:
            signal.disconnect(check)

    def until_calm(self) -> None:
        """Until the transcript is written and coloured, and the gauges have figures of now."""
        deadline = time.monotonic() + LONGEST_WAIT
        while not _is_written(self.window.transcript):
            QApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)  # statistics come each second
            if time.monotonic() > deadline:
                raise TimeoutError("the transcript is not written")
        if self.workspace.engine.state == "ready":
            self.workspace.engine.refresh_statistics()
            self.until(self.workspace.engine.statistics, lambda now: _is_accounted(now, self.workspace))
        QApplication.processEvents()

    # --- what a person does ------------------------------------------------------------------------------------------

    def new_chat(self, title: str, sampler: SamplerSettings) -> ConversationId:
        """Open a conversation whose replies are drawn with these settings."""
        conversation = self.workspace.chats.new_conversation()
        self.workspace.store.set_sampler(conversation.id, sampler)
        self.workspace.store.rename(conversation.id, title)
        self.window.conversations.open(conversation.id)
        return conversation.id

    def write(self, text: str) -> None:
        """Write a message and press Enter."""
        self.window.composer.set_draft(text)
        QTest.keyClick(self.window.composer.edit, Qt.Key.Key_Return)

    def say(self, text: str) -> None:
        """Send a message and wait for the whole reply, and for the gauges that follow it."""
        self.write(text)
        self.until(self.workspace.chats.turn_ended)
        here = self.window.chat.conversation_id
        self.workspace.engine.refresh_statistics()
        self.until(self.workspace.engine.statistics, lambda now: _is_of(now, here))

    def stop(self) -> None:
        """Stop the reply and wait for its end."""
        self.workspace.chats.stop()
        self.until(self.workspace.chats.turn_ended)

    # --- pictures ----------------------------------------------------------------------------------------------------

    def take(self, path: Path, mode: theme.Preference, *, calm: bool = True) -> None:
        """Save a picture of the window in light or dark; `calm=False` for what is over in a moment."""
        theme.set_preference(mode)
        if calm:
            self.until_calm()
        # 0 is the smallest file; PNG loses nothing in any case.
        if not self.window.grab().toImage().save(str(path), None, 0):
            raise OSError(f"{path} could not be written")
        print(f"{path} ({path.stat().st_size // 1024} KiB)")

    def take_both(self, folder: Path, name: str, *, calm: bool = True) -> None:
        """Save a state in light and in dark."""
        for mode in MODES:
            self.take(folder / f"{name}-{mode}.png", mode, calm=calm)


def _is_written(transcript: TranscriptView) -> bool:
    """Whether every message is on the page, its code in colours; a hidden transcript rests."""
    return not transcript.isVisible() or (transcript.is_complete and not transcript._page.highlighter.busy)


def _is_of(statistics: Statistics, conversation: ConversationId | None) -> bool:
    """Whether the engine holds that conversation and rests."""
    return statistics.live_conversation == conversation and not statistics.busy


def _is_accounted(statistics: Statistics, workspace: Workspace) -> bool:
    """Whether what each chat has saved is known of all that is saved by now."""
    usage = workspace.saved.usage
    return usage is None or usage.bytes == statistics.saved_bytes


def _store_others(workspace: Workspace) -> None:
    """Conversations of other days: a title and a question."""
    now = time.time()
    for days, title in OTHERS:
        at = now - days * 24 * 3600
        conversation = new_conversation_id()
        question = Message(new_message_id(), conversation, None, "user", f"{title}, please.", created=at)
        head = Conversation(conversation, title=title, created=at, updated=at, leaf=question.id)
        workspace.store.insert_tree(ConversationTree(head, messages_by_id([question])), {})


# --- the states ------------------------------------------------------------------------------------------------------


def loading(studio: Studio, folder: Path | None) -> None:
    """Wait for the model, and catch it while it is loaded; the starter model is read in a few steps."""
    engine = studio.workspace.engine
    if folder is not None:
        studio.until(engine.load_progress)
        studio.take_both(folder, "loading", calm=False)
    if engine.model is None:
        studio.until(engine.model_changed, lambda model: model is not None)


def conversation(studio: Studio) -> None:
    """The short conversation of the README."""
    identity = studio.new_chat(TITLE, SamplerSettings())
    for question, sampler in TURNS:
        studio.workspace.store.set_sampler(identity, sampler)
        studio.say(question)


def narrow(studio: Studio, folder: Path) -> None:
    """The same in a narrow window, then with the list laid over it."""
    studio.window.resize(NARROW)
    studio.take_both(folder, "narrow")
    studio.window.sidebar.open_drawer()
    studio.take_both(folder, "narrow-list")
    studio.window.sidebar.close_drawer()
    studio.window.resize(SIZE)


def error(studio: Studio, folder: Path) -> None:
    """A file that is no model was opened."""
    broken = Path(studio.workspace.data_dir.root) / "holiday-photos.gguf"
    broken.write_bytes(b"not a model at all")
    studio.window.model.load(broken)
    studio.until(studio.workspace.engine.load_failed)
    studio.take_both(folder, "error")
    studio.window.notices.dismiss_all()


def engine_killed(studio: Studio, folder: Path) -> None:
    """The engine was ended from outside in the middle of a reply, and comes back."""
    studio.new_chat("Story of a lighthouse", SamplerSettings(seed=3))
    studio.write("Write a long story about a lighthouse.")
    studio.until(studio.workspace.chats.text_added, lambda *_: len(_running_text(studio)) > 300)
    os.kill(studio.workspace.engine.pid, 9)
    studio.until(studio.workspace.engine.died)
    studio.take_both(folder, "engine-killed", calm=False)
    studio.until(studio.workspace.engine.model_changed, lambda model: model is not None)
    studio.window.notices.dismiss_all()


def _running_text(studio: Studio) -> str:
    running = studio.workspace.chats.running
    return running.text if running is not None else ""


def long_chat(studio: Studio, folder: Path) -> None:
    """A conversation of many turns: its end, and further up, where a button leads back."""
    studio.new_chat("This and that", SamplerSettings(temperature=0.3, seed=5))
    for question in SMALL_TALK:
        studio.say(question)
    studio.take_both(folder, "long-end")
    bar = studio.window.transcript.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    studio.take_both(folder, "long-middle")


def queued(studio: Studio, folder: Path) -> None:
    """A second conversation sends while a reply streams."""
    studio.new_chat("Story of a ship", SamplerSettings(seed=3))
    studio.write("Write a long story about a ship.")
    studio.until(studio.workspace.chats.text_added, lambda *_: len(_running_text(studio)) > 200)
    studio.take(folder / "streaming-light.png", "light", calm=False)
    waiting = studio.new_chat("Tides", SamplerSettings(seed=3))
    studio.write("Why is there high tide and low tide?")
    studio.take_both(folder, "queued")
    studio.workspace.chats.take_back(waiting)
    studio.stop()


def prefill(studio: Studio, folder: Path) -> None:
    """A long text is being read, with its percentage."""
    studio.new_chat("Harbour notes", SamplerSettings(seed=3))
    studio.write(f"What do these notes say? {NOTES * 150}")
    studio.until(studio.workspace.chats.prefill_progress, lambda _reply, done, total: done > 0.4 * total)
    studio.take_both(folder, "prefill", calm=False)
    studio.stop()
    studio.take(folder / "stopped-light.png", "light")


def full(studio: Studio, folder: Path) -> None:
    """A message that no longer fits was sent."""
    studio.new_chat("Too much", SamplerSettings(seed=3))
    studio.window.composer.set_draft(NOTES * 600)
    studio.until(studio.window.chat.figures_changed, lambda: not studio.window.composer.fits())
    QTest.keyClick(studio.window.composer.edit, Qt.Key.Key_Return)
    studio.take_both(folder, "full")
    studio.window.notices.dismiss_all()
    studio.window.composer.set_draft("")


def run(folder: Path | None) -> int:
    """Take the pictures; 1 if one of the repository's became too large."""
    with TemporaryDirectory() as data:
        studio = Studio(Path(data))
        try:
            loading(studio, folder)
            if folder is not None:
                studio.take_both(folder, "empty")
            conversation(studio)
            pictures = [RESOURCES / f"screenshot-{mode}.png" for mode in MODES]
            for path, mode in zip(pictures, MODES, strict=True):
                studio.take(path, mode)
            if folder is not None:
                for state in (narrow, error, long_chat, queued, prefill, full, engine_killed):
                    state(studio, folder)
        finally:
            studio.close()
    too_large = [path.name for path in pictures if path.stat().st_size > LARGEST]
    if too_large:
        print(f"larger than {LARGEST // 1024} KiB: {', '.join(too_large)}", file=sys.stderr)
    return 1 if too_large else 0


def main(arguments: Sequence[str]) -> int:
    """Parse the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.screenshots", description=__doc__)
    parser.add_argument("--all", type=Path, metavar="DIR", help="further states of the window, into this folder")
    parser.add_argument("--scale", type=float, default=1.0, help="device pixels for one of the window's (default: 1)")
    options = parser.parse_args(arguments)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ.setdefault("QT_SCALE_FACTOR", str(options.scale))
    if options.all is not None:
        options.all.mkdir(parents=True, exist_ok=True)
    make_application()
    return run(options.all)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
