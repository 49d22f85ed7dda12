"""What the check of the saved state found, in words: the window and the `cache` command say the same."""

from app.core.units import format_bytes, format_count


def check_words(chunks: int, size: int, damaged: int) -> str:
    """How many chunks of `size` bytes together were read, and how many of them were damaged: a sentence."""
    found = "all are sound"
    if damaged:
        found = f"{format_count(damaged)} {'was' if damaged == 1 else 'were'} damaged and set aside"
    return f"{format_count(chunks)} parts, {format_bytes(size)}: {found}."
