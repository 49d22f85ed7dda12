"""Downloads as a person sees them: their turn, their rest, their failures, and what a new start finds."""

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QMessageBox

from app.core.hub_files import HubFile, Repository, Variant
from app.gui.library_words import download_line
from app.paths import DataDir
from app.services.download_progress import Progress
from app.services.download_record import begin, files_of, partial
from app.services.downloads import Download
from tests.unit.gui.library_support import (
    REPOSITORY,
    Library,
    titles,
    words,
)
from tests.unit.gui.person import Person


def start(library: Library, *labels: str) -> None:
    """Begin downloads that stand still in the middle."""
    library.open()
    library.look()
    library.hold()
    page = library.dialog.search
    for label in labels:
        library.choose(page.variants, label)
        page.download.click()
        library.dialog.turn_to(page)
    library.wait(lambda: library.workspace.downloads.downloads[0].progress.done > 0)
    library.dialog.turn_to(library.dialog.downloads)


def test_a_download_is_paused_and_goes_on_where_it_was(library: Library) -> None:
    start(library, "Q4_K_M")
    page = library.dialog.downloads
    assert page.go_on.text() == "Pause"
    page.go_on.click()
    assert page.go_on.text() == "Go on"
    assert words(page.list, "tiny-Q4_K_M").split(". ")[2].startswith("Paused · ")
    library.release()
    page.go_on.click()
    library.wait(lambda: not library.workspace.downloads.downloads)
    assert not page.list.isVisible()
    assert page.nothing.isVisible()


def test_another_download_can_have_its_turn_first(library: Library) -> None:
    library.hub.repositories[REPOSITORY].files["tiny-Q5_0.gguf"] = library.data
    start(library, "Q4_K_M", "Q8_0", "Q5_0")
    page = library.dialog.downloads
    assert titles(page.list) == ["tiny-Q4_K_M", "tiny-Q8_0", "tiny-Q5_0"]
    library.choose(page.list, "tiny-Q8_0")
    assert not page.first.isEnabled()
    library.choose(page.list, "tiny-Q5_0")
    page.first.click()
    assert titles(page.list) == ["tiny-Q4_K_M", "tiny-Q5_0", "tiny-Q8_0"]
    assert library.dialog.tabs.tabText(2) == "Downloads (3)"


def test_giving_up_what_has_come_is_asked_first(library: Library) -> None:
    start(library, "Q4_K_M")
    page = library.dialog.downloads
    page.cancel.click()
    box = library.dialog.findChild(QMessageBox, "cancel")
    assert box is not None
    assert "that have come are removed" in box.informativeText()
    assert titles(page.list) == ["tiny-Q4_K_M"]
    next(button for button in box.buttons() if button.text() == "Give it up").click()
    assert titles(page.list) == []


def test_a_failure_says_why_in_the_list_and_over_a_closed_library(library: Library) -> None:
    start(library, "Q4_K_M")
    library.dialog.reject()
    library.hub.mood.lies_about_bytes = True
    library.release()
    library.workspace.downloads.pause_all()
    library.workspace.downloads.cancel(library.workspace.downloads.downloads[0].path)
    library.open()
    library.look()
    library.dialog.search.download.click()
    library.dialog.reject()
    library.wait(lambda: bool(library.person.notices))
    (notice,) = library.person.window.notices.notices()
    assert notice.text.startswith("The download of tiny-Q4_K_M stopped. ")
    assert [action for action, _ in notice.actions] == ["Try again", "Show"]
    notice.actions[1][1]()
    page = library.dialog.downloads
    assert "is not what the hub's checksum says" in words(page.list, "tiny-Q4_K_M")
    assert page.go_on.text() == "Try again"
    library.hub.mood.lies_about_bytes = False
    page.go_on.click()
    library.wait(lambda: not library.workspace.downloads.downloads)


def test_offline_a_download_rests_and_says_how_it_can_go_on(library: Library) -> None:
    start(library, "Q4_K_M")
    library.dialog.search.offline.click()
    page = library.dialog.downloads
    assert page.go_on.text() == "Go on"
    page.go_on.click()
    assert "set to stay offline" in page.outcome.text()
    assert library.workspace.downloads.downloads[0].state == "paused"


def test_a_download_leads_to_its_repository(library: Library) -> None:
    start(library, "Q4_K_M")
    library.release()
    library.dialog.search.back.click()
    library.dialog.downloads.about.click()
    assert library.dialog.tabs.currentWidget() is library.dialog.search
    assert library.dialog.search.title.text() == REPOSITORY


def test_closing_the_window_keeps_what_has_come(library: Library) -> None:
    start(library, "Q4_K_M")
    download = library.workspace.downloads.downloads[0]
    library.person.window.close()
    library.workspace.downloads.close()
    (file,) = files_of(download.path, download.record)
    assert partial(file).stat().st_size > 0


@pytest.fixture
def unfinished(home: Path) -> None:
    """An earlier run of Ember left a download behind."""
    models = DataDir(home / "data").models
    file = HubFile("big-Q4_0.gguf", 4 * 1024**2, "0" * 64)
    path, record = begin(models, Repository("o/r", "1" * 40, False, "mit", ()), Variant("Q4_0", (file,)))
    partial(files_of(path, record)[0]).write_bytes(bytes(1024**2))


def test_what_was_not_finished_is_offered_at_the_start(unfinished: None, person: Person) -> None:
    (notice,) = person.window.notices.notices()
    assert notice.text == "The download of big-Q4_0 is not finished: 1.0 MiB of 4.0 MiB are here."
    assert [action for action, _ in notice.actions] == ["Go on", "Show"]
    assert person.window.workspace.downloads.downloads[0].state == "paused"
    notice.actions[1][1]()
    dialog = person.window.library.dialog
    assert dialog is not None
    assert titles(dialog.downloads.list) == ["big-Q4_0"]


def test_a_running_download_tells_speed_and_time_left() -> None:
    mib = 1024**2
    path, record = Path("x"), None
    progress = Progress("downloading", 100 * mib, 400 * mib, 10.0 * mib)
    running = Download(path, record, "running", progress)  # type: ignore[arg-type]
    assert download_line(running) == "100 MiB of 400 MiB · 10 MiB a second · 30 s left"


def test_a_download_that_stands_still_says_for_how_long() -> None:
    silent = Progress("downloading", 1024, 4096, silent=12.3)
    running = Download(Path("x"), None, "running", silent)  # type: ignore[arg-type]
    assert download_line(running) == "Waiting for the hub… 12 s · 1.0 KiB of 4.0 KiB"
    paused = replace(running, progress=Progress("waiting", 1024, 4096, next_try=7.6))
    assert download_line(paused) == "The hub is asked again in 8 s · 1.0 KiB of 4.0 KiB"
