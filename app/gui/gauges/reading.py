"""From figures to what a gauge shows: a name, a figure, the parts of the bar, a line and an explanation."""

from dataclasses import dataclass
from typing import Final, Literal

from app.core.context_budget import is_nearly_full, remaining
from app.core.units import format_bytes, format_count, format_seconds
from app.gui.gauges.figures import ContextFigures, MemoryFigures, MemoryKind, ReuseFigures, SavedFigures

Tone = Literal["", "warning", "danger"]

NO_MODEL: Final = "No model is loaded"
MEMORY_NAMES: Final[dict[MemoryKind, str]] = {
    "cpu": "RAM",
    "gpu": "VRAM",
    "accelerator": "VRAM",
    "integrated": "Memory",
}
CONTEXT: Final = (
    "The context is what the model can have in view at once: instructions, conversation and reply. "
    "When it is full, a reply ends there and no further message can be sent in this chat; its text stays, and a new "
    "chat with the same instructions goes on."
)
MEMORY: Final = (
    "Weights are the model itself. KV is what the model has read: the reserved part fills as a conversation grows. "
    "Compute buffers are what it works with. In the RAM, Ember's own window and code count as other programs."
)
SAVED: Final = "Saved state lets a chat go on without being read again. The texts never depend on it."
"""What each gauge is, in sentences."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar."""

    name: str
    value: float
    role: str
    """Its colour, a field of the palette."""
    words: str = ""
    """Its value exactly, for the explanation."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that a gauge shows; the variants of a text stand longest first."""

    names: tuple[str, ...]
    figures: tuple[str, ...] = ()
    segments: tuple[Segment, ...] = ()
    total: float = 0
    lines: tuple[str, ...] = ()
    sentence: str = ""
    """What it is, for the explanation."""
    alert: str = ""
    """A sentence for when it is getting tight: shown, and spoken once."""
    tone: Tone = ""
    """How tight it is, as a colour of words and bar."""
    device: str = ""
    """Whose memory it is."""

    def of_role(self, role: str) -> int:
        """What the parts of one colour make up."""
        return round(sum(part.value for part in self.segments if part.role == role))


def read_context(figures: ContextFigures | None) -> Reading:
    """The context's gauge."""
    names = ("Context",)
    if figures is None or figures.limit <= 0:
        return Reading(names, lines=(NO_MODEL,), sentence=f"{CONTEXT} {NO_MODEL}.")
    used, limit = figures.used, figures.limit
    left = max(0, remaining(limit, used, figures.draft, figures.reserve))
    rest = max(0, used - figures.system - figures.history)
    segments = (
        _tokens("instructions", figures.system, "system"),
        _tokens("conversation", figures.history, "history"),
        _tokens("this turn", rest, "accent_soft"),
        _tokens("your message", figures.draft, "accent_soft"),
        _tokens("kept for the reply", figures.reserve, "track"),
        _tokens("left", left, "track"),
    )
    tone, alert, tight = _how_tight(figures, left)
    parts = [
        f"{name} {_percent(value, limit)}"
        for name, value in (("system", figures.system), ("history", figures.history))
        if value
    ]
    left_words = f"{format_count(left)} left"
    return Reading(
        names,
        figures=(
            f"{format_count(used)} of {format_count(limit)} tokens",
            f"{format_count(used)} of {format_count(limit)}",
            _percent(used, limit),
        ),
        segments=tuple(segment for segment in segments if segment.value > 0),
        total=limit,
        lines=tight or (" · ".join([*parts, left_words]), left_words),
        sentence=CONTEXT,
        alert=alert,
        tone=tone,
    )


def _how_tight(figures: ContextFigures, left: int) -> tuple[Tone, str, tuple[str, ...]]:
    """How near the context is to its end: the tone, a sentence, and lines of a few words; empty where there is room."""
    room = remaining(figures.limit, figures.used, 0, figures.reserve)
    if room < 1:
        alert = "The context is full: nothing more can be sent in this chat. A new chat goes on."
        return "danger", alert, ("full · a new chat goes on", "full")
    if figures.draft > room:
        over = format_count(figures.draft - room)
        alert = f"Your message is {over} tokens too long for what is left of the context."
        return "danger", alert, (f"your message is {over} too long", f"{over} too many")
    if not is_nearly_full(figures.limit, left):
        return "", "", ()
    words = f"{format_count(left)} left"
    return (
        "warning",
        f"The context is nearly full: {format_count(left)} tokens are left.",
        (f"nearly full · {words}", words),
    )


def read_memory(figures: MemoryFigures | None) -> Reading:
    """The gauge of the memory of one device."""
    if figures is None:
        return Reading(("RAM",), lines=(NO_MODEL,), sentence=f"The memory that a model takes. {NO_MODEL}.")
    ours = figures.weights + figures.kv_reserved + figures.compute + figures.process
    segments = (
        _bytes("weights of the model", figures.weights, "weights"),
        _bytes("KV in use", figures.kv_used, "kv_used"),
        _bytes("KV reserved", max(0, figures.kv_reserved - figures.kv_used), "kv_reserved"),
        _bytes("compute buffers", figures.compute, "compute"),
        _bytes("Ember itself", figures.process, "process"),
        _bytes("other programs", figures.other, "other"),
        _bytes("free", figures.free, "track"),
    )
    kv = f"KV {_of(figures.kv_used, figures.kv_reserved)}"
    weights, compute = format_bytes(figures.weights), format_bytes(figures.compute)
    lines: tuple[str, ...] = (
        _one_unit(f"weights {weights}", kv, f"compute {compute}"),
        _one_unit(f"weights {weights}", kv),
        kv,
    )
    if not ours:
        free = f"{format_bytes(figures.free)} free"
        lines = (f"{NO_MODEL} · {free}", NO_MODEL, free)
    return Reading(
        (MEMORY_NAMES[figures.kind],),
        figures=(_of(ours, figures.total), format_bytes(ours)),
        segments=tuple(segment for segment in segments if segment.value > 0),
        total=figures.total,
        lines=lines,
        sentence=f"What Ember takes of the memory of {figures.device_label}. {MEMORY}",
        device=figures.device_label,
    )


def read_saved(figures: SavedFigures | None) -> Reading:
    """The gauge of the saved state on disk."""
    names = ("Saved state", "Saved")
    if figures is None:
        unknown = ("Not known just now", "Not known")
        return Reading(names, lines=unknown, sentence=f"{SAVED} What is saved is not known just now.")
    what = SAVED + _about_saving(figures)
    if not figures.all_chats:
        nothing = ("Saving is off",) if figures.is_off else ("Nothing is saved yet", "Nothing yet")
        return Reading(names, figures=("0 B",), lines=nothing, sentence=what)
    others = max(0, figures.all_chats - figures.this_chat)
    own = figures.this_chat - figures.shared
    segments = [
        _bytes("this chat alone" if figures.shared else "this chat", own, "kv_used"),
        _bytes("this chat, shared with others", figures.shared, "system"),
        _bytes("other chats", others, "kv_reserved"),
        _bytes("left of the budget", max(0, figures.budget - figures.all_chats), "track"),
    ]
    everything = format_bytes(figures.all_chats)
    this, rest = f"this chat {format_bytes(figures.this_chat)}", f"others {format_bytes(others)}"
    lines: tuple[str, ...] = (f"{this} · {rest}", this) if others else (this,)
    if not figures.this_chat:
        lines = (f"nothing of this chat · {rest}", rest)
    if figures.is_off:
        lines = ("Saving is off · what is saved stays", "Saving is off")
    elif figures.is_never:
        lines = (f"this chat not saved · others {format_bytes(others)}", "this chat not saved")
    return Reading(
        names,
        figures=(_of(figures.all_chats, figures.budget), everything) if figures.budget else (everything,),
        segments=tuple(segment for segment in segments if segment.value > 0),
        total=max(figures.budget, figures.all_chats),
        lines=lines,
        sentence=what,
    )


def _about_saving(figures: SavedFigures) -> str:
    """What is to be known beside the bytes: that nothing is saved, and the room on the disk."""
    text = ""
    if figures.is_off:
        text = " Saving is off: nothing is written any more."
    elif figures.is_never:
        text = " This chat's state is never saved, as you chose."
    if figures.disk_free is not None:
        text += f" The disk has {format_bytes(figures.disk_free)} free."
    return text


def read_estimated(*devices: tuple[str, int]) -> str:
    """What was estimated of a load, by the names of devices and bytes, to be held against what was taken."""
    sizes = [(name, format_bytes(size)) for name, size in devices if size]
    if not sizes:
        return ""
    parts = (f"{size} {'in the RAM' if name == 'CPU' else f'on {name}'}" for name, size in sizes)
    words = " and ".join(parts) if len(sizes) > 1 else sizes[0][1]
    return f"Before the load, {words} were estimated for the model and its context."


def read_reuse(figures: ReuseFigures) -> tuple[str, ...]:
    """What was not read again by now, and the time that it would have taken."""
    if figures.everywhere is None:
        return ("What was not read again is being counted.",)
    if not figures.everywhere:
        return ("No reply has been spared reading anything again yet.",)
    return tuple(
        f"{where}: {format_count(tokens)} tokens"
        + (f", about {format_seconds(tokens / figures.read_rate)}" if figures.read_rate else "")
        for where, tokens in (("Not read again in this chat", figures.here), ("In all chats", figures.everywhere))
        if tokens is not None
    )


def read_rate(figures: ReuseFigures) -> str:
    """What the time is worked out with; empty while there is none."""
    if not figures.everywhere or not figures.read_rate:
        return ""
    return f"The time is what {figures.read_rate:,.0f} tokens a second take, as the loaded model reads here."


def _tokens(name: str, value: int, role: str) -> Segment:
    return Segment(name, value, role, f"{format_count(value)} tokens")


def _bytes(name: str, value: int, role: str) -> Segment:
    return Segment(name, value, role, f"{format_bytes(value)} ({format_count(value)} bytes)")


def _percent(part: int, whole: int) -> str:
    """A share in whole percent; what is there is never 0 %, what is missing never 100 %."""
    share = round(100 * part / whole)
    if part:
        share = max(1, share)
    if part < whole:
        share = min(99, share)
    return f"{share} %"


def _one_unit(*parts: str) -> str:
    """The parts side by side; a unit that all of them end with stands once, at the end."""
    unit = parts[-1].rpartition(" ")[2]
    if all(part.endswith(f" {unit}") for part in parts):
        parts = (*(part.removesuffix(f" {unit}") for part in parts[:-1]), parts[-1])
    return " · ".join(parts)


def _of(part: int, whole: int) -> str:
    """`88 of 184 MiB`; the unit stands once when it is the same."""
    left, right = format_bytes(part), format_bytes(whole)
    number, unit = left.split(" ")
    return f"{number} of {right}" if right.endswith(f" {unit}") else f"{left} of {right}"
