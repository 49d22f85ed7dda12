"""The check that the compiled engine runs on this processor, with the real one."""

import subprocess
import sys
from pathlib import Path

from tests.unit.packaging_.checkout import ROOT


def probe(model: Path) -> subprocess.CompletedProcess[str]:
    """The check as `make run` runs it."""
    command = [sys.executable, str(ROOT / "packaging" / "probe_engine.py"), str(model)]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )


def test_the_installed_engine_decodes_a_token_of_the_starter_model(starter_model: Path) -> None:
    result = probe(starter_model)
    assert result.returncode == 0
    assert result.stdout.splitlines()[-1] in ("cpu", "gpu")


def test_a_model_that_is_none_is_not_blamed_on_the_build(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model")
    result = probe(broken)
    assert result.returncode == 4
    assert result.stderr.splitlines()[-1] == f"llama.cpp cannot load {broken}"
