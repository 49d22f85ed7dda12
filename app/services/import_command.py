"""The `import` command, by a workspace of its own or through the open window; and what a second start hands over."""

import os
import re
import signal
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QCoreApplication

from app.core.errors import EmberError
from app.services.import_files import ImportedOne, ImportOrder, ImportReport
from app.services.imports import Imports
from app.services.missing_model import known_files, missing_model
from app.services.output import ReaderGoneError, tell, write_json, write_line
from app.services.signals import call_on_signals
from app.services.window_socket import Answer, ImportRequest, OpenRequest, ask_window
from app.services.workspace import Workspace

_BATCH_BYTES = 8 * 1024
"""Bytes of paths in one line to the window."""
_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
_HOW_TO_TRUST = "Give --trust-state if you trust where the archive comes from."


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What `import` was asked for."""

    files: tuple[Path, ...]
    trust_state: bool = False
    merge: bool = False
    as_json: bool = False


def import_conversations(options: ImportOptions, root: Path | None) -> int:
    """Carry the command out, through the window if one is open, and print what came of it; the exit status.

    Raises EmberError.
    """
    application = QCoreApplication.instance() or QCoreApplication(sys.argv[:1])
    printed = _Printed(options.as_json)
    try:
        workspace = Workspace(root)
    except EmberError as error:
        if error.kind != "in_use" or not _through_window(options, root, printed):
            raise
    else:
        _alone(options, workspace, application, printed)
    return 1 if printed.has_refusals else 0


def order_of(request: ImportRequest) -> ImportOrder:
    """What the window is asked to import."""
    return ImportOrder(paths_of(request.paths), "merge" if request.merge else "copy", request.trust_state)


def paths_of(names: Sequence[bytes]) -> tuple[Path, ...]:
    """The files of a request."""
    return tuple(Path(os.fsdecode(name)) for name in names)


def hand_over(files: Sequence[Path], root: Path | None) -> bool:
    """Have the open window import files and come to the front; False where it cannot be reached."""
    return all(ask_window(OpenRequest(paths=batch), root) is not None for batch in _batches(files))


def report_answer(report: ImportReport, known: Collection[str]) -> Answer:
    """A report as the window answers with it; `known` are the names of the model files that are known here."""
    return {
        "taken": [facts(one, known) for one in report.taken],
        "not_taken": [
            {"file": _shown(refused.file), "title": refused.title, "error": refused.sentence}
            for refused in report.not_taken
        ],
        "stopped": report.was_stopped,
    }


def facts(one: ImportedOne, known: Collection[str]) -> Answer:
    """A conversation that was imported, as it is printed with --json."""
    return {
        "id": one.id,
        "title": one.title,
        "messages": one.messages,
        "file": _shown(one.file),
        "outcome": one.outcome,
        "added": len(one.added),
        "remarks": list(one.remarks),
        "model": one.model,
        "model_source": one.model_source,
        "model_missing": missing_model(one, known),
        "state": one.state.fate,
        "state_bytes": one.state.written,
        "why": f"{one.state.why} {_HOW_TO_TRUST}" if one.foreign is not None else one.state.why,
    }


def _shown(path: Path) -> str:
    """A path as text that any JSON can carry."""
    return str(path).encode("utf-8", "replace").decode()


def _batches(files: Sequence[Path]) -> Iterator[tuple[bytes, ...]]:
    """The absolute paths, as many at a time as a line of the socket takes."""
    batch: list[bytes] = []
    for file in files:
        name = os.fsencode(file.absolute())
        if batch and sum(map(len, batch)) + len(name) > _BATCH_BYTES:
            yield tuple(batch)
            batch = []
        batch.append(name)
    yield tuple(batch)


class _Printed:
    """Prints conversations as they come, and what was refused at the end."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._shown = ""
        self._missing: set[str] = set()
        """What was said of models that are not here, once each."""
        self.has_refusals = False

    def progress(self, done: int, total: int) -> None:
        """On a terminal, in one line beside the output."""
        words = f"{done:,} of {total:,} conversations"
        if sys.stderr.isatty() and words != self._shown:
            self._clear()
            self._shown = words if done < total else ""
            print(self._shown, end="", file=sys.stderr, flush=True)

    def _clear(self) -> None:
        """Take that line away."""
        if self._shown:
            print(f"\r{' ' * len(self._shown)}\r", end="", file=sys.stderr, flush=True)
            self._shown = ""

    def taken(self, one: Answer) -> None:
        """One that is in."""
        self._clear()
        if self._as_json:
            write_json(one)
            return
        write_line(one["id"])
        if one["outcome"] == "same":
            tell(f"“{one['title']}” is here already, and nothing in the file was new.")
        if one["why"]:
            tell(one["why"])
        if one["model_missing"] and one["model_missing"] not in self._missing:
            self._missing.add(one["model_missing"])
            can_be_got = _REPOSITORY.fullmatch(one["model_source"] or "")  # it comes from the file, and may be anything
            tell(one["model_missing"] + (f" Get it with: models get {can_be_got[0]}" if can_be_got else ""))

    def end(self, answer: Answer) -> None:
        """What was refused, and whether it was stopped."""
        self._clear()
        for refused in answer["not_taken"]:
            if self._as_json:
                write_json(refused)
            tell(refused["error"])
        if answer["stopped"]:
            tell("The import was stopped. What is in stays; nothing was taken of the rest.")
        self.has_refusals |= bool(answer["not_taken"] or answer["stopped"])


def _through_window(options: ImportOptions, root: Path | None, printed: _Printed) -> bool:
    """Let the open window do it; False where none can be reached."""
    for paths in _batches(options.files):
        request = ImportRequest(paths=paths, trust_state=options.trust_state, merge=options.merge)
        answer = ask_window(request, root, printed.progress)
        if answer is None:
            return False
        for one in answer["taken"]:
            printed.taken(one)
        printed.end(answer)
    return True


def _alone(options: ImportOptions, workspace: Workspace, application: QCoreApplication, printed: _Printed) -> None:
    """Do it here; an engine is started if there is state to take."""
    results: list[ImportReport | EmberError | ReaderGoneError] = []

    def end(result: ImportReport | EmberError | ReaderGoneError) -> None:
        results.append(result)
        application.quit()

    def told(one: ImportedOne) -> None:
        try:
            printed.taken(facts(one, known))
        except (ReaderGoneError, EmberError) as error:  # raised in a slot it would go nowhere
            end(error)

    order = ImportOrder(options.files, "merge" if options.merge else "copy", options.trust_state)
    try:
        if workspace.notice is not None:
            tell(workspace.notice)
        known = known_files(workspace.library)
        imports: Imports = workspace.imports
        stop = imports.run(order, end, end, lambda progress: printed.progress(progress.done, progress.total), told)
        signals = call_on_signals((signal.SIGINT, signal.SIGTERM), stop)
        application.exec()
        signals.stop()
    finally:
        workspace.close()
    result = results[0]
    if not isinstance(result, ImportReport):
        raise result
    printed.end(report_answer(result, known))
