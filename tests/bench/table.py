"""The bench's figures as a table for people."""

from collections.abc import Iterator, Sequence
from typing import Final

from tests.bench.figure import Figure

WHAT: Final = 64
VALUE: Final = 15
RUNS: Final = 18
AGAINST: Final = 28
RATIO: Final = 8
BAR: Final = 9


def heading(machine: str) -> Iterator[str]:
    """What was measured on, and the names of the columns."""
    yield machine
    yield ""
    yield _row("", "median", "runs", "against", "ratio", "bar", "")


def lines(title: str, figures: Sequence[Figure]) -> Iterator[str]:
    """One bench's title, then a line for each figure."""
    yield title
    for figure in figures:
        bar = "" if figure.bar is None else str(figure.bar)
        verdict = {None: "", True: "met", False: "MISSED"}[figure.met]
        against = f"{amount(figure.reference)} {figure.unit}, {figure.reference_name}"
        value = f"{amount(figure.value)} {figure.unit}"
        yield _row(f"  {figure.what}", value, spread(figure.runs), against, f"{figure.ratio:.2f}", bar, verdict)
    yield ""


def summary(figures: Sequence[Figure], seconds: float) -> Iterator[str]:
    """How many bars are met."""
    judged = [figure for figure in figures if figure.met is not None]
    met = sum(figure.met is True for figure in judged)
    yield f"{met} of {len(judged)} bars met; {len(figures) - len(judged)} figures without a bar; {seconds:.0f} s in all"


def amount(number: float) -> str:
    """Three figures that count, and no more digits than there are."""
    if number == int(number) or abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"


def spread(runs: Sequence[float]) -> str:
    """How many runs there were, and between which two they lay."""
    if len(runs) < 2:
        return ""
    return f"{len(runs)} × {amount(min(runs))}…{amount(max(runs))}"


def _row(what: str, value: str, runs: str, against: str, ratio: str, bar: str, verdict: str) -> str:
    cells = f"{what:<{WHAT}} {value:>{VALUE}}  {runs:<{RUNS}} {against:<{AGAINST}} {ratio:>{RATIO}}  {bar:<{BAR}}"
    return f"{cells}{verdict}".rstrip()
