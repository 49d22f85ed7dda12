"""That `make lint` would notice a breach of the house's rules: what each layer may import."""

import subprocess
import sys

import pytest

from tests.unit.packaging_.checkout import ROOT


def codes(path: str, source: str) -> set[str]:
    """The rules that ruff finds broken by `source` at `path`."""
    result = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--output-format=concise", f"--stdin-filename={path}", "-"],
        cwd=ROOT,
        input=source,
        capture_output=True,
        text=True,
        check=False,
    )
    return {line.split()[1] for line in result.stdout.splitlines() if line.startswith(path)}


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("app/services/x.py", "import llama_cpp\n\nprint(llama_cpp)\n"),
        ("app/services/x.py", "from PySide6.QtWidgets import QWidget\n\nprint(QWidget)\n"),
        ("app/services/x.py", "from PySide6 import QtGui\n\nprint(QtGui)\n"),
        ("app/core/x.py", "import pickle\n\nprint(pickle)\n"),
    ],
)
def test_an_import_from_the_wrong_layer_is_refused(path: str, source: str) -> None:
    assert codes(path, source) == {"TID251"}


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("app/engine/x.py", "import llama_cpp\n\nprint(llama_cpp)\n"),
        ("app/gui/x.py", "from PySide6.QtWidgets import QWidget\n\nprint(QWidget)\n"),
        ("app/services/x.py", "from PySide6.QtCore import QObject\n\nprint(QObject)\n"),
    ],
)
def test_an_import_from_the_right_layer_is_fine(path: str, source: str) -> None:
    assert codes(path, source) == set()


def test_a_catch_all_and_an_eval_are_refused() -> None:
    source = "try:\n    print(eval(input()))\nexcept Exception:\n    print(1)\n"
    assert codes("app/core/x.py", source) == {"S307", "BLE001"}
