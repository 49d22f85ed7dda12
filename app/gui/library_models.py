"""Fills the page of models on this computer from the catalogue, and carries out what is wanted with one of them."""

from collections import defaultdict
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QFileDialog, QMessageBox

from app.core.fit import ORDER
from app.core.offload import Machine
from app.core.units import format_bytes
from app.gui import library_words as words
from app.gui.file_manager import show_file
from app.gui.library_page import Entry, LibraryPage
from app.gui.library_rows import Row
from app.gui.library_verdicts import Verdicts
from app.gui.live_costs import Asks
from app.protocol.answers import Statistics
from app.protocol.parts import ModelInfo, given_back
from app.services.model_catalogue import ModelFile
from app.services.model_verification import Check
from app.services.this_machine import this_machine
from app.services.workspace import Workspace

UNKNOWN_RANK: Final = len(ORDER)


class LibraryModels(QObject):
    """Connects the page with `ModelCatalogue`; made with the dialog and gone with it."""

    load_requested = Signal(object)
    """The Path of a model."""
    settings_requested = Signal(object)
    """The Path of a model."""

    def __init__(self, page: LibraryPage, estimator: Callable[[QObject], Asks], workspace: Workspace) -> None:
        """Show what is known, and look through all places once more."""
        super().__init__(page)
        self._page = page
        self._catalogue, self._engine = workspace.catalogue, workspace.engine
        self._saved, self._library = workspace.saved, workspace.library
        self._verdicts = Verdicts(workspace.model_settings, estimator, self)
        self._statistics: Statistics | None = None
        self._machine = this_machine()
        self._checked: Path | None = None
        """The model that is being verified."""
        page.load_requested.connect(lambda key: self.load_requested.emit(Path(key)))
        page.settings_requested.connect(lambda key: self.settings_requested.emit(Path(key)))
        page.reveal_requested.connect(self._reveal)
        page.verify_requested.connect(self._verify)
        page.stop_requested.connect(self._stop)
        page.remove_requested.connect(self._ask_to_remove)
        page.add_requested.connect(self._add)
        page.list.looked.connect(self._look)
        self._verdicts.changed.connect(self.fill)
        self._catalogue.changed.connect(self.fill)
        self._catalogue.failed.connect(self._failed)
        self._catalogue.told.connect(page.show_outcome)
        self._catalogue.checking.connect(self._checking, Qt.ConnectionType.QueuedConnection)
        self._catalogue.checked.connect(self._check_ended)
        self._saved.changed.connect(self.fill)
        self._engine.model_changed.connect(self._model_changed)
        self._engine.statistics.connect(self._take)
        workspace.model_settings.changed.connect(self._settings_changed)
        self._engine.refresh_statistics()
        self._saved.refresh()
        self._catalogue.refresh()
        self.fill()

    def close(self) -> None:
        """Ask and verify nothing any more."""
        self._verdicts.close()
        self._catalogue.stop_check()

    # --- what is shown -----------------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Show what is known now."""
        model = self._engine.model
        loaded, today = Path(model.path) if model is not None else None, date.today()
        saved = self._saved_bytes()
        entries = [
            self._entry(each, each.path == loaded, saved.get(str(each.path), 0), today)
            for each in self._catalogue.models
        ]
        self._page.show_entries(entries, is_looking=self._catalogue.is_scanning)

    def _saved_bytes(self) -> dict[str, int]:
        """What is saved of each model's file, by its path; looked up once for all of them."""
        usage, models = self._saved.usage, self._saved.models()
        sums: dict[str, int] = defaultdict(int)
        for root in usage.roots if usage is not None else ():
            if root.root in models:
                sums[models[root.root].path] += root.bytes
        return sums

    def _entry(self, model: ModelFile, is_loaded: bool, saved: int, today: date) -> Entry:
        estimated = model.fit(self._machine)
        fit, tone = words.fit_line(estimated, self._verdicts.of(model.path))
        if is_loaded:
            fit, tone = "In memory now.", "soft"
        facts = words.facts_line(model)
        place = words.place_line(model, saved, today)
        lines = ((facts, "soft"), (model.problem, "warning"), (model.notice, "warning"), (fit, tone), (place, "faint"))
        row = Row(
            str(model.path),
            model.name,
            format_bytes(model.size),
            tuple((text, tone) for text, tone in lines if text),
            is_alive=is_loaded,
        )
        refusal = words.remove_refusal(model, is_loaded=is_loaded)
        return Entry(
            row,
            f"{row.spoken} {model.path.name} {model.repository}".casefold(),
            model.size,
            model.last_used or 0.0,
            model.facts.parameters if model.facts is not None else 0,
            ORDER.index(estimated.verdict) if estimated is not None else UNKNOWN_RANK,
            str(model.path),
            can_load=model.is_usable and not is_loaded,
            remove_words="Remove…" if model.is_own or refusal else "Take off the list",
            remove_refusal=refusal,
            is_useless=not model.is_usable,
        )

    def _take(self, statistics: Statistics) -> None:
        """The GPUs are known now; the figures of each second would only make the list restless."""
        first, self._statistics = self._statistics is None, statistics
        if first:
            self._measure_again()

    def _model_changed(self, _model: ModelInfo | None) -> None:
        self._measure_again()

    def _settings_changed(self, _path: str) -> None:
        self._measure_again()

    def _measure_again(self) -> None:
        self._machine = self._machine_now()
        self._verdicts.forget()
        self.fill()

    def _machine_now(self) -> Machine:
        """What is free once the loaded model has made room."""
        now = self._statistics
        if now is None or self._engine.model is None:
            return this_machine(now)
        return this_machine(now, given_back(now.memory, is_mapped=self._engine.options.use_mmap))

    def _look(self) -> None:
        """Have llama.cpp asked for those in sight that can be used."""
        if not self._page.list.isVisible():
            return
        known = {str(model.path): model for model in self._catalogue.models}
        seen = [known[key] for key in self._page.list.keys_in_sight() if key in known]
        model = self._engine.model
        loaded = model.path if model is not None else ""
        self._verdicts.want([each.path for each in seen if each.is_usable and str(each.path) != loaded])

    def _model(self, key: str) -> ModelFile | None:
        return next((model for model in self._catalogue.models if str(model.path) == key), None)

    def _failed(self, sentence: str) -> None:
        if self._checked is not None:
            self._checked = None
            self._page.end_progress()
        self._page.show_outcome(sentence, "warning")
        self.fill()

    # --- what is done ------------------------------------------------------------------------------------------------

    def _add(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self._page, "Add a model", "", "Models (*.gguf);;All files (*)")
        if name:
            self._page.show_outcome("")
            self._catalogue.add(Path(name))

    def _reveal(self, key: str) -> None:
        no_program = f"No program here shows folders. The file is {key}."
        show_file(Path(key), self, lambda: self._page.show_outcome(no_program, "warning"))

    def _verify(self, key: str) -> None:
        model = self._model(key)
        if model is not None:
            self._checked = model.path
            self._page.show_progress(0, 0)
            self._catalogue.verify(model)

    def _checking(self, path: Path, done: int, total: int) -> None:
        if path == self._checked:
            self._page.show_progress(done, total)

    def _check_ended(self, path: Path, check: Check) -> None:
        if path != self._checked:
            return
        self._checked = None
        self._page.end_progress()
        digests = f"\nsha256 {', '.join(check.digests)}" if check.verdict == "unknown" else ""
        self._page.show_outcome(check.sentence + digests, "warning" if check.verdict == "wrong" else "soft")

    def _stop(self) -> None:
        self._checked = None
        self._catalogue.stop_check()
        self._page.end_progress()
        self._page.show_outcome("The verification was stopped; nothing was changed.")

    def _ask_to_remove(self, key: str) -> None:
        """An own file goes only after its name was read; what is only listed goes from the list at once."""
        model = self._model(key)
        if model is None:
            return
        if not model.is_own:
            self._remove(model)
            return
        question, meaning = words.removal_question(model)
        box = QMessageBox(
            QMessageBox.Icon.NoIcon, "Remove", "", QMessageBox.StandardButton.NoButton, self._page.window()
        )
        box.setObjectName("remove")
        box.setTextFormat(Qt.TextFormat.PlainText)  # a name may look like markup
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setText(question)
        box.setInformativeText(meaning)
        yes = box.addButton("Move to the trash", QMessageBox.ButtonRole.AcceptRole)
        keep = box.addButton("Keep it", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        box.setEscapeButton(keep)
        yes.clicked.connect(partial(self._remove, model))
        box.open()

    def _remove(self, model: ModelFile, _checked: bool = False) -> None:
        if not model.is_own:
            self._library.forget(model.path)
        self._catalogue.remove(model)
