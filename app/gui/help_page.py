"""The help page “What is kept”: what the KV cache is, what it costs, what a change costs; with a chat's own figures."""

from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QScrollArea, QVBoxLayout, QWidget

from app.core.turn import TurnFigures
from app.core.units import format_bytes, format_count, format_seconds
from app.gui import theme, wording
from app.gui.help_picture import Part, PromptPicture, bars, example, shortened
from app.protocol.parts import MemoryMode

SIZE: Final = QSize(600, 640)
MINIMUM: Final = QSize(360, 320)
WHAT: Final = (
    "A model reads a chat as tokens: words, or pieces of words. For each token it works out numbers, its keys and "
    "values, and looks at those of all tokens before it to choose the next word. Working them out is what takes the "
    "time before the first word. So Ember keeps them: in memory while a chat is open, and on this disk for later. "
    "Others call this the KV cache. Your texts are kept in any case; all of this can be worked out again."
)
CHANGES: Final = (
    "The numbers of a token depend on every token before it. What is kept is therefore good from the beginning of "
    "the chat up to the first difference; from there on it is read again."
)


@dataclass(frozen=True, slots=True)
class HelpFigures:
    """A chat's own figures; zeros and None for what is not known."""

    parts: tuple[Part, ...] = ()
    """Its instructions and messages, the first first; empty where there is no chat."""
    in_memory: int = 0
    """Tokens."""
    bytes_per_token: int = 0
    own: int = 0
    """Bytes on the disk that only this chat needs."""
    shared: int = 0
    saved: int = 0
    """Tokens whose state is saved."""
    read_rate: float = 0.0
    """Tokens a second."""
    restore_rate: float = 0.0
    """Bytes a second."""
    last: TurnFigures | None = None
    mode: MemoryMode | None = None


class HelpPage(QDialog):
    """Words that can be selected, and the picture; it scrolls."""

    def __init__(self, figures: HelpFigures, parent: QWidget) -> None:
        """Say it with these figures."""
        super().__init__(parent)
        self.setWindowTitle("What is kept")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumSize(MINIMUM)
        self.resize(SIZE.boundedTo(parent.window().size().expandedTo(MINIMUM)))
        page = QWidget(self)
        self._column = column = QVBoxLayout(page)
        column.setContentsMargins(24, 20, 24, 12)
        column.setSpacing(8)
        self._add("What is kept", WHAT)
        self._add("What it costs", cost_words(figures))
        self._add("What a change costs", CHANGES)
        column.addSpacing(4)
        self.picture = PromptPicture(bars(shortened(figures.parts or example())), page)
        column.addWidget(self.picture)
        if not figures.parts:
            column.addWidget(self._words("The picture shows an example; with a chat open it shows that chat.", "small"))
        if figures.mode is not None:
            column.addWidget(self._words(wording.MODES[figures.mode][1], "small"))
        self._add("This chat", "\n".join(chat_words(figures)))
        column.addStretch(1)
        scroll = QScrollArea(self)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setAccessibleName("What is kept")
        scroll.setWidget(page)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        buttons.setContentsMargins(24, 0, 24, 16)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(scroll, 1)
        whole.addWidget(buttons)

    def text(self) -> str:
        """All its words, one label a line."""
        return "\n".join(label.text() for label in self.findChildren(QLabel))

    def _add(self, title: str, words: str) -> None:
        heading = self._words(title, "strong")
        if self._column.count():
            self._column.addSpacing(8)
        self._column.addWidget(heading)
        self._column.addWidget(self._words(words, "body"))

    def _words(self, words: str, font: theme.FontRole) -> QLabel:
        label = QLabel(words, self)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setFont(theme.font(font))
        label.setWordWrap(True)
        label.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        label.setProperty("tone", "" if font == "strong" else "soft")
        return label


def cost_words(figures: HelpFigures) -> str:
    """What a token takes, in memory and on the disk."""
    if not figures.bytes_per_token:
        return "Room: some KiB a token, in memory and again on the disk; how many depends on the model."
    return (
        f"Room: with this model a thousand tokens take {format_bytes(1000 * figures.bytes_per_token)} of memory, and "
        "as much again on the disk. Chats that begin alike share what they have in common there."
    )


def chat_words(figures: HelpFigures) -> list[str]:
    """What is kept of this chat, and what it saves."""
    if not figures.parts:
        return ["No chat is open, so there is nothing to count yet."]
    if figures.in_memory:
        size = format_bytes(figures.in_memory * figures.bytes_per_token)
        lines = [f"In memory: {format_count(figures.in_memory)} tokens, {size}."]
    else:
        lines = ["In memory: nothing of this chat just now."]
    if not figures.saved:
        lines.append("On the disk: nothing of this chat is saved.")
    else:
        shares = f" and {format_bytes(figures.shared)} that other chats use too" if figures.shared else ""
        lines.append(
            f"On the disk: {format_count(figures.saved)} tokens, {format_bytes(figures.own)} of its own{shares}."
        )
    if figures.saved and figures.restore_rate and figures.read_rate:
        restore = format_seconds(max((figures.own + figures.shared) / figures.restore_rate, 0.1))
        read = format_seconds(max(figures.saved / figures.read_rate, 0.1))
        lines.append(f"Opening it from the disk takes about {restore}; reading it again would take about {read}.")
    if figures.last is not None:
        lines.append(f"The last turn: {' '.join(wording.figures_detail(figures.last).split(chr(10)))}")
        lines += [figures.last.reread.reason] if figures.last.reread is not None else []
    return lines


def open(parent: QWidget, figures: HelpFigures) -> HelpPage:
    """Show the page beside the window, which can be used meanwhile."""
    page = HelpPage(figures, parent)
    page.show()
    page.raise_()
    return page
