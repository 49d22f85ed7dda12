"""Full-text search over titles and messages."""

import json
from typing import Final

from app.core.conversation import UNTITLED, ConversationId, MessageId
from app.storage.database import Database
from app.storage.records import SearchHit, text_or

_START, _END = "\x02", "\x03"
_WORDS_USED: Final = 32
_EXCERPT_TOKENS: Final = 16
_MARKED: Final = 8192
"""Characters of a message whose words are marked. FTS5 compares each place of a word in it with each other one, which
takes seconds in a text of a mebibyte: of a longer one the excerpt is cut at the first word as it was typed, or at its
beginning where it is written differently there."""

_IN_TITLES: Final = """
SELECT c.id AS conversation, c.title, NULL AS message, highlight(title_search, 0, ?, ?) AS excerpt
FROM title_search CROSS JOIN conversations c ON c.number = title_search.rowid
WHERE title_search MATCH ? AND c.deleted_at IS NULL
ORDER BY c.updated DESC LIMIT ?
"""
# The order is that of the index, so that the first hits of a common word need no sorting of all its hits.
_PLACES: Final = """
SELECT m.conversation, message_search.rowid AS place
FROM message_search
CROSS JOIN messages m ON m.position = message_search.rowid
CROSS JOIN conversations c ON c.id = m.conversation
WHERE message_search MATCH ? AND c.deleted_at IS NULL
ORDER BY message_search.rowid DESC LIMIT ?
"""
# The plus keeps SQLite from asking the index anew for each place.
_EXCERPTS: Final = f"""
SELECT m.conversation, c.title, m.id AS message,
    CASE WHEN length(m.text) <= {_MARKED} THEN snippet(message_search, 0, ?, ?, '…', {_EXCERPT_TOKENS})
    ELSE substr(m.text, max(1, instr(lower(m.text), ?) - 20), 160) END AS excerpt
FROM message_search
CROSS JOIN messages m ON m.position = message_search.rowid
CROSS JOIN conversations c ON c.id = m.conversation
WHERE message_search MATCH ? AND +message_search.rowid IN (SELECT value FROM json_each(?))
ORDER BY message_search.rowid DESC LIMIT ?
"""
_PLACES_EACH: Final = 25
"""So many places are looked at for each conversation that may be found: a common word stands in every message."""


def find(database: Database, words: str, limit: int) -> list[SearchHit]:
    """Where all `words` occur: titles, then of each conversation the newest message; at most `limit` of either.

    A word also finds longer words that it begins; accents and case do not matter.
    """
    usable = _usable(words)
    if not usable or limit <= 0:
        return []
    expression = " AND ".join(map(_quoted, usable))  # so that nothing in it is an operator
    rows = database.rows(_IN_TITLES, (_START, _END, expression, limit))
    newest: dict[str, int] = {}
    for row in database.rows(_PLACES, (expression, limit * _PLACES_EACH)):
        newest.setdefault(row["conversation"], row["place"])
    places = list(newest.values())[:limit]
    marked = (_START, _END, usable[0].lower(), expression, json.dumps(places), len(places))
    rows += database.rows(_EXCERPTS, marked)
    hits = []
    for row in rows:
        excerpt, matches = _marked(text_or(row["excerpt"], ""))
        message = None if row["message"] is None else MessageId(row["message"])
        title = text_or(row["title"], UNTITLED)
        hits.append(SearchHit(ConversationId(row["conversation"]), title, message, excerpt, matches))
    return hits


def _usable(words: str) -> list[str]:
    """The words that can be looked for."""
    cleaned = words.encode("utf-8", "replace").decode().replace("\0", " ")
    # A string without a letter or digit has no tokens, and would find nothing beside the other words.
    return [word for word in cleaned.split() if any(map(str.isalnum, word))][:_WORDS_USED]


def _quoted(word: str) -> str:
    """One word for FTS5; a single ASCII letter is looked up whole, since too much begins with it."""
    quoted = '"' + word.replace('"', '""') + '"'
    return quoted if len(word) == 1 and word.isascii() else quoted + "*"


def _marked(text: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The excerpt without the marks that FTS5 was asked to set, and what was between them."""
    plain: list[str] = []
    matches: list[tuple[int, int]] = []
    start: int | None = None
    for character in text:
        if character == _START:
            start = len(plain)
        elif character == _END:
            if start is not None:
                matches.append((start, len(plain)))
            start = None
        else:
            plain.append(character)
    return "".join(plain), tuple(matches)
