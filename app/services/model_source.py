"""Where a model's file came from, for whoever gets a conversation that was written with it."""

import re
from pathlib import Path
from typing import Final

from app.core.conversation import Conversation
from app.services.download_record import ENDING, files_of, read_record

DEEPEST: Final = 3
"""Folders above a file in which the record of its download may lie."""
_CACHED: Final = re.compile(r"models--(?P<owner>[\w.-]+?)--(?P<name>[\w.-]+)")
"""A repository's folder in Hugging Face's cache."""
_LM_STUDIO: Final = re.compile(r".*/(?:\.lmstudio|lm-studio)/models/(?P<owner>[\w.-]+)/(?P<name>[\w.-]+)/.+")
"""LM Studio keeps its downloads below the repository's name."""


def source_of(conversation: Conversation) -> str | None:
    """The repository of the model that a conversation is written with; None where it has none, or that is not known."""
    return repository_of(Path(conversation.model_path)) if conversation.model_path else None


def repository_of(file: Path) -> str | None:
    """The repository a file was downloaded from, as Ember's record or another program's folder tells; else None."""
    if match := _LM_STUDIO.fullmatch(file.as_posix()):
        return f"{match['owner']}/{match['name']}"
    for part in reversed(file.parts[:-1]):
        if match := _CACHED.fullmatch(part):
            return f"{match['owner']}/{match['name']}"
    for folder in list(file.parents)[:DEEPEST]:
        for path in sorted(folder.glob(f"*{ENDING}")):
            record = read_record(path)
            if record is not None and file in files_of(path, record):
                return record.repository
    return None
