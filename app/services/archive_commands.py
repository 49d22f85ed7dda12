"""Archives with state, without a window: taken by a workspace whose engine is started for it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QCoreApplication

from app.core.conversation import ConversationId
from app.core.errors import EmberError
from app.services.engine_process import EngineDeath
from app.services.state_transfer import Adopted, OnFailed, StateTransfer, staging_folder
from app.services.transfer import Stored
from app.services.workspace import Workspace
from app.storage.archive import Placed, place
from app.storage.archive_format import ImportedConversation, RefusedError, StateManifest
from app.storage.archive_state import extract_state, no_progress
from app.storage.signing import installation_key, is_signed

_T = TypeVar("_T")

FOREIGN = (
    "it was written by another installation of Ember, and state can say other things than the text shows; "
    "give --trust-state if you trust where the archive comes from"
)


def take_archive(
    workspace: Workspace, path: Path, imported: ImportedConversation, *, trust_state: bool = False
) -> Stored:
    """Store what was read of a file, then adopt the state in it where there is any and it is to be trusted.

    The text is in before the state is looked at, and stays whatever becomes of that. Raises EmberError for the text.
    """
    manifest = imported.manifest
    if manifest is None or manifest.state is None:
        return Stored(place(workspace.store, imported).conversation)
    is_ours = is_signed(installation_key(workspace.data_dir.key), manifest.signed_part(), manifest.signature)
    is_trusted = is_ours or trust_state
    placed = place(workspace.store, imported, trust_token_ids=is_trusted)
    if not is_trusted:
        return _dropped(placed.conversation, FOREIGN)
    if not workspace.saved.is_on:
        return _dropped(placed.conversation, "saving of state is switched off")
    return _with_state(workspace, path, manifest.state, placed)


def _dropped(conversation: ConversationId, why: str) -> Stored:
    return Stored(
        conversation,
        "dropped",
        f"The state in the archive was not taken because {why}. The text is all there, and the model reads it again.",
    )


def _with_state(workspace: Workspace, path: Path, state: StateManifest, placed: Placed) -> Stored:
    """Adopt the state of a conversation that is stored; whatever keeps it from that is told, and raises nothing."""
    transfer = StateTransfer(workspace.engine, workspace.saved, workspace.roots)
    try:
        with staging_folder(workspace.data_dir.staging) as folder:
            extract_state(path, state, folder)

            def begin(told: Callable[[Adopted], None], failed: OnFailed) -> None:
                transfer.adopt(state, placed.messages, folder, told, failed, no_progress)

            adopted = waited(workspace, begin)
    except RefusedError as error:
        return _dropped(placed.conversation, str(error))
    except EmberError as error:
        return Stored(placed.conversation, "dropped", f"{error.sentence} The text of the archive is all there.")
    return _told(placed.conversation, adopted)


def _told(conversation: ConversationId, adopted: Adopted) -> Stored:
    """What became of it in words."""
    if not adopted.tips:
        return _dropped(conversation, adopted.trouble or "nothing of it was left")
    size = adopted.written_bytes
    if adopted.trouble:
        why = f"Only a part of the state in the archive was taken because {adopted.trouble}. The text is all there."
        return Stored(conversation, "partly", why, size)
    if adopted.unknown:
        names = " and ".join(f"“{name}”" for name in adopted.unknown)
        why = f"Its state is kept until {names} is loaded here in the same way as where it was written."
        return Stored(conversation, "used", why, size)
    return Stored(conversation, "used", "", size)


def waited(workspace: Workspace, begin: Callable[[Callable[[_T], None], OnFailed], None]) -> _T:
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
