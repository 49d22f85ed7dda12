"""The prefix tree: the longest chain of a prompt, what a dropped tip takes with it, what is own and what is shared."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from app.kvstore.index import Index, Link
from app.kvstore.keys import TOKEN_BYTES, Digest, pack_tokens, packed_key
from app.kvstore.records import ChunkRow, Usage

_SHARED: Final = -1
_FEW: Final = 4


def longest_chain(index: Index, root: Digest, tokens: Sequence[int]) -> list[ChunkRow]:
    """The chain under `root`, the first chunk first, whose tokens are the longest prefix of `tokens`.

    Every chunk that fits is looked at, because two chains may cut the same tokens differently; where they reach
    equally far, the one of longer chunks is taken.
    """
    packed = memoryview(pack_tokens(tokens))  # whose slices copy nothing
    seen: dict[Digest, ChunkRow] = {}
    best: ChunkRow | None = None
    waiting = [(root, 0)]
    while waiting and (best is None or best.end < len(tokens)):
        parent, start = waiting.pop()
        fitting = _fitting_children(index, parent, packed[start * TOKEN_BYTES :])
        fitting = [row for row in fitting if (row.root, row.parent, row.start) == (root, parent, start)]
        for row in sorted(fitting, key=lambda row: row.tokens):
            seen[row.key] = row
            waiting.append((row.key, row.end))  # the longest is looked at next
            if best is None or row.end > best.end:
                best = row
    chain = []
    while best is not None:
        chain.append(best)
        best = seen.get(best.parent)
    return chain[::-1]


def _fitting_children(index: Index, parent: Digest, packed: memoryview) -> list[ChunkRow]:
    """The children of a chunk (or root) whose tokens begin `packed`."""
    few = index.children(parent, _FEW + 1)
    if len(few) <= _FEW:  # as nearly everywhere, and then one question to the index is enough
        return [row for row in few if packed_key(parent, packed[: row.tokens * TOKEN_BYTES]) == row.key]
    lengths = index.child_lengths(parent, len(packed) // TOKEN_BYTES)
    if not lengths:
        return []
    return index.rows([packed_key(parent, packed[: length * TOKEN_BYTES]) for length in lengths])


def doomed(index: Index, tips: Iterable[Digest], keep: Collection[Digest]) -> list[ChunkRow]:
    """What goes when `tips` are dropped, in an order in which no chunk goes before those that follow it.

    From each tip upwards what nothing follows any longer, and what follows it; but nothing in `keep`, nor before that.
    """
    going: dict[Digest, ChunkRow] = {}
    seen: set[Digest] = set()
    dropped = [row for row in map(index.row, set(tips)) if row is not None]
    dropped.sort(key=lambda row: row.start)
    for tip in dropped:
        if tip.key in seen:
            continue
        kept: set[Digest] = set()
        for row in index.subtree(tip.key):  # those that follow come first
            seen.add(row.key)
            if row.key in keep or row.key in kept:
                kept.add(row.parent)
            else:
                going[row.key] = row
    lonely = Counter(row.parent for row in going.values())
    for tip in dropped:
        if tip.key not in going:
            continue
        for row in index.path_to(tip.key):
            if row.key in going:
                continue
            if row.key in keep or lonely[row.key] < row.children:
                break
            going[row.key] = row
            lonely[row.parent] += 1
    return sorted(going.values(), key=lambda row: row.start, reverse=True)


def usage(links: Mapping[Digest, Link], groups: Sequence[Collection[Digest]]) -> list[Usage]:
    """For each group of tips what it takes of the disk; `links` is the whole tree. A missing tip counts nothing."""
    owner: dict[Digest, int] = {}
    for number, tips in enumerate(groups):
        for tip in tips:
            key = tip
            # What is shared is shared all the way up, so each chunk is walked over twice at most.
            while key in links and owner.get(key) not in (number, _SHARED):
                owner[key] = _SHARED if key in owner else number
                key = links[key].parent
    result = []
    for tips in groups:
        path = _path(links, tips)
        total = sum(links[key].disk_bytes for key in path)
        own = sum(links[key].disk_bytes for key in path if owner[key] != _SHARED)
        result.append(Usage(own, total - own, sum(links[key].tokens for key in path)))
    return result


def strays(links: Mapping[Digest, Link], keep: Collection[Digest]) -> list[Digest]:
    """The chunks on no path to a tip in `keep`, none before those that follow it; `links` is the whole tree."""
    stray = links.keys() - _path(links, keep)
    followers = Counter(links[key].parent for key in stray)  # a kept chunk follows no stray one
    order = [key for key in stray if not followers[key]]
    for key in order:  # which grows meanwhile
        parent = links[key].parent
        followers[parent] -= 1
        if parent in stray and not followers[parent]:
            order.append(parent)
    return order


def _path(links: Mapping[Digest, Link], tips: Iterable[Digest]) -> set[Digest]:
    """The chunks from the root to each of the tips."""
    path: set[Digest] = set()
    for tip in tips:
        key = tip
        while key in links and key not in path:
            path.add(key)
            key = links[key].parent
    return path
