"""The `calibrate` command: measures how a model runs fastest here, keeps that for later loads, and prints it."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication

from app.core.errors import EmberError
from app.core.load_options import Calibration, Trial
from app.protocol.parts import ModelInfo
from app.services.model_library import starter_model
from app.services.output import tell, write_json, write_line
from app.services.workspace import Workspace


@dataclass(frozen=True, slots=True)
class CalibrateOptions:
    """What `calibrate` was asked for."""

    model: Path | None = None
    """None: the starter model."""
    as_json: bool = False


def calibrate(options: CalibrateOptions, root: Path | None) -> int:
    """Load the model, measure, keep what was found and print it; the exit status. Raises EmberError."""
    path = options.model or starter_model()
    if path is None:
        raise EmberError("The starter model is not installed. Give a model with --model FILE.", "no_model")
    application = QCoreApplication.instance() or QCoreApplication(sys.argv[:1])
    workspace = Workspace(root)
    try:
        if workspace.notice is not None:
            tell(workspace.notice)
        found = _Measurement(workspace, application, path.absolute()).run()
    finally:
        workspace.close()
    if options.as_json:
        write_json({"model": str(path.absolute()), **as_json(found)})
    else:
        for line in table(found):
            write_line(line)
        if not found.is_steady:
            tell("Other programs kept this computer too busy for an exact measurement; try again when it is quiet.")
    return 0


class _Measurement:
    """Waits for the saved state and the model, measures once, and ends the event loop."""

    def __init__(self, workspace: Workspace, application: QCoreApplication, path: Path) -> None:
        self._workspace = workspace
        self._application = application
        self._path = path
        self._failure = ""

    def run(self) -> Calibration:
        """What was measured. Raises EmberError."""
        engine, settings = self._workspace.engine, self._workspace.model_settings
        engine.model_changed.connect(self._model_changed)
        engine.load_failed.connect(lambda _kind, sentence: self._end(sentence))
        engine.died.connect(lambda death: self._end(death.sentence))
        settings.ended.connect(self._end)
        engine.start()
        # What is saved decides what may change, so the model comes after it.
        self._workspace.saved.when_open(lambda _why_not: engine.load(self._path, settings.options(self._path)))
        self._application.exec()
        found = settings.calibration(self._path)
        if self._failure or found is None:
            raise EmberError(self._failure or "The model could not be measured.", "not_measured")
        return found

    def _model_changed(self, model: ModelInfo | None) -> None:
        if model is not None:
            self._workspace.model_settings.measure_again()

    def _end(self, sentence: str) -> None:
        self._failure = self._failure or sentence
        self._application.quit()


def as_json(calibration: Calibration) -> dict[str, Any]:
    """What was measured, with stable names; speeds in tokens a second."""
    return {
        "depth": calibration.depth,
        "is_steady": calibration.is_steady,
        "best": asdict(calibration.best),
        "trials": [asdict(trial) for trial in calibration.trials],
    }


def table(calibration: Calibration) -> list[str]:
    """What was measured as lines of text; speeds in tokens a second."""
    lines = [
        f"Tokens a second with {calibration.depth:,} tokens in the context (* is used from now on):",
        f"  {'flash attention':<16} {'threads':>7} {'slice':>6} {'follow-up':>10} {'writing':>8} {'reading':>8}",
    ]
    return lines + [_row(trial, is_best=trial == calibration.best) for trial in calibration.trials]


def _row(trial: Trial, *, is_best: bool) -> str:
    flash = "on" if trial.flash_attention else "off"
    speeds = f"{trial.follow_up:>10.1f} {trial.decode:>8.1f} {trial.prefill:>8.1f}"
    return f"{'*' if is_best else ' '} {flash:<16} {trial.threads:>7} {trial.batch:>6} {speeds}"
