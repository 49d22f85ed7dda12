"""The names of models that lie in several files: `name-00001-of-00003.gguf`."""

import re
from dataclasses import dataclass

_NAME = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Shard:
    """What a file's name says of its place among several: number 1 to `count`."""

    stem: str
    number: int
    count: int


def shard_of(name: str) -> Shard | None:
    """Return the place of a file by its name; None for one that stands alone."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    number, count = int(match["number"]), int(match["count"])
    return Shard(match["stem"], number, count) if 1 <= number <= count else None


def shard_names(stem: str, count: int) -> tuple[str, ...]:
    """Return the names of all files of a split model, in order."""
    return tuple(f"{stem}-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1))
