"""Saved state in this process, row by row: what comes back is what was there, on every kind of memory."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import llama_cpp
import numpy as np
import pytest

from app.engine.context import Interrupted
from app.engine.saved_state import DAMAGED, KEPT_TURNS, MIN_SAVED_TOKENS
from app.engine.sequence import prefill
from app.protocol.parts import MemoryMode
from tests.support.saved_state import BATCH, FLASH, NO_FLASH, ROOT, Bench, Place, bench, some_tokens
from tests.support.tiny_models import Kind

TinyModel = Callable[[Kind], Path]
F16, Q8_0, Q4_0 = llama_cpp.GGML_TYPE_F16, llama_cpp.GGML_TYPE_Q8_0, llama_cpp.GGML_TYPE_Q4_0
TEXT = some_tokens(500)
NEXT = some_tokens(20, seed=1)
MESSAGES = (90, 137, 300, 410)
"""Where messages begin in the text; none at the end of a slice."""
WRAPPED = 0.05
"""How far a logit may be off where a window's rows lie in other cells (measured: 0.006 of 11.7)."""


@pytest.fixture(params=list(Kind), ids=[kind.value for kind in Kind])
def made(request: pytest.FixtureRequest, tiny_model: TinyModel, tmp_path: Path) -> Iterator[Bench]:
    """A tiny model of each kind of memory, and a store."""
    with bench(tiny_model(request.param), tmp_path / "kv") as made:
        yield made


def saved_text(made: Bench, tokens: list[int] = TEXT, **options: int) -> Place:
    """A place that has read and saved a text."""
    place = made.place(**options)
    place.read(tokens, MESSAGES, MESSAGES)
    place.keep(MESSAGES)
    return place


def unbroken(made: Bench, tokens: list[int], **options: int) -> Place:
    """A place that has read the same without ever saving, in the same slices."""
    place = made.place(saving=False, **options)
    place.read(tokens, MESSAGES, MESSAGES)
    return place


def off(one: Place, other: Place) -> float:
    """The largest difference of a logit."""
    return float(np.abs(one.logits() - other.logits()).max())


def assert_same_rows(one: Place, other: Place) -> None:
    assert list(one.held()[0]) == (list(range(len(one.sequence.tokens))) if one.state.has_rows else [])
    assert one.held() == other.held()


CACHES = {
    "f16": {"flash_attention": FLASH},
    "f16-transposed": {"flash_attention": NO_FLASH},
    "q8_0": {"flash_attention": FLASH, "type_k": Q8_0, "type_v": Q8_0},
    "q4_0": {"flash_attention": FLASH, "type_k": Q4_0, "type_v": Q4_0},
    "q8_0-transposed": {"flash_attention": NO_FLASH, "type_k": Q8_0},
}


@pytest.mark.parametrize("cache", CACHES.values(), ids=CACHES)
def test_every_row_comes_back_as_it_was(made: Bench, cache: dict[str, int]) -> None:
    """Far beyond the window, too; and the next tokens mean the same to the model as without any saving."""
    before = saved_text(made, **cache)
    after, never_saved = made.place(**cache), unbroken(made, TEXT, **cache)
    assert after.resume([*TEXT, *NEXT]).saved == len(TEXT)
    assert after.sequence.tokens == TEXT
    assert_same_rows(before, after)
    for place in (before, after, never_saved):
        place.read(NEXT)
    assert off(before, never_saved) == 0.0
    assert off(after, never_saved) <= (WRAPPED if made.model.window else 0.0)


def test_before_a_window_wraps_nothing_at_all_is_different(made: Bench) -> None:
    text = TEXT[:150]  # the window's cache has room for 64 and a slice of 128
    saved_text(made, text)
    after, never_saved = made.place(), unbroken(made, text)
    assert after.resume([*text, *NEXT]).saved == len(text)
    for place in (after, never_saved):
        place.read(NEXT)
    assert off(after, never_saved) == 0.0


@pytest.mark.parametrize("at", MESSAGES)
def test_a_branch_resumes_at_every_boundary(made: Bench, at: int) -> None:
    saved_text(made)
    branch = [*TEXT[:at], *NEXT]
    after, never_saved = made.place(), unbroken(made, TEXT[:at])
    assert after.resume(branch).saved == at
    assert_same_rows(never_saved, after)
    for place in (after, never_saved):
        place.read(NEXT)
    assert off(after, never_saved) <= (WRAPPED if made.model.window else 0.0)


@pytest.mark.parametrize("at", [100, 200, 470])
def test_a_branch_within_a_message_resumes_at_its_beginning_or_later(made: Bench, at: int) -> None:
    saved_text(made)
    after = made.place()
    saved = after.resume([*TEXT[:at], *NEXT]).saved
    assert max(begin for begin in MESSAGES if begin <= at) <= saved == len(after.sequence.tokens) <= at
    assert_same_rows(unbroken(made, TEXT[:saved]), after)


def test_what_was_restored_can_be_saved_on_and_restored_again(made: Bench) -> None:
    saved_text(made)
    second = made.place()
    second.resume([*TEXT, *NEXT])
    second.read(NEXT)
    written, tip = second.keep(MESSAGES)
    assert tip is not None
    assert 0 < written.bytes < made.store.totals().all.bytes / 4
    third = made.place()
    assert third.resume([*TEXT, *NEXT, *NEXT]).saved == len(TEXT) + len(NEXT)
    assert_same_rows(second, third)


def test_after_an_abort_in_the_middle_of_a_prefill_nothing_false_is_saved_or_kept(made: Bench) -> None:
    place = saved_text(made)
    place.context.abort.raise_()
    with pytest.raises(Interrupted):
        place.read(some_tokens(BATCH, seed=2))
    place.context.abort.lower()
    place.keep(MESSAGES)
    resumed = place.resume([*TEXT, *NEXT])
    assert resumed.tokens == len(TEXT)
    assert_same_rows(unbroken(made, TEXT), place)
    place.read(NEXT)
    never = unbroken(made, TEXT)
    never.read(NEXT)
    assert off(place, never) <= (WRAPPED if made.model.window else 0.0)


def saved_late(made: Bench) -> None:
    """Save a text at its end only, when the window's rows of its beginning are gone."""
    late = made.place()
    stops = [*range(BATCH, len(TEXT), BATCH), len(TEXT)]
    assert prefill(late.sequence, TEXT, stops, lambda _done, _total: None, lambda: False)
    late.keep(MESSAGES)


def test_what_was_read_before_it_was_saved_can_be_branched_from_once_it_was_read_again(made: Bench) -> None:
    """A window's rows are saved when they are there again, beside the chunks that lack them."""
    saved_late(made)
    branch = [*TEXT[:300], *NEXT]
    second = made.place()
    if second.state.mode == "window":
        assert second.resume(branch).saved == 0
    chunks = made.store.totals().all.chunks
    saved_text(made, TEXT[:300])
    assert made.store.totals().all.chunks == chunks
    after, never_saved = made.place(), unbroken(made, TEXT[:300])
    assert after.resume(branch).saved == 300
    assert_same_rows(never_saved, after)
    for place in (after, never_saved):
        place.read(NEXT)
    assert off(after, never_saved) <= (WRAPPED if made.model.window else 0.0)


@pytest.mark.parametrize(
    "change", [lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda data: data[:-1]], ids=["flipped", "cut off"]
)
def test_window_rows_that_were_saved_later_are_refused_where_they_are_damaged(
    change: Callable[[bytes], bytes], tiny_model: TinyModel, tmp_path: Path
) -> None:
    with bench(tiny_model(Kind.WINDOW), tmp_path / "kv") as made:
        saved_late(made)
        saved_text(made, TEXT[:300])
        for path in (tmp_path / "kv" / "chunks").rglob("*.checkpoint"):
            path.write_bytes(change(path.read_bytes()))
        place = made.place()
        resumed = place.resume([*TEXT[:300], *NEXT])
        assert (resumed.saved, resumed.trouble) == (0, DAMAGED)
        place.read(TEXT[:300], MESSAGES)
        assert_same_rows(unbroken(made, TEXT[:300]), place)


# --- memory that is not what it is taken for --------------------------------------------------------------------------

MODES = ("full", "window", "hybrid", "recurrent", "opaque")


@pytest.mark.parametrize("mode", MODES)
def test_memory_taken_for_another_kind_is_found_out_and_comes_back_whole(made: Bench, mode: MemoryMode) -> None:
    right = made.place(saving=False).state.mode
    made.mode = mode
    before = saved_text(made)
    assert before.state.works
    assert before.state.mode == (mode if mode == right else "opaque")
    after = made.place()
    assert after.state.layouts == before.state.layouts
    assert after.resume([*TEXT, *NEXT]).saved == len(TEXT)
    never_saved = unbroken(made, TEXT)
    for place in (before, after, never_saved):
        place.read(NEXT)
    assert off(before, never_saved) == 0.0
    assert off(after, never_saved) <= (WRAPPED if made.model.window else 0.0)


def test_what_is_saved_whole_comes_back_at_the_boundaries_of_a_branch(made: Bench) -> None:
    made.mode = "opaque"
    saved_text(made)
    after = made.place()
    assert after.resume([*TEXT[:320], *NEXT]).saved == 300
    never_saved = unbroken(made, TEXT[:300])
    for place in (after, never_saved):
        place.read(NEXT)
    assert off(after, never_saved) <= (WRAPPED if made.model.window else 0.0)


def test_memory_that_does_not_come_back_at_all_is_not_saved(
    made: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(llama_cpp, "llama_state_seq_set_data_ext", lambda *_: 0)
    place = made.place(saving=False)
    assert not place.state.works
    assert "saved whole" in caplog.text
    place.read(NEXT)  # it still reads and writes
    assert np.isfinite(place.logits()).all()


def test_a_chunk_that_waits_to_be_written_holds_nothing_but_itself(made: Bench) -> None:
    """A hybrid's blob has its recurrent states behind the rows, dozens of MiB on real models."""
    place = made.place(saving=False)
    place.read(TEXT[:70])
    if place.state.has_rows:
        rows, window = place.state.take(10, 70)
        held = max(memoryview(part.obj).nbytes for part in (rows, window))
        assert held <= len(rows) + len(window) + 64


# --- checkpoints ------------------------------------------------------------------------------------------------------

TURNS = tuple(range(40, 440, 40))


def checkpoints_after(made: Bench, prefill: float, restore: float) -> list[int]:
    """Where a chain of ten turns has checkpoints, on a machine with such rates (tokens and bytes a second)."""
    place = made.place()
    assert place.saved is not None
    place.saved.rates.prefill, place.saved.rates.restore = prefill, restore
    for begin, end in pairwise((0, *TURNS)):
        place.read(TEXT[begin:end], TURNS, TURNS)
        place.keep(TURNS)
    return [row.end for row in made.store.find(ROOT, TEXT) if row.checkpoint_bytes]


CHECKPOINTED = [Kind.HYBRID, Kind.HYBRID_WINDOW, Kind.RECURRENT]


@pytest.mark.parametrize("made", CHECKPOINTED, indirect=True, ids=lambda kind: kind.value)
@pytest.mark.parametrize(("prefill", "restore"), [(0.0, 0.0), (1e9, 0.0), (0.0, 1.0), (1.0, 1e9)])
def test_checkpoints_stay_where_loading_them_is_not_known_to_be_slower(
    made: Bench, prefill: float, restore: float
) -> None:
    assert checkpoints_after(made, prefill, restore) == list(TURNS)


@pytest.mark.parametrize("made", CHECKPOINTED, indirect=True, ids=lambda kind: kind.value)
def test_where_reading_is_faster_the_first_checkpoint_and_those_of_the_last_turns_stay(made: Bench) -> None:
    assert checkpoints_after(made, 1e9, 1.0) == [TURNS[0], *TURNS[-2 * KEPT_TURNS :]]
    branch = made.place()
    assert branch.resume([*TEXT[: TURNS[5]], *NEXT]).saved == TURNS[0]
    assert_same_rows(unbroken(made, TEXT[: TURNS[0]]), branch)


# --- around a restore -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("calls", [0, 1, 3])
def test_a_stop_in_the_middle_of_a_restore_leaves_a_sound_beginning(made: Bench, calls: int) -> None:
    saved_text(made)
    after, asked = made.place(), []

    def stopped() -> bool:
        asked.append(True)
        return len(asked) > calls

    part = after.resume([*TEXT, *NEXT], stopped)
    assert part.tokens == len(after.sequence.tokens) <= len(TEXT)
    if part.tokens:
        assert_same_rows(unbroken(made, TEXT[: part.tokens]), after)
    after.keep(MESSAGES)
    whole = after.resume([*TEXT, *NEXT])
    assert whole.tokens == len(TEXT)
    assert_same_rows(unbroken(made, TEXT), after)


def test_tokens_restored_ahead_count_as_saved_once_and_only_those_that_are_of_use(made: Bench) -> None:
    saved_text(made)
    place = made.place()
    assert place.sequence.restore_ahead([*TEXT, *NEXT], lambda: False) == len(TEXT)
    assert place.sequence.restore_ahead([*TEXT, *NEXT], lambda: False) == 0
    turn = place.resume([*TEXT, *NEXT])
    assert (turn.memory, turn.saved) == (0, len(TEXT))
    place.read(NEXT)
    turn = place.resume([*TEXT, *NEXT, *NEXT])
    assert (turn.memory, turn.saved) == (len(TEXT) + len(NEXT), 0)
    other = made.place()
    other.sequence.restore_ahead([*TEXT, *NEXT], lambda: False)
    branch = other.resume([*TEXT[:300], *NEXT])
    assert (branch.memory, branch.saved) == (0, 300)


def test_a_few_words_are_not_saved_but_a_short_beginning_of_more_is(made: Bench) -> None:
    place = made.place()
    short = MIN_SAVED_TOKENS - 1
    place.read(TEXT[:short], [10], [10])
    assert place.keep([10])[1] is None
    assert made.store.totals().all.bytes == 0
    place.read(TEXT[short:100], [10], [10])
    assert place.keep([10])[1] is not None
    assert next(row.end for row in made.store.find(ROOT, TEXT)) == 10
    assert made.place().resume([*TEXT[:100], 9]).saved == 100
