"""Numbers as a person reads them: the only place where bytes, counts and seconds become text."""

import math
from typing import Final

_BYTE_UNITS: Final = ("KiB", "MiB", "GiB", "TiB")


def format_bytes(n: int) -> str:
    """Return `n` bytes in binary units: one decimal under ten units, none above ("1.3 GiB", "92 MiB").

    Rounds to the nearest, in whole-number arithmetic; never "1024 MiB", which is "1.0 GiB".
    Raises ValueError for a negative number.
    """
    if n < 0:
        raise ValueError(f"a number of bytes cannot be negative: {n}")
    if n < 1024:
        return f"{n} B"
    unit = 1024
    for name in _BYTE_UNITS:
        tenths = (n * 20 + unit) // (2 * unit)
        if tenths < 100:
            return f"{tenths // 10}.{tenths % 10} {name}"
        whole = (n * 2 + unit) // (2 * unit)
        if whole < 1024 or name == _BYTE_UNITS[-1]:
            return f"{whole} {name}"
        unit *= 1024
    raise AssertionError("the last unit takes everything")


def format_count(n: int) -> str:
    """Return a whole number with commas between the thousands ("3,895")."""
    return f"{n:,}"


def format_amount(n: int, one: str, many: str = "") -> str:
    """Return a number with what it counts, `many` or with an "s" where it is not one ("1 token", "3,895 tokens")."""
    return f"{format_count(n)} {one if n == 1 else many or one + 's'}"


def parameters_label(count: int) -> str:
    """A number of weights as models are called by it, such as "135M" or "7.6B"; empty for none."""
    if not count:
        return ""
    if count < 10**6:
        return format_count(count)
    if count < 999_500_000:
        return f"{round(count / 10**6)}M"
    return f"{count / 10**9:.1f}B".replace(".0B", "B")


def format_seconds(s: float) -> str:
    """Return a duration of `s` seconds, as exact as it is useful ("0.05 s", "0.3 s", "24 s", "2 min").

    Two decimals under a tenth of a second, one under ten seconds, none above; from a minute on minutes, with
    the seconds while under ten minutes; from an hour on hours and minutes. Raises ValueError for a negative
    or infinite duration.
    """
    if not math.isfinite(s) or s < 0:
        raise ValueError(f"not a duration: {s}")
    hundredths, tenths, seconds, minutes = round(s * 100), round(s * 10), round(s), round(s / 60)
    if s == 0:
        return "0 s"
    if hundredths == 0:
        return "<0.01 s"
    if hundredths < 10:
        return f"0.0{hundredths} s"
    if tenths < 100:
        return f"{tenths // 10}.{tenths % 10} s"
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 600:
        return _pair(seconds // 60, "min", seconds % 60, "s")
    if minutes < 60:
        return f"{minutes} min"
    return _pair(minutes // 60, "h", minutes % 60, "min")


def _pair(large: int, large_unit: str, small: int, small_unit: str) -> str:
    """Return two neighbouring units as one text, without the small one where it is zero."""
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"
