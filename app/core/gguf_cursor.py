"""A bounded reader over the bytes of a GGUF header, and the one error for such files."""

import struct
from collections.abc import Callable
from typing import Final, Literal

from app.core.errors import EmberError
from app.core.units import format_bytes

GgufErrorKind = Literal["not_gguf", "truncated", "damaged", "unsupported_version"]

Read = Callable[[int, int], bytes]
"""`read(offset, size)`: that part of the file, shorter only where the file ends."""

MAX_HEADER_BYTES: Final = 256 * 1024 * 1024
"""Many times the largest known header (about 20 MiB, a vocabulary of 262,144 tokens with merges)."""
FIRST_BLOCK: Final = 64 * 1024
LARGEST_BLOCK: Final = 4 * 1024 * 1024

_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")


class GgufError(EmberError):
    """A file that cannot be used as a GGUF model; `kind` is one of GgufErrorKind."""

    def __init__(self, sentence: str, kind: GgufErrorKind) -> None:
        """Hold the sentence for the person and the kind."""
        super().__init__(sentence, kind)


def damaged(what: str) -> GgufError:
    """Return the error for content that no intact file has; `what` is a clause such as "it says ..."."""
    return GgufError(
        f"The model file is damaged: {what}. Nothing was changed; downloading it again usually helps.",
        "damaged",
    )


class Cursor:
    """Reads little-endian values one after another from blocks that grow from 64 KiB to 4 MiB.

    Holds one block, never the whole header. Every method raises GgufError where the file ends too early or
    the header grows beyond MAX_HEADER_BYTES.
    """

    def __init__(self, read: Read, file_size: int | None) -> None:
        """Read the file's first block; without `file_size` the end shows itself as a short read."""
        self._read = read
        self._end = file_size
        self._block = b""
        self._base = 0
        self._pos = 0
        self._next_size = FIRST_BLOCK
        self._fill(0)

    @property
    def first_bytes(self) -> bytes:
        """The file's first 64 bytes, fewer where it is shorter; only before anything else is read."""
        return self._block[:64]

    @property
    def offset(self) -> int:
        """The file offset of the next byte."""
        return self._base + self._pos

    def need(self, size: int) -> None:
        """Have the next `size` bytes in the block, reading on where necessary."""
        if self._pos + size > len(self._block):
            self._fill(size)
            if size > len(self._block):
                raise self.cut_off()

    def _fill(self, size: int) -> None:
        """Start the block at the next byte, with at least `size` bytes if the file has them."""
        start = self.offset
        if start + size > MAX_HEADER_BYTES:
            raise damaged(f"its header does not end within {format_bytes(MAX_HEADER_BYTES)}")
        rest = self._block[self._pos :]
        wanted = max(size, self._next_size) - len(rest)
        if self._end is not None:
            wanted = max(0, min(wanted, self._end - start - len(rest)))
        self._next_size = min(self._next_size * 2, LARGEST_BLOCK)
        fresh = self._read(start + len(rest), wanted)[:wanted] if wanted else b""
        if len(fresh) < wanted and (fresh or rest or start == 0):
            self._end = start + len(rest) + len(fresh)
        self._block, self._base, self._pos = rest + fresh, start, 0

    def cut_off(self) -> GgufError:
        """Return the error for a file that ends inside its header."""
        if self._end == 0:
            return GgufError("The file is empty; the download probably never began.", "truncated")
        where = "" if self._end is None else f" after {format_bytes(self._end)}"
        return GgufError(
            f"The file ends{where}, in the middle of its header; the download was probably cut off.",
            "truncated",
        )

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        self.need(size)
        self._pos += size
        return self._block[self._pos - size : self._pos]

    def skip(self, size: int) -> None:
        """Move on by `size` bytes without reading those that are not in the block."""
        if self.offset + size > MAX_HEADER_BYTES:
            raise damaged(f"its header does not end within {format_bytes(MAX_HEADER_BYTES)}")
        if self._pos + size <= len(self._block):
            self._pos += size
            return
        target = self.offset + size
        if self._end is not None and target > self._end:
            raise self.cut_off()
        self._block, self._base, self._pos = b"", target, 0

    def u32(self) -> int:
        """Return an unsigned 32-bit number."""
        self.need(4)
        self._pos += 4
        value: int = _U32.unpack_from(self._block, self._pos - 4)[0]
        return value

    def u64(self) -> int:
        """Return an unsigned 64-bit number."""
        self.need(8)
        self._pos += 8
        value: int = _U64.unpack_from(self._block, self._pos - 8)[0]
        return value

    def values(self, layout: struct.Struct, count: int) -> tuple[int | float | bool, ...]:
        """Return `count` numbers of one `layout`."""
        raw = self.take(layout.size * count)
        return tuple(value for (value,) in layout.iter_unpack(raw))

    def skip_strings(self, count: int, max_length: int) -> None:
        """Move past `count` strings (each a 64-bit length and its bytes) of at most `max_length` bytes.

        A vocabulary has several hundred thousand of them, so the loop touches only the lengths.
        """
        unpack = _U64.unpack_from
        while count:
            self.need(8)
            block, pos = self._block, self._pos
            last = len(block) - 8
            while count and pos <= last:
                length: int = unpack(block, pos)[0]
                if length > max_length:
                    raise damaged(f"it says that a piece of text is {format_bytes(length)} long")
                pos += 8 + length
                count -= 1
            self._pos = min(pos, len(block))
            self.skip(pos - self._pos)
