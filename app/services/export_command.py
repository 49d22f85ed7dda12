"""`export --with-state`: conversations with what is saved of them, alone or through the open window."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QCoreApplication

from app.core.errors import EmberError
from app.services.exports import ExportOrder, ExportReport, ExportStep
from app.services.output import Percent, tell
from app.services.state_transfer import OnFailed, Stop
from app.services.waiting import answered
from app.services.window_socket import Answer, ExportRequest, ask_window
from app.services.workspace import Workspace
from app.storage.archive_state import Progress

PARTS = 1000
"""What the progress of one conversation is told in."""


def export_with_state(conversations: Sequence[str], to: Path, root: Path | None) -> int:
    """Write conversations (none: all) to `to`, through the window if one is open; the exit status.

    Raises EmberError.
    """
    _application = QCoreApplication.instance() or QCoreApplication(sys.argv[:1])
    request = ExportRequest(conversations=tuple(conversations), to=str(to.absolute()))
    try:
        workspace = Workspace(root)
    except EmberError as error:
        answer = ask_window(request, root, Percent()) if error.kind == "in_use" else None
        if answer is None:
            raise
    else:
        answer = _do_alone(workspace, request)
    for file in answer["files"]:
        if file["why"]:
            tell(f"“{Path(file['file']).name}” is without its state. {file['why']}")
        elif not file["state_bytes"]:
            tell(f"No state of conversation {file['id']} is saved, so its file holds its text only.")
    for refused in answer["not_exported"]:
        tell(refused)
    return 1 if answer["not_exported"] or any(file["why"] for file in answer["files"]) else 0


def begin_export(
    workspace: Workspace,
    request: ExportRequest,
    told: Callable[[Answer], None],
    failed: OnFailed,
    progress: Progress,
) -> Stop:
    """Begin on a workspace whose engine runs, or is started; calls back once. What comes back stops it."""
    store = workspace.store
    try:
        if request.conversations:
            found = tuple(store.resolve(each) for each in request.conversations)
        else:
            found = tuple(summary.id for summary in store.summaries(counted=False))
    except EmberError as error:
        failed(error)
        return lambda: None
    to = Path(request.to)
    into_folder = not request.conversations or len(found) > 1 or to.is_dir()
    run = workspace.exports.begin(ExportOrder(found, to, into_folder=into_folder, with_state=True))

    def moved(step: ExportStep) -> None:
        done = PARTS * step.done // step.total if step.total else 0
        progress(PARTS * (step.number - 1) + done, PARTS * step.count)

    def finished(report: ExportReport) -> None:
        progress(1, 1)
        if report.failed and not report.exported:
            failed(report.failed[-1])
        else:
            told(_answer(report))

    run.progressed.connect(moved)
    run.finished.connect(finished)
    return run.cancel


def _answer(report: ExportReport) -> Answer:
    return {
        "files": [
            {
                "id": each.conversation,
                "file": str(each.file),
                "text_bytes": each.text_bytes,
                "state_bytes": each.state_bytes,
                "why": each.why,
            }
            for each in report.exported
        ],
        "not_exported": [error.sentence for error in report.failed],
    }


def _do_alone(workspace: Workspace, request: ExportRequest) -> Answer:
    """Start an engine without a model and let it do it; without it the texts are written. Raises EmberError."""

    def begin(told: Callable[[Answer], None], failed: OnFailed) -> None:
        begin_export(workspace, request, told, failed, Percent())

    try:
        workspace.engine.start()
        return answered(begin)
    finally:
        workspace.close()
