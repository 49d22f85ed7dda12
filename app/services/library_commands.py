"""`backup` and `restore`: the whole library to one file, and back."""

import sys
import time
from pathlib import Path

from app.core.units import format_bytes, format_count, format_seconds
from app.paths import open_data_dir, read_data_dir
from app.services.backups import OF_THIS_MACHINE, back_up
from app.services.output import tell, write_json, write_line
from app.services.single_instance import SingleInstance, in_use
from app.storage.restore import restore_library
from app.storage.signing import installation_key


def backup(path: Path, root: Path | None, *, as_json: bool) -> int:
    """Write the library to `path`, also while a window is open; the exit status. Raises EmberError."""
    started = time.monotonic()
    manifest = back_up(read_data_dir(root), path, _Percent())
    seconds, size = time.monotonic() - started, path.stat().st_size
    if as_json:
        found = {"conversations": manifest.conversations, "messages": manifest.messages}
        write_json({"file": str(path), "bytes": size, **found, "seconds": round(seconds, 3)})
    else:
        write_line(
            f"Conversations: {format_count(manifest.conversations)}, messages: {format_count(manifest.messages)}. "
            f"They are in {path} ({format_bytes(size)}, {format_seconds(seconds)})."
        )
    return 0


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
            _Percent(),
            key=installation_key(data_dir.key),
            keep_settings=OF_THIS_MACHINE,
            trust_token_ids=trust_token_ids,
        )
    finally:
        instance.release()
    if done.notice is not None:
        tell(done.notice)
    if as_json:
        found = {"conversations": done.conversations, "messages": done.messages, "with_tokens": done.with_token_ids}
        write_json({**found, "kept": str(done.kept)})
    else:
        write_line(
            f"Conversations: {format_count(done.conversations)}, messages: {format_count(done.messages)}. "
            f"What stood there before is kept as {done.kept}."
        )
        if not done.with_token_ids:
            write_line("Another installation wrote this backup, so the next reply in each conversation reads it anew.")
    return 0


class _Percent:
    """Progress on a terminal, in one line beside the output; silent elsewhere."""

    def __init__(self) -> None:
        self._shown = -1

    def __call__(self, done: int, to_do: int) -> None:
        """Show whole per cent, and take the line away at the end."""
        percent = 100 * done // max(to_do, 1)
        if percent != self._shown and sys.stderr.isatty():
            self._shown = percent
            sys.stderr.write(f"\r{percent:3d} %" if percent < 100 else "\r     \r")
            sys.stderr.flush()
