"""Damaged saved state in this process: what is not exactly as it was written is never used, and the rest still is."""

import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from app.engine.saved_state import DAMAGED, REMOVED
from app.kvstore.chunk_file import HEADER_BYTES
from app.kvstore.keys import TOKEN_BYTES
from app.kvstore.store import Store
from tests.support.saved_state import PLENTY, ROOT, Bench, bench, some_tokens
from tests.support.tiny_models import Kind

TinyModel = Callable[[Kind], Path]
TEXT = some_tokens(400)
NEXT = some_tokens(5, seed=1)
MESSAGES = (50, 90, 137, 300, 350)


@pytest.fixture
def made(tiny_model: TinyModel, tmp_path: Path) -> Iterator[Bench]:
    """Full attention, with a text saved in six chunks."""
    with bench(tiny_model(Kind.FULL), tmp_path / "kv") as made:
        place = made.place()
        place.read(TEXT)
        place.keep(MESSAGES)
        yield made


def flip(path: Path, byte: int = -5, bit: int = 4) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 1 << bit
    path.write_bytes(data)


@pytest.mark.parametrize("victim", range(6))
@pytest.mark.parametrize(("harm", "trouble"), [(flip, DAMAGED), (Path.unlink, REMOVED)], ids=["flipped", "gone"])
def test_only_the_damaged_chunk_and_what_follows_it_is_lost(
    made: Bench, victim: int, harm: Callable[[Path], None], trouble: str, tmp_path: Path
) -> None:
    chain = made.store.find(ROOT, TEXT)
    harm(next(tmp_path.rglob(chain[victim].key.hex() + ".chunk")))
    place = made.place()
    resumed = place.resume([*TEXT, *NEXT])
    assert resumed.saved == chain[victim].start == len(place.sequence.tokens)
    assert resumed.trouble == trouble
    assert [row.key for row in made.store.find(ROOT, TEXT)] == [row.key for row in chain[:victim]]


def test_a_chunk_that_goes_while_it_is_restored_is_no_damage(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as when its chat is deleted just then, or another's state needs the room."""
    chain = made.store.find(ROOT, TEXT)
    place = made.place()
    assert place.saved is not None
    find, dropped = place.saved.chain, []

    def chain_then_drop(tokens: list[int]) -> object:
        found = find(tokens)
        if not dropped:
            dropped.append(made.store.drop([chain[-1].key], [chain[3].key]))
        return found

    monkeypatch.setattr(place.saved, "chain", chain_then_drop)
    resumed = place.resume([*TEXT, *NEXT])
    assert resumed.saved == chain[3].end
    assert resumed.trouble == REMOVED
    assert made.store.totals().quarantined_bytes == 0


# --- every bit --------------------------------------------------------------------------------------------------------

SAMPLE_OF_BITS = 30


def some_bits(path: Path, tokens: int) -> list[tuple[int, int]]:
    """A sample of a file's bits: of its header, its tokens, and what follows; its first and its last."""
    random, size = Random(path.stat().st_size), path.stat().st_size
    ends = (0, HEADER_BYTES, HEADER_BYTES + tokens * TOKEN_BYTES, size)
    parts = [range(begin, end) for begin, end in pairwise(ends) if begin < end]
    bytes_of = [random.choice(part) for part in parts for _ in range(SAMPLE_OF_BITS // len(parts))]
    return [(byte, random.randrange(8)) for byte in (0, *bytes_of, size - 1)]


@pytest.mark.parametrize("indexed", [True, False], ids=["indexed", "index-lost"])
@pytest.mark.parametrize("kind", [Kind.FULL, Kind.WINDOW, Kind.HYBRID_WINDOW, Kind.M_ROPE, Kind.RECURRENT])
def test_no_flip_of_a_bit_is_ever_used(kind: Kind, indexed: bool, tiny_model: TinyModel, tmp_path: Path) -> None:
    text, whole = TEXT[:150], tmp_path / "whole"
    with bench(tiny_model(kind), whole) as made:
        reader = made.place()
        reader.read(text, (50, 100), (50, 100))
        reader.keep((50, 100))
        chain = made.store.find(ROOT, text)
        truth = {}
        for end in (0, *(row.end for row in chain)):
            place = made.place(saving=False)
            if end:
                place.read(text[:end], checkpoints=(50, 100))
                truth[end] = place.held()
    victim = chain[1]
    with bench(tiny_model(kind), tmp_path / "unused") as made:
        place = made.place(saving=False)
        for suffix in ("chunk", "checkpoint"):
            for file in whole.rglob(f"{victim.key.hex()}.{suffix}"):
                for number, (byte, bit) in enumerate(some_bits(file, victim.tokens if suffix == "chunk" else 0)):
                    copy = tmp_path / f"{suffix}-{number}"
                    shutil.copytree(whole, copy)
                    flip(copy / file.relative_to(whole), byte, bit)
                    if not indexed:
                        (copy / "index.db").unlink()
                    store = Store(copy, PLENTY)
                    store.reconcile()
                    place.save_into(store, made.writer)
                    place.context.clear()
                    saved = place.resume([*text, 9]).saved
                    assert place.sequence.tokens == text[:saved]
                    unread = suffix == "checkpoint" or kind is Kind.RECURRENT  # only the last checkpoint is
                    assert saved == chain[0].end or (unread and saved == chain[2].end)
                    assert place.held() == truth[saved]
                    store.close()
