"""Frames on a byte stream: a little-endian u32 length, then that many bytes of msgpack."""

import struct
from collections.abc import Iterator

LENGTH = struct.Struct("<I")
MAX_FRAME = 64 * 1024 * 1024
"""Bytes. A conversation of 100,000 tokens takes about 1 MiB with its ids."""


class FramingError(Exception):
    """The stream holds a frame that is larger than allowed, so nothing after it can be trusted."""


def frame(payload: bytes) -> bytes:
    """The payload with its length in front.

    Raises FramingError if it is larger than MAX_FRAME.
    """
    if len(payload) > MAX_FRAME:
        raise FramingError(f"a message of {len(payload)} bytes is larger than {MAX_FRAME}")
    return LENGTH.pack(len(payload)) + payload


class FrameReader:
    """Cuts a byte stream, fed in pieces of any size, into payloads."""

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        """Refuse frames of more than `max_frame` bytes."""
        self._buffer = bytearray()
        self._max_frame = max_frame

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take in `data` and yield each payload that is whole.

        Raises FramingError on a length above the cap, before any of it is stored.
        """
        self._buffer += data
        at = 0
        try:
            while len(self._buffer) - at >= LENGTH.size:
                (length,) = LENGTH.unpack_from(self._buffer, at)
                if length > self._max_frame:
                    raise FramingError(f"a message of {length} bytes is larger than {self._max_frame}")
                end = at + LENGTH.size + length
                if len(self._buffer) < end:
                    break
                payload = bytes(self._buffer[at + LENGTH.size : end])
                at = end
                yield payload
        finally:
            del self._buffer[:at]

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame; above 0 at the end of the stream it was cut off."""
        return len(self._buffer)
