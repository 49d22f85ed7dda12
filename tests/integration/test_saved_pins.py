"""What the person pinned stays when the store is opened with too small a budget; whoever spoke last counts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.engine.helpers import Helpers
from app.engine.saving import Saving
from app.kvstore.keys import Digest
from tests.unit.kvstore.made import save, tip_of


@contextmanager
def opened(folder: Path, budget: int | None = None, pinned: tuple[Digest, ...] = ()) -> Iterator[Saving]:
    """The folder as an engine has it, its files looked through and the budget kept."""
    saving = Saving(folder, budget, "commit", Helpers(0), pinned)
    saving.writer.flush()
    try:
        yield saving
    finally:
        saving.store.close()
        saving._lock.release()


def test_opening_with_a_smaller_budget_keeps_what_is_pinned(tmp_path: Path) -> None:
    folder = tmp_path / "kv"
    with opened(folder) as saving:
        kept, other = save(saving.store, "system one"), save(saving.store, "system two")
    with opened(folder, 1, (kept,)) as saving:
        assert set(saving.store.held([kept, other])) == {kept}
    with opened(folder, 1) as saving:
        assert not saving.store.held([kept, tip_of("system")])


def test_an_older_word_about_pins_does_not_undo_a_newer_one(tmp_path: Path) -> None:
    """Each question about saved state has a thread of its own, so they may arrive in any order."""
    with opened(tmp_path / "kv") as saving:
        tip = save(saving.store, "system one")
        saving.keep(8, (tip,))
        saving.keep(7, ())
        saving.store.set_budget(1)
        assert saving.store.held([tip])
        saving.keep(9, ())
        saving.store.set_budget(1)
        assert not saving.store.held([tip])
