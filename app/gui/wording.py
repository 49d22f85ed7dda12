"""What the window says about turns, replies and models, in plain words."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from app.core.conversation import Message
from app.core.turn import TurnFigures
from app.core.units import format_amount, format_count, format_seconds
from app.gui.aim_line import Aim
from app.protocol.answers import Statistics
from app.protocol.parts import MemoryMode, ModelInfo
from app.services.model_library import display_name
from app.storage.conversations import INTERRUPTED

SNAPSHOTS: Final = (
    "Saved state: snapshots",
    "This model's memory cannot go back; Ember keeps a snapshot at the last turns, so editing an old message may read "
    "from an earlier point.",
)
MODES: Final[dict[MemoryMode, tuple[str, str]]] = {
    "full": (
        "Saved state: word by word",
        "This model's state is saved word by word, so a chat and each of its branches goes on where it was.",
    ),
    "window": (
        "Saved state: while it reads",
        "This model looks back through a window. Its state is saved while it reads, so a chat and each of its "
        "branches goes on where it was.",
    ),
    "hybrid": SNAPSHOTS,
    "recurrent": SNAPSHOTS,
    "opaque": (
        "Saved state: whole",
        "This model's state is saved as a whole at the end of each turn, so going back to an earlier message reads "
        "the chat again.",
    ),
}
"""How the state of a model with such a memory is saved, in a few words and in a sentence."""
CANNOT_GO_BACK: Final[tuple[MemoryMode, ...]] = ("hybrid", "recurrent", "opaque")
"""Those of them that are told when the model is loaded."""

EDITING: Final = Aim("edit", "Editing your message. The old one stays as a variant.", "Cancel")
BRANCHING: Final = Aim("branch", "A new branch begins here. The old one stays.", "Undo")
BRANCHED: Final = replace(BRANCHING, way_out="Show the rest")
"""Where a message goes; the last is for a branch that was begun before and is only seen again."""


def figures_line(figures: TurnFigures) -> str:
    """The line under a reply: what was reused and read, when the first word came, and the speed."""
    tokens, parts = figures.tokens, []
    if tokens.reused_memory + tokens.reused_saved:
        parts.append(f"reused {format_count(tokens.reused_memory + tokens.reused_saved)}")
    parts.append(f"read {format_count(tokens.evaluated)}")
    if figures.seconds.first_token:
        parts.append(f"first word {format_seconds(figures.seconds.first_token)}")
    if figures.tokens_per_second:
        parts.append(f"{figures.tokens_per_second:.0f} tok/s")
    return " · ".join(parts)


def figures_detail(figures: TurnFigures) -> str:
    """The figures of a turn in sentences, one a line: what was kept where, what was read, and how long it took."""
    tokens, seconds, parts = figures.tokens, figures.seconds, []
    if tokens.reused_memory:
        parts.append(f"{_were(tokens.reused_memory)} still in memory")
    if tokens.reused_saved:
        spent = f" in {format_seconds(seconds.restore)}" if seconds.restore else ""
        parts.append(f"{format_count(tokens.reused_saved)} came from saved state{spent}")
    spent = f" in {format_seconds(seconds.prefill)}" if seconds.prefill and tokens.evaluated else ""
    read = f"{_were(tokens.evaluated)} read{spent}"
    text = f"All {format_count(tokens.prompt)} tokens were read{spent}."
    if parts:
        text = f"Of {format_amount(tokens.prompt, 'token')}, {', '.join(parts)} and {read}."
    if tokens.generated:
        took = f" in {format_seconds(seconds.total)} altogether" if seconds.total else ""
        text += f"\nThe reply has {format_amount(tokens.generated, 'new token')}{took}."
    return text


def _were(tokens: int) -> str:
    return f"{format_count(tokens)} {'was' if tokens == 1 else 'were'}"


def reply_notice(message: Message) -> tuple[str, bool]:
    """What to say below a reply that did not end by itself, and whether it is an error."""
    if message.error:
        return message.error, message.error != INTERRUPTED
    if message.finish_reason == "cancelled":
        return ("Stopped." if message.text else "Stopped before the first word."), False
    if message.finish_reason == "length":
        return "The reply was cut at its limit.", False
    if message.finish_reason == "stop" and not message.text.strip():
        return "The model had nothing to say.", False
    return "", False


def reread_notice(figures: TurnFigures | None) -> str:
    """Why a turn read again what had been read before; empty when it did not."""
    if figures is None or figures.reread is None:
        return ""
    again = figures.tokens.evaluated
    return f"Read {format_amount(again, 'token')} of this chat: {figures.reread.reason}"


def model_label(model: ModelInfo) -> str:
    """The model's name as it is shown."""
    return display_name(model.path, model.name)


def file_label(path: Path) -> str:
    """The name of a model that is not loaded yet."""
    return display_name(str(path), path.stem)


def place_of(model: ModelInfo, statistics: Statistics | None) -> str:
    """Where the model runs."""
    if model.gpu_layers <= 0:
        return "on the CPU"
    where = "the GPU"
    if statistics is not None:
        names = {each.name: each.description or each.name for each in statistics.devices if each.kind != "cpu"}
        on = [names[each.device] for each in statistics.memory if each.device in names and each.weights]
        where = on[0] if len(on) == 1 else f"{len(on)} GPUs" if on else where
    if model.gpu_layers > model.layers:
        return f"on {where}"
    return f"{model.gpu_layers} of {model.layers} layers on {where}"
