"""Chat templates and vocabularies of many model families, as they ship in llama-cpp-python's source archive.

The archive is used where it is at hand: unpacked in the folder that EMBER_LLAMA_SOURCES names, or as the archive that
the tests' set-up leaves under .venv. Nothing is fetched here.
"""

import functools
import os
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ARCHIVES = ROOT / ".venv" / "share" / "llama-cpp-python"
MODELS = "vendor/llama.cpp/models"


@functools.cache
def models_folder() -> Path | None:
    """The folder with `templates/` and `ggml-vocab-*.gguf`, or None where the sources are not at hand."""
    named = os.environ.get("EMBER_LLAMA_SOURCES")
    if named:
        return next(iter(Path(named).glob(f"**/{MODELS}")), None)
    archives = sorted(ARCHIVES.glob("llama_cpp_python-*.tar.gz"))
    return _unpack(archives[-1]) if archives else None


def _unpack(archive: Path) -> Path:
    """Unpack templates and vocabularies beside the archive, once; several processes may try at a time."""
    target = archive.with_suffix("").with_suffix("")
    if not target.exists():
        with tarfile.open(archive) as tar, tempfile.TemporaryDirectory(dir=archive.parent) as staging:
            wanted = [m for m in tar.getmembers() if f"/{MODELS}/" in m.name and m.isfile()]
            tar.extractall(staging, members=wanted, filter="data")
            (folder,) = Path(staging).iterdir()
            try:
                (folder / MODELS).rename(target)
            except OSError:  # another process of tests was first
                if not target.exists():
                    raise
    return target
