"""What is said of backups: what one holds, what restoring it would bring, and the rows of copies."""

from pathlib import Path
from typing import Final

from PySide6.QtCore import QDateTime, QLocale

from app.core.units import format_amount, format_bytes, format_count
from app.gui.restore_page import CopyRow, Promise
from app.services.backup_copies import Copy
from app.storage.restore import Holds

_KINDS: Final = {"scheduled": "By the schedule", "own": "By you", "kept": "Kept before a restore or an update"}
_HELD: Final = "All chats and settings"


def promise_of(source: Path, holds: Holds, kept_in: Path, *, is_writing: bool) -> Promise:
    """What restoring a backup would bring, in words."""
    by = f"by Ember {holds.app}" if holds.app is not None else "by Ember itself, before a restore or an update"
    facts = [
        ("Chats", f"{format_count(holds.conversations)}, with {format_amount(holds.messages, 'message')}"),
        ("Written", f"{at_time(holds.written.timestamp())}, {by}"),
        ("It holds", f"{_HELD}; {_state_words(holds)}."),
        ("File", str(source)),
    ]
    if not holds.is_ours:
        facts.append(("Written by", "Another installation of Ember; each chat is read again at its next reply."))
    happens = (
        f"All chats and settings that are here now are replaced. They are kept as a copy in “{kept_in}”, "
        "which can be restored in the same way. Ember's window closes for a moment and opens again with the backup."
    )
    if is_writing:
        happens += " The reply that is being written ends where it is."
    title = f"Restore the library of {at_time(holds.written.timestamp())}?"
    return Promise(title, tuple(facts), happens, asks_for_trust=not holds.is_ours)


def _state_words(holds: Holds) -> str:
    """What of saved state is in a backup, and whether it is used."""
    if holds.state is None:
        return "no saved state"
    size = f"{format_bytes(holds.state.total_bytes)} of saved state"
    return size if holds.is_ours else f"{size}, which is left out unless you trust it"


def copy_row(copy: Copy) -> CopyRow:
    """A copy as a row of the table."""
    return CopyRow(str(copy.path), at_time(copy.when, "MMM"), _KINDS[copy.kind], format_bytes(copy.bytes))


def at_time(when: float, month: str = "MMMM") -> str:
    """A Unix time as a person reads it, such as `22 November 2026, 13:05`; with `MMM` the month is shortened."""
    return QLocale.c().toString(QDateTime.fromSecsSinceEpoch(round(when)), f"d {month} yyyy, HH:mm")
