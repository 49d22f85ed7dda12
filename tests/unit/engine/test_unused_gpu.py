"""What is said of a GPU that the build cannot use."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.engine import unused_gpu
from app.engine.unused_gpu import unused_gpus
from app.protocol.parts import Device, DeviceKind

CPU_DEVICE = Device(name="CPU", description="A processor", kind="cpu", free_bytes=0, total_bytes=0, backend="CPU")
PutIn = Callable[[str], None]


def gpu(kind: DeviceKind) -> Device:
    return Device(name="Vulkan0", description="A GPU", kind=kind, free_bytes=0, total_bytes=0, backend="Vulkan")


@pytest.fixture
def put_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PutIn:
    """Put cards of these PCI vendors into a computer that has none."""
    monkeypatch.setattr(unused_gpu, "DRM", tmp_path)
    monkeypatch.setattr(unused_gpu, "NVIDIA_DEVICE", tmp_path / "nvidia0")
    monkeypatch.setattr(unused_gpu.sys, "platform", "linux")

    def put(vendor: str) -> None:
        card = tmp_path / f"card{len(list(tmp_path.iterdir()))}" / "device"
        card.mkdir(parents=True)
        (card / "vendor").write_text(f"{vendor}\n")

    return put


@pytest.mark.parametrize(
    ("vendor", "maker", "command"),
    [
        ("0x10de", "An NVIDIA GPU", "make run GPU=cuda"),
        ("0x1002", "An AMD GPU", "make run GPU=vulkan"),
        ("0x8086", "An Intel GPU", "make run GPU=vulkan"),
    ],
)
def test_a_gpu_that_the_build_cannot_use_is_said_with_the_command(
    vendor: str, maker: str, command: str, put_in: PutIn
) -> None:
    put_in(vendor)
    (sentence,) = unused_gpus((CPU_DEVICE,), ("CPU",))
    assert sentence.startswith(maker)
    assert sentence.endswith(command)


def test_the_screen_of_a_server_is_no_gpu(put_in: PutIn) -> None:
    put_in("0x1a03")
    assert unused_gpus((CPU_DEVICE,), ("CPU",)) == ()


@pytest.mark.parametrize("kind", ["gpu", "integrated"])
def test_nothing_is_said_where_a_gpu_is_used(kind: DeviceKind, put_in: PutIn) -> None:
    put_in("0x10de")
    assert unused_gpus((CPU_DEVICE, gpu(kind)), ("CPU", "Vulkan")) == ()


def test_a_build_that_could_but_finds_no_gpu_points_to_the_driver(put_in: PutIn) -> None:
    put_in("0x10de")
    (sentence,) = unused_gpus((CPU_DEVICE,), ("CUDA", "CPU"))
    assert "driver" in sentence


def test_a_container_that_sees_only_the_driver_is_told_too(put_in: PutIn, tmp_path: Path) -> None:
    (tmp_path / "nvidia0").touch()
    (sentence,) = unused_gpus((CPU_DEVICE,), ("CPU",))
    assert "NVIDIA" in sentence


def test_two_makers_gpus_are_two_sentences(put_in: PutIn) -> None:
    put_in("0x8086")
    put_in("0x10de")
    assert len(unused_gpus((CPU_DEVICE,), ("CPU",))) == 2
