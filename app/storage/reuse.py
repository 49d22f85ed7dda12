"""How many tokens were not read again, summed from the figures that are stored with each reply."""

from dataclasses import dataclass
from typing import Final

from app.core.conversation import ConversationId
from app.storage.database import Database

SLICE: Final = 2000
"""Messages of one query, so that the database is free for others in between."""
# Figures that are no JSON count as none, as in `records`.
_SUM: Final = """
SELECT conversation = ?1 AS here, sum(
    coalesce(json_extract(figures, '$.tokens.reused_memory'), 0)
    + coalesce(json_extract(figures, '$.tokens.reused_saved'), 0)
) AS tokens
FROM messages WHERE position > ?2 AND position <= ?3 AND figures IS NOT NULL AND json_valid(figures)
GROUP BY here
"""


@dataclass(frozen=True, slots=True)
class Reused:
    """Tokens whose keys and values were there already, in memory or saved, when a reply needed them."""

    here: int
    """For one chat's replies."""
    everywhere: int
    """For the replies of all chats, that one included."""


def reused_tokens(database: Database, conversation: ConversationId | None) -> Reused:
    """Sum the stored figures of all replies, in slices; 200,000 messages take a moment, so not on the main thread."""
    row = database.row("SELECT max(position) AS last FROM messages")
    last = (row["last"] if row is not None else None) or 0
    here = everywhere = 0
    for first in range(0, last, SLICE):
        for part in database.rows(_SUM, (conversation or "", first, first + SLICE)):
            everywhere += part["tokens"]
            here += part["tokens"] if part["here"] else 0
    return Reused(here, everywhere)
