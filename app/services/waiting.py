"""Waiting without a window for what an engine does, which is started for it."""

import sys
from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import QCoreApplication, QMetaObject, QObject

from app.core.errors import EmberError
from app.services.engine_process import EngineDeath
from app.services.state_transfer import OnFailed
from app.services.workspace import Workspace

_T = TypeVar("_T")


Begin = Callable[[Callable[[_T], None], OnFailed], None]
"""Begins something that calls back once, with what came of it or an error."""


def answered(begin: Begin[_T]) -> _T:
    """Begin something and wait for it; raises the EmberError that it gives."""
    application = QCoreApplication.instance() or QCoreApplication(sys.argv[:1])
    results: list[_T] = []
    errors: list[EmberError] = []

    def told(result: _T) -> None:
        results.append(result)
        application.quit()

    def failed(error: EmberError) -> None:
        errors.append(error)
        application.quit()

    begin(told, failed)
    if not results and not errors:
        application.exec()
    if results:
        return results[0]
    raise errors[0]


def waited(workspace: Workspace, begin: Begin[_T]) -> _T:
    """The same with an engine running, whose death is an error too."""
    connections: list[QMetaObject.Connection] = []

    def begin_with_engine(told: Callable[[_T], None], failed: OnFailed) -> None:
        def died(death: EngineDeath) -> None:
            failed(EmberError(death.sentence, "engine_died"))

        connections.append(workspace.engine.died.connect(died))
        if workspace.engine.state == "stopped":
            workspace.engine.start()
        begin(told, failed)

    try:
        return answered(begin_with_engine)
    finally:
        for connection in connections:
            QObject.disconnect(connection)
