"""The error that a person reads."""

import copy

from app.core.errors import EmberError


def test_an_error_shows_its_sentence_and_keeps_its_kind() -> None:
    error = EmberError("The file is empty.", "truncated")
    assert (str(error), error.sentence, error.kind) == (
        "The file is empty.",
        "The file is empty.",
        "truncated",
    )


def test_an_error_survives_being_copied() -> None:
    error = copy.copy(EmberError("The file is empty.", "truncated"))
    assert (error.sentence, error.kind) == ("The file is empty.", "truncated")
