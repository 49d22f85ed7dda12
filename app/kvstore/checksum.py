"""The CRC-32 of two pieces of a file from those of each, so that nothing has to be read for it."""

from functools import lru_cache
from typing import Final

_POLYNOMIAL: Final = 0xEDB88320
"""CRC-32's (IEEE 802.3), its bits reversed: the highest bit is the coefficient of 1."""
_ONE: Final = 1 << 31
_BYTE: Final = 1 << 23
"""The polynomial x^8: what a byte behind it multiplies a checksum by."""


def joined_crc(first: int, second: int, second_bytes: int) -> int:
    """The CRC-32 of two pieces, one behind the other, from their checksums and the length of the second one."""
    return _product(first, _power(second_bytes)) ^ second


@lru_cache(64)  # nearly all chunks have the same length
def _power(count: int) -> int:
    """(x^8)^count, by squaring."""
    result, factor = _ONE, _BYTE
    while count:
        if count & 1:
            result = _product(result, factor)
        factor = _product(factor, factor)
        count >>= 1
    return result


def _product(one: int, other: int) -> int:
    """The product of two polynomials over GF(2), modulo CRC-32's."""
    result = 0
    while one:
        if one & _ONE:
            result ^= other
        one = one << 1 & 0xFFFFFFFF
        other = other >> 1 ^ (_POLYNOMIAL if other & 1 else 0)
    return result
