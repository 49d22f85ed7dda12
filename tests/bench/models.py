"""The models that the bench measures with."""

from pathlib import Path

from app.services.model_library import starter_model
from tests.support.tiny_models import Kind, make

STARTER_NAME = "SmolLM2 135M"


def starter() -> Path:
    """The starter model's file; FileNotFoundError if it is not installed."""
    path = starter_model()
    if path is None:
        raise FileNotFoundError("The starter model is not installed; `make bench` installs it.")
    return path


def tiny(kind: Kind, folder: Path) -> Path:
    """A random model of a kind of memory, made in `folder`."""
    return make(kind, folder / f"{kind.value}.gguf")
