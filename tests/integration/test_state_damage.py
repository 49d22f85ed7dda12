"""Damaged saved state in this process: what is not exactly as it was written is never used, and the rest still is."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.engine.saved_state import DAMAGED, REMOVED
from tests.support.saved_state import ROOT, Bench, bench, some_tokens
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


def flip(path: Path, byte: int = -5) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 16
    path.write_bytes(data)


@pytest.mark.parametrize("victim", range(6))
@pytest.mark.parametrize("harm", [flip, Path.unlink], ids=["flipped", "gone"])
def test_only_the_damaged_chunk_and_what_follows_it_is_lost(
    made: Bench, victim: int, harm: Callable[[Path], None], tmp_path: Path
) -> None:
    chain = made.store.find(ROOT, TEXT)
    harm(next(tmp_path.rglob(chain[victim].key.hex() + ".chunk")))
    place = made.place()
    resumed = place.resume([*TEXT, *NEXT])
    assert resumed.saved == chain[victim].start == len(place.sequence.tokens)
    assert resumed.trouble == DAMAGED
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
