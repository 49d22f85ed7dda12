"""`python -m app …` as a person or a script calls it: a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120
"""Seconds until a command that hangs fails its test; none takes more than a few."""

Argument = str | int | float | Path


@dataclass(frozen=True)
class Outcome:
    """What a command left."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """Its lines of JSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def line(self) -> Any:
        """Its only line of JSON."""
        (line,) = self.lines
        return line


def command(*arguments: Argument) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "app", *map(str, arguments)]


def environment(changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """This process's environment with some changes; None takes a variable away."""
    merged = {**os.environ, **(changes or {})}
    return {name: value for name, value in merged.items() if value is not None}


def ember(*arguments: Argument, env: Mapping[str, str | None] | None = None) -> Outcome:
    """Run a command to its end."""
    done = subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def begin(*arguments: Argument, env: Mapping[str, str | None] | None = None) -> "subprocess.Popen[bytes]":
    """Start a command in a process group of its own, as a terminal does, with its output piped."""
    return subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
