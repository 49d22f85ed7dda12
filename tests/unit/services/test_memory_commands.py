"""`memory` while a window has the data folder, and how what was found is told."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from app.protocol.answers import Statistics
from app.protocol.parts import Device, DeviceEstimate, DeviceMemory, MemoryPlan
from app.protocol.requests import GetStatistics
from app.services.memory_report import describe_device, describe_plan, memory_of
from app.services.window_requests import WindowRequests
from app.services.workspace import Workspace
from tests.support.command import PATIENCE, Outcome, begin
from tests.unit.services.fakes import FakeProcess, model_info

MIB = 1024**2
CPU = Device(name="CPU", description="A processor", kind="cpu", free_bytes=1, total_bytes=1, backend="CPU")
CUDA = Device(
    name="CUDA0", description="A GPU", kind="gpu", free_bytes=700 * MIB, total_bytes=8192 * MIB, backend="CUDA"
)
MEMORY = (
    DeviceMemory(device="CPU", weights=100 * MIB, compute=5 * MIB),
    DeviceMemory(device="CUDA0", weights=900 * MIB, kv_reserved=200 * MIB, kv_used=20 * MIB, compute=50 * MIB),
)


def statistics(request: int, devices: tuple[Device, ...] = (CUDA, CPU)) -> Statistics:
    return Statistics(
        id=request,
        rss=400 * MIB,
        ram_total=16_384 * MIB,
        ram_available=9_000 * MIB,
        devices=devices,
        memory=MEMORY,
        context_used=410,
        context_size=4096,
        live_conversation=None,
        saved_bytes=0,
        saved_budget=0,
        saved_generation=0,
        busy=False,
    )


class Window:
    """A workspace that listens as a window does, with an engine that says what the test tells it to."""

    def __init__(self, root: Path, qtbot: QtBot) -> None:
        self.root, self.qtbot, self._parent = root, qtbot, QObject()
        self.devices = (CUDA, CPU)
        self.workspace = Workspace(root)
        self.workspace.instance.listen()
        self._requests = WindowRequests(self.workspace, self._parent)
        self.workspace.engine.start()
        self.engine.greet()

    @property
    def engine(self) -> FakeProcess:
        return FakeProcess.made[-1]

    def load(self) -> None:
        self.workspace.engine.load(Path("/models/a.gguf"))
        self.engine.finish_load(gpu_layers=9, layers=8)

    def run(self, *arguments: str) -> Outcome:
        """`python -m app memory …`, the engine's statistics answered meanwhile."""
        process = begin("memory", "--data-dir", self.root, *arguments)
        told = 0

        def ended() -> bool:
            nonlocal told
            for asked in self.engine.asked(GetStatistics)[told:]:
                told += 1
                self.engine.say(statistics(asked.id, self.devices))
            return process.poll() is not None

        self.qtbot.waitUntil(ended, timeout=1000 * PATIENCE)
        out, err = process.communicate()
        return Outcome(process.returncode, out.decode(), err.decode())


@pytest.fixture
def window(tmp_path: Path, qtbot: QtBot, processes: list[FakeProcess]) -> Iterator[Window]:
    made = Window(tmp_path / "data", qtbot)
    yield made
    made.workspace.close()


def test_the_windows_model_is_told_by_device(window: Window) -> None:
    window.load()
    outcome = window.run("--json")
    assert (outcome.status, outcome.err) == (0, "")
    line = outcome.line
    assert (line["file"], line["context"], line["context_used"]) == ("/models/a.gguf", 4096, 410)
    assert [part["device"] for part in line["devices"]] == ["CPU", "CUDA0"]
    cpu, gpu = line["devices"]
    assert (gpu["weights_bytes"], gpu["kv_bytes"], gpu["kv_used_bytes"]) == (900 * MIB, 200 * MIB, 20 * MIB)
    assert (gpu["bytes"], gpu["free_bytes"]) == (1150 * MIB, 700 * MIB)
    assert (cpu["free_bytes"], cpu["total_bytes"]) == (9_000 * MIB, 16_384 * MIB)


def test_it_is_told_in_lines_for_people(window: Window) -> None:
    window.load()
    outcome = window.run()
    first, _cpu, gpu = outcome.out.splitlines()
    assert first == "a: 410 of 4,096 tokens, 9 of 9 layers on a GPU; the engine takes 400 MiB"
    assert gpu == ("  CUDA0: 1.1 GiB (900 MiB weights, 200 MiB keys and values, 50 MiB for computing); 700 MiB free")


def test_a_window_without_a_model_says_so(window: Window) -> None:
    outcome = window.run("--json")
    assert (outcome.status, outcome.out) == (1, "")
    assert "No model is loaded" in outcome.err


def test_what_the_driver_counts_for_the_engine_is_told_where_it_does(window: Window) -> None:
    window.load()
    assert [part["process_bytes"] for part in window.run("--json").line["devices"]] == [None, None]
    window.devices = (msgspec.structs.replace(CUDA, process_bytes=1300 * MIB), CPU)
    assert [part["process_bytes"] for part in window.run("--json").line["devices"]] == [None, 1300 * MIB]
    assert window.run().out.splitlines()[-1].endswith(", the driver counts 1.3 GiB; 700 MiB free")


def test_what_was_estimated_stands_beside_what_is_taken() -> None:
    report = memory_of(model_info(), statistics(1), plan())
    assert [part["estimated_bytes"] for part in report["devices"]] == [104 * MIB, 1160 * MIB]
    assert report["estimated_process_bytes"] == (104 + 70) * MIB


def plan() -> MemoryPlan:
    return MemoryPlan(
        verdict="fits",
        sentence="It fits.",
        context=4096,
        gpu_layers=9,
        layers=8,
        is_dry_run=True,
        devices=(
            DeviceEstimate(
                device="CPU", free_bytes=1, total_bytes=2, weights=100 * MIB, compute=4 * MIB, other=70 * MIB
            ),
            DeviceEstimate(
                device="CUDA0", free_bytes=1, total_bytes=2, weights=900 * MIB, kv=200 * MIB, compute=60 * MIB
            ),
        ),
    )


def test_an_estimate_has_stable_names() -> None:
    report = describe_plan(Path("/models/a.gguf"), plan())
    assert report["verdict"] == "fits"
    assert report["measured_by_llama_cpp"] is True
    assert report["devices"][1]["bytes"] == 1160 * MIB


def test_the_processors_room_is_what_the_computer_has_free() -> None:
    ram = {"free_bytes": 9 * MIB, "total_bytes": 16 * MIB}
    assert describe_device(CPU, ram)["free_bytes"] == 9 * MIB
    assert describe_device(CUDA, ram)["free_bytes"] == 700 * MIB
