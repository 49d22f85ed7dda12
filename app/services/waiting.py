"""Waiting without a window for what an engine does, which is started for it."""

import sys
from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import QCoreApplication

from app.core.errors import EmberError
from app.services.engine_process import EngineDeath
from app.services.state_transfer import OnFailed
from app.services.workspace import Workspace

_T = TypeVar("_T")


def waited(workspace: Workspace, begin: Callable[[Callable[[_T], None], OnFailed], None]) -> _T:
    """Begin something that calls back, with an engine running, and wait for it; raises the EmberError that it gives."""
    application = QCoreApplication.instance() or QCoreApplication(sys.argv[:1])
    results: list[_T] = []
    errors: list[EmberError] = []

    def told(result: _T) -> None:
        results.append(result)
        application.quit()

    def failed(error: EmberError) -> None:
        errors.append(error)
        application.quit()

    def died(death: EngineDeath) -> None:
        failed(EmberError(death.sentence, "engine_died"))

    workspace.engine.died.connect(died)
    try:
        if workspace.engine.state == "stopped":
            workspace.engine.start()
        begin(told, failed)
        if not results and not errors:
            application.exec()
    finally:
        workspace.engine.died.disconnect(died)
    if results:
        return results[0]
    raise errors[0]
