"""`python -m tests.torture [--minutes N] [--seed N]`: random work and random kills; 1 if anything went wrong."""

import argparse
import random
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.torture.commands import Commands
from tests.torture.engines import MAY_DIFFER, Tally, places

REPORT_SECONDS = 30


def main() -> int:
    """Take turns among the models and the commands until the time is over."""
    parser = argparse.ArgumentParser(prog="make torture ARGS=...")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"{options.minutes:g} minutes, seed {options.seed}", flush=True)
    dice, tally, started = random.Random(options.seed), Tally(), time.monotonic()
    with TemporaryDirectory() as folder:
        engines = list(places(Path(folder), dice, tally))
        commands = Commands(Path(folder), dice, tally)
        told = started
        while time.monotonic() - started < options.minutes * 60 and not tally.faults:
            dice.choice((*engines, commands)).round()
            if time.monotonic() - told > REPORT_SECONDS:
                told = time.monotonic()
                print(tally, flush=True)
    if tally.compared > 20 and tally.differed > MAY_DIFFER * tally.compared:
        tally.faults.append("too many comparisons differed")
    print(tally)
    for fault in tally.faults:
        print(f"FAULT {fault}")
    return 1 if tally.faults else 0


sys.exit(main())
