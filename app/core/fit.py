"""Whether a model fits a machine, told from sizes alone: for lists, and for files that are not downloaded yet.

What a load really takes is decided by `load_decision.py` and llama.cpp's dry run; this is the estimate before that.
"""

from dataclasses import dataclass
from typing import Final, Literal

from app.core.offload import Machine
from app.core.units import format_bytes

FitVerdict = Literal["fits", "tight", "too_large"]
ORDER: Final[tuple[FitVerdict, ...]] = ("fits", "tight", "too_large")
"""The best first."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a model takes; bytes, estimated."""

    weights: int
    context: int
    """For a context of the default size."""
    least_context: int
    """For the smallest useful context."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A verdict with its figures in words."""

    verdict: FitVerdict
    sentence: str


def is_hopeless(parameters: int, machine: Machine) -> bool:
    """Return whether a model of so many weights cannot fit in four bits each; False where their number is unknown.

    For lists of repositories, of which nothing else is known; four bits are the least that is worth having.
    """
    return fit(Need(parameters // 2, 0, 0), machine).verdict == "too_large"


def fit(need: Need, machine: Machine) -> Fit:
    """Return whether a model fits beside what else runs, a margin left free on every device."""
    gpus = sum(max(0, gpu.usable) for gpu in machine.gpus if not gpu.is_unified)
    room = max(0, machine.cpu.usable) + gpus
    free = max(0, machine.cpu.free) + sum(max(0, gpu.free) for gpu in machine.gpus if not gpu.is_unified)
    total = need.weights + need.context
    if total <= room:
        where = " on the GPU" if machine.gpus and total <= gpus else ""
        return Fit("fits", f"Fits{where}: about {format_bytes(total)} of the {format_bytes(free)} that are free.")
    least = need.weights + need.least_context
    if least <= room:
        return Fit(
            "tight", f"Fits with a shorter context: from {format_bytes(least)}, and {format_bytes(free)} are free."
        )
    needed, there = format_bytes(least), format_bytes(free)
    if least <= free or needed == there:  # it is the margin that lacks
        return Fit("too_large", f"Too large: about {needed} would leave too little of the {there} that are free.")
    return Fit("too_large", f"Too large: needs about {needed}, and {there} are free.")
