"""`models get` as a process of its own, killed in the middle."""

import os
import signal
from pathlib import Path

from tests.support.command import begin, ember
from tests.support.hub import PIECE, HubRepository, running_hub
from tests.support.tiny_models import Kind, make

PATIENCE = 60


def test_after_kill_9_a_download_goes_on_and_fetches_nothing_twice(tmp_path: Path) -> None:
    data = make(Kind.FULL, tmp_path / "tiny.gguf").read_bytes()
    with running_hub() as hub:
        hub.repositories["o/r"] = HubRepository({"tiny-Q4_0.gguf": data})
        hub.mood.holds_after = 64 * PIECE
        env = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": None}
        process = begin("models", "get", "o/r", "--data-dir", tmp_path / "ember", env=env)
        part = tmp_path / "ember" / "models" / "o" / "r" / "tiny-Q4_0.gguf.part"
        while not part.exists() or not part.stat().st_size:
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE)
        there = part.stat().st_size
        assert there > 0
        hub.mood.holds_after = None
        hub.go_on.set()
        done = ember("models", "get", "o/r", "--data-dir", tmp_path / "ember", env=env)
    assert done.status == 0, done.err
    assert Path(done.out.strip()).read_bytes() == data
    assert hub.sent[-1] == (there, len(data) - there)
