"""The engine's side of the folder with saved state: its lock, the store, the writer, and the models' fingerprints."""

import logging
import shutil
import threading
import time
from pathlib import Path

from app.core.errors import EmberError
from app.core.gguf_header import GgufHeader
from app.engine.chunk_writer import ChunkWriter
from app.engine.context import Context
from app.engine.fingerprint import ModelHashes, Root, fingerprint, model_files
from app.engine.helpers import Helpers
from app.engine.model import read_header
from app.engine.state import ContextState
from app.folder_lock import FolderLock
from app.kvstore.errors import StoreUnavailable
from app.kvstore.eviction import default_budget
from app.kvstore.store import Store
from app.paths import plain_reason

logger = logging.getLogger(__name__)

LOCK = "engine.lock"
LOCK_PATIENCE = 5.0
"""Seconds to wait for the engine before this one, which may still be writing."""
LOCK_INTERVAL = 0.05
BUDGET = "budget"
"""The file that keeps the default budget, worked out when the folder was first used."""


class Saving:
    """The folder, opened by this process alone."""

    def __init__(
        self, folder: Path, budget: int | None, commit: str, helpers: Helpers, pinned: tuple[bytes, ...] = ()
    ) -> None:
        """Open it, made if need be; `commit` is llama.cpp's, `pinned` tips stay. Raises EmberError (saved_state).

        `helpers` read for it: model files, and chunks.
        """
        self.folder = folder
        self._commit = commit
        self.helpers = helpers
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            self._lock = FolderLock(folder / LOCK)
            self._take_lock()
            self.budget = budget if budget is not None else _default_budget(folder)
        except OSError as error:
            raise EmberError(
                f"State cannot be saved in “{folder}” because {plain_reason(error)}. Chats work without it, and their "
                "text is kept; make that folder writable to have it back.",
                "saved_state",
            ) from error
        self.store = Store(folder, self.budget)
        self._keeping = threading.Lock()
        self._kept_by = 0
        """The request that named the tips that stay."""
        self.store.keep(pinned)
        self.writer = ChunkWriter(self.store)
        self._hashes = ModelHashes(folder)
        self._counted = (-1, 0)
        """(generation, bytes) of the store when its bytes were last counted."""

    def _take_lock(self) -> None:
        deadline = time.monotonic() + LOCK_PATIENCE
        while not self._lock.acquire():
            if time.monotonic() > deadline:
                raise EmberError(
                    f"Another Ember still uses the saved state in “{self.folder}”. Chats work without it, and their "
                    "text is kept; close that Ember and start this one again to have it back.",
                    "saved_state",
                )
            time.sleep(LOCK_INTERVAL)

    def keep(self, request: int, tips: tuple[bytes, ...]) -> None:
        """From now on these tips stay whatever the budget, unless a later request was here before."""
        with self._keeping:
            if request > self._kept_by:
                self._kept_by = request
                self.store.keep(tips)

    def set_budget(self, budget: int | None) -> None:
        """Keep to another budget, in the writer's turn; the default one stays as it was where it cannot be read."""
        try:
            self.budget = budget if budget is not None else _default_budget(self.folder)
        except OSError as error:
            logger.warning("the default budget cannot be read: %s", error)
        self.writer.run(lambda: self._set_budget(self.budget))

    def _set_budget(self, budget: int) -> None:
        try:
            logger.info("budget %d bytes, %d freed", budget, self.store.set_budget(budget))
        except StoreUnavailable as error:
            logger.warning("nothing can be evicted because %s", error.reason)

    def bytes(self) -> int:
        """Bytes that are saved; 0 where it cannot be asked."""
        generation = self.store.generation
        if self._counted[0] != generation:
            try:
                self._counted = (generation, self.store.totals().all.bytes)
            except StoreUnavailable:
                return 0
        return self._counted[1]

    def disk_free(self) -> int:
        """Bytes that the disk has free; 0 where it cannot be asked."""
        try:
            return shutil.disk_usage(self.folder).free
        except OSError:
            return 0

    def root_of(self, path: Path, header: GgufHeader, context: Context, state: ContextState) -> Root:
        """The fingerprint of a model in a context: at once if its file is known, else when it is hashed."""
        root, files = Root(), model_files(path, header)
        layouts = state.layouts, state.layouts.turned()
        here, turned = (fingerprint(self._commit, header, context, state.mode, each) for each in layouts)

        def compute() -> None:
            try:
                digest = self._hashes.compute(files)
            except OSError as error:
                logger.warning("%s cannot be hashed: %s", path, error)
                digest = None
            if digest is None:
                root.set(None)
            else:
                root.set(here(digest), turned(digest))

        try:
            known = self._hashes.known(files)
        except OSError as error:
            logger.warning("%s cannot be looked at: %s", path, error)
            known = None
        if known is not None:
            root.set(here(known), turned(known))
        else:
            self.helpers.run(compute)
        return root

    def hash_of(self, path: Path) -> str | None:
        """The digest of a model's files where it was computed before; None where it is not known."""
        try:
            return self._hashes.known(model_files(path, read_header(path)))
        except (EmberError, OSError) as error:
            logger.warning("%s cannot be looked at: %s", path, error)
            return None


def _default_budget(folder: Path) -> int:
    """The budget worked out when the folder was first used, so that it does not shrink as the disk fills. OSError."""
    path = folder / BUDGET
    try:
        return max(0, int(path.read_text("ascii")))
    except (FileNotFoundError, ValueError):
        budget = default_budget(shutil.disk_usage(folder).free)
        path.write_text(str(budget), "ascii")
        return budget
