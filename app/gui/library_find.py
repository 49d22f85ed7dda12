"""Asks a hub what the page that finds models wants to know, and starts downloads from it."""

from typing import Final

from PySide6.QtCore import QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices

from app.core.errors import EmberError
from app.core.fit import Need, fit, is_hopeless
from app.core.hub_files import FoundRepository, choose, preferred
from app.core.units import format_bytes
from app.gui import library_words as words
from app.gui.library_find_page import FindPage
from app.gui.library_rows import Row
from app.gui.library_trouble import OFFLINE
from app.protocol.answers import Statistics
from app.services.background import run_in_background
from app.services.first_models import FirstModel, first_model_for, first_models, is_for
from app.services.hub_token import store_token
from app.services.model_search import Offer, hub_address, hub_name
from app.services.this_machine import this_machine
from app.services.workspace import Workspace

FIRST: Final = "first:"
"""Before the place in the list, in the keys of the good first models."""
FOUND: Final = "hub:"
FIRST_HEADING: Final = "Good first models, by the memory of the computer"


def not_asked(hub: str) -> str:
    """What stands above the search before anything was asked."""
    return f"Searching asks {hub}. Nothing was asked yet."


class LibraryFind(QObject):
    """Connects the page with `ModelSearch` and `Downloads`; made with the dialog and gone with it."""

    started = Signal(object)
    """A download began: what it is called by, a Path."""

    def __init__(self, page: FindPage, workspace: Workspace) -> None:
        """Show the good first models; nothing is asked."""
        super().__init__(page)
        self._page = page
        self._search, self._downloads = workspace.model_search, workspace.downloads
        self._engine = workspace.engine
        self._hub = hub_name()
        self._statistics: Statistics | None = None
        self._found: tuple[FoundRepository, ...] | None = None
        self._asked_words = self._found_words = ""
        self._sort = "downloads"
        self._repository = ""
        self._wanted_file = ""
        """The file of the repository that is proposed; empty for the one that suits most."""
        self._is_first_wish = False
        """Whether the proposed file is downloaded as soon as it is known."""
        self._offer: Offer | None = None
        page.search_requested.connect(self._ask)
        page.opened.connect(self._open)
        page.left.connect(self._leave)
        page.download_requested.connect(self._download)
        page.page_requested.connect(self._show_page)
        page.stop_requested.connect(self._stop)
        page.only_fitting_changed.connect(self._show_found)
        page.offline_chosen.connect(self._set_offline)
        page.trouble.retry_requested.connect(self._try_again)
        page.trouble.network_requested.connect(self._allow_network)
        page.trouble.token_given.connect(self._keep_token)
        self._search.found.connect(self._take_found)
        self._search.offered.connect(self._take_offer)
        self._search.failed.connect(self._failed)
        self._search.offline_changed.connect(self._offline_changed)
        self._engine.statistics.connect(self._take)
        self._offline_changed(self._search.is_offline)
        self._show_found()

    def close(self) -> None:
        """Wait for no answer any more."""
        self._page.rest()
        self._search.stop()

    def get_first(self, model: FirstModel) -> None:
        """Look at one of the good first models, and download it as soon as the hub told what it is."""
        self.look(model.repository, model.file)
        self._is_first_wish = True

    # --- searching ---------------------------------------------------------------------------------------------------

    def _ask(self, text: str, sort: str) -> None:
        self._asked_words, self._sort = text, sort
        self._page.trouble.show_trouble("", "")
        self._page.nothing.hide()  # it was said of other words
        if not text:
            self._search.stop()
            self._found = None
            self._page.set_busy("")
            self._show_found()
            return
        self._page.set_busy(f"Asking {self._hub}…")
        self._search.search(text, sort)

    def _take_found(self, found: tuple[FoundRepository, ...]) -> None:
        self._page.set_busy("")
        self._found, self._found_words = found, self._asked_words
        self._show_found()

    def _show_found(self) -> None:
        """The results, or the good first models while nothing was searched."""
        machine = this_machine(self._statistics)
        if self._found is None:
            rows = [self._first_row(number, model) for number, model in enumerate(first_models())]
            self._page.show_results(FIRST_HEADING, rows, "")
            self._page.note.setText(not_asked(self._hub))
            self._page.note.show()
            return
        self._page.note.hide()
        only = self._page.only_fitting.isChecked()
        shown = [found for found in self._found if not (only and is_hopeless(found.parameters, machine))]
        hidden = len(self._found) - len(shown)
        nothing = f"{self._hub} has no GGUF models with “{self._found_words}” in their names."
        if hidden:
            nothing = f"{hidden} were found, and none fits this computer."
        heading = f"{len(shown)} found with “{self._found_words}”" + (f", {hidden} too large" if hidden else "")
        self._page.show_results(heading if shown else "", [self._found_row(found) for found in shown], nothing)

    def _first_row(self, number: int, model: FirstModel) -> Row:
        machine = this_machine(self._statistics)
        told = fit(Need(model.about_bytes, 0, 0), machine)
        tone = words.FIT_TONES[told.verdict]
        memory = machine.cpu.total
        is_best = model == first_model_for(memory) and is_for(model, memory)
        suits = "It suits this computer." if is_best else ""
        lines = [(f"{model.why} {suits}".strip(), "soft"), (words.first_line(model), "faint")]
        if told.verdict == "too_large":
            lines.append((told.sentence, tone))
        return Row(f"{FIRST}{number}", model.name, format_bytes(model.about_bytes), tuple(lines))

    def _found_row(self, found: FoundRepository) -> Row:
        machine = this_machine(self._statistics)
        lines = [(words.found_line(found), "soft")]
        if is_hopeless(found.parameters, machine):
            lines.append(("Too large for this computer, even with four bits a weight.", "warning"))
        return Row(
            FOUND + found.id, found.id, words.popularity(found), tuple((text, tone) for text, tone in lines if text)
        )

    # --- one repository ----------------------------------------------------------------------------------------------

    def _open(self, key: str) -> None:
        if key.startswith(FIRST):
            model = first_models()[int(key.removeprefix(FIRST))]
            self.look(model.repository, model.file)
        else:
            self.look(key.removeprefix(FOUND))

    def look(self, repository: str, file: str = "") -> None:
        """Turn to a repository and ask what it offers; `file` is proposed of it."""
        self._repository, self._wanted_file, self._offer = repository, file, None
        self._is_first_wish = False
        self._page.rest()
        self._search.stop()  # the answer to a search would come into a page that shows something else
        self._page.say("")
        self._page.trouble.show_trouble("", "")
        self._page.show_repository(repository)
        self._page.set_busy(f"Asking {self._hub}…")
        self._search.look(repository)

    def _take_offer(self, offer: Offer) -> None:
        self._page.set_busy("")
        self._offer = offer
        repository, refusal = offer.repository, offer.refusal
        about = [
            f"Licence: {repository.licence}." if repository.licence else "It names no licence; see its page.",
            "Its owner asks you to accept conditions on its page." if repository.is_gated and refusal is None else "",
            offer.problem,
        ]
        self._page.show_about(" ".join(filter(None, about)), "warning" if offer.problem else "soft")
        proposed = choose(repository.variants, self._wanted_file) if self._wanted_file else None
        proposed = proposed or preferred(repository.variants)
        self._page.set_locked(refusal is not None)
        self._show_variants(proposed.label if proposed is not None else "")
        if refusal is not None:
            self._failed(refusal.kind, refusal.sentence)
        elif self._is_first_wish and proposed is not None:
            self._is_first_wish = False
            self._download(proposed.label)

    def _show_variants(self, proposed: str) -> None:
        offer, machine = self._offer, this_machine(self._statistics)
        if offer is None:
            return
        rows = []
        is_usable = offer.facts is None or offer.facts.kind == "model"
        for variant in offer.repository.variants if is_usable else ():
            told = offer.fit(variant, machine)
            lines = [(told.sentence, words.FIT_TONES[told.verdict])] if told is not None else []
            count = len(variant.files)
            lines.append((f"{count} files" if count > 1 else variant.files[0].name, "faint"))
            rows.append(Row(variant.label, variant.label, format_bytes(variant.size), tuple(lines)))
        self._page.show_variants(rows, proposed)

    def _download(self, label: str) -> None:
        variant = choose(self._offer.repository.variants, label) if self._offer is not None else None
        if self._offer is None or variant is None:
            return
        try:
            path = self._downloads.start(self._offer.repository, variant)
        except EmberError as error:
            self._page.say(error.sentence, "warning")
            return
        self.started.emit(path)

    def _leave(self) -> None:
        self._search.stop()
        self._page.set_busy("")
        self._page.say("")
        self._page.trouble.show_trouble("", "")
        self._offer = None
        self._page.show_search()
        self._page.results.setFocus()

    def _show_page(self) -> None:
        if not QDesktopServices.openUrl(QUrl(f"{hub_address()}/{self._repository}")):
            self._page.say(f"No program here shows web pages. The address is {hub_address()}/{self._repository}.")

    # --- trouble -----------------------------------------------------------------------------------------------------

    def _failed(self, kind: str, sentence: str) -> None:
        self._page.set_busy("")
        self._page.trouble.show_trouble(kind, sentence, has_page=self._page.is_at_repository and kind != OFFLINE)

    def _stop(self) -> None:
        self._search.stop()
        self._page.set_busy("")
        self._failed("stopped", "It was not waited for any longer. Nothing was changed.")

    def _try_again(self) -> None:
        if self._page.is_at_repository:
            is_first_wish = self._is_first_wish
            self.look(self._repository, self._wanted_file)
            self._is_first_wish = is_first_wish
        else:
            self._ask(self._asked_words, self._sort)

    def _keep_token(self, token: str) -> None:
        """Keep it in the keyring, which may ask for a password of its own, and try again."""

        def kept(_: None) -> None:
            if token:
                self._try_again()
            else:
                self._page.say("The token that was kept is forgotten.")

        run_in_background(
            self, lambda: store_token(token), kept, lambda error: self._failed(error.kind, error.sentence)
        )

    # --- the network, the machine ------------------------------------------------------------------------------------

    def _set_offline(self, is_offline: bool) -> None:
        self._search.set_offline(is_offline)

    def _allow_network(self) -> None:
        self._search.set_offline(False)
        self._try_again()

    def _offline_changed(self, is_offline: bool) -> None:
        self._page.set_offline(is_offline)
        if is_offline:
            self._search.stop()
            self._page.set_busy("")

    def _take(self, statistics: Statistics) -> None:
        """The GPUs are known; later figures would only make the lists restless."""
        if self._statistics is None:
            self._statistics = statistics
            self._show_found()
            self._show_variants(self._page.variants.chosen_key())
