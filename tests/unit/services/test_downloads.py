"""The queue of downloads in a window: paused, resumed and cancelled at once, with nothing remembered but the disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.errors import EmberError
from app.core.hub_files import Repository
from app.services import download_work
from app.services.download_record import partial, read_record
from app.services.downloads import Downloads
from app.services.hub import Hub
from app.services.model_search import ModelSearch
from app.storage.conversations import ConversationStore
from app.storage.settings import SettingsStore
from tests.support.hub import PIECE, FakeHub, HubRepository, running_hub
from tests.support.tiny_models import Kind, make

DATA = bytes(range(256)) * 2048


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub with two models; breaks are not waited for."""
    monkeypatch.setattr(download_work, "DELAYS", (0.0,) * 2)
    with running_hub() as running:
        for name in ("a", "b"):
            running.repositories[f"o/{name}"] = HubRepository({f"{name}-Q4_0.gguf": DATA})
        yield running


@pytest.fixture
def downloads(hub: FakeHub, tmp_path: Path, qtbot: QtBot) -> Iterator[Downloads]:
    made = Downloads(tmp_path / "models", lambda: client(hub))
    yield made
    made.close()


def client(hub: FakeHub) -> Hub:
    """One without a token."""
    return Hub(hub.endpoint, token=lambda: None)


def offered(hub: FakeHub, name: str) -> Repository:
    """What the hub has under a name."""
    return client(hub).repository(f"o/{name}")


def begin(hub: FakeHub, downloads: Downloads, name: str) -> Path:
    """Start a download."""
    repository = offered(hub, name)
    return downloads.start(repository, repository.variants[0])


def states(downloads: Downloads) -> list[str]:
    """The states in the queue's order."""
    return [download.state for download in downloads.downloads]


def held(hub: FakeHub, downloads: Downloads, qtbot: QtBot, name: str = "a") -> Path:
    """A download that stands still in the middle."""
    hub.mood.holds_after = 8 * PIECE
    path = begin(hub, downloads, name)
    qtbot.waitUntil(lambda: hub.is_holding.is_set() and downloads.downloads[0].progress.done > 0)
    return path


def release(hub: FakeHub) -> None:
    """The hub sends on."""
    hub.mood.holds_after = None
    hub.go_on.set()


def test_downloads_come_one_after_the_other(hub: FakeHub, downloads: Downloads, qtbot: QtBot) -> None:
    done: list[Path] = []
    downloads.finished.connect(done.append)
    held(hub, downloads, qtbot)
    begin(hub, downloads, "b")
    assert states(downloads) == ["running", "waiting"]
    release(hub)
    qtbot.waitUntil(lambda: len(done) == 2)
    assert [path.name for path in done] == ["a-Q4_0.gguf", "b-Q4_0.gguf"]
    assert all(path.read_bytes() == DATA for path in done)
    assert downloads.downloads == ()


def test_a_pause_is_at_once_and_lets_the_next_one_begin(hub: FakeHub, downloads: Downloads, qtbot: QtBot) -> None:
    path = held(hub, downloads, qtbot)
    begin(hub, downloads, "b")
    hub.mood.holds_after = None
    downloads.pause(path)
    assert states(downloads)[0] == "paused"
    with qtbot.waitSignal(downloads.finished):
        pass
    there = downloads.downloads[0].progress.done
    assert 0 < there < len(DATA)
    with qtbot.waitSignal(downloads.finished):
        downloads.resume(path)
    assert hub.sent[-1][0] >= there


def test_a_paused_download_is_there_again_after_a_restart(
    hub: FakeHub, downloads: Downloads, qtbot: QtBot, tmp_path: Path
) -> None:
    held(hub, downloads, qtbot)
    downloads.close()
    hub.mood.holds_after = None
    asked = len(hub.requests)
    again = Downloads(tmp_path / "models", lambda: client(hub))
    (download,) = again.downloads
    assert (download.state, download.record.repository) == ("paused", "o/a")
    assert 0 < download.progress.done < len(DATA)
    assert len(hub.requests) == asked
    with qtbot.waitSignal(again.finished):
        again.resume(download.path)
    again.close()


def test_a_cancelled_download_leaves_nothing(hub: FakeHub, downloads: Downloads, qtbot: QtBot, tmp_path: Path) -> None:
    path = held(hub, downloads, qtbot)
    downloads.cancel(path)
    assert downloads.downloads == ()
    qtbot.waitUntil(lambda: not path.parent.parent.exists())  # nor is the folder of its repository left


def test_what_is_started_while_it_is_still_being_removed_waits_for_its_turn(
    hub: FakeHub, downloads: Downloads, qtbot: QtBot
) -> None:
    path = held(hub, downloads, qtbot)
    downloads.cancel(path)
    assert begin(hub, downloads, "a") == path
    assert states(downloads) == ["waiting"]
    hub.mood.holds_after = None
    with qtbot.waitSignal(downloads.finished) as finished:
        begin(hub, downloads, "b")  # the others need not wait
        assert states(downloads) == ["waiting", "running"]
    if finished.args[0].name != "a-Q4_0.gguf":
        qtbot.waitUntil(lambda: not downloads.downloads)
    whole = path.parent / "a-Q4_0.gguf"
    assert whole.read_bytes() == DATA
    record = read_record(path)
    assert record is not None and record.is_done


def test_what_waits_for_a_removal_can_rest_or_be_given_up(hub: FakeHub, downloads: Downloads, qtbot: QtBot) -> None:
    path = held(hub, downloads, qtbot)
    downloads.cancel(path)
    begin(hub, downloads, "a")
    downloads.pause(path)
    qtbot.waitUntil(path.exists)  # it is written down again
    assert states(downloads) == ["paused"]
    hub.mood.holds_after = None
    downloads.resume(path)
    downloads.cancel(path)
    begin(hub, downloads, "a")
    downloads.cancel(path)
    qtbot.waitUntil(lambda: not path.parent.parent.exists())
    assert downloads.downloads == ()


def test_a_pause_that_comes_too_late_ends_a_whole_download(
    hub: FakeHub, downloads: Downloads, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = held(hub, downloads, qtbot)
    monkeypatch.setattr(download_work.DownloadWork, "stop", lambda _work: None)
    downloads.pause(path)
    with qtbot.waitSignal(downloads.finished):
        release(hub)
    assert downloads.downloads == ()


def test_a_failure_says_why_and_can_be_tried_again(hub: FakeHub, downloads: Downloads, qtbot: QtBot) -> None:
    repository = offered(hub, "a")
    hub.mood.answers = [(404, {})]
    path = downloads.start(repository, repository.variants[0])
    qtbot.waitUntil(lambda: states(downloads) == ["failed"])
    assert "does not have this any more" in downloads.downloads[0].problem
    with qtbot.waitSignal(downloads.finished):
        downloads.resume(path)


def test_an_older_reason_is_not_given_for_a_pause_or_a_killed_process(
    hub: FakeHub, downloads: Downloads, qtbot: QtBot
) -> None:
    repository = offered(hub, "a")
    hub.mood.answers = [(404, {})]
    path = downloads.start(repository, repository.variants[0])
    qtbot.waitUntil(lambda: states(downloads) == ["failed"])
    hub.mood.holds_after = 8 * PIECE
    downloads.resume(path)
    qtbot.waitUntil(hub.is_holding.is_set)
    record = read_record(path)
    assert record is not None and record.problem == ""
    downloads.pause(path)
    assert downloads.downloads[0].problem == ""
    release(hub)


def test_a_model_that_is_there_is_not_downloaded_again(hub: FakeHub, downloads: Downloads, qtbot: QtBot) -> None:
    with qtbot.waitSignal(downloads.finished):
        begin(hub, downloads, "a")
    with pytest.raises(EmberError, match="downloaded already"):
        begin(hub, downloads, "a")


def test_all_rest_when_the_network_is_not_wanted(hub: FakeHub, downloads: Downloads, qtbot: QtBot) -> None:
    path = held(hub, downloads, qtbot)
    begin(hub, downloads, "b")
    downloads.pause_all()
    assert states(downloads) == ["paused", "paused"]
    assert partial(path.with_name("a-Q4_0.gguf")).exists()


class TestSearch:
    """Looking for models from a window."""

    @pytest.fixture
    def search(
        self, hub: FakeHub, store: ConversationStore, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
    ) -> ModelSearch:
        made = ModelSearch(SettingsStore(store.database))
        monkeypatch.setattr(made, "hub", lambda: Hub(hub.endpoint, is_offline=made.is_offline, token=lambda: None))
        return made

    def test_it_finds_repositories(self, search: ModelSearch, qtbot: QtBot) -> None:
        with qtbot.waitSignal(search.found) as found:
            search.search("a")
        assert [repository.id for repository in found.args[0]] == ["o/a"]

    def test_it_tells_what_a_repository_offers(
        self, search: ModelSearch, hub: FakeHub, qtbot: QtBot, tmp_path: Path
    ) -> None:
        data = make(Kind.FULL, tmp_path / "m.gguf").read_bytes()
        hub.repositories["o/real"] = HubRepository({"m-Q4_0.gguf": data})
        with qtbot.waitSignal(search.offered) as offered:
            search.look("o/real")
        assert offered.args[0].facts.name == "Tiny full"

    def test_offline_it_says_so_and_stays_so(
        self, search: ModelSearch, hub: FakeHub, store: ConversationStore, qtbot: QtBot
    ) -> None:
        with qtbot.waitSignal(search.offline_changed):
            search.set_offline(True)
        with qtbot.waitSignal(search.failed) as failed:
            search.search("a")
        assert failed.args[0] == "offline"
        assert hub.requests == []
        assert ModelSearch(SettingsStore(store.database)).is_offline
