"""What the library says of models, repositories and downloads, in plain words."""

from datetime import date, datetime
from pathlib import Path
from typing import Final

from app.core.fit import Fit, FitVerdict
from app.core.hub_files import FoundRepository
from app.core.units import format_amount, format_bytes, format_count, format_seconds, parameters_label
from app.protocol.parts import MemoryPlan
from app.services.download_progress import wait_words
from app.services.downloads import Download
from app.services.first_models import FirstModel
from app.services.model_catalogue import ModelFile
from app.services.model_places import FOREIGN, ORIGIN_NAMES

FIT_TONES: Final[dict[FitVerdict, str]] = {"fits": "soft", "tight": "soft", "too_large": "warning"}
PLAN_TONES: Final = {"fits": "soft", "fewer_layers": "soft", "does_not_fit": "warning"}
BETWEEN: Final = " · "
NO_TEMPLATE: Final = "no chat template"
IN_MEMORY: Final = "It is in memory. Unload it first, then it can be removed."


def facts_line(model: ModelFile) -> str:
    """Architecture, parameters, quantisation, context and abilities, as far as the header tells."""
    facts = model.facts
    if facts is None:
        return ""
    parts = [facts.architecture, parameters_label(facts.parameters), facts.quantisation]
    if facts.kind == "model":
        parts.append(f"{format_count(facts.context)} tokens" if facts.context else "")
        parts.append("thinks" if facts.can_reason else "")
        parts.append("uses tools" if facts.can_use_tools else "")
        parts.append("" if facts.has_template else NO_TEMPLATE)
    return BETWEEN.join(filter(None, parts))


def place_line(model: ModelFile, saved: int, today: date) -> str:
    """Where it is from, how many files it has, what is saved of its chats, and when it was used last."""
    name = ORIGIN_NAMES[model.origin]
    parts = [
        f"{name[0].upper()}{name[1:]}",
        f"{len(model.files)} files" if len(model.files) > 1 else "",
        model.licence,
        f"{format_bytes(saved)} of saved state" if saved else "",
        f"used {day_words(model.last_used, today)}" if model.last_used is not None else "never used here",
    ]
    return BETWEEN.join(filter(None, parts))


def day_words(when: float, today: date) -> str:
    """A day as people call it; `when` in seconds since 1970."""
    day = datetime.fromtimestamp(when).date()
    days = (today - day).days
    if days <= 0:
        return "today"
    if days == 1:
        return "yesterday"
    return f"{days} days ago" if days < 30 else f"on {day.isoformat()}"


def fit_line(estimated: Fit | None, plan: MemoryPlan | None) -> tuple[str, str]:
    """Whether it fits, with the tone: llama.cpp's own figures where they are known, else the estimate."""
    if plan is not None:
        return plan.sentence, PLAN_TONES[plan.verdict]
    return (estimated.sentence, FIT_TONES[estimated.verdict]) if estimated is not None else ("", "soft")


def remove_refusal(model: ModelFile, *, is_loaded: bool) -> str:
    """Why a model cannot be removed; empty where it can."""
    if model.origin in FOREIGN:
        return f"It belongs to {ORIGIN_NAMES[model.origin]}, so Ember does not touch it. Remove it there."
    if model.origin == "starter":
        return "It comes with Ember and goes with it."
    return IN_MEMORY if is_loaded else ""


def removal_question(model: ModelFile) -> tuple[str, str]:
    """What is asked before an own model goes: the question, and what it means."""
    count = len(model.files)
    what = f"These {count} files go to the trash" if count > 1 else "This file goes to the trash"
    names = "\n".join(str(path) for path in model.files[:5]) + ("\n…" if count > 5 else "")
    return (
        f"Move {model.name} to the trash?",
        f"{what} and free {format_bytes(model.size)} once the trash is emptied:\n\n{names}\n\n"
        "Your chats and their saved state stay as they are.",
    )


# --- the hub ---------------------------------------------------------------------------------------------------------


def short_count(number: int) -> str:
    """A large number in a few letters, such as "1.2M" or "340"."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return (
                f"{number / size:.1f}".removesuffix(".0") + letter
                if number < 10 * size
                else f"{number // size}{letter}"
            )
    return str(number)


def found_line(found: FoundRepository) -> str:
    """What a search tells of a repository."""
    parts = [
        found.architecture,
        parameters_label(found.parameters),
        f"{format_count(found.context)} tokens" if found.context else "",
        found.licence,
        "asks to accept conditions" if found.is_gated else "",
    ]
    return BETWEEN.join(filter(None, parts))


def popularity(found: FoundRepository) -> str:
    """How many have it and like it."""
    likes = "like" if found.likes == 1 else "likes"
    return f"{short_count(found.downloads)} a month{BETWEEN}{short_count(found.likes)} {likes}"


def first_line(model: FirstModel) -> str:
    """For whom one of the good first models is."""
    return f"For computers with {model.memory_gib} GiB of memory or more"


# --- downloads -------------------------------------------------------------------------------------------------------


def download_name(download: Download) -> str:
    """What a download is called: the file, without the number of its part."""
    files = download.record.files
    name = Path(files[0].name).stem
    return name.partition("-00001-of-")[0] if len(files) > 1 else name


def download_line(download: Download) -> str:
    """How far it is, how fast, and how long it will take."""
    progress = download.progress
    there = f"{format_bytes(progress.done)} of {format_bytes(progress.total)}"
    if download.state == "waiting":
        return f"Waits for its turn{BETWEEN}{there}"
    if download.state == "paused":
        return f"Paused{BETWEEN}{there} are here"
    if download.state == "failed":
        return f"Stopped{BETWEEN}{there} are here"
    if progress.phase == "checking":
        return f"Looking through what is here{BETWEEN}{there}"
    if wait := wait_words(progress):
        return f"{wait}{BETWEEN}{there}"
    left = progress.seconds_left
    speed = f"{format_bytes(round(progress.speed))} a second" if progress.speed else ""
    return BETWEEN.join(filter(None, (there, speed, f"{format_seconds(left)} left" if left is not None else "")))


def downloads_summary(downloads: tuple[Download, ...]) -> str:
    """All unfinished downloads in a sentence."""
    running = [each for each in downloads if each.state == "running"]
    failed = sum(each.state == "failed" for each in downloads)
    if running:
        waiting = len(downloads) - len(running) - failed
        more = f" {waiting} more to come." if waiting else ""
        return f"Downloading {download_name(running[0])}: {download_line(running[0])}.{more}"
    if failed:
        return f"{format_amount(failed, 'download')} stopped. Click to see why."
    return f"{len(downloads)} download{'s are' if len(downloads) > 1 else ' is'} paused."
