"""The script that finds what a Linux lacks, on Linuxes made of a folder with a few programs."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.packaging_.checkout import ROOT

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a script for Linux")

SCRIPT = ROOT / "packaging" / "linux" / "system_packages.sh"
TOOLS = ("cat", "find", "grep", "head", "sh", "touch", "uname")
KIND = {"x86_64": "libc6,x86-64", "aarch64": "libc6,AArch64"}.get(os.uname().machine, "libc6")


@dataclass
class PlayedLinux:
    """A PATH whose package manager notes what it is asked for in `log`."""

    folder: Path

    @property
    def log(self) -> list[str]:
        """The calls of the package manager."""
        file = self.folder / "log"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []

    def program(self, name: str, script: str) -> None:
        """Puts a shell script into the PATH."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def has_libraries(self, *names: str) -> None:
        """The loader knows these libraries and no others."""
        lines = "\n".join(f"\t{name} ({KIND}) => /usr/lib/{name}" for name in names)
        (self.folder / "libraries").write_text(lines + "\n", encoding="utf-8")

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs the script on this Linux."""
        environment = {"PATH": str(self.folder / "bin"), "HOME": str(self.folder), **variables}
        return subprocess.run(
            ["/bin/sh", str(SCRIPT), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def all_libraries() -> list[str]:
    """Every library that the script's table names."""
    words = SCRIPT.read_text(encoding="utf-8").split("libraries='", 1)[1].split("'", 1)[0].splitlines()
    return [line.split()[0] for line in words if line]


@pytest.fixture
def linux(tmp_path: Path) -> PlayedLinux:
    """A Linux with a font, a user that is not root, and no package manager yet."""
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (tmp_path / "bin" / tool).symlink_to(found)
    (tmp_path / ".fonts").mkdir()
    (tmp_path / ".fonts" / "one.ttf").touch()
    result = PlayedLinux(tmp_path)
    result.program("ldconfig", f'cat "{tmp_path}/libraries"')
    result.program("id", "echo 1000")
    result.has_libraries(*all_libraries())
    return result


def manager(linux: PlayedLinux, name: str, after: str = "") -> None:
    """Adds a package manager that notes each call."""
    linux.program(name, f'echo "{name} $*" >> "{linux.folder}/log"\n{after}')


def test_with_everything_there_the_script_says_nothing(linux: PlayedLinux) -> None:
    manager(linux, "apt-get")
    result = linux.run()
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert linux.log == []


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("apt-get", "sudo apt-get install -y libxcb-icccm4 libwayland-cursor0"),
        ("dnf", "sudo dnf install -y xcb-util-wm libwayland-cursor"),
        ("pacman", "sudo pacman -S --needed xcb-util-wm wayland"),
    ],
)
def test_without_root_the_one_command_is_printed(linux: PlayedLinux, name: str, command: str) -> None:
    manager(linux, name)
    lacking = {"libxcb-icccm.so.4", "libwayland-cursor.so.0"}
    linux.has_libraries(*(library for library in all_libraries() if library not in lacking))
    result = linux.run()
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].strip() == command
    assert linux.log == []


def test_a_package_for_several_libraries_is_named_once(linux: PlayedLinux) -> None:
    manager(linux, "dnf")
    linux.has_libraries(*(library for library in all_libraries() if not library.startswith("libxcb-x")))
    assert linux.run().stderr.splitlines()[-1].split() == ["sudo", "dnf", "install", "-y", "libxcb"]


def test_a_library_for_another_processor_does_not_count(linux: PlayedLinux) -> None:
    manager(linux, "apt-get")
    libraries = (linux.folder / "libraries").read_text(encoding="utf-8")
    other = libraries.replace(f"libEGL.so.1 ({KIND})", "libEGL.so.1 (libc6)")
    (linux.folder / "libraries").write_text(other, encoding="utf-8")
    assert "libegl1" in linux.run().stderr


def test_root_installs_without_being_asked_anything(linux: PlayedLinux) -> None:
    linux.program("id", "echo 0")
    linux.has_libraries(*all_libraries()[1:])
    line = f"\tlibEGL.so.1 ({KIND}) => x"
    manager(linux, "apt-get", f"echo '{line}' >> '{linux.folder}/libraries'")
    result = linux.run()
    assert result.returncode == 0
    (call,) = linux.log
    assert "install -y" in call
    assert call.endswith("libegl1")


def test_the_lists_are_updated_only_if_the_package_is_not_found(linux: PlayedLinux) -> None:
    linux.program("id", "echo 0")
    linux.has_libraries(*all_libraries()[1:])
    updated = linux.folder / "updated"
    manager(linux, "apt-get", f'case "$*" in *update*) touch "{updated}" ;; esac\n[ -e "{updated}" ]')
    assert linux.run().returncode == 0
    assert [word for call in linux.log for word in ("install", "update") if word in call.split()] == [
        "install",
        "update",
        "install",
    ]


def test_an_installation_that_fails_ends_with_the_command(linux: PlayedLinux) -> None:
    linux.program("id", "echo 0")
    linux.has_libraries(*all_libraries()[1:])
    manager(linux, "dnf", "exit 1")
    result = linux.run()
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].strip() == "dnf install -y libglvnd-egl"


def test_a_missing_compiler_matters_only_when_something_is_compiled(linux: PlayedLinux) -> None:
    manager(linux, "apt-get")
    linux.program("make", "")
    assert linux.run().returncode == 0
    assert "build-essential" in linux.run("--build").stderr


def test_what_a_software_gpu_takes_matters_only_where_it_is_asked_for(linux: PlayedLinux) -> None:
    manager(linux, "apt-get")
    for name in ("c++", "cc", "make"):
        linux.program(name, "")
    assert linux.run("--build").returncode == 0
    assert "glslc" in linux.run("--software-gpu").stderr.splitlines()[-1].split()


def test_an_unknown_linux_is_told_what_to_look_for_and_goes_on(linux: PlayedLinux) -> None:
    linux.has_libraries(*all_libraries()[1:])
    result = linux.run()
    assert result.returncode == 0
    assert "libegl1" in result.stderr


def test_the_check_can_be_skipped(linux: PlayedLinux) -> None:
    manager(linux, "apt-get")
    linux.has_libraries()
    assert linux.run(SKIP_SYSTEM_PACKAGES="1").returncode == 0


def test_an_unknown_option_is_refused(linux: PlayedLinux) -> None:
    assert linux.run("--help").returncode == 2
