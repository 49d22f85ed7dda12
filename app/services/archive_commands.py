"""Archives with state, written without a window: by a workspace whose engine is started for it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QCoreApplication

from app.core.conversation import ConversationId
from app.core.errors import EmberError
from app.services.engine_process import EngineDeath
from app.services.state_transfer import OnFailed, StateTransfer, staging_folder
from app.services.workspace import Workspace
from app.storage.archive import export_archive
from app.storage.archive_state import OutgoingState, export_with_state, no_progress
from app.storage.signing import installation_key

_T = TypeVar("_T")


def export_state_archive(workspace: Workspace, conversation: ConversationId, path: Path) -> int:
    """Write a conversation with its saved state; the bytes of state, 0 where none is saved. Raises EmberError."""
    tree = workspace.store.tree(conversation)
    token_ids = workspace.store.packed_token_ids(conversation)
    transfer = StateTransfer(workspace.engine, workspace.saved, workspace.roots)
    with staging_folder(workspace.data_dir.staging) as folder:

        def begin(told: Callable[[OutgoingState], None], failed: OnFailed) -> None:
            transfer.stage(conversation, folder, told, failed, no_progress)

        state = _waited(workspace, begin)
        if not state.tips:
            export_archive(tree, token_ids, path)
            return 0
        export_with_state(tree, token_ids, path, state, installation_key(workspace.data_dir.key))
        return state.total_bytes


def _waited(workspace: Workspace, begin: Callable[[Callable[[_T], None], OnFailed], None]) -> _T:
    """Begin something that calls back, with an engine running, and wait for it; raises the EmberError that it gives."""
    application = QCoreApplication.instance() or QCoreApplication(sys.argv[:1])
    results: list[_T] = []
    errors: list[EmberError] = []

    def told(result: _T) -> None:
        results.append(result)
        application.quit()

    def failed(error: EmberError) -> None:
        errors.append(error)
        application.quit()

    def died(death: EngineDeath) -> None:
        failed(EmberError(death.sentence, "engine_died"))

    workspace.engine.died.connect(died)
    try:
        if workspace.engine.state == "stopped":
            workspace.engine.start()
        begin(told, failed)
        if not results and not errors:
            application.exec()
    finally:
        workspace.engine.died.disconnect(died)
    if results:
        return results[0]
    raise errors[0]
