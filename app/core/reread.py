"""Why a turn read again what had been read before, in plain words."""

from collections.abc import Sequence

from app.core.ledger import Prompt
from app.core.turn import Reread


def explain_reread(
    prompt: Prompt,
    kept: int,
    *,
    answered: Sequence[str],
    live_conversation: str | None,
    conversation: str,
    emptied_because: str,
    rewound: bool,
    trouble: str = "",
) -> Reread | None:
    """The first token read again and the reason, or None when only new tokens were read.

    `kept` is the length of the prefix that was reused, `answered` names the messages that an earlier turn had read
    or written (all up to the last reply), `emptied_because` says why nothing is in memory when nothing is, and
    `rewound` that the prefix matched further but this kind of model cannot go back to it, `trouble` why saved state
    could not be used.
    """
    before = [span for span in prompt.spans if span.id in answered]
    expected = max((span.end for span in before), default=0)
    if kept >= expected - 1:  # a reply's last token is decoded with the next turn
        return None
    if trouble:
        return Reread(kept, trouble)
    if live_conversation is None:
        return Reread(kept, emptied_because)
    if live_conversation != conversation:
        return Reread(kept, "Another chat was in memory.")
    if rewound:
        return Reread(kept, "This model's memory cannot go back to an earlier point, so it was read from the start.")
    inside = next((span.id for span in before if span.start <= kept < span.end), None)
    if inside is None:
        return Reread(kept, "The model's template wrote the earlier messages differently this time.")
    if inside in prompt.spliced:
        return Reread(kept, "Another branch of this chat was in memory.")
    return Reread(kept, "An earlier message differs from what was in memory.")
