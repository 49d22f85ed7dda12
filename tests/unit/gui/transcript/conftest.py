"""A shown transcript, and short ways to make messages and to read the page."""

from collections.abc import Callable

import pytest
from PySide6.QtGui import QTextBlock, QTextFrame, QTextTable
from PySide6.QtWidgets import QWidget

from app.gui.transcript import ShownMessage, TranscriptView
from app.gui.transcript.layout import FrameKind, Kind, frame_kind, kind_of


def user(text: str, message_id: str = "u", **fields: object) -> ShownMessage:
    """The person's message."""
    return ShownMessage(id=message_id, role="user", text=text, author="You", **fields)  # type: ignore[arg-type]


def reply(text: str, message_id: str = "r", **fields: object) -> ShownMessage:
    """The model's message."""
    return ShownMessage(id=message_id, role="assistant", text=text, author="SmolLM2", **fields)  # type: ignore[arg-type]


class Reader:
    """Reads what stands on the page."""

    def __init__(self, view: TranscriptView) -> None:
        self.view = view

    def blocks(self, *kinds: Kind) -> list[QTextBlock]:
        """The blocks of some kinds, or all that show words."""
        found, block = [], self.view.document().begin()
        while block.isValid():
            if (kind_of(block) in kinds) if kinds else kind_of(block) is not Kind.GAP:
                found.append(block)
            block = block.next()
        return found

    def texts(self, *kinds: Kind) -> list[str]:
        """The words of those blocks."""
        return [block.text() for block in self.blocks(*kinds)]

    def body(self) -> list[str]:
        """The paragraphs, headings and items."""
        return self.texts(Kind.BODY)

    def frames(self, kind: FrameKind) -> list[QTextFrame]:
        """The frames of a kind."""
        return [frame for frame in self._all(self.view.document().rootFrame()) if frame_kind(frame) is kind]

    def tables(self) -> list[QTextTable]:
        """The tables."""
        return [frame for frame in self._all(self.view.document().rootFrame()) if isinstance(frame, QTextTable)]

    def messages(self) -> int:
        """How many messages are on the page."""
        return len(self.frames(FrameKind.USER)) + len(self.frames(FrameKind.REPLY))

    def run(self, words: str) -> dict[str, object]:
        """How a run of characters looks."""
        for block in self.blocks():
            fragments = block.begin()
            while not fragments.atEnd():
                fragment = fragments.fragment()
                if words in fragment.text():
                    form = fragment.charFormat()
                    return {
                        "bold": form.fontWeight() > 500,
                        "italic": form.fontItalic(),
                        "strike": form.fontStrikeOut(),
                        "mono": form.fontFixedPitch(),
                        "href": form.anchorHref(),
                        "size": form.font().pixelSize(),
                    }
                fragments += 1
        raise AssertionError(f"{words!r} is not on the page")

    def signature(self) -> list[tuple[object, ...]]:
        """The page in words: what each block says, what it is for and how it stands."""
        return [
            (
                kind_of(block),
                block.text(),
                block.blockFormat().indent(),
                block.blockFormat().topMargin(),
                block.blockFormat().textIndent(),
                [(run.start, run.length, _look(run.format)) for run in block.textFormats()],
            )
            for block in self.blocks()
        ]

    def _all(self, frame: QTextFrame) -> list[QTextFrame]:
        found = []
        for child in frame.childFrames():
            found.append(child)
            found.extend(self._all(child))
        return found


def _look(form: object) -> tuple[object, ...]:
    return (
        form.fontWeight(),  # type: ignore[attr-defined]
        form.fontItalic(),  # type: ignore[attr-defined]
        form.fontFixedPitch(),  # type: ignore[attr-defined]
        form.anchorHref(),  # type: ignore[attr-defined]
    )


@pytest.fixture
def view(shown: Callable[..., QWidget]) -> TranscriptView:
    """A transcript on the screen."""
    made = shown(TranscriptView(), 900, 600)
    assert isinstance(made, TranscriptView)
    return made


@pytest.fixture
def page(view: TranscriptView) -> Reader:
    """A reader of that transcript's page."""
    return Reader(view)
