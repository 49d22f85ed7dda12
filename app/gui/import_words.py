"""What is said about imports, in plain words."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from app.core.conversation import ConversationId
from app.core.units import format_amount, format_count
from app.services.import_files import ImportedOne, ImportProgress, ImportReport, StateOutcome, Undecided
from app.services.missing_model import called, missing_model

DECLINED: Final = StateOutcome(
    "dropped", "Its saved state was left out, as you chose; the model reads the text once more."
)
_STATES: Final = {"none": "", "used": "state used", "partly": "state partly used", "dropped": "state left out"}
_MOST_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One conversation or file of a report."""

    title: str
    messages: str
    words: str
    """What became of it, in a few words."""
    detail: str
    """The same in sentences."""
    conversation: ConversationId | None = None
    """What can be opened."""
    is_trouble: bool = False
    lacks_model: bool = False
    """Whether the library may have what is missing."""


def progress_words(progress: ImportProgress) -> str:
    """How far an import is."""
    done = min(progress.done + 1, progress.total)
    words = f"Importing: {format_count(done)} of {format_amount(progress.total, 'conversation')}"
    if progress.state_total:
        words += f", saved state {100 * progress.state_done // progress.state_total} %"
    return words


def sentences(one: ImportedOne, known: Collection[str]) -> str:
    """What became of one conversation; `known` are the names of the model files that are known here."""
    if one.outcome == "same":
        told = f"{called(one.title)} is here already, and nothing in the file was new."
    elif one.outcome == "merged":
        were = "was" if one.branches == 1 else "were"
        told = f"{format_amount(one.branches, 'new branch', 'new branches')} {were} added to {called(one.title)}."
    else:
        told = f"{called(one.title)} was imported{' as a copy' if one.outcome == 'copy' else ''}."
        told += f" It has {format_amount(one.messages, 'message')}."
    return " ".join((told, *one.remarks, *filter(None, (_state_sentence(one), missing_model(one, known)))))


def _state_sentence(one: ImportedOne) -> str:
    if one.state.fate == "used" and not one.state.why:
        return "Its saved state came with it, so the next reply reads only the new words."
    return one.state.why


def summary(report: ImportReport, left: Sequence[Undecided], known: Collection[str]) -> str:
    """An import of several conversations in a few sentences."""
    new = sum(one.outcome in ("new", "copy") for one in report.taken)
    merged = sum(one.outcome == "merged" for one in report.taken)
    same = sum(one.outcome == "same" for one in report.taken)
    told = [f"{format_amount(new, 'chat')} {'was' if new == 1 else 'were'} imported."]
    if merged:
        told.append(f"New branches were added to {format_amount(merged, 'chat')}.")
    if same:
        told.append(f"{format_amount(same, 'chat')} had nothing new.")
    if left:
        stayed = "that is here stayed as it was" if len(left) == 1 else "that are here stayed as they were"
        told.append(f"{format_amount(len(left), 'chat')} {stayed}.")
    missing = sum(bool(missing_model(one, known)) for one in report.taken)
    if missing:
        were = "was written with a model that is" if missing == 1 else "were written with models that are"
        told.append(f"{format_amount(missing, 'chat')} {were} not known here.")
    if report.not_taken:
        told.append(f"{format_count(len(report.not_taken))} could not be imported.")
    if report.was_stopped:
        told.append("You stopped it: what is in stays, and nothing was taken of the rest.")
    return " ".join(told)


def rows(report: ImportReport, left: Sequence[Undecided], known: Collection[str]) -> list[ReportRow]:
    """The rows of a report, what went wrong first."""
    found = [
        ReportRow(refused.title or refused.file.name, "–", "not imported", refused.sentence, is_trouble=True)
        for refused in report.not_taken
    ]
    found += [
        ReportRow(each.title, "–", "left as it was", f"{_has_more(each)} You left it as it was.", each.id)
        for each in left
    ]
    for one in report.taken:
        words = {"new": "imported", "copy": "imported as a copy", "merged": "branches added", "same": "nothing new"}
        short = ", ".join(filter(None, (words[one.outcome], _STATES[one.state.fate])))
        detail = sentences(one, known)
        lacks = bool(missing_model(one, known))
        found.append(ReportRow(one.title, format_count(one.messages), short, detail, one.id, lacks_model=lacks))
    return found


def _has_more(each: Undecided) -> str:
    branches = format_amount(each.difference.branches, "branch", "branches")
    if each.difference.new:
        return f"{called(each.title)} is here already; the file has {branches} that this chat does not have."
    return f"{called(each.title)} is here already, and some of it reads differently in the file."


def question_about_known(undecided: Sequence[Undecided]) -> str:
    """What is asked about conversations that are here already."""
    if len(undecided) == 1:
        return _has_more(undecided[0])
    branches = sum(each.difference.branches for each in undecided)
    more = f"the files have {format_amount(branches, 'branch', 'branches')} that these chats do not have"
    return f"{format_count(len(undecided))} of the conversations are here already; {more}."


def add_label(undecided: Sequence[Undecided]) -> str:
    """The words of the button that adds what is new; empty where nothing can be added."""
    fitting = [each for each in undecided if each.difference.can_be_added]
    branches = sum(each.difference.branches for each in fitting)
    where = "this chat" if len(undecided) == 1 else "these chats"
    return f"Add {format_amount(branches, 'new branch', 'new branches')} to {where}" if fitting else ""


def known_detail(undecided: Sequence[Undecided]) -> str:
    """What follows from the answers."""
    told = "Nothing that is here changes: the branches stand beside those there are, and can be removed again at once."
    apart = [each for each in undecided if not each.difference.can_be_added]
    if len(apart) == len(undecided):
        return "What is here reads differently, so the file can only come as a chat of its own, named as a copy."
    if apart:
        told += f" {format_amount(len(apart), 'chat')} cannot be added to, and would come as a copy."
    return told


def names(titles: Sequence[str]) -> str:
    """Some titles in a sentence."""
    shown = [called(title) for title in titles[:_MOST_NAMED]]
    if len(titles) > _MOST_NAMED:
        shown.append(f"{format_count(len(titles) - _MOST_NAMED)} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
