"""What a disk may do to the engine's saving: the chat goes on, it is said, and it works again when the disk does."""

import errno
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import app.engine.chunk_writer as chunk_writer
import app.kvstore.saving as store_saving
from app.engine.chunk_writer import WriteChunk, Written
from app.engine.saved_state import NOT_WORTH_IT
from app.engine.saving import Saving
from app.kvstore import chunk_file
from app.kvstore.errors import StoreUnavailable
from tests.support.saved_state import HELPERS, ROOT, Bench, Place, bench, some_tokens
from tests.support.tiny_models import Kind

TinyModel = Callable[[Kind], Path]
TEXT = some_tokens(400)
MORE = some_tokens(80, seed=1)
MESSAGES = (50, 90, 137, 300, 350)
DISK_FULL = OSError(errno.ENOSPC, "No space left on device")
READ_ONLY = OSError(errno.EROFS, "Read-only file system")


@pytest.fixture(params=[Kind.FULL, Kind.WINDOW, Kind.HYBRID, Kind.RECURRENT], ids=lambda kind: kind.value)
def made(request: pytest.FixtureRequest, tiny_model: TinyModel, tmp_path: Path) -> Iterator[Bench]:
    """A tiny model of each kind of memory, and a store."""
    (tmp_path / "data").mkdir()
    with bench(tiny_model(request.param), tmp_path / "data" / "kv") as made:
        yield made


@pytest.fixture
def place(made: Bench) -> Place:
    """A place that has read a text and not yet saved it."""
    return made.place()


@pytest.fixture
def gate(place: Place) -> Iterator[threading.Event]:
    """The writer waits until this is set, as for a slow disk."""
    gate = threading.Event()

    def wait() -> None:
        gate.wait()

    place.writer.run(wait)
    yield gate
    gate.set()


def saved_after_restart(made: Bench, tokens: list[int]) -> int:
    """How much of a text comes back."""
    return made.place().resume([*tokens, 9]).saved


@pytest.mark.parametrize(
    ("error", "reason"), [(DISK_FULL, "the disk is full"), (READ_ONLY, "the disk is read-only")], ids=["full", "locked"]
)
def test_the_next_turn_saves_what_this_one_could_not(
    made: Bench, place: Place, error: OSError, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.read(TEXT, MESSAGES, MESSAGES)
    place.keep(MESSAGES)
    with monkeypatch.context() as full:
        full.setattr(chunk_file.os, "write", raises(error))
        place.read(MORE, MESSAGES)
        written, tip = place.keep(MESSAGES)
        assert written.trouble == reason
        assert written.bytes == 0
        assert tip == made.store.find(ROOT, TEXT)[-1].key  # a chat that is deleted takes this along
        assert saved_after_restart(made, [*TEXT, *MORE]) == len(TEXT)
    written, _ = place.keep(MESSAGES)
    assert written.trouble == ""
    assert saved_after_restart(made, [*TEXT, *MORE]) == len(TEXT) + len(MORE)


def raises(error: OSError) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise error

    return fail


@pytest.mark.parametrize("between", ["folder", "data", "index", "index garbled"])
def test_a_folder_deleted_while_running_costs_a_sentence_at_most(
    made: Bench, place: Place, between: str, tmp_path: Path
) -> None:
    place.read(TEXT, MESSAGES, MESSAGES)
    place.keep(MESSAGES)
    data, moved = tmp_path / "data", tmp_path / "moved"
    if between == "index":
        for path in (data / "kv").glob("index.db*"):
            path.unlink()
    elif between == "index garbled":
        for path in (data / "kv").glob("index.db*"):
            path.write_bytes(b"not what it was " * 1000)
    else:
        shutil.move(data if between == "data" else data / "kv", moved)
    place.read(MORE, MESSAGES)
    written, _ = place.keep(MESSAGES)
    assert bool(written.trouble) == (between == "data")
    assert place.resume([*TEXT, *MORE, 9]).memory == len(TEXT) + len(MORE)
    if between == "data":
        place.read([9], MESSAGES)
        assert place.keep(MESSAGES)[0].trouble
        shutil.move(moved, data)
    place.read([9, 10], MESSAGES)
    assert place.keep(MESSAGES)[0].trouble == ""
    assert saved_after_restart(made, place.sequence.tokens) == len(place.sequence.tokens)


@pytest.mark.parametrize("made", [Kind.WINDOW], indirect=True, ids=["window"])
def test_what_cannot_be_saved_is_tried_once_a_turn_not_for_every_token(
    made: Bench, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.read(TEXT)
    place.keep()
    taken = []
    take = place.state.take
    monkeypatch.setattr(place.state, "take", lambda start, end: taken.append(start) or take(start, end))
    monkeypatch.setattr(chunk_file.os, "write", raises(DISK_FULL))
    for token in some_tokens(200, seed=2):
        place.read([token])
        place.writer.flush()
    assert len(taken) == 1
    assert place.keep()[0].trouble


@pytest.mark.parametrize("made", [Kind.FULL, Kind.WINDOW, Kind.HYBRID], indirect=True, ids=lambda kind: kind.value)
def test_a_queue_that_stays_full_delays_a_turn_once_and_is_said(
    made: Bench, place: Place, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = refused_by_a_full_queue(place, monkeypatch)
    assert sum(refused) == 1
    told: list[Written] = []
    assert place.saved is not None
    place.saved.report(place.sequence.tokens, lambda written, _: told.append(written))
    gate.set()
    place.writer.flush()
    assert "too slow" in told[0].trouble
    monkeypatch.undo()
    assert place.keep(MESSAGES)[0].trouble == ""
    assert saved_after_restart(made, TEXT) == len(TEXT)


@pytest.mark.parametrize("made", [Kind.FULL, Kind.WINDOW, Kind.HYBRID], indirect=True, ids=lambda kind: kind.value)
def test_what_a_full_queue_left_is_saved_after_the_reply(
    made: Bench, place: Place, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused_by_a_full_queue(place, monkeypatch)
    assert place.saved is not None

    def wanted() -> bool:
        gate.set()
        return False

    place.saved.catch_up(place.sequence.tokens, MESSAGES, wanted)
    written, _ = place.keep(MESSAGES)
    assert written.trouble == ""
    assert saved_after_restart(made, TEXT) == len(TEXT)


@pytest.mark.parametrize("made", [Kind.FULL], indirect=True, ids=lambda kind: kind.value)
def test_a_slow_disk_is_not_waited_for_when_something_else_is_wanted(
    place: Place, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused_by_a_full_queue(place, monkeypatch)
    assert place.saved is not None
    looks = iter([False, False, True])
    place.saved.catch_up(place.sequence.tokens, MESSAGES, lambda: next(looks))
    assert next(looks, None) is None


@pytest.mark.parametrize("made", [Kind.FULL], indirect=True, ids=lambda kind: kind.value)
def test_a_stuck_disk_is_given_up(place: Place, gate: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    refused_by_a_full_queue(place, monkeypatch)
    monkeypatch.setattr(chunk_writer, "STUCK", 0.01)
    assert place.saved is not None
    place.saved.catch_up(place.sequence.tokens, MESSAGES, lambda: False)
    told: list[Written] = []
    place.saved.report(place.sequence.tokens, lambda written, _: told.append(written))
    gate.set()
    place.writer.flush()
    assert "too slow" in told[0].trouble


def refused_by_a_full_queue(place: Place, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Read a text and end its turn while the queue has room for one chunk; for each that was put, whether it failed."""
    monkeypatch.setattr(chunk_writer, "MAX_QUEUED", 1)
    monkeypatch.setattr(chunk_writer, "PATIENCE", 0.01)
    refused: list[bool] = []
    put = place.writer.put

    def noted(chunk: WriteChunk) -> bool:
        taken = put(chunk)
        refused.append(chunk.link.failed)
        return taken

    place.read(TEXT)
    monkeypatch.setattr(place.writer, "put", noted)
    assert place.saved is not None
    place.saved.collect(place.sequence.tokens, MESSAGES, final=True)
    return refused


def test_a_turn_never_waits_for_the_disk_because_others_changed_the_store(
    made: Bench, place: Place, gate: threading.Event
) -> None:
    assert place.saved is not None
    place.read(TEXT, MESSAGES, MESSAGES)
    place.saved.collect(place.sequence.tokens, MESSAGES, final=True)
    made.store.put(bytes(32), bytes(32), 0, [1], [b"of another chat"])
    place.read(MORE)
    place.saved.collect(place.sequence.tokens, MESSAGES, final=True)
    gate.set()
    place.writer.flush()
    assert saved_after_restart(made, [*TEXT, *MORE]) == len(TEXT) + len(MORE)


def test_state_dropped_while_its_chat_is_live_is_saved_again_with_the_next_turn(made: Bench, place: Place) -> None:
    place.read(TEXT, MESSAGES, MESSAGES)
    _, tip = place.keep(MESSAGES)
    assert tip is not None
    made.store.drop([tip], ())
    assert made.store.totals().all.bytes == 0
    place.read(MORE)
    place.keep(MESSAGES)
    assert saved_after_restart(made, [*TEXT, *MORE]) == len(TEXT) + len(MORE)


def test_only_the_lost_end_of_a_live_chat_is_saved_again(made: Bench, place: Place) -> None:
    place.read(TEXT, MESSAGES, MESSAGES)
    _, tip = place.keep(MESSAGES)
    chain = made.store.find(ROOT, TEXT)
    assert tip == chain[-1].key
    made.store.drop([tip], [chain[-2].key])
    place.read(MORE)
    written, _ = place.keep(MESSAGES)
    assert [row.key for row in made.store.find(ROOT, TEXT)][: len(chain) - 1] == [row.key for row in chain[:-1]]
    assert saved_after_restart(made, [*TEXT, *MORE]) == len(TEXT) + len(MORE)
    assert written.bytes < made.store.totals().all.bytes / 2


def test_a_full_budget_is_said_and_the_live_chat_stays(made: Bench, place: Place) -> None:
    place.read(TEXT, MESSAGES, MESSAGES)
    _, tip = place.keep(MESSAGES)
    made.store.set_budget(made.store.totals().all.bytes + 100)
    place.read(MORE)
    written, kept = place.keep(MESSAGES)
    assert written.trouble == chunk_writer.NO_BUDGET
    assert kept == tip
    assert made.store.set_budget(0) == 0  # it is still pinned
    assert saved_after_restart(made, [*TEXT, *MORE]) == len(TEXT)


def test_what_was_restored_stays_restored_where_nothing_can_be_written_any_more(
    made: Bench, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.read(TEXT, MESSAGES, MESSAGES)
    place.keep(MESSAGES)

    def refused(_keys: object) -> None:
        raise StoreUnavailable("the disk is read-only")

    monkeypatch.setattr(made.store, "touch", refused)
    assert saved_after_restart(made, TEXT) == len(TEXT)


def test_a_chunk_beyond_what_a_file_may_be_is_said_and_ends_nothing(
    made: Bench, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as small:
        small.setattr(store_saving, "MAX_FILE_BYTES", 1000)
        place.read(TEXT)
        assert place.keep(MESSAGES)[0].trouble == chunk_writer.TOO_LARGE
    assert place.keep(MESSAGES)[0].trouble == ""
    assert saved_after_restart(made, TEXT) == len(TEXT)


def test_a_model_file_that_cannot_be_hashed_is_said(made: Bench) -> None:
    place = made.place().save_into(made.store, made.writer, root=None)
    place.read(TEXT)
    assert place.keep(MESSAGES) == (Written(trouble=chunk_writer.NO_FINGERPRINT), None)


def test_a_budget_set_while_the_folder_is_gone_ends_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "kv"
    folder.parent.mkdir()
    saving = Saving(folder, None, "commit", HELPERS)
    budget = saving.budget
    saving.store.put(bytes(32), bytes(32), 0, [1], [b"rows"])
    shutil.move(folder.parent, tmp_path / "away")
    saving.set_budget(None)
    saving.set_budget(5)
    saving.writer.flush()
    shutil.move(tmp_path / "away", folder.parent)
    saving.set_budget(None)
    assert saving.budget == budget
    saving.set_budget(1)
    saving.writer.flush()
    assert saving.bytes() == 0
    saving.store.close()


def test_state_that_is_slower_to_load_than_to_read_is_left_and_tried_again_later(made: Bench, place: Place) -> None:
    place.read(TEXT, MESSAGES, MESSAGES)
    place.keep(MESSAGES)
    after = made.place()
    assert after.saved is not None
    chain = made.store.find(ROOT, TEXT)
    size = sum(row.bytes for row in chain) + chain[-1].checkpoint_bytes
    after.saved.rates.prefill, after.saved.rates.restore = 1.0, size / len(TEXT) / 3
    for expected in (0, 0, len(TEXT)):
        resumed = after.resume([*TEXT, 9])
        assert resumed.saved == expected
        assert resumed.trouble == ("" if expected else NOT_WORTH_IT)
