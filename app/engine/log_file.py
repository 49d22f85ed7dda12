"""The engine's log file: rotating, in the data folder."""

import logging
import logging.handlers
from pathlib import Path

LOG_BYTES = 1024 * 1024
LOG_FILES = 3


def start_logging(folder: Path | None) -> None:
    """Log to `engine.log` in `folder`, at most LOG_FILES of LOG_BYTES; without a folder nothing is kept."""
    logging.raiseExceptions = False  # what a full disk does not take would come back as the engine's last words
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    if folder is None:
        root.addHandler(logging.NullHandler())
        return
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        folder / "engine.log",
        maxBytes=LOG_BYTES,
        backupCount=LOG_FILES - 1,
        encoding="utf-8",
        errors="replace",
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
