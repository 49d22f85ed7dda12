"""The page that finds models: nothing is asked unasked, and every refusal has a way out."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.core.hub_files import FoundRepository
from app.gui.library_words import popularity, short_count
from tests.support.hub import HubRepository
from tests.unit.gui.library_support import (
    FILE,
    GATED,
    REPOSITORY,
    Library,
    titles,
    words,
)
from tests.unit.gui.person import Person


def test_nothing_is_asked_before_someone_searches(library: Library) -> None:
    page = library.open().search
    library.dialog.turn_to(page)
    assert page.note.text() == "Searching asks 127.0.0.1. Nothing was asked yet."
    assert titles(page.results) == ["Tiny one"]
    assert library.hub.requests == []


def test_typing_finds_repositories_with_what_the_hub_says_of_them(library: Library) -> None:
    library.open()
    library.search("tiny")
    page = library.dialog.search
    assert titles(page.results) == [REPOSITORY]
    told = words(page.results, REPOSITORY)
    for part in ("llama", "135M", "8,192 tokens", "apache-2.0", "10 a month", "3 likes"):
        assert part in told
    page.words.clear()
    assert titles(page.results) == ["Tiny one"]


def test_what_is_too_large_for_this_computer_can_be_left_out(library: Library) -> None:
    facts = library.hub.repositories[REPOSITORY].gguf | {"total": 10**15}
    library.hub.repositories["acme/Vast-GGUF"] = type(library.hub.repositories[REPOSITORY])({}, gguf=facts)
    library.open()
    library.search("gguf")
    page = library.dialog.search
    assert "Too large for this computer" in words(page.results, "acme/Vast-GGUF")
    page.only_fitting.click()
    assert "acme/Vast-GGUF" not in titles(page.results)
    assert page.heading.text() == "2 found with “gguf”, 1 too large"


def test_a_search_that_finds_nothing_says_so(library: Library) -> None:
    library.open()
    library.search("nobody")
    assert library.dialog.search.nothing.text() == "127.0.0.1 has no GGUF models with “nobody” in their names."


def test_a_repository_shows_its_quantisations_and_proposes_a_good_one(library: Library) -> None:
    library.open()
    library.look()
    page = library.dialog.search
    assert titles(page.variants) == ["Q4_K_M", "Q8_0"]
    assert "Fits" in words(page.variants, "Q4_K_M")
    assert page.variants.chosen_key() == "Q4_K_M"
    assert page.about.text() == "Licence: apache-2.0."
    page.back.click()
    assert titles(page.results) == [GATED, REPOSITORY] or titles(page.results) == [REPOSITORY, GATED]


def test_a_download_that_begins_is_shown_with_its_progress(library: Library) -> None:
    library.open()
    library.look()
    library.hold()
    library.dialog.search.download.click()
    assert library.dialog.tabs.currentWidget() is library.dialog.downloads
    library.wait(lambda: " of 2.0 MiB" in words(library.dialog.downloads.list, "tiny-Q4_K_M"))
    assert library.person.window.header.downloads.isVisible()
    library.release()
    library.wait(lambda: not library.workspace.downloads.downloads)
    library.wait(lambda: "tiny-Q4_K_M" in titles(library.dialog.models.list))
    assert not library.person.window.header.downloads.isVisible()
    assert library.person.notices == ["tiny-Q4_K_M is here; its checksum is right."]


def test_a_second_download_of_the_same_file_is_refused_in_words(library: Library) -> None:
    library.open()
    library.look()
    page = library.dialog.search
    page.download.click()
    library.wait(lambda: not library.workspace.downloads.downloads)
    library.dialog.turn_to(page)
    page.download.click()
    assert page.outcome.text() == f"{FILE} is downloaded already."


def test_a_gated_model_asks_for_a_token_which_is_kept_and_used(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: not opened.append(url.toString()))
    library.open()
    library.look(GATED)
    page = library.dialog.search
    trouble = page.trouble
    assert "accepted its conditions" in trouble.sentence.text()
    trouble.page.click()
    assert opened == [f"{library.hub.endpoint}/{GATED}"]
    assert page.about.text() == "Licence: llama3.1."
    assert titles(page.variants) == ["Q4_K_M"]
    assert not page.download.isEnabled()
    assert not trouble.use.isEnabled()
    library.person.qtbot.keyClicks(trouble.token, "hf_right")
    assert trouble.token.displayText() != "hf_right"
    trouble.use.click()
    library.wait(page.download.isEnabled)
    assert "Fits" in words(page.variants, "Q4_K_M")
    assert page.about.text() == "Licence: llama3.1. Its owner asks you to accept conditions on its page."
    assert not trouble.isVisible()


def test_tab_goes_from_the_top_to_the_bottom(library: Library) -> None:
    dialog = library.open()
    library.look(GATED)
    dialog.activateWindow()
    library.wait(dialog.isActiveWindow)
    page = dialog.search
    page.back.setFocus()
    walked = []
    while (widget := QApplication.focusWidget()) is not None and widget not in walked:
        walked.append(widget)
        library.person.qtbot.keyClick(widget, Qt.Key.Key_Tab)
    box = page.trouble
    upper = [page.back, page.page_link, box.retry, box.page, box.forget, box.token, page.variants, page.offline]
    assert walked[:-2] == upper  # then come Close and the pages
    assert walked[-1] is dialog.tabs.tabBar()


def test_a_hub_in_trouble_is_asked_again_with_one_click(library: Library) -> None:
    library.hub.mood.answers = [(500, {})]
    page = library.open().search
    library.dialog.turn_to(page)
    library.person.qtbot.keyClicks(page.words, "tiny")
    library.wait(page.trouble.isVisible)
    assert page.trouble.sentence.text() == "127.0.0.1 has trouble of its own (HTTP 500). Try again later."
    assert not page.trouble.token.isVisible()
    page.trouble.retry.click()
    library.wait(lambda: titles(page.results) == [REPOSITORY])
    assert not page.trouble.isVisible()


def test_trouble_takes_the_place_of_what_was_said_of_other_words(library: Library) -> None:
    library.open()
    library.search("nobody")
    page = library.dialog.search
    library.hub.mood.answers = [(500, {})]
    library.person.qtbot.keyClicks(page.words, "s")
    library.wait(page.trouble.isVisible)
    assert not page.nothing.isVisible()


def test_a_repository_without_a_model_says_so_as_a_warning(library: Library) -> None:
    library.hub.repositories["acme/Empty-GGUF"] = HubRepository({"README.md": b"x"})
    library.open()
    library.look("acme/Empty-GGUF")
    about = library.dialog.search.about
    assert about.text().endswith("This repository has no GGUF file of a whole model.")
    assert about.property("tone") == "warning"


def test_offline_nothing_is_asked_until_the_network_is_allowed(library: Library) -> None:
    page = library.open().search
    library.dialog.turn_to(page)
    page.offline.click()
    library.person.qtbot.keyClicks(page.words, "tiny")
    library.wait(page.trouble.isVisible)
    assert library.hub.requests == []
    assert library.workspace.model_search.is_offline
    page.trouble.network.click()
    library.wait(lambda: titles(page.results) == [REPOSITORY])
    assert not page.offline.isChecked()


def test_an_answer_that_nobody_waits_for_any_more_changes_nothing(library: Library) -> None:
    page = library.open().search
    library.dialog.turn_to(page)
    page.words.setText("tiny")
    library.person.qtbot.keyClick(page.words, Qt.Key.Key_Return)
    page.stop.click()
    assert page.trouble.sentence.text() == "It was not waited for any longer. Nothing was changed."
    library.wait(lambda: bool(library.hub.requests))
    assert titles(page.results) == ["Tiny one"]


def test_closing_the_library_with_a_search_under_way_is_safe(library: Library, qtbot: QtBot) -> None:
    page = library.open().search
    page.words.setText("tiny")
    page.search()
    library.dialog.reject()
    qtbot.waitUntil(lambda: bool(library.hub.requests))
    assert library.person.window.library.dialog is None


def test_the_search_says_whom_it_asks(person: Person, home: Path) -> None:
    person.window.library.open_search()
    dialog = person.window.library.dialog
    assert dialog is not None
    assert dialog.search.note.text() == "Searching asks huggingface.co. Nothing was asked yet."


def test_large_numbers_are_short() -> None:
    assert [short_count(number) for number in (7, 999, 1000, 1_250_000, 52_000_000)] == [
        "7",
        "999",
        "1k",
        "1.2M",
        "52M",
    ]
    found = FoundRepository("o/r", 12_345, 1, 0.0, False, "", "", 0, 0)
    assert popularity(found) == "12k a month · 1 like"
