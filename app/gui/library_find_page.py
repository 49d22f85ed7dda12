"""The page that finds models on a hub: the search with its results, and one repository with what it offers."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.gui import icons, theme
from app.gui.library_rows import Row, RowsView
from app.gui.library_trouble import TroubleBox
from app.gui.parts import ElidedLabel, icon_button, set_tone, small_words
from app.gui.progress_row import StopRow

SORTS: Final = (
    ("Most downloaded", "downloads"),
    ("Most liked", "likes"),
    ("Newest", "last_modified"),
    ("Trending", "trending_score"),
)
FIELD: Final = 32
"""The height of a field and of what stands beside it, in pixels."""
TYPING_MS: Final = 600
"""A search begins when nobody has typed for so long."""
SHORTEST: Final = 2
"""Letters that are searched for without Enter."""
PATIENCE_MS: Final = 400
"""After which it is shown that the hub is asked."""


class FindPage(QWidget):
    """Shows rows; says what is searched, opened and downloaded. It asks nobody by itself."""

    search_requested = Signal(str, str)
    """Words and order; empty words: the good first models shall be shown again."""
    opened = Signal(str)
    """The key of a result."""
    left = Signal()
    """Back from a repository to the results."""
    download_requested = Signal(str)
    """The key of a variant."""
    page_requested = Signal()
    """The page of the repository that is shown, in the browser."""
    stop_requested = Signal()
    """The answer is not waited for any more."""
    only_fitting_changed = Signal()
    offline_chosen = Signal(bool)

    def __init__(self, hub: str, parent: QWidget) -> None:
        """`hub` is what the place is called that is searched."""
        super().__init__(parent)
        self._hub = hub
        self._is_locked = False
        self._build()
        self._typing = self._timer(TYPING_MS, self.search)
        self._patience = self._timer(PATIENCE_MS, lambda: self._busy.show())
        self._connect()
        self._order_for_the_keyboard()
        self.show_results("", (), "")

    # --- what it shows -----------------------------------------------------------------------------------------------

    def show_results(self, heading: str, rows: Sequence[Row], nothing: str) -> None:
        """Show what was found, or the good first models; `nothing` stands where there are no rows."""
        self.heading.setText(heading)
        self.heading.setVisible(bool(heading))
        self.results.show_rows(rows)
        self.results.setVisible(bool(rows))
        self.nothing.setText(nothing)
        self.nothing.setVisible(not rows)

    def show_about(self, words: str, tone: str = "soft") -> None:
        """What is to be known of the repository; empty for nothing yet."""
        self.about.setText(words)
        set_tone(self.about, tone)
        self.about.setVisible(bool(words))

    def show_repository(self, name: str) -> None:
        """Turn to a repository, of which nothing is known yet but its name."""
        self.title.setText(name)
        self.show_about("")
        self.show_variants((), "")
        self._turn(1)
        self.back.setFocus(Qt.FocusReason.OtherFocusReason)

    def show_variants(self, rows: Sequence[Row], chosen: str) -> None:
        """What can be downloaded from the repository, and which of it is proposed."""
        self.variants.show_rows(rows)
        self.variants.setVisible(bool(rows))
        if chosen:
            self.variants.choose(chosen)
        if rows and self.back.hasFocus():
            self.variants.setFocus(Qt.FocusReason.OtherFocusReason)
        self._show_chosen()

    def show_search(self) -> None:
        """Turn back to the results."""
        self._turn(0)

    @property
    def is_at_repository(self) -> bool:
        """Whether a repository is shown."""
        return self._body.currentIndex() == 1

    def set_busy(self, words: str) -> None:
        """The hub is asked, in words; empty when that is over."""
        self._busy.words.setText(words)
        if not words:
            self._patience.stop()
            self._busy.hide()
        elif self._busy.isHidden():
            self._patience.start()

    def set_offline(self, is_offline: bool) -> None:
        """Whether nothing is asked of the hub."""
        self.offline.setChecked(is_offline)
        self._show_chosen()

    def set_locked(self, is_locked: bool) -> None:
        """Whether the hub gives the files of the repository that is shown to nobody as yet."""
        self._is_locked = is_locked

    def say(self, words: str, tone: str = "soft") -> None:
        """What became of the wish to download."""
        self.outcome.setText(words)
        set_tone(self.outcome, tone)
        self.outcome.setVisible(bool(words))

    # --- building ----------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.trouble = TroubleBox(self)
        self.offline = QCheckBox("Stay offline: ask nothing of any hub", self)
        self.offline.setToolTip("Nothing is searched, and downloads rest; the models on this computer work as ever.")
        self.outcome = small_words("", self, "soft")
        self.outcome.hide()
        self._top, self._body = QStackedWidget(self), QStackedWidget(self)
        self._parts = (self._build_search(), self._build_head())
        for part in self._parts:
            self._top.addWidget(part)
        self._body.addWidget(self._build_results())
        self._body.addWidget(self._build_variants())
        self._top.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self._body.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Ignored)  # what is above goes first
        self._turn(0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 12, 0, 0)
        column.setSpacing(8)
        column.addWidget(self._top)
        column.addWidget(self._build_busy())
        column.addWidget(self.trouble)
        column.addWidget(self._body, 1)
        column.addWidget(self.outcome)
        column.addWidget(self.offline)
        for button in self.findChildren(QPushButton):
            button.setAutoDefault(False)

    def _build_search(self) -> QWidget:
        page = QWidget(self)
        self.words = QLineEdit(page)
        self.words.setPlaceholderText(f"Search {self._hub}")
        self.words.setAccessibleName(f"Search {self._hub} for models")
        self.words.setClearButtonEnabled(True)
        self.words.addAction(icons.icon("search", "text_faint"), QLineEdit.ActionPosition.LeadingPosition)
        self.sort = QComboBox(page)
        self.sort.addItems([words for words, _key in SORTS])
        self.sort.setAccessibleName("Order of the results")
        self.only_fitting = QCheckBox("Only what fits this computer", page)
        self.note = small_words("", self, "soft")
        self.sort.setMinimumHeight(FIELD)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.words, 1)
        row.addWidget(self.sort)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(row)
        column.addWidget(self.only_fitting)
        column.addWidget(self.note)
        return page

    def _build_head(self) -> QWidget:
        page = QWidget(self)
        self.back = icon_button("left", "Back to the results", page)
        self.title = ElidedLabel("", page)
        self.title.setFont(theme.font("strong"))
        self.page_link = QPushButton("Its page", page)
        self.page_link.setProperty("kind", "link")
        self.page_link.setToolTip(f"Opens the model's page at {self._hub} in the browser: its description and licence.")
        self.about = small_words("", self, "soft")
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.back)
        row.addWidget(self.title, 1)
        row.addWidget(self.page_link)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.about)
        return page

    def _build_busy(self) -> QWidget:
        self._busy = StopRow(self)
        self._busy.bar.setRange(0, 0)
        self.stop = self._busy.stop
        return self._busy

    def _build_results(self) -> QWidget:
        page = QWidget(self)
        self.heading = small_words("", page)
        self.heading.setFont(theme.font("small_strong"))
        self.results = RowsView("Models that were found", page, has_dots=False)
        self.nothing = small_words("", self, "faint")
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.heading)
        column.addWidget(self.results, 1)
        column.addWidget(self.nothing, 1)
        return page

    def _build_variants(self) -> QWidget:
        page = QWidget(self)
        self.variants = RowsView("Quantisations of this model", page, has_dots=False)
        self.download = QPushButton("Download", page)
        self.download.setProperty("kind", "primary")
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.variants, 1)
        column.addStretch(0)
        column.addWidget(self.download, 0, Qt.AlignmentFlag.AlignLeft)
        return page

    def _timer(self, milliseconds: int, call: object) -> QTimer:
        timer = QTimer(self, singleShot=True, interval=milliseconds)
        timer.timeout.connect(call)
        return timer

    def _connect(self) -> None:
        self.words.textEdited.connect(self._typed)
        self.words.textChanged.connect(lambda text: None if text else self.search())
        self.words.returnPressed.connect(self.search)
        self.sort.currentIndexChanged.connect(lambda _: self.search() if self.words.text().strip() else None)
        self.only_fitting.toggled.connect(lambda _: self.only_fitting_changed.emit())
        self.results.acted.connect(self.opened)
        self.results.clicked.connect(lambda _index: self._open())
        self.variants.acted.connect(lambda _key: self._download())
        self.variants.chosen.connect(self._show_chosen)
        self.download.clicked.connect(self._download)
        self.back.clicked.connect(self.left)
        self.page_link.clicked.connect(self.page_requested)
        self.trouble.page_requested.connect(self.page_requested)
        self.stop.clicked.connect(self.stop_requested)
        self.offline.clicked.connect(self.offline_chosen)

    def _order_for_the_keyboard(self) -> None:
        """Tab goes from the top to the bottom, whatever was made first."""
        box = self.trouble
        top = (self.words, self.sort, self.only_fitting, self.back, self.page_link, self.stop)
        trouble = (box.retry, box.network, box.page, box.forget, box.token, box.use)
        for one, following in pairwise((*top, *trouble, self.results, self.variants, self.download, self.offline)):
            QWidget.setTabOrder(one, following)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _turn(self, page: int) -> None:
        """Show the search (0) or a repository (1); the top takes only the room that the shown one needs."""
        for number, part in enumerate(self._parts):
            vertical = QSizePolicy.Policy.Preferred if number == page else QSizePolicy.Policy.Ignored
            part.setSizePolicy(QSizePolicy.Policy.Preferred, vertical)
        for stack in (self._top, self._body):
            stack.setCurrentIndex(page)

    def search(self) -> None:
        """Ask for what is written in the field, as Enter does."""
        self._typing.stop()
        self.search_requested.emit(" ".join(self.words.text().split()), SORTS[self.sort.currentIndex()][1])

    def rest(self) -> None:
        """Nobody looks any more: what was typed is not searched for."""
        self._typing.stop()
        self._patience.stop()

    def _typed(self, text: str) -> None:
        if len(text.strip()) >= SHORTEST:
            self._typing.start()
        else:
            self._typing.stop()

    def _open(self) -> None:
        key = self.results.chosen_key()
        if key:
            self.opened.emit(key)

    def _download(self) -> None:
        key = self.variants.chosen_key()
        if key and self.download.isEnabled():
            self.say("")
            self.download_requested.emit(key)

    def _show_chosen(self) -> None:
        can = bool(self.variants.chosen_key()) and not self.offline.isChecked() and not self._is_locked
        self.download.setEnabled(can)
        self.download.setVisible(self.variants.isVisibleTo(self._body))
