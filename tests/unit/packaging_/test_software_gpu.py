"""Headers for the software GPU, from a Debian whose apt-get and dpkg are played by scripts."""

import os
import sys
from pathlib import Path

import pytest

import engine_build
import software_gpu
from engine_build import SetupError
from tests.unit.packaging_.test_engine_build import vulkan_headers

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a set-up for Linux")

APT = """#!/bin/sh
echo "$*" >> "{log}"
case "$*" in
    indextargets*) echo "mirror:/debian contrib"; echo "mirror:/debian main" ;;
    *download*) for package; do :; done; touch "$package.deb" ;;
esac
"""
DPKG = """#!/bin/sh
mkdir -p "$3/usr/include/vulkan"
"""


class PlayedDebian:
    """Notes apt-get's calls; its own headers are of a version that one may choose."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A Debian 12, with nothing named by the person."""
        self.folder, self._monkeypatch = folder, monkeypatch
        self._log = folder / "log"
        self.build = folder / "build"
        self.program("apt-get", APT.format(log=self._log))
        self.program("dpkg", DPKG)
        monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("VULKAN_SDK", "")
        self.has_headers(239)

    def program(self, name: str, script: str) -> None:
        """Puts a script into the PATH."""
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(script, encoding="utf-8")
        path.chmod(0o755)

    def has_headers(self, patch: int) -> None:
        """The system's headers are 1.3.`patch`."""
        headers = vulkan_headers(self.folder / f"include-{patch}", patch)
        self._monkeypatch.setattr(engine_build, "vulkan_include_folders", lambda: [headers])

    @property
    def calls(self) -> list[str]:
        """apt-get's calls so far."""
        return self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedDebian:
    """A Debian 12."""
    return PlayedDebian(tmp_path, monkeypatch)


def test_too_old_headers_are_replaced_for_the_compile_alone(debian: PlayedDebian) -> None:
    software_gpu.ensure_headers(debian.build)
    sdk = Path(os.environ["VULKAN_SDK"])
    assert sdk.is_relative_to(debian.build)
    assert (sdk / "include" / "vulkan").is_dir()
    assert [word for call in debian.calls for word in call.split() if word in ("install", "download")] == ["download"]


def test_they_are_fetched_once(debian: PlayedDebian) -> None:
    software_gpu.ensure_headers(debian.build)
    before = debian.calls
    software_gpu.ensure_headers(debian.build)
    assert debian.calls == before


def test_headers_that_are_new_enough_are_used_as_they_are(debian: PlayedDebian) -> None:
    debian.has_headers(272)
    software_gpu.ensure_headers(debian.build)
    assert debian.calls == []
    assert os.environ["VULKAN_SDK"] == ""


@pytest.mark.parametrize("step", ["indextargets", "update", "download"])
def test_headers_that_cannot_be_fetched_are_told_and_tried_again(debian: PlayedDebian, step: str) -> None:
    failing = APT.replace('case "$*" in', f'case "$*" in\n    *{step}*) echo "no {step}" >&2; exit 100 ;;')
    debian.program("apt-get", failing.format(log=debian.folder / "log"))
    with pytest.raises(SetupError, match=f"no {step}"):
        software_gpu.ensure_headers(debian.build)
    debian.program("apt-get", APT.format(log=debian.folder / "log"))
    software_gpu.ensure_headers(debian.build)
    assert os.environ["VULKAN_SDK"]


def test_a_system_without_any_source_of_packages_is_told(debian: PlayedDebian) -> None:
    debian.program("apt-get", "#!/bin/sh\n")
    with pytest.raises(SetupError, match="install the Vulkan SDK"):
        software_gpu.ensure_headers(debian.build)
