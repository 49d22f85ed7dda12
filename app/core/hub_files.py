"""The files of a repository as a person chooses among them: one entry for each quantisation, its parts as one."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from app.core.shards import shard_of

_QUANTISATION = re.compile(
    r"(?<![A-Za-z0-9])((?:UD-)?(?:I?Q[1-8](?:_[A-Z0-9]+)*|TQ[12]_0|MXFP4(?:_MOE)?|NVFP4|BF16|F16|F32|FP16|FP32))"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)
PREFERRED: Final = ("Q4_K_M", "MXFP4", "MXFP4_MOE", "Q4_K_S", "Q4_0", "IQ4_XS", "Q5_K_M", "Q8_0")
"""Which quantisation to take where nobody chose: a good one for its size first."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository."""

    path: str
    size: int
    """Bytes."""
    sha256: str
    """Hexadecimal; empty for a small file that the hub keeps in git itself."""

    @property
    def name(self) -> str:
        """The name without folders."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Variant:
    """One model of a repository that can be downloaded: a quantisation, in one file or several."""

    label: str
    """The quantisation, or the file's name where that cannot be told."""
    files: tuple[HubFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class FoundRepository:
    """A repository as a search finds it."""

    id: str
    """Such as "owner/name"."""
    downloads: int
    """In the last 30 days."""
    likes: int
    updated: float
    """Seconds since 1970; 0 where the hub does not say."""
    is_gated: bool
    """Whether its owner asks for something before it can be downloaded."""
    licence: str
    architecture: str
    parameters: int
    context: int
    """Tokens; 0 where the hub does not say, as with the figures before."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository with what can be downloaded from it, at one commit."""

    id: str
    commit: str
    is_gated: bool
    licence: str
    variants: tuple[Variant, ...]


def variants(files: Iterable[HubFile]) -> tuple[Variant, ...]:
    """Return what can be downloaded, the smallest first; sets with missing parts and mmproj files are left out."""
    alone: list[tuple[HubFile, ...]] = []
    parts: dict[tuple[str, int], dict[int, HubFile]] = {}
    for file in files:
        if not file.name.lower().endswith(".gguf") or file.name.lower().startswith("mmproj"):
            continue
        shard = shard_of(file.path)
        if shard is None or shard.count == 1:
            alone.append((file,))
        else:
            parts.setdefault((shard.stem, shard.count), {})[shard.number] = file
    whole = [
        tuple(there[number] for number in range(1, count + 1))
        for (_stem, count), there in parts.items()
        if len(there) == count
    ]
    found = [(quantisation_of(group[0].path), group) for group in (*alone, *whole)]
    labels = [label for label, _group in found]
    made = [Variant(label if label and labels.count(label) == 1 else group[0].name, group) for label, group in found]
    return tuple(sorted(made, key=lambda variant: (variant.size, variant.label)))


def quantisation_of(path: str) -> str:
    """Return the quantisation that a file's name (or its folder's) tells, in capitals; empty where it tells none."""
    for part in reversed(path.split("/")):
        found = _QUANTISATION.findall(part.removesuffix(".gguf"))
        if found:
            return str(found[-1]).upper()
    return ""


def choose(offered: tuple[Variant, ...], wanted: str) -> Variant | None:
    """Return the variant that a name stands for: a quantisation or a file, with or without its folder."""
    small = wanted.lower()
    for variant in offered:
        names = {variant.label.lower(), *(file.path.lower() for file in variant.files)}
        if small in names | {file.name.lower() for file in variant.files}:
            return variant
    return None


def preferred(offered: tuple[Variant, ...]) -> Variant | None:
    """Return the variant to take where nobody chose; None where there is none."""
    by_label = {variant.label: variant for variant in offered}
    for label in PREFERRED:
        if label in by_label:
            return by_label[label]
    return offered[0] if len(offered) == 1 else None
