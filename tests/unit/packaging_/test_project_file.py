"""What pyproject.toml, the constraints, the Makefile and the licences promise together."""

import os
import re
import subprocess
import sys
import tomllib
from typing import Any

import pytest

from app.gui.application import ICON
from app.services.first_models import LIST
from tests.unit.packaging_.checkout import ROOT

EXACT = re.compile(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*")


def project() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def direct() -> list[str]:
    """The direct dependencies, those of the tests included."""
    table = project()["project"]
    return [*table["dependencies"], *table["optional-dependencies"]["test"]]


def lines_of(name: str) -> list[str]:
    """The requirements in a constraints file."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


def package(requirement: str) -> str:
    """Its name in the one spelling that pip compares."""
    return re.sub(r"[-_.]+", "-", requirement.partition("==")[0]).lower()


def test_every_dependency_is_pinned_exactly() -> None:
    ember = project()["tool"]["ember"]
    requirements = [*direct(), *lines_of("constraints.txt"), *lines_of("packaging/build-constraints.txt")]
    for requirement in [*requirements, ember["starter-model"], ember["installer"]]:
        assert EXACT.fullmatch(requirement), requirement


def test_each_package_is_pinned_in_one_place() -> None:
    names = [package(line) for line in [*direct(), *lines_of("constraints.txt")]]
    assert sorted(names) == sorted(set(names))


def test_qt_stays_below_the_release_that_crashes() -> None:
    (pin,) = (line for line in direct() if line.startswith("PySide6"))
    assert tuple(map(int, pin.partition("==")[2].split("."))) < (6, 12)


def test_every_direct_dependency_says_why_it_was_taken() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    pins = [number for number, line in enumerate(lines) if re.match(r'    "[A-Za-z0-9-]+==', line)]
    without = [lines[number].strip() for number in pins if not lines[number - 1].strip().startswith("#")]
    # The three that need no reason: the test runner, the linter and the type checker.
    assert [package(line.strip('",')) for line in without] == ["pytest", "ruff", "mypy"]


def test_every_library_is_named_with_its_licence() -> None:
    page = (ROOT / "resources" / "licences" / "libraries.md").read_text(encoding="utf-8").lower()
    names = [package(line) for line in [*direct(), *lines_of("constraints.txt")]]
    page = re.sub(r"[-_.]+", "-", page)
    assert [name for name in names if name not in page] == []


def test_packaging_is_no_python_package() -> None:
    # It would shadow PyPI's `packaging`.
    assert list((ROOT / "packaging").glob("**/__init__.py")) == []


def test_only_the_app_is_installed() -> None:
    assert project()["tool"]["setuptools"]["packages"]["find"]["include"] == ["app*"]


def test_what_the_app_reads_beside_its_code_is_installed_with_it() -> None:
    other = {path for path in (ROOT / "app").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc", ".md")}
    assert {LIST, ICON} <= other
    assert all(path.is_relative_to(ROOT / "app" / "resources") for path in other)
    setuptools = project()["tool"]["setuptools"]
    assert setuptools["package-data"] == {"app": ["resources/**"]}
    assert "exclude" not in setuptools["packages"]["find"], "setuptools prints a page of warnings for a left out folder"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has run.ps1 instead of make")
class TestMake:
    """The Makefile's own sentences."""

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs make without a display."""
        hidden = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
        environment = {key: value for key, value in os.environ.items() if key not in hidden}
        return subprocess.run(
            ["make", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux may lack a display")
    def test_run_without_a_display_says_so_before_anything_is_installed(self) -> None:
        result = self.make("run", f"PYTHON={sys.executable}")
        assert result.returncode != 0
        assert result.stderr.startswith("Ember: There is no display")

    def test_a_missing_python_is_told_in_one_sentence(self) -> None:
        result = self.make("test", "PYTHON=no-such-python")
        assert result.returncode != 0
        assert result.stderr.splitlines()[0].startswith("Ember: no-such-python is missing or older than 3.11")

    def test_help_names_every_target(self) -> None:
        targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert targets
        text = self.make("help").stdout
        shown = set(targets.group(1).split()) - {"help", "setup-tests"}
        assert {name for name in shown if f"make {name}" not in text} == set()
