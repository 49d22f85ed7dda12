"""The rotating log files in the data folder, one for each process."""

import contextlib
import logging
import logging.handlers
from pathlib import Path

LOG_BYTES = 1024 * 1024
LOG_FILES = 3


def start_logging(folder: Path, name: str) -> None:
    """Log to the file `name` in `folder`, at most LOG_FILES of LOG_BYTES; raises OSError if it cannot be made."""
    logging.raiseExceptions = False  # what a full disk does not take must not come out at the terminal instead
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        folder / name, maxBytes=LOG_BYTES, backupCount=LOG_FILES - 1, encoding="utf-8", errors="replace"
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(handler)


def stop_logging() -> None:
    """Close the log's file again."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, logging.handlers.RotatingFileHandler):
            root.removeHandler(handler)
            with contextlib.suppress(OSError):  # a full disk does not take the last lines
                handler.close()
