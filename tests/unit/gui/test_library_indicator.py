"""The ring in the header while a model is downloaded."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtWidgets import QWidget

from app.gui import theme
from app.gui.library_indicator import DownloadIndicator
from app.services.download_progress import Progress
from app.services.download_record import DownloadRecord, RecordedFile
from app.services.downloads import Download, DownloadState

MIB = 1 << 20


def download(state: DownloadState, done: int = 25 * MIB, problem: str = "") -> Download:
    """One of 100 MiB."""
    record = DownloadRecord("o/r", "1" * 40, "Q4_0", "mit", (RecordedFile("m.gguf", "m.gguf", 100 * MIB, "0" * 64),), 0)
    return Download(Path("m"), record, state, Progress("downloading", done, 100 * MIB), problem)


@pytest.fixture
def ring(shown: Callable[..., QWidget]) -> DownloadIndicator:
    """The ring in a window that can be seen."""
    around = QWidget()
    made = DownloadIndicator(around)
    shown(around, 100, 60)
    return made


def colours(ring: DownloadIndicator) -> set[str]:
    """All that are in its picture."""
    image = ring.grab().toImage()
    return {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())}


def test_it_is_there_only_while_something_is_not_finished(ring: DownloadIndicator) -> None:
    assert not ring.isVisible()
    ring.show_downloads((download("running"),))
    assert ring.isVisible()
    ring.show_downloads(())
    assert not ring.isVisible()


def test_it_fills_in_the_colour_of_what_is_alive_and_says_how_far_it_is(ring: DownloadIndicator) -> None:
    ring.show_downloads((download("running"), download("waiting", 0)))
    assert ring.toolTip() == "Downloading m: 25 MiB of 100 MiB. 1 more to come."
    assert ring.accessibleName() == ring.toolTip()
    assert theme.LIGHT.accent.lower() in colours(ring)


def test_at_rest_it_is_calm(ring: DownloadIndicator) -> None:
    ring.show_downloads((download("paused"),))
    assert ring.toolTip() == "1 download is paused."
    assert theme.LIGHT.accent.lower() not in colours(ring)


def test_a_failure_is_a_sign_of_its_own(ring: DownloadIndicator) -> None:
    ring.show_downloads((download("paused"), download("failed", problem="The disk is full.")))
    assert ring.toolTip() == "1 download stopped. Click to see why."
