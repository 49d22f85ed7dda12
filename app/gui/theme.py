"""How the window looks: which palette is in use, the fonts, and following the system while the app runs."""

from typing import Final, Literal, cast

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QFontInfo, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from app.gui.palettes import (
    DARK,
    HIGH_CONTRAST,
    HIGH_CONTRAST_DARK,
    HIGH_CONTRAST_LIGHT,
    LIGHT,
    PALETTES,
    Palette,
)
from app.gui.style_sheet import style_sheet

__all__ = ["DARK", "HIGH_CONTRAST", "LIGHT", "PALETTES", "Palette"]

Preference = Literal["system", "light", "dark"]
FontRole = Literal["body", "strong", "title", "small", "small_strong", "tiny", "caption"]

COLUMN: Final = 760
"""The widest column of words, in device-independent pixels."""

_BODY_PIXELS: Final = 14
"""10.5 pt at 96 dots an inch; a larger font of the system's enlarges everything with it."""

TEXT_SIZES: Final = (80, 90, 100, 110, 125, 150, 175, 200)
"""What the text of the chat can be enlarged to, in per cent of the window's own text."""

# What to take where no desktop names a font of its own ("Sans Serif" is Qt's word for: nobody said).
_SANS: Final = ("Inter", "Cantarell", "Ubuntu", "Noto Sans", "Open Sans", "DejaVu Sans")
_MONO: Final = (
    "JetBrains Mono", "Cascadia Mono", "SF Mono", "Menlo", "Consolas", "Noto Sans Mono", "DejaVu Sans Mono",
)  # fmt: skip

# role -> pixels beside the body's, weight
_ROLES: Final[dict[FontRole, tuple[int, QFont.Weight]]] = {
    "body": (0, QFont.Weight.Normal),
    "strong": (0, QFont.Weight.DemiBold),
    "title": (3, QFont.Weight.DemiBold),
    "small": (-2, QFont.Weight.Normal),
    "small_strong": (-2, QFont.Weight.DemiBold),
    "tiny": (-3, QFont.Weight.Normal),
    "caption": (-3, QFont.Weight.DemiBold),
}


class ThemeNotifier(QObject):
    """Says when the palette in use has changed; what paints by itself repaints on it."""

    changed = Signal()
    text_size_changed = Signal()
    """The chat's text is to be shown in another size; the rest of the window keeps its own."""


class _Theme:
    """The state behind this module's functions: one per process, as there is one application."""

    def __init__(self) -> None:
        self.notifier = ThemeNotifier()
        self.palette = LIGHT
        self.preference: Preference = "system"
        self.system_scheme = Qt.ColorScheme.Unknown
        self.high_contrast = False
        self.family = ""
        self.body_pixels = _BODY_PIXELS
        self.text_size = 100
        self.app: QApplication | None = None

    def chosen(self) -> Palette:
        """The palette that preference and system ask for."""
        dark = self.preference == "dark" or (self.preference == "system" and self.system_scheme == Qt.ColorScheme.Dark)
        if self.high_contrast:
            return HIGH_CONTRAST_DARK if dark else HIGH_CONTRAST_LIGHT
        return DARK if dark else LIGHT

    def refresh(self, *, force: bool = False) -> None:
        """Take the chosen palette into use, if it is another one."""
        palette = self.chosen()
        if palette is self.palette and not force:
            return
        self.palette = palette
        if self.app is not None:
            self.app.setPalette(qt_palette(palette))
            self.app.setStyleSheet(style_sheet(palette))
        self.notifier.changed.emit()

    def on_scheme(self, scheme: Qt.ColorScheme) -> None:
        """The system went light or dark (or our own request to the platform came back)."""
        if self.preference == "system":
            self.system_scheme = scheme
            self.refresh()

    def on_contrast(self, preference: Qt.ContrastPreference) -> None:
        """The system's wish for contrast changed."""
        self.high_contrast = preference == Qt.ContrastPreference.HighContrast
        self.refresh()


_theme = _Theme()


def install(app: QApplication) -> None:
    """Dress the application: Fusion, fonts, palette and style sheet; from then on it follows the system."""
    if _theme.app is app:
        return
    _theme.app = app
    hints = QGuiApplication.styleHints()
    scheme = hints.colorScheme()
    if scheme == Qt.ColorScheme.Unknown and _looks_dark(app.palette()):
        scheme = Qt.ColorScheme.Dark
    _theme.system_scheme = scheme
    app.setStyle("Fusion")
    _choose_fonts(app)
    hints.colorSchemeChanged.connect(_theme.on_scheme)
    contrast = hints.accessibility()
    _theme.high_contrast = contrast.contrastPreference() == Qt.ContrastPreference.HighContrast
    contrast.contrastPreferenceChanged.connect(_theme.on_contrast)
    _theme.refresh(force=True)


def current() -> Palette:
    """The palette in use."""
    return _theme.palette


def notifier() -> ThemeNotifier:
    """The object whose `changed` signal follows each change of palette."""
    return _theme.notifier


def preference() -> Preference:
    """What the person chose."""
    return _theme.preference


def set_preference(choice: Preference) -> None:
    """Follow the system, or stay light or dark; title bars go along where the platform lets them."""
    _theme.preference = choice
    if _theme.app is not None:
        hints = QGuiApplication.styleHints()
        if choice == "system":
            hints.unsetColorScheme()
            if hints.colorScheme() != Qt.ColorScheme.Unknown:
                _theme.system_scheme = hints.colorScheme()
        else:
            hints.setColorScheme(Qt.ColorScheme.Dark if choice == "dark" else Qt.ColorScheme.Light)
    _theme.refresh()


def font(role: FontRole = "body") -> QFont:
    """The font of one role."""
    pixels, weight = _ROLES[role]
    made = QFont(_theme.family) if _theme.family else QFont()
    made.setPixelSize(_theme.body_pixels + pixels)
    made.setWeight(weight)
    return made


def scaled(pixels: int) -> int:
    """A width in pixels that suits text of the usual size, for the size that the system asks for."""
    return round(pixels * _theme.body_pixels / _BODY_PIXELS)


def text_size() -> int:
    """How large the chat's text is, in per cent of the window's own: one of `TEXT_SIZES`."""
    return _theme.text_size


def set_text_size(percent: int) -> None:
    """Show the chat's text in the nearest of `TEXT_SIZES`."""
    nearest = min(TEXT_SIZES, key=lambda size: abs(size - percent))
    if nearest != _theme.text_size:
        _theme.text_size = nearest
        _theme.notifier.text_size_changed.emit()


def chat_font() -> QFont:
    """The font of messages, as they are read and as they are written."""
    made = font("body")
    made.setPixelSize(in_chat(made.pixelSize()))
    return made


def in_chat(pixels: int) -> int:
    """A measure in pixels that suits the window's own text, for the size of the chat's."""
    return round(pixels * _theme.text_size / 100)


def mono_font() -> QFont:
    """The chat's font for code: the first good one that is installed, else the system's own."""
    for family in _MONO:
        if QFontDatabase.hasFamily(family):
            made = QFont(family)
            break
    else:
        made = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
    made.setStyleHint(QFont.StyleHint.Monospace)
    made.setPixelSize(in_chat(_theme.body_pixels - 1))
    return made


def color(role: str) -> QColor:
    """A colour of the palette in use by its name; AttributeError for a name that is none."""
    return QColor(cast(str, getattr(_theme.palette, role)))


def qt_palette(palette: Palette) -> QPalette:
    """The same colours in Qt's roles."""
    role = QPalette.ColorRole
    made = QPalette()
    table = {
        role.Window: palette.window,
        role.WindowText: palette.text,
        role.Base: palette.card,
        role.AlternateBase: palette.code,
        role.Text: palette.text,
        role.Button: palette.card,
        role.ButtonText: palette.text,
        role.BrightText: palette.text,
        role.ToolTipBase: palette.card,
        role.ToolTipText: palette.text,
        role.PlaceholderText: palette.text_faint,
        role.Highlight: palette.selection,
        role.HighlightedText: palette.text,
        role.Link: palette.link,
        role.LinkVisited: palette.link,
        role.Accent: palette.accent,
        role.Light: palette.card,
        role.Midlight: palette.hover,
        role.Mid: palette.border,
        role.Dark: palette.border,
        role.Shadow: palette.border,
    }
    for which, value in table.items():
        made.setColor(which, QColor(value))
    for which in (role.WindowText, role.Text, role.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, which, QColor(palette.text_faint))
    return made


def _looks_dark(palette: QPalette) -> bool:
    """Whether a platform that names no scheme hands out light words on a dark window."""
    words, window = palette.color(QPalette.ColorRole.WindowText), palette.color(QPalette.ColorRole.Window)
    return words.lightness() > window.lightness()


def _choose_fonts(app: QApplication) -> None:
    """Take the system's font and size; where no desktop names one, the first good family installed."""
    given = app.font()
    family = given.family()
    if family in ("Sans Serif", "Sans", "sans-serif", ""):
        family = next((name for name in _SANS if QFontDatabase.hasFamily(name)), family)
    _theme.family = family
    _theme.body_pixels = max(_BODY_PIXELS, QFontInfo(given).pixelSize())
    app.setFont(font("body"))
