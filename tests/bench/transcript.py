"""A chat of 2,000 messages: first paint, streaming, resizing, on the real transcript."""

from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

from PySide6.QtWidgets import QApplication

from app.gui import wording
from app.gui.application import make_application
from app.gui.main_window import MainWindow, prepare
from app.gui.transcript.shown import ShownMessage
from app.gui.transcript.view import TranscriptView
from app.services.workspace import Workspace
from tests.bench.figure import Figure, against_bar
from tests.bench.painting import Paints, run_until
from tests.bench.prose import reply
from tests.bench.stored import long_chat

MESSAGES = 2000
PAINT_BAR = 0.150
FRAME_BAR = 0.008
RESIZE_BAR = 0.100
RUNS = 7
FRAMES = 150
PIECE = 24
"""Characters that come with each frame: about 180 tokens a second."""
WIDTHS = (900, 700, 640, 700, 600, 660, 720, 560)
"""The first one only centres the column; each of the others lays the words out anew."""


def measure() -> Iterator[Figure]:
    """The view alone, then the whole window on a stored conversation."""
    make_application()
    tree = long_chat(MESSAGES)
    shown = [
        ShownMessage(message.id, "user", message.text, "You")
        if message.role == "user"
        else ShownMessage(
            message.id,
            "assistant",
            message.text,
            message.model or "",
            figures=wording.figures_line(message.figures) if message.figures is not None else "",
            actions=("copy", "regenerate"),
        )
        for message in tree.path()
    ]
    yield from _view(shown)
    yield from _window()


def _view(shown: list[ShownMessage]) -> Iterator[Figure]:
    view = TranscriptView()
    view.resize(912, 580)
    view.show()
    paints = Paints(view.viewport())
    opened = []
    for _ in range(RUNS + 1):
        paints.seconds_until_painted(view.clear)
        opened.append(paints.seconds_until_painted(lambda: view.set_messages(shown)))
    yield against_bar(f"{MESSAGES:,} messages: first paint", opened[1:], PAINT_BAR)
    _wait_for_all(view)
    frames = _stream(view, paints, len(shown))
    yield against_bar(f"{MESSAGES:,} messages: a streaming frame", frames, FRAME_BAR)
    slow = quantiles(frames, n=20)[-1]
    yield against_bar(f"{MESSAGES:,} messages: the slowest 5 % of frames begin at", [slow], FRAME_BAR)
    _wait_for_all(view)
    resized = []
    for width in WIDTHS:
        resized.append(paints.seconds_until_painted(lambda width=width: view.resize(width, 580)))  # type: ignore[misc]
        _wait_for_all(view)
    yield against_bar(f"{MESSAGES:,} messages: resize, all on the page", resized[1:], RESIZE_BAR)
    dragged = [
        paints.seconds_until_painted(lambda width=width: view.resize(width, 580))  # type: ignore[misc]
        for width in range(568, 728, 8)
    ]
    yield against_bar(f"{MESSAGES:,} messages: each step of dragging the edge", dragged, RESIZE_BAR)
    view.close()
    view.deleteLater()


def _wait_for_all(view: TranscriptView) -> None:
    """Until the idle slices have written every message."""
    run_until(lambda: view.is_complete)
    QApplication.processEvents()


def _stream(view: TranscriptView, paints: Paints, number: int) -> list[float]:
    """Let a reply grow at the end; the seconds of work for each of its frames."""
    name = f"stream{number}"
    view.append_message(ShownMessage(name, "assistant", "", "SmolLM2 135M", streaming=True))
    text = "\n\n".join(reply(each) for each in (50, 4, 10, 7, 8, 20, 9))
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)][:FRAMES]
    frames = [paints.work_until_painted(lambda piece=piece: view.append_text(name, piece)) for piece in pieces]  # type: ignore[misc]
    view.update_message(ShownMessage(name, "assistant", "".join(pieces), "SmolLM2 135M"))
    return frames[5:]


def _window() -> Iterator[Figure]:
    """What a click on a long chat takes: SQLite, the tree, the transcript, the paint."""
    with TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        prepare(workspace)
        tree = long_chat(MESSAGES)
        workspace.store.insert_tree(tree, {})
        window = MainWindow(workspace)
        window.show()
        paints = Paints(window.transcript.viewport())
        seconds = []
        for _ in range(RUNS + 1):
            window.conversations.new()
            run_until(window.empty.isVisible)
            seconds.append(paints.seconds_until_painted(lambda: window.conversations.open(tree.conversation.id)))
        yield against_bar(f"{MESSAGES:,} messages: from the click on the chat to its paint", seconds[1:], PAINT_BAR)
        window.close()
        window.deleteLater()
        workspace.close()
