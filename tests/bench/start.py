"""Start: the first paint of the window, and the first word of the starter model's reply."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from tests.bench.figure import Figure, against_bar
from tests.support.engine import ROOT

RUNS = 5


def measure() -> Iterator[Figure]:
    """Launches of the real window on fresh data folders, timed from the start of the process; one warms up."""
    launches = [_launch() for _ in range(RUNS + 1)][1:]
    yield against_bar("process start to first paint", [each["painted"] for each in launches], 1.0)
    yield against_bar("process start to model ready", [each["loaded"] for each in launches], 4.0)
    yield against_bar("launch to first word, sent at the first paint", [each["word"] for each in launches], 4.0)


def _launch() -> dict[str, float]:
    """Start the window on a fresh folder; the seconds until it reported each step."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.bench.window_process", str(Path(folder) / "data")]
        environment = {"QT_QPA_PLATFORM": "offscreen", **os.environ}
        reached: dict[str, float] = {}
        started = perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
            assert process.stdout is not None
            for line in process.stdout:
                reached.setdefault(line.strip(), perf_counter() - started)
        assert process.returncode == 0 and {"painted", "loaded", "word"} <= reached.keys(), (
            process.returncode,
            reached,
        )
        return reached
