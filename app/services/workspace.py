"""Everything that belongs to one data folder, opened for a window, a writing command or a reading one."""

import shutil
from collections import defaultdict
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.core.errors import EmberError
from app.kvstore.totals import bytes_by_root
from app.logs import start_logging, stop_logging
from app.paths import DataDir, open_data_dir, plain_reason, read_data_dir
from app.services.background import wait_for_background
from app.services.backup_state import BackupStates
from app.services.backups import Backups
from app.services.chats import Chats
from app.services.downloads import Downloads
from app.services.engine_client import EngineClient
from app.services.exports import Exports
from app.services.imports import Imports
from app.services.model_catalogue import ModelCatalogue, Sources, model_sources
from app.services.model_library import ModelLibrary
from app.services.model_search import ModelSearch
from app.services.model_settings import ModelSettings
from app.services.restoring import Restoring
from app.services.saved_states import SavedStates
from app.services.single_instance import SingleInstance, in_use
from app.services.state_transfer import StateTransfer
from app.storage.conversations import ConversationStore
from app.storage.database import Database
from app.storage.saved_roots import SavedRoots, saved_models
from app.storage.settings import SettingsStore


class Reading:
    """A data folder opened to be read, also while a window has it."""

    def __init__(self, root: Path | None) -> None:
        """Open read-only; raises EmberError."""
        self.data_dir: DataDir = read_data_dir(root)
        self._database = Database.open(self.data_dir.database, self.data_dir.backups, readonly=True)
        self.store = ConversationStore(self._database)
        self.settings = SettingsStore(self._database)

    def saved_bytes(self) -> dict[str, int] | None:
        """What is saved of each model's file, by its path, by the store's index; None where that cannot be read."""
        sizes = bytes_by_root(self.data_dir.kv)
        if sizes is None:
            return None
        sums: dict[str, int] = defaultdict(int)
        for root, model in saved_models(self._database).items():
            sums[model.path] += sizes.get(root, 0)
        return sums

    def close(self) -> None:
        """Close the database."""
        self._database.close()


class Workspace(QObject):
    """A data folder opened to be written, with an engine beside it; one at a time."""

    store_changed = Signal(str, str)
    """(what changed, conversation's id), on the thread of whoever listens; see ConversationStore.on_change."""

    def __init__(self, root: Path | None, parent: QObject | None = None) -> None:
        """Lock and open the folder; the engine is not started yet.

        Raises EmberError: `in_use` if another window or command has it, or what keeps it from being opened.
        """
        super().__init__(parent)
        self.data_dir: DataDir = open_data_dir(root)
        self.instance = SingleInstance(self.data_dir.root, self)
        if not self.instance.acquire():
            raise in_use(self.data_dir.root)
        try:
            _start_log(self.data_dir)
            self._database = Database.open(self.data_dir.database, self.data_dir.backups)
        except EmberError:
            stop_logging()
            self.instance.release()
            raise
        shutil.rmtree(self.data_dir.staging, ignore_errors=True)  # what a killed export or import left
        self.notice: str | None = self._database.notice
        """A sentence for the person, such as that a damaged database was set aside."""
        self.store = ConversationStore(self._database)
        self.store.on_change.append(self.store_changed.emit)
        self.store.finish_interrupted()
        self.settings = SettingsStore(self._database)
        self.restoring = Restoring(self.data_dir, self)
        self.library = ModelLibrary(self.settings, self.data_dir)
        self.catalogue = ModelCatalogue(self._model_sources, self)
        self.model_search = ModelSearch(self.settings, self)
        self.downloads = Downloads(self.data_dir.models, self.model_search.hub, self)
        self.downloads.finished.connect(self._downloaded)
        self.model_search.offline_changed.connect(self._offline_changed)
        self.engine = EngineClient(self.data_dir.logs, self)
        self.roots = SavedRoots(self._database)
        self.saved = SavedStates(self.data_dir.kv, self.roots, self.settings, self.engine, self)
        transfer = StateTransfer(self.engine, self.saved, self.roots)
        self.imports = Imports(self.data_dir, self.store, self.engine, self.saved, transfer, self)
        self.backup_states = BackupStates(self.data_dir, self.engine, self.saved, self.roots, self)
        self.backups = Backups(self.data_dir, self.settings, self, states=self.backup_states)
        self.chats = Chats(self.store, self.engine, self.saved, self)
        self.model_settings = ModelSettings(self.settings, self.engine, self.chats, self.saved, self)
        self.exports = Exports(self.data_dir, self.store, self.roots, transfer, self)
        self.store_changed.connect(self._settle)

    @property
    def is_in_its_folder(self) -> bool:
        """Whether the database is still where it was opened: SQLite goes on writing to a file that was removed."""
        try:
            self.data_dir.database.stat()
        except OSError:
            return False
        return True

    def _model_sources(self) -> Sources:
        return model_sources(self.data_dir, self.settings)

    def _downloaded(self, _path: Path) -> None:
        self.catalogue.refresh()

    def _offline_changed(self, is_offline: bool) -> None:
        if is_offline:
            self.downloads.pause_all()

    def _settle(self, kind: str, _conversation: str) -> None:
        """A deleted chat's saved state goes at once."""
        if kind in ("deleted", "purged"):
            self.saved.settle()

    def close(self) -> None:
        """End the engine, close the database, give up the lock."""
        self.downloads.close()
        self.catalogue.close()
        self.model_settings.close()
        self.chats.close()
        self.saved.close()
        self.imports.close()
        self.backups.close()
        for work in (self.backup_states, self.restoring, self.exports):
            work.cancel()
        wait_for_background()
        self.restoring.drop()
        self.engine.stop()
        self.backup_states.end()
        self.exports.close()
        self._database.close()
        self.instance.release()
        stop_logging()


def _start_log(data_dir: DataDir) -> None:
    """Log to `ember.log`; raises EmberError (data_folder)."""
    try:
        start_logging(data_dir.logs, "ember.log")
    except OSError as error:
        raise EmberError(
            f"Ember cannot keep its log in “{data_dir.logs}” because {plain_reason(error)}. "
            "Nothing was changed; make room for that folder or choose another data folder.",
            "data_folder",
        ) from error
