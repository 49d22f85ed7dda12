"""What the transcript is told about a message: data in, nothing of storage or services."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """One message as the transcript shows it."""

    id: str
    role: Role
    text: str
    author: str
    """"You", or the model's name."""
    figures: str = ""
    """The turn's figures, in a whisper at the right below the reply."""
    figures_detail: str = ""
    """The same in full sentences, for who looks closer."""
    notice: str = ""
    """A note or an error, a full sentence, quietly below the words."""
    is_error: bool = False
    variant: int = 1
    """Which of its `variants` this is, from 1."""
    variants: int = 1
    streaming: bool = False
    """Whether pieces of `text` are still to come."""
    actions: tuple[str, ...] = ("copy",)
    """What the person can do with it, in the order of the buttons; "copy" the transcript does itself."""
