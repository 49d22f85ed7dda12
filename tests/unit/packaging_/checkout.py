"""A checkout in a temporary folder whose pip, venv and engine are played by this file."""

import shutil
import subprocess
from pathlib import Path

import engine_build
from environment import Environment, SetupError

ROOT = Path(__file__).resolve().parents[3]
ENGINE = "llama-cpp-python"


def copy_of_project(folder: Path) -> Path:
    """The files that decide what is installed, copied into `folder`."""
    (folder / "packaging").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", "packaging/build-constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    return folder


class PlayedEnvironment(Environment):
    """Keeps a list of what pip was asked for; `interrupt_at` a word in a call is Ctrl+C during that call."""

    def __init__(self, root: Path, folder: str = ".venv") -> None:
        """Everything succeeds unless told otherwise; `probe_statuses` are what the next probes end with."""
        super().__init__(root, folder)
        self.calls: list[str] = []
        self.variables_of: dict[str, dict[str, str]] = {}
        self.interrupt_at: str | None = None
        self.fail_at: str | None = None
        self.probe_statuses: list[int] = []
        self.probes = 0

    def ensure_system_packages(self, *options: str) -> None:
        """The system lacks nothing."""

    def make_venv(self) -> None:
        """An empty .venv."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.site_packages.mkdir(parents=True)
        self.python.parent.mkdir(parents=True)
        self.python.touch()
        self.write_stamp("venv", "unfinished")
        self.calls.append("make .venv")

    def probe(self) -> subprocess.CompletedProcess[str]:
        """The next of `probe_statuses`, else success on the processor."""
        self.probes += 1
        status = self.probe_statuses.pop(0) if self.probe_statuses else 0
        return subprocess.CompletedProcess([], status, stdout="cpu\n", stderr="last words" if status else "")

    def pip(self, *arguments: str, variables: dict[str, str] | None = None, check: bool = True) -> None:
        """Does to the files what pip would do, or stops half-way."""
        call = " ".join(arguments)
        if self.interrupt_at is not None and self.interrupt_at in call:
            raise KeyboardInterrupt
        if self.fail_at is not None and self.fail_at in call:
            raise SetupError("pip failed")
        self.calls.append(call)
        self.variables_of[call] = variables or self.variables
        if arguments[0] == "wheel":
            self._make_wheel(arguments, self.variables_of[call])
        elif arguments[0] == "download":
            (Path(arguments[arguments.index("--dest") + 1]) / f"{ENGINE}.tar.gz").touch()
        elif arguments[0] == "install" and call.endswith(".whl"):
            self._install_engine(Path(arguments[-1]).read_text(encoding="utf-8"))
        elif arguments[0] == "install" and arguments[-1].startswith(ENGINE):
            self._install_engine("cpu")

    def installed(self) -> str | None:
        """The build that lies in .venv now."""
        return engine_build.installed_build(self.site_packages)

    def compiled(self) -> list[str]:
        """The calls that compile past pip's cache."""
        return [call for call in self.calls if call.startswith("wheel")]

    def _make_wheel(self, arguments: tuple[str, ...], variables: dict[str, str]) -> None:
        folder = Path(arguments[arguments.index("--wheel-dir") + 1])
        folder.mkdir(parents=True)
        options = variables.get("CMAKE_ARGS", "").split()
        builds = [build for build, option in engine_build.CMAKE_ARGUMENTS.items() if option in options]
        (folder / "engine.whl").write_text(builds[-1] if builds else "cpu", encoding="utf-8")

    def _install_engine(self, build: str) -> None:
        shutil.rmtree(self.site_packages / "llama_cpp", ignore_errors=True)
        libraries = self.site_packages / "llama_cpp" / "lib"
        libraries.mkdir(parents=True)
        (libraries / "libggml-base.so").touch()
        if build in engine_build.LIBRARIES:
            (libraries / f"lib{engine_build.LIBRARIES[build]}.so").touch()
        for old in self.site_packages.glob("llama_cpp_python-*.dist-info"):
            shutil.rmtree(old)
        version = self.pin(ENGINE).partition("==")[2]
        record = self.site_packages / f"llama_cpp_python-{version}.dist-info" / "RECORD"
        record.parent.mkdir()
        record.touch()
