"""Full-text search over titles and messages."""

import json
from typing import Final

from app.core.conversation import UNTITLED, ConversationId, MessageId
from app.storage.database import Database
from app.storage.records import SearchHit, text_or

_START, _END = "\x02", "\x03"
_WORDS_USED: Final = 32
_EXCERPT_TOKENS: Final = 16

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
    snippet(message_search, 0, ?, ?, '…', {_EXCERPT_TOKENS}) AS excerpt
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
    expression = _expression(words)
    if not expression or limit <= 0:
        return []
    rows = database.rows(_IN_TITLES, (_START, _END, expression, limit))
    newest: dict[str, int] = {}
    for row in database.rows(_PLACES, (expression, limit * _PLACES_EACH)):
        newest.setdefault(row["conversation"], row["place"])
    places = list(newest.values())[:limit]
    rows += database.rows(_EXCERPTS, (_START, _END, expression, json.dumps(places), len(places)))
    hits = []
    for row in rows:
        excerpt, matches = _marked(text_or(row["excerpt"], ""))
        message = None if row["message"] is None else MessageId(row["message"])
        title = text_or(row["title"], UNTITLED)
        hits.append(SearchHit(ConversationId(row["conversation"]), title, message, excerpt, matches))
    return hits


def _expression(words: str) -> str:
    """The words as an FTS5 expression: each a quoted string, so that nothing in it is an operator."""
    cleaned = words.encode("utf-8", "replace").decode().replace("\0", " ")
    # A string without a letter or digit has no tokens, and would find nothing beside the other words.
    usable = [word for word in cleaned.split() if any(map(str.isalnum, word))][:_WORDS_USED]
    return " AND ".join(_quoted(word) for word in usable)


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
