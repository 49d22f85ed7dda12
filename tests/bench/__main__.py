"""`python -m tests.bench [--only NAME] [--json]`: every bench in a process of its own, one after another."""

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from time import perf_counter
from typing import Any, Final

import msgspec

from tests.bench.figure import Figure
from tests.bench.table import heading, lines, summary
from tests.support.engine import ROOT

BENCHES: Final = (
    *("follow_up", "first_word", "saved_turns", "saved_first_word", "saved_store", "state_files", "claims", "decode"),
    *("calibration", "start", "idle", "chats", "backup", "transcript", "send", "prompt", "memory", "archives"),
)
"""The modules, in the order in which they run; each has `measure()`."""


def title(name: str) -> str:
    """What a bench measures: the first line of its module."""
    return (importlib.import_module(f"tests.bench.{name}").__doc__ or name).partition("\n")[0].rstrip(".")


def measured_here(name: str) -> list[Figure]:
    """Run one bench in this process."""
    return list(importlib.import_module(f"tests.bench.{name}").measure())


def measured(name: str) -> list[Figure]:
    """Run one bench in a process of its own; CalledProcessError if it breaks down."""
    command = [sys.executable, "-m", "tests.bench", "--figures", name]
    output = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT).stdout
    return msgspec.json.decode(output, type=list[Figure])


def as_json(figure: Figure) -> dict[str, Any]:
    """A figure with what follows from it."""
    return {**asdict(figure), "ratio": figure.ratio, "met": figure.met}


def run(names: Sequence[str], *, json_wanted: bool) -> int:
    """Run the benches and print what they found; 1 if one of them broke down, never for a slow one."""
    everything: dict[str, list[Figure]] = {}
    broken: list[str] = []
    started = perf_counter()
    for line in () if json_wanted else heading(_machine()):
        print(line, flush=True)
    for name in names:
        try:
            everything[name] = measured(name)
        except subprocess.CalledProcessError as error:
            broken.append(name)
            print(f"{name}: broke down with status {error.returncode}", file=sys.stderr)
            continue
        for line in () if json_wanted else lines(title(name), everything[name]):
            print(line, flush=True)
    seconds = perf_counter() - started
    if json_wanted:
        found = {name: [as_json(figure) for figure in figures] for name, figures in everything.items()}
        print(json.dumps({"machine": _machine(), "seconds": seconds, "benches": found}, indent=2, ensure_ascii=False))
    else:
        for line in summary([figure for figures in everything.values() for figure in figures], seconds):
            print(line)
    return 1 if broken else 0


def _machine() -> str:
    """What the figures were measured on, and how busy it was before."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load {os.getloadavg()[0]:.1f} before" if hasattr(os, "getloadavg") else ""
    return f"{platform.system()} {platform.machine()}, {cores} cores{load}, Python {platform.python_version()}"


def main(arguments: Sequence[str]) -> int:
    """Parse the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure Ember's speeds as ratios.")
    parser.add_argument("--only", action="append", choices=BENCHES, metavar="NAME", help=f"one of {', '.join(BENCHES)}")
    parser.add_argument("--json", action="store_true", help="the figures with every single run, as JSON")
    parser.add_argument("--figures", choices=BENCHES, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    if options.figures is not None:
        sys.stdout.buffer.write(msgspec.json.encode(measured_here(options.figures)))
        return 0
    return run(options.only or BENCHES, json_wanted=options.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
