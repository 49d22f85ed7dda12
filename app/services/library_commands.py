"""`backup` and `restore`: the whole library to one file, and back."""

import time
from pathlib import Path

from app.core.units import format_bytes, format_count, format_seconds
from app.paths import open_data_dir, read_data_dir
from app.services.backups import KEY, back_up
from app.services.output import Percent, tell, write_json, write_line
from app.services.single_instance import SingleInstance, in_use
from app.storage.restore import restore_library
from app.storage.signing import installation_key


def backup(path: Path, root: Path | None, *, as_json: bool) -> int:
    """Write the library to `path`, also while a window is open; the exit status. Raises EmberError."""
    started = time.monotonic()
    manifest = back_up(read_data_dir(root), path, Percent())
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
            Percent(),
            key=installation_key(data_dir.key),
            keep_settings=(KEY,),
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
