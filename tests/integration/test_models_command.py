"""`models get` as a process of its own, stopped in the middle."""

import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.command import Outcome, begin, ember
from tests.support.hub import PIECE, FakeHub, HubRepository, running_hub
from tests.support.tiny_models import Kind, make

PATIENCE = 60


@dataclass
class Getting:
    """`models get` from a hub that stands still after 1 MiB of a file."""

    hub: FakeHub
    root: Path
    data: bytes
    env: dict[str, str | None] = field(init=False)

    def __post_init__(self) -> None:
        self.hub.repositories["o/r"] = HubRepository({"tiny-Q4_0.gguf": self.data})
        self.hub.mood.holds_after = 64 * PIECE
        self.env = {"HF_ENDPOINT": self.hub.endpoint, "HF_HOME": str(self.root / "hf"), "HF_HUB_OFFLINE": None}

    @property
    def part(self) -> Path:
        """What has come."""
        return self.root / "ember" / "models" / "o" / "r" / "tiny-Q4_0.gguf.part"

    def begin(self) -> "subprocess.Popen[bytes]":
        """The command, once something has come."""
        process = begin("models", "get", "o/r", "--data-dir", self.root / "ember", env=self.env)
        while not self.part.exists() or not self.part.stat().st_size:
            assert process.poll() is None
        return process

    def go_on(self) -> Outcome:
        """The command again, with a hub that sends on."""
        self.hub.mood.holds_after = None
        self.hub.go_on.set()
        return ember("models", "get", "o/r", "--data-dir", self.root / "ember", env=self.env)


@pytest.fixture
def getting(tmp_path: Path) -> Iterator[Getting]:
    data = make(Kind.FULL, tmp_path / "tiny.gguf").read_bytes()
    with running_hub() as hub:
        yield Getting(hub, tmp_path, data)


def test_after_kill_9_a_download_goes_on_and_fetches_nothing_twice(getting: Getting) -> None:
    process = getting.begin()
    process.kill()
    process.communicate(timeout=PATIENCE)
    there = getting.part.stat().st_size
    done = getting.go_on()
    assert done.status == 0, done.err
    assert Path(done.out.strip()).read_bytes() == getting.data
    assert getting.hub.sent[-1] == (there, len(getting.data) - there)


def test_ctrl_c_stops_a_download_and_says_that_it_is_kept(getting: Getting) -> None:
    process = getting.begin()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (1, b"")
    assert err.decode().endswith("Stopped. What has come is kept, and the same command goes on with it.\n")
    assert getting.part.stat().st_size > 0
