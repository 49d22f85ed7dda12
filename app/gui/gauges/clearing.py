"""What Clear cache offers: each choice with what it frees, and what the next reply will then cost."""

from dataclasses import dataclass
from typing import Final

from app.core.units import format_bytes, format_count, format_seconds
from app.gui.gauges.figures import ClearFigures, MemoryKind
from app.gui.gauges.reading import MEMORY_NAMES

NO_MODEL: Final = "There is nothing to clear: no model is loaded."
CLEAR: Final = "The memory is clear already; the next reply makes it again."
WRITING: Final = "A reply is being written; stop it first, or wait for it."
NOTHING_SAVED: Final = "Nothing is saved."
NOTHING_OF_THIS: Final = "Nothing of this chat is saved."
NOTHING_OF_MODEL: Final = "Nothing of this model is saved."
UNKNOWN: Final = "What is saved is not known just now; wait a moment."
"""Why there is nothing to clear now."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice in words; one that cannot be taken says why in its detail."""

    title: str
    detail: str
    enabled: bool = True

    @property
    def sentence(self) -> str:
        """Both together."""
        return f"{self.title}. {self.detail}" if self.enabled else self.detail


def clear_choices(figures: ClearFigures) -> tuple[Choice, ...]:
    """Memory, this chat's saved state, this model's, all saved state."""
    return _memory(figures), _this_chat(figures), _this_model(figures), _everything(figures)


def bytes_by_memory(memory: tuple[tuple[MemoryKind, int], ...]) -> str:
    """Bytes with the memory they are of, such as `200 MiB of VRAM and 63 MiB of RAM`."""
    names = {**MEMORY_NAMES, "integrated": "memory"}
    return " and ".join(f"{format_bytes(taken)} of {names[kind]}" for kind, taken in memory if taken)


def _memory(figures: ClearFigures) -> Choice:
    if figures.no_memory:
        return Choice("Memory", figures.no_memory, enabled=False)
    if not figures.held:
        detail = "No chat is in it; the next reply makes it again."
    elif figures.held_saved:
        spent = _about(figures.held_saved, figures.restore_rate)
        detail = f"The next reply goes on from the saved state{spent}."
    else:
        detail = f"The next reply {reads_again(figures.held, figures.read_rate)}."
    return Choice(f"Memory now: {bytes_by_memory(figures.memory)}", detail)


def _this_chat(figures: ClearFigures) -> Choice:
    name = "This chat's saved state"
    if figures.no_chat:
        return Choice(name, figures.no_chat, enabled=False)
    stays = f"{format_bytes(figures.shared)} more is shared with other chats and stays. " if figures.shared else ""
    return Choice(f"{name}: {format_bytes(figures.own)}", stays + _next_reply(figures, at_most=bool(figures.shared)))


def _this_model(figures: ClearFigures) -> Choice:
    name = "This model's saved state"
    if figures.no_model:
        return Choice(name, figures.no_model, enabled=False)
    return Choice(f"{name}: {format_bytes(figures.of_model)}…", _many(figures, f"chat with {figures.model_name}"))


def _everything(figures: ClearFigures) -> Choice:
    name = "All saved state"
    if figures.no_saved:
        return Choice(name, figures.no_saved, enabled=False)
    return Choice(f"{name}: {format_bytes(figures.all_saved)}…", f"{_many(figures, 'chat')} The texts stay.")


def _many(figures: ClearFigures, chat: str) -> str:
    """What it costs when the saved state of many chats goes."""
    if figures.is_held:
        return f"Each {chat} is then read again, but for this one, which is in memory."
    if not figures.is_saved:
        return f"Each {chat} is then read again."
    again = reads_again(figures.tokens, figures.read_rate)
    return f"The next reply {again}, and each other {chat} is read again too."


def _next_reply(figures: ClearFigures, *, at_most: bool = False) -> str:
    """What the next reply of the open chat costs once its saved state is gone."""
    if figures.is_held:
        return "The next reply goes on from memory."
    return f"The next reply {reads_again(figures.tokens, figures.read_rate, at_most=at_most)}."


def reads_again(tokens: int, rate: float, *, at_most: bool = False) -> str:
    """What a reply does whose chat is kept no more; `rate` in tokens a second, 0 where it was not measured."""
    if not tokens:
        return "reads this chat again"
    return f"reads {'up to ' if at_most else ''}{format_count(tokens)} tokens again{_about(tokens, rate)}"


def _about(amount: int, rate: float) -> str:
    """The time that it takes, once that was measured."""
    return f", about {format_seconds(max(amount / rate, 0.1))}" if rate > 0 else ""
