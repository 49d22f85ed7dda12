"""A process that is killed in the middle of its work."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def lines_of_killed(script: str, folder: Path, count: int) -> list[str]:
    """Run a script on a folder, and kill it once it wrote so many lines; all that it wrote, a cut-off one left out."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert process.stdout is not None
    with process.stdout as out:
        first = "".join(out.readline() for _ in range(count))
        process.kill()
        written = first + out.read()  # it went on until the signal came
    process.wait()
    lines = written[: written.rfind("\n") + 1].splitlines()
    assert len(lines) >= count, "it ended by itself"
    return lines
