"""What is said of the model that an imported conversation was written with, where it is not known here."""

from collections.abc import Collection
from typing import Final

from app.services.import_files import ImportedOne
from app.services.model_library import ModelLibrary

_LONGEST: Final = 80


def called(title: str) -> str:
    """A title in a sentence: one line, not endless, as it may come from any file."""
    line = " ".join(title[: 4 * _LONGEST].split())
    return f"“{line if len(line) <= _LONGEST else line[: _LONGEST - 1] + '…'}”"


def known_files(library: ModelLibrary) -> set[str]:
    """The names of the model files that are known here."""
    return {known.path.name for known in library.known()}


def missing_model(one: ImportedOne, known: Collection[str]) -> str:
    """A sentence: the file, the repository and the checksum as far as the archive tells; empty where it is known."""
    if one.model is None or one.model.casefold() in {name.casefold() for name in known}:
        return ""
    digest = f" (SHA-256 {one.model_sha256[:12]}…)" if one.model_sha256 else ""
    source = f" from {called(one.model_source)}" if one.model_source else ""
    return f"It was written with {called(one.model)}{source}{digest}, which is not known here."
