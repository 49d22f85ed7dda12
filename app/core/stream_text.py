"""Text from token pieces: whole characters only, however they are split across tokens."""

import codecs
from collections.abc import Iterable


class StreamText:
    """Joins pieces of UTF-8 into text; what is no UTF-8 becomes U+FFFD, as late as possible."""

    def __init__(self) -> None:
        """Start with nothing pending."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, piece: bytes) -> str:
        """The characters that are whole now."""
        return self._decoder.decode(piece)

    @property
    def pending(self) -> bool:
        """Whether the last piece left a character unfinished."""
        return bool(self._decoder.getstate()[0])


def boundaries(pieces: Iterable[bytes]) -> tuple[str, list[int]]:
    """The text of the pieces, and after each piece its length in characters.

    The length is -1 where the piece ends inside a character: no text can be cut there. At the very end it can: a
    character that never became whole is no part of the text, and the pieces that began it belong to the end.
    """
    stream, text, ends, length = StreamText(), [], [], 0
    for piece in pieces:
        part = stream.feed(piece)
        text.append(part)
        length += len(part)
        ends.append(-1 if stream.pending else length)
    if ends:
        ends[-1] = length
    return "".join(text), ends
