"""What the headless commands print: pieces on stdout that any terminal can show, and one sentence on stderr."""

import io
import json
import logging
import os
import sys
from typing import Any

from app.core.errors import EmberError
from app.paths import plain_reason

CONTROL_CHARACTERS = {
    code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"
}
"""What a text must not tell a terminal: escape sequences move the cursor, set titles, fill the clipboard."""


class ReaderGoneError(Exception):
    """Nobody reads what is printed any more, as with `| head`."""


def prepare(*, as_json: bool) -> None:
    """Let any character be printed: JSON is UTF-8 everywhere, text replaces what the terminal cannot show.

    The log stays out of it: without a file to go to, Python would print its warnings among the sentences.
    """
    logging.lastResort = None
    logging.raiseExceptions = False
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8" if as_json else None, errors="replace")
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="backslashreplace")


def write(text: str) -> None:
    """Print a piece at once; on a terminal without its control characters.

    Raises ReaderGoneError, and EmberError of kind "output" where the system refuses it; later pieces go nowhere then.
    """
    if getattr(sys, "stdout", None) is None:  # started with stdout closed
        raise ReaderGoneError
    try:
        sys.stdout.write(text.translate(CONTROL_CHARACTERS) if sys.stdout.isatty() else text)
        sys.stdout.flush()
    except BrokenPipeError as error:
        _print_nowhere()
        raise ReaderGoneError from error
    except OSError as error:
        _print_nowhere()
        raise EmberError(
            f"The output could not be written because {plain_reason(error)}. What is stored is kept.", "output"
        ) from error


def write_json(value: Any) -> None:
    """Print one line of JSON."""
    write(json.dumps(value, ensure_ascii=False) + "\n")


def write_line(text: str) -> None:
    """Print one line."""
    write(text + "\n")


def tell(sentence: str) -> None:
    """Say something to the person, beside the output; names in it may come from any file."""
    print(sentence.translate(CONTROL_CHARACTERS), file=sys.stderr)


class Percent:
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


def _print_nowhere() -> None:
    """Python flushes stdout once more at its end, and would complain again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    finally:
        os.close(nowhere)
