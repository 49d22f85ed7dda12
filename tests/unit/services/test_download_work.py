"""A download against a hub that is as bad as a network gets: whole and verified, or refused with a plain sentence."""

import errno
import hashlib
import shutil
import threading
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.core.errors import EmberError
from app.core.hub_files import HubFile, Repository, Variant
from app.folder_lock import FolderLock
from app.services import download_progress, download_work
from app.services import hub as hub_module
from app.services.download_progress import Progress, wait_words
from app.services.download_record import (
    DownloadRecord,
    begin,
    bytes_there,
    files_of,
    lock_path,
    partial,
    plan,
    read_record,
    remove_partial,
    write_record,
)
from app.services.download_work import DownloadWork
from app.services.hub import Hub
from tests.support.hub import COMMIT, PIECE, FakeHub, HubRepository, running_hub

DATA = bytes(range(256)) * 2048
"""Half a MiB of what stands for weights."""
PATIENCE = 20


@dataclass
class Wanted:
    """A download of `o/r`, run as often as a test likes."""

    hub: FakeHub
    models: Path
    names: tuple[str, ...] = ("m-Q4_0.gguf",)
    told: list[Progress] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hub.repositories["o/r"] = HubRepository(dict.fromkeys(self.names, DATA))
        digest = hashlib.sha256(DATA).hexdigest()
        variant = Variant("Q4_0", tuple(HubFile(name, len(DATA), digest) for name in self.names))
        repository = Repository("o/r", COMMIT, False, "apache-2.0", (variant,))
        self.path, self.record = plan(self.models, repository, variant)
        write_record(self.path, self.record)

    def work(self) -> DownloadWork:
        """The work, to be run once."""
        hub = Hub(self.hub.endpoint, token=lambda: None)
        return DownloadWork(self.models, self.path, self.record, lambda: hub, self.told.append)

    def run(self) -> None:
        """Run it to its end."""
        self.work().run()

    def refused(self) -> EmberError:
        """Run it; what is said."""
        with pytest.raises(EmberError) as refused:
            self.run()
        return refused.value

    @property
    def file(self) -> Path:
        """Where the first file comes to lie."""
        return files_of(self.path, self.record)[0]

    @property
    def is_whole(self) -> bool:
        """Whether everything is there and said to be."""
        record = read_record(self.path)
        files = files_of(self.path, self.record)
        return record is not None and record.is_done and all(file.read_bytes() == DATA for file in files)

    @property
    def bytes_sent(self) -> int:
        """All bytes that left the hub's storage."""
        return sum(sent for _start, sent in self.hub.sent)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub; breaks are not waited for."""
    monkeypatch.setattr(download_work, "DELAYS", (0.0,) * 6)
    monkeypatch.setattr(download_progress, "LEAST_SECONDS", 0.0)
    with running_hub() as running:
        yield running


@pytest.fixture
def wanted(hub: FakeHub, tmp_path: Path) -> Wanted:
    return Wanted(hub, tmp_path / "models")


def test_a_download_is_verified_before_it_has_its_name(wanted: Wanted) -> None:
    wanted.run()
    assert wanted.is_whole
    assert wanted.file == wanted.models / "o" / "r" / "m-Q4_0.gguf"
    assert not partial(wanted.file).exists()
    last = wanted.told[-1]
    assert (last.done, last.total) == (len(DATA), len(DATA))
    assert last.speed > 0 and last.seconds_left == 0


def test_a_connection_that_breaks_off_goes_on_where_it_broke(wanted: Wanted) -> None:
    wanted.hub.mood.cut_after = [100_000, 1, 200_000]
    wanted.run()
    assert wanted.is_whole
    assert wanted.bytes_sent == len(DATA)
    assert [start for start, _sent in wanted.hub.sent] == [0, 100_000, 100_001, 300_001]


def test_a_hub_that_does_not_continue_files_sends_all_of_it_again(wanted: Wanted) -> None:
    wanted.hub.mood.cut_after = [100_000]
    wanted.hub.mood.ignores_ranges = True
    wanted.run()
    assert wanted.is_whole
    assert wanted.told[-1].done == len(DATA)


def test_a_very_large_file_is_asked_for_in_spans(wanted: Wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_work, "SPAN", 200_000)
    wanted.run()
    assert wanted.is_whole
    assert wanted.hub.sent == [(0, 200_000), (200_000, 200_000), (400_000, len(DATA) - 400_000)]


def test_bytes_from_another_place_of_the_file_are_not_taken(wanted: Wanted) -> None:
    partial(wanted.file).write_bytes(DATA[:1000])
    wanted.hub.mood.shifts_ranges = True
    assert wanted.refused().kind == "bad_answer"
    assert bytes_there(wanted.path, wanted.record) == 1000


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_trouble_that_passes_is_tried_again(wanted: Wanted, status: int) -> None:
    wanted.hub.mood.answers = [(status, {})] * 3
    wanted.run()
    assert wanted.is_whole


def test_trouble_that_stays_ends_with_what_has_come(wanted: Wanted) -> None:
    wanted.hub.mood.cut_after = [100_000, *[0] * 7]
    refused = wanted.refused()
    assert refused.kind == "no_network"
    assert "The 98 KiB that have come are kept." in refused.sentence
    record = read_record(wanted.path)
    assert record is not None and record.problem == refused.sentence
    wanted.run()
    assert wanted.is_whole
    assert wanted.bytes_sent == len(DATA)


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (401, {"X-Error-Code": "RepoNotFound"}, "no_repository"),
        (403, {"X-Error-Code": "GatedRepo"}, "gated"),
        (403, {}, "forbidden"),
        (404, {"X-Error-Code": "EntryNotFound"}, "not_found"),
    ],
)
def test_a_refusal_ends_it_at_once(wanted: Wanted, status: int, headers: dict[str, str], kind: str) -> None:
    wanted.hub.mood.answers = [(status, headers)]
    refused = wanted.refused()
    assert refused.kind == kind
    assert refused.sentence.endswith("Nothing was downloaded.")
    assert len(wanted.hub.requests) == 1


def test_bytes_that_are_not_those_of_the_checksum_are_removed(wanted: Wanted) -> None:
    wanted.hub.mood.lies_about_bytes = True
    refused = wanted.refused()
    assert refused.kind == "wrong_checksum"
    assert "removed" in refused.sentence
    assert not wanted.file.exists()
    assert bytes_there(wanted.path, wanted.record) == 0
    wanted.hub.mood.lies_about_bytes = False
    wanted.run()
    assert wanted.is_whole


def test_a_file_that_does_not_end_is_not_taken(wanted: Wanted) -> None:
    wanted.hub.mood.sends_too_much = True
    assert "longer than the hub said" in wanted.refused().sentence
    assert bytes_there(wanted.path, wanted.record) == 0


def test_what_was_damaged_on_the_disk_meanwhile_is_noticed(wanted: Wanted) -> None:
    partial(wanted.file).write_bytes(b"x" * 1000)
    assert wanted.refused().kind == "wrong_checksum"
    wanted.run()
    assert wanted.is_whole


def test_a_partial_file_that_is_too_long_is_cut(wanted: Wanted) -> None:
    partial(wanted.file).write_bytes(DATA + b"more")
    wanted.run()
    assert wanted.is_whole
    assert wanted.bytes_sent == 0


def test_a_hub_that_falls_silent_can_be_stopped_at_once(wanted: Wanted) -> None:
    wanted.hub.mood.holds_after = 4 * PIECE
    work = wanted.work()
    ends: list[str] = []

    def run() -> None:
        try:
            work.run()
        except EmberError as error:
            ends.append(error.kind)

    thread = threading.Thread(target=run)
    thread.start()
    assert wanted.hub.is_holding.wait(PATIENCE)
    work.stop()
    thread.join(PATIENCE)
    assert ends == ["stopped"]
    there = bytes_there(wanted.path, wanted.record)
    assert there <= 4 * PIECE  # perhaps nothing: it may be stopped before the first piece is written
    wanted.hub.mood.holds_after = None
    wanted.run()
    assert wanted.is_whole
    assert wanted.hub.sent[-1] == (there, len(DATA) - there)
    record = read_record(wanted.path)
    assert record is not None and record.problem == ""


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every instant without a byte is worth a word."""
    monkeypatch.setattr(download_progress, "PULSE_SECONDS", 0.001)
    monkeypatch.setattr(download_progress, "SILENT_SECONDS", 0.0)


def test_a_hub_that_falls_silent_is_said_with_the_seconds(restless: None, wanted: Wanted) -> None:
    wanted.hub.mood.holds_after = 4 * PIECE
    said: list[tuple[str, int]] = []

    def tell(progress: Progress) -> None:
        if progress.silent and progress.done >= 4 * PIECE:
            said.append((wait_words(progress), progress.done))
            work.stop()

    work = DownloadWork(wanted.models, wanted.path, wanted.record, lambda: Hub(wanted.hub.endpoint), tell)
    with pytest.raises(EmberError, match="was stopped"):
        work.run()
    ((words, done),) = said
    assert words.startswith("Waiting for the hub… ")
    assert done == 4 * PIECE


def test_a_hub_that_stays_silent_is_given_up_in_a_sentence(wanted: Wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "PATIENCE", {**hub_module.PATIENCE, "read": 0.05})
    monkeypatch.setattr(download_work, "DELAYS", ())
    wanted.hub.mood.holds_after = 0
    refused = wanted.refused()
    assert refused.kind == "silent"
    assert "127.0.0.1 was silent for" in refused.sentence
    assert refused.sentence.endswith("The 16 KiB that have come are kept.")


def test_a_pause_before_another_try_is_counted_down(restless: None, wanted: Wanted) -> None:
    wanted.hub.mood.answers = [(503, {"Retry-After": "100"})]
    waits: list[float] = []

    def tell(progress: Progress) -> None:
        if progress.next_try is not None:
            waits.append(progress.next_try)
            if progress.next_try < 100:
                work.stop()

    work = DownloadWork(wanted.models, wanted.path, wanted.record, lambda: Hub(wanted.hub.endpoint), tell)
    with pytest.raises(EmberError, match="was stopped"):
        work.run()
    assert waits[0] == 100
    assert wait_words(Progress("waiting", 0, 1, next_try=waits[0])) == "The hub is asked again in 1 min 40 s"


def test_the_parts_of_a_model_are_one_download(hub: FakeHub, tmp_path: Path) -> None:
    wanted = Wanted(hub, tmp_path / "models", ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf"))
    hub.mood.cut_after = [len(DATA), 10]
    wanted.run()
    assert wanted.is_whole
    assert wanted.told[-1].total == 2 * len(DATA)
    assert wanted.bytes_sent == 2 * len(DATA)


def test_a_full_disk_is_seen_before_anything_is_asked(wanted: Wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10**9, 10**9, 1000))
    refused = wanted.refused()
    assert refused.kind == "disk_full"
    assert "512 KiB more would be needed" in refused.sentence
    assert wanted.hub.requests == []


def test_a_disk_that_fills_up_stops_it_and_keeps_what_has_come(wanted: Wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    real = download_work._Part.append

    def append(part: download_work._Part, piece: bytes) -> None:
        if part.size > 100_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(part, piece)

    monkeypatch.setattr(download_work._Part, "append", append)
    refused = wanted.refused()
    assert refused.kind == "disk_full"
    assert "What has come is kept" in refused.sentence
    there = bytes_there(wanted.path, wanted.record)
    assert there > 100_000
    monkeypatch.undo()
    wanted.run()
    assert wanted.is_whole
    assert wanted.hub.sent[-1][0] == there


def test_two_never_work_on_the_same_download(wanted: Wanted) -> None:
    place = lock_path(wanted.models, wanted.path)
    place.parent.mkdir(parents=True)
    other = FolderLock(place)
    assert other.acquire()
    waiting = threading.Event()
    hub = Hub(wanted.hub.endpoint, token=lambda: None)
    work = DownloadWork(wanted.models, wanted.path, wanted.record, lambda: hub, lambda _progress: waiting.set())
    thread = threading.Thread(target=work.run)
    thread.start()
    assert waiting.wait(PATIENCE)
    assert wanted.hub.requests == []
    other.release()
    thread.join(PATIENCE)
    assert wanted.is_whole


def test_a_download_that_nobody_wants_leaves_nothing(wanted: Wanted) -> None:
    wanted.hub.mood.cut_after = [100_000, *[0] * 7]
    wanted.refused()
    remove_partial(wanted.path, wanted.record)
    assert list(wanted.path.parent.iterdir()) == []


@pytest.mark.parametrize("path", ["../../evil.gguf", "C:\\evil.gguf", "/etc/evil.gguf", ".hidden.gguf", "con.gguf"])
def test_names_from_a_hub_never_lead_elsewhere(tmp_path: Path, path: str) -> None:
    variant = Variant("", (HubFile(path, 1, "0" * 64),))
    record_path, record = plan(tmp_path, Repository("../../o/..", COMMIT, False, "", ()), variant)
    for file in (record_path, *files_of(record_path, record)):
        assert file.resolve().is_relative_to(tmp_path.resolve())
        assert not file.name.startswith(".")
        assert file.stem.lower() != "con"


def test_a_file_without_a_checksum_is_not_downloaded(tmp_path: Path) -> None:
    variant = Variant("", (HubFile("m.gguf", 1, ""),))
    with pytest.raises(EmberError, match="names no checksum"):
        plan(tmp_path, Repository("o/r", COMMIT, False, "", (variant,)), variant)
    assert list(tmp_path.iterdir()) == []


class TestBeginning:
    """What a download begins with."""

    def repository(self, data: bytes, commit: str = COMMIT) -> Repository:
        """One with a file of this content."""
        files = (HubFile("m-Q4_0.gguf", len(data), hashlib.sha256(data).hexdigest()),)
        return Repository("o/r", commit, False, "mit", (Variant("Q4_0", files),))

    def begin(self, wanted: Wanted, data: bytes, commit: str = COMMIT) -> tuple[Path, DownloadRecord]:
        """Begin it."""
        repository = self.repository(data, commit)
        return begin(wanted.models, repository, repository.variants[0])

    def test_one_that_was_begun_goes_on_also_from_a_later_commit(self, wanted: Wanted) -> None:
        partial(wanted.file).write_bytes(DATA[:1000])
        path, record = self.begin(wanted, DATA, "f" * 40)
        assert (path, record) == (wanted.path, wanted.record)
        assert bytes_there(path, record) == 1000

    def test_one_of_another_file_begins_anew(self, wanted: Wanted) -> None:
        partial(wanted.file).write_bytes(DATA[:1000])
        path, record = self.begin(wanted, DATA * 2, "f" * 40)
        assert record.size == 2 * len(DATA)
        assert bytes_there(path, record) == 0

    def test_what_is_there_is_not_fetched_again_and_another_version_not_put_over_it(self, wanted: Wanted) -> None:
        wanted.run()
        with pytest.raises(EmberError, match="downloaded already"):
            self.begin(wanted, DATA)
        with pytest.raises(EmberError, match="Another version"):
            self.begin(wanted, DATA * 2)
        assert wanted.is_whole

    def test_a_file_of_somebody_else_is_not_put_out_of_the_way(self, wanted: Wanted) -> None:
        wanted.path.unlink()
        wanted.file.write_bytes(b"mine")
        with pytest.raises(EmberError, match="in the way"):
            self.begin(wanted, DATA)
        assert wanted.file.read_bytes() == b"mine"

    def test_a_download_whose_file_was_removed_by_hand_begins_anew(self, wanted: Wanted) -> None:
        wanted.run()
        wanted.file.unlink()
        _path, record = self.begin(wanted, DATA)
        assert not record.is_done
