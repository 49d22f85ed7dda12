"""The look: contrast, following the system, icons that take the colours of the moment."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QPalette
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication, QCheckBox, QPushButton, QRadioButton, QWidget
from pytestqt.qtbot import QtBot

from app.gui import icons, theme
from app.gui.palettes import Palette
from app.gui.style_sheet import style_sheet

SURFACES = ("window", "page", "sidebar", "card", "code", "hover", "bubble")
WORDS = ("text", "text_soft", "text_faint")
SIGNALS = ("danger", "warning", "link")
CODE = ("code_comment", "code_keyword", "code_string", "code_number", "code_name")


def luminance(colour: str) -> float:
    """WCAG 2's relative luminance of `#RRGGBB`."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.fixture(params=theme.PALETTES, ids=lambda palette: palette.name)
def palette(request: pytest.FixtureRequest) -> Palette:
    """Each palette in turn."""
    chosen: Palette = request.param
    return chosen


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("surface", SURFACES)
def test_words_can_be_read_on_every_surface(palette: Palette, words: str, surface: str) -> None:
    assert contrast(getattr(palette, words), getattr(palette, surface)) >= 4.5


@pytest.mark.parametrize("words", SIGNALS)
@pytest.mark.parametrize("surface", ("window", "page", "sidebar", "card", "hover"))
def test_warnings_and_links_can_be_read_where_they_stand(palette: Palette, words: str, surface: str) -> None:
    assert contrast(getattr(palette, words), getattr(palette, surface)) >= 4.5


@pytest.mark.parametrize("words", CODE)
def test_code_can_be_read_in_its_card(palette: Palette, words: str) -> None:
    assert contrast(getattr(palette, words), palette.code) >= 4.5


def test_selected_words_and_primary_buttons_can_be_read(palette: Palette) -> None:
    assert contrast(palette.text, palette.selection) >= 4.5
    assert contrast(palette.page, palette.text) >= 4.5
    assert contrast(palette.page, palette.text_soft) >= 4.5


def test_signs_stand_out(palette: Palette) -> None:
    assert contrast(palette.accent_text, palette.accent) >= 3
    assert contrast(palette.accent, palette.card) >= 3
    assert contrast(palette.accent, palette.sidebar) >= 3
    assert all(contrast(palette.focus, getattr(palette, surface)) >= 3 for surface in SURFACES)
    assert all(contrast(palette.writing, getattr(palette, surface)) >= 3 for surface in ("page", "card"))


def test_every_colour_is_a_whole_hex_string(palette: Palette) -> None:
    values = [getattr(palette, name) for name in Palette.__slots__ if name not in ("name", "dark")]
    assert all(re.fullmatch("#[0-9A-F]{6}", value) for value in values)
    assert "{" not in style_sheet(palette).replace("{ ", "").replace("{\n", "")


def test_the_window_follows_the_system_while_it_runs(qtbot: QtBot) -> None:
    scheme = QGuiApplication.styleHints().colorSchemeChanged
    with qtbot.waitSignal(theme.notifier().changed):
        scheme.emit(Qt.ColorScheme.Dark)
    assert theme.current() is theme.DARK
    assert QApplication.palette().color(QPalette.ColorRole.Base) == QColor(theme.DARK.card)
    with qtbot.waitSignal(theme.notifier().changed):
        scheme.emit(Qt.ColorScheme.Light)
    assert theme.current() is theme.LIGHT


def test_a_choice_of_the_person_wins_over_the_system() -> None:
    theme.set_preference("dark")
    assert theme.current() is theme.DARK
    QGuiApplication.styleHints().colorSchemeChanged.emit(Qt.ColorScheme.Light)
    assert theme.current() is theme.DARK
    theme.set_preference("system")
    assert theme.current() is theme.LIGHT


def test_high_contrast_is_followed_in_light_and_dark() -> None:
    hints = QGuiApplication.styleHints()
    contrast_hints = hints.accessibility()
    contrast_hints.contrastPreferenceChanged.emit(Qt.ContrastPreference.HighContrast)
    try:
        assert theme.current() is theme.HIGH_CONTRAST[0]
        theme.set_preference("dark")
        assert theme.current() is theme.HIGH_CONTRAST[1]
    finally:
        contrast_hints.contrastPreferenceChanged.emit(Qt.ContrastPreference.NoPreference)
    assert theme.current() is theme.DARK


def test_setting_the_same_choice_again_announces_nothing(qtbot: QtBot) -> None:
    with qtbot.assertNotEmitted(theme.notifier().changed):
        theme.set_preference("system")


def test_code_is_set_in_a_font_of_one_width() -> None:
    assert theme.mono_font().pixelSize() > 0
    assert theme.font("title").pixelSize() > theme.font("body").pixelSize() > theme.font("tiny").pixelSize()


def inked(icon: QIcon) -> QColor:
    """The most opaque colour of an icon."""
    image = icon.pixmap(QSize(32, 32)).toImage()
    pixels = (image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height()))
    return max(pixels, key=lambda pixel: pixel.alpha())


@pytest.mark.parametrize("name", sorted(icons.NAMES))
def test_every_icon_has_a_glyph(name: str) -> None:
    assert inked(icons.icon(name)).alpha() > 200


def test_an_icon_that_exists_takes_the_new_colours() -> None:
    icon = icons.icon("send", "text")
    assert inked(icon).name() == theme.LIGHT.text.lower()
    theme.set_preference("dark")
    assert inked(icon).name() == theme.DARK.text.lower()


def test_an_icon_keeps_a_colour_of_its_own() -> None:
    assert inked(icons.icon("stop", "#123456")).name() == "#123456"


def test_an_unknown_icon_is_refused() -> None:
    with pytest.raises(KeyError, match="no icon named 'rocket'"):
        icons.icon("rocket")


def test_the_apps_icon_is_a_drawing_that_qt_can_paint() -> None:
    drawing = Path(__file__).parents[3] / "app" / "resources" / "icons" / "ember.svg"
    assert QSvgRenderer(str(drawing)).isValid()


@pytest.mark.parametrize("kind", [QCheckBox, QRadioButton])
@pytest.mark.parametrize("preference", ["light", "dark"])
def test_a_button_to_tick_shows_a_ring_while_the_keyboard_is_on_it(
    shown: Callable[..., QWidget], kind: type[QCheckBox | QRadioButton], preference: theme.Preference
) -> None:
    theme.set_preference(preference)
    page = QWidget()
    other, button = QPushButton("Other", page), kind("With saved state", page)
    button.move(20, 60)
    shown(page)

    def is_ringed() -> bool:
        image = button.grab().toImage()
        return image.pixelColor(image.width() // 2, 1) == theme.color("focus")

    other.setFocus()
    assert not is_ringed()
    button.setFocus()
    assert is_ringed()
