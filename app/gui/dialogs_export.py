"""The export dialog: the format, which branches, whether the saved state goes along, and how large it gets."""

from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFrame,
    QRadioButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.core.units import format_bytes
from app.gui import theme
from app.gui.model_fields import words
from app.gui.parts import ElidedLabel, set_kind, set_tone
from app.services.transfer import SUFFIXES, Branches, ExportFormat

INDENT: Final = 20
"""Pixels from a button's sign to its words."""
_WIDTH: Final = 520
MINIMUM: Final = QSize(380, 340)
STATE_ABOUT: Final = "Read back on this computer, the next reply reads only the new words."


@dataclass(frozen=True, slots=True)
class Form:
    """A format as a person chooses it."""

    key: ExportFormat
    name: str
    about: str
    """What it holds, in a line."""
    branches: tuple[Branches, ...]
    """Which it can hold; the first is what it holds if nothing is chosen."""

    @property
    def filter(self) -> str:
        """For the system's dialog."""
        return f"{self.name} (*{SUFFIXES[self.key]})"


FORMS: Final = (
    Form("ember", "Ember archive", "Everything; Ember reads it back as it was, with all branches.", ("all",)),
    Form("markdown", "Markdown", "The texts, to read and edit anywhere; Ember reads them back.", ("all", "one")),
    Form("json", "JSON", "The messages as OpenAI's API takes them, for other programs.", ("one", "all")),
    Form("text", "Plain text", "The words alone.", ("one", "all")),
    Form("html", "Web page", "What you see, with its colours, in one HTML file.", ("one",)),
    Form("pdf", "PDF", "What you see, on pages to print or to send.", ("one",)),
)


def form_of(key: ExportFormat) -> Form:
    """The format with that key."""
    return next(form for form in FORMS if form.key == key)


@dataclass(frozen=True, slots=True)
class ExportChoice:
    """What the person chose."""

    form: ExportFormat = "ember"
    branches: Branches | None = None
    """None where the format holds but one of them."""
    with_state: bool = False


@dataclass(frozen=True, slots=True)
class StateOffer:
    """The saved state that can go along."""

    bytes: int = 0
    why_not: str = ""
    """A sentence, where it cannot."""


class FormRow(QWidget):
    """A format to choose, with its line below; a click on either chooses it."""

    def __init__(self, form: Form, parent: QWidget) -> None:
        super().__init__(parent)
        self.form = form
        self.button = QRadioButton(f"{form.name}  {SUFFIXES[form.key]}", self)
        self.button.setAccessibleDescription(form.about)
        about = words(form.about, self)
        about.setContentsMargins(INDENT, 0, 0, 0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.button)
        column.addWidget(about)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose it."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.button.setFocus(Qt.FocusReason.MouseFocusReason)
            self.button.click()


class ExportDialog(QDialog):
    """Asks how something is exported; `choice()` after it was accepted."""

    changed = Signal()
    """Another format, or other branches, were chosen: the text's size may be another."""

    def __init__(self, what: str, choice: ExportChoice, parent: QWidget) -> None:
        """`what` is exported, such as `“Roman roads”`; begin with a choice."""
        super().__init__(parent)
        self._offer = StateOffer(why_not="What is saved is not known just now; wait a moment.")
        self._text_bytes: int | None = None
        self._size_words = ""
        self.setWindowTitle("Export")
        self._build(what)
        self._rows[choice.form].button.setChecked(True)
        self.state.setChecked(choice.with_state)
        self._group.buttonToggled.connect(self._form_toggled)
        self._branch_group.buttonToggled.connect(self._branch_toggled)
        self.state.toggled.connect(self._show_size)
        self._follow_form(choice.branches)
        self._fit(parent)

    # --- what it shows -----------------------------------------------------------------------------------------------

    def choice(self) -> ExportChoice:
        """What is chosen now."""
        form = self._form()
        branches: Branches | None = "all" if self.all_branches.isChecked() else "one"
        return ExportChoice(
            form.key,
            branches if len(form.branches) > 1 else None,
            self.state.isEnabled() and self.state.isChecked() and form.key == "ember",
        )

    def show_state(self, offer: StateOffer) -> None:
        """What is saved; the tick stays as it is while it cannot be given."""
        self._offer = offer
        self._follow_form(self.choice().branches)

    def show_text_size(self, size: int | None, instead: str = "") -> None:
        """The bytes of the text as it is chosen; None while that is not known, then `instead` stands there."""
        self._text_bytes, self._size_words = size, instead
        self._show_size()

    def refuse(self, sentence: str) -> None:
        """It cannot be exported like this; an empty sentence allows it again."""
        self.refusal.setText(sentence)
        self.refusal.setVisible(bool(sentence))
        self.export.setEnabled(not sentence)

    # --- building ----------------------------------------------------------------------------------------------------

    def _build(self, what: str) -> None:
        page = QWidget(self)
        column = QVBoxLayout(page)
        column.setContentsMargins(20, 16, 20, 8)
        column.setSpacing(10)
        heading = ElidedLabel(f"Export {what}", page)
        heading.setFont(theme.font("title"))
        column.addWidget(heading)
        column.addSpacing(2)
        self._group, self._branch_group = QButtonGroup(self), QButtonGroup(self)
        self._rows: dict[ExportFormat, FormRow] = {}
        for form in FORMS:
            row = self._rows[form.key] = FormRow(form, page)
            self._group.addButton(row.button)
            column.addWidget(row)
        column.addWidget(self._build_branches(page))
        column.addWidget(self._build_state(page))
        column.addStretch(1)
        area = QScrollArea(self)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(page)
        self._page = page
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(area, 1)
        whole.addWidget(self._build_foot())

    def _build_branches(self, page: QWidget) -> QWidget:
        box = QWidget(page)
        self.all_branches = QRadioButton("All branches", box)
        self.one_branch = QRadioButton("The branch that is shown", box)
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(4)
        for button in (self.all_branches, self.one_branch):
            self._branch_group.addButton(button)
            column.addWidget(button)
        return box

    def _build_state(self, page: QWidget) -> QWidget:
        box = QWidget(page)
        self.state = QCheckBox("With the saved state", box)
        self.state_about = words("", box)
        self.state_about.setContentsMargins(INDENT, 0, 0, 0)
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.state)
        column.addWidget(self.state_about)
        return box

    def _build_foot(self) -> QWidget:
        foot = QWidget(self)
        self.size_line, self.refusal = words("", foot, "faint"), words("", foot, "warning")
        self.size_line.setAccessibleName("Size")
        self.refusal.hide()
        buttons = QDialogButtonBox(foot)
        self.export = buttons.addButton("Export…", QDialogButtonBox.ButtonRole.AcceptRole)
        set_kind(self.export, "primary")
        self.export.setDefault(True)
        buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(foot)
        column.setContentsMargins(20, 8, 20, 16)
        column.setSpacing(8)
        for widget in (self.refusal, self.size_line, buttons):
            column.addWidget(widget)
        self._foot = foot
        return foot

    def _fit(self, parent: QWidget) -> None:
        """As high as all of it, if the window is."""
        width = theme.scaled(_WIDTH)
        high = self._page.heightForWidth(width) if self._page.hasHeightForWidth() else self._page.sizeHint().height()
        wanted = QSize(width, high + self._foot.sizeHint().height())
        self.setMinimumSize(MINIMUM)
        self.resize(wanted.boundedTo(parent.window().size().expandedTo(MINIMUM)))

    # --- inside ------------------------------------------------------------------------------------------------------

    def _form(self) -> Form:
        return next(row.form for row in self._rows.values() if row.button.isChecked())

    def _form_toggled(self, _button: object, is_on: bool) -> None:
        if is_on:
            self._follow_form(None)
            self.changed.emit()

    def _branch_toggled(self, _button: object, is_on: bool) -> None:
        if is_on and self.all_branches.isEnabled():
            self.changed.emit()

    def _follow_form(self, branches: Branches | None) -> None:
        """What can be chosen with this format, and `branches`, or what it holds by itself."""
        form = self._form()
        self._branch_group.blockSignals(True)
        chosen = branches if branches in form.branches else form.branches[0]
        (self.all_branches if chosen == "all" else self.one_branch).setChecked(True)
        self._branch_group.blockSignals(False)
        for button in (self.all_branches, self.one_branch):
            button.setEnabled(len(form.branches) > 1)
        why_not = "Only an Ember archive can carry it." if form.key != "ember" else self._offer.why_not
        self.state.setEnabled(not why_not)
        size = f"With the saved state, {format_bytes(self._offer.bytes)}" if self._offer.bytes else ""
        self.state.setText(size or "With the saved state")
        self.state_about.setText(why_not or STATE_ABOUT)
        self.state.setAccessibleDescription(why_not or STATE_ABOUT)
        set_tone(self.state_about, "soft" if not why_not else "faint")
        self._show_size()

    def _show_size(self) -> None:
        text = self._size_words if self._text_bytes is None else f"text {format_bytes(self._text_bytes)}"
        state = f"state {format_bytes(self._offer.bytes)}" if self.choice().with_state else ""
        line = ", ".join(part for part in (text, state) if part)
        self.size_line.setText(line[:1].upper() + line[1:])
