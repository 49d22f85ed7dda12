"""`backup` and `restore`: the whole library to one file, and back."""

import time
from collections.abc import Callable
from pathlib import Path

from app.core.errors import EmberError
from app.core.units import format_bytes, format_count, format_seconds
from app.paths import open_data_dir, read_data_dir
from app.services.backup_state import TakenState
from app.services.backup_work import back_up
from app.services.backups import OF_THIS_MACHINE
from app.services.output import Percent, tell, write_json, write_line
from app.services.single_instance import SingleInstance, in_use
from app.services.state_transfer import OnFailed
from app.services.waiting import waited
from app.services.window_socket import BackupRequest, ask_window
from app.services.workspace import Workspace
from app.storage.backup_format import BackupState, look_into
from app.storage.backup_state import CarriedState
from app.storage.restore import restore_library
from app.storage.signing import installation_key


def backup(path: Path, root: Path | None, *, as_json: bool, with_state: bool = False) -> int:
    """Write the library to `path`, also while a window is open; the exit status. Raises EmberError.

    Saved state comes from the window's engine where one is open, else from an engine of its own.
    """
    started, why = time.monotonic(), ""
    if with_state:
        answer = ask_window(BackupRequest(file=str(path.absolute())), root)
        why = str(answer["why"]) if answer is not None else _back_up_with_state(path, root)
    manifest = look_into(path) if with_state else back_up(read_data_dir(root), path, Percent())
    seconds, size = time.monotonic() - started, path.stat().st_size
    state = manifest.state.bytes if isinstance(manifest.state, BackupState) else 0
    if why:
        tell(why)
    if as_json:
        found = {"conversations": manifest.conversations, "messages": manifest.messages, "state_bytes": state}
        write_json({"file": str(path), "bytes": size, **found, "seconds": round(seconds, 3)})
    else:
        write_line(
            f"Conversations: {format_count(manifest.conversations)}, messages: {format_count(manifest.messages)}. "
            f"They are in {path} ({format_bytes(size)}, {format_seconds(seconds)})."
        )
        if state:
            write_line(f"Saved state in it: {format_bytes(state)}.")
    return 0


def _back_up_with_state(path: Path, root: Path | None) -> str:
    """Write it with an engine of its own; a sentence where saved state is not in it. Raises EmberError."""
    workspace = Workspace(root)
    try:

        def begin(told: Callable[[str], None], failed: OnFailed) -> None:
            workspace.backups.finished.connect(lambda _path, why: told(why))
            workspace.backups.failed.connect(failed)
            workspace.backups.progressed.connect(Percent())
            workspace.backups.back_up(path, with_state=True)

        return waited(workspace, begin)
    finally:
        workspace.close()


def _take_state(carried: CarriedState, root: Path | None) -> tuple[int, str]:
    """Take the saved state of a restored backup; the bytes written, and a sentence where not all of it was taken."""
    try:
        workspace = Workspace(root)
    except EmberError as error:  # as where a window was opened meanwhile; the texts are in
        return 0, f"The saved state of the backup was not taken. {error.sentence}"
    try:

        def begin(told: Callable[[TakenState], None], failed: OnFailed) -> None:
            workspace.backup_states.take(carried, told, failed)

        taken = waited(workspace, begin)
    except EmberError as error:
        return 0, error.sentence
    finally:
        workspace.close()
    why = f"Not all of the backup's saved state was taken because {taken.trouble}." if taken.trouble else ""
    return taken.written_bytes, why


def restore(path: Path, root: Path | None, *, as_json: bool, trust_token_ids: bool) -> int:
    """Put a backup in the place of the library, while no window is open; the exit status. Raises EmberError."""
    data_dir = open_data_dir(root)
    instance = SingleInstance(data_dir.root)
    if not instance.acquire():
        raise in_use(data_dir.root)
    try:
        done = restore_library(
            path,
            data_dir.database,
            data_dir.backups,
            Percent(),
            key=installation_key(data_dir.key),
            keep_settings=OF_THIS_MACHINE,
            trust_token_ids=trust_token_ids,
        )
    finally:
        instance.release()
    if done.notice is not None:
        tell(done.notice)
    state, why = _take_state(done.state, root) if done.state is not None else (0, "")
    if why:
        tell(why)
    if as_json:
        found = {"conversations": done.conversations, "messages": done.messages, "with_tokens": done.with_token_ids}
        write_json({**found, "state_bytes": state, "kept": str(done.kept)})
    else:
        write_line(
            f"Conversations: {format_count(done.conversations)}, messages: {format_count(done.messages)}. "
            f"What stood there before is kept as {done.kept}."
        )
        if state:
            write_line(f"Saved state taken from it: {format_bytes(state)}.")
        if not done.with_token_ids:
            write_line("Another installation wrote this backup, so the next reply in each conversation reads it anew.")
    return 0
