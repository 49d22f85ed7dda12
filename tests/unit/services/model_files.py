"""A home folder with models in the places where programs keep them."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from app.paths import DataDir
from app.services.model_catalogue import ModelFile, Sources, scan
from app.services.model_places import Computer
from tests.support.tiny_models import Kind, make


@dataclass
class Home:
    """A computer of one person, and Ember's data folder on it."""

    root: Path

    @property
    def data_dir(self) -> DataDir:
        """Ember's."""
        return DataDir(self.root / "ember")

    @property
    def computer(self) -> Computer:
        """A Linux machine whose environment says nothing."""
        return Computer(self.root, {}, "linux")

    def model(self, place: str, *, seed: int = 0) -> Path:
        """A tiny model at a place below the home folder; other seeds are other models."""
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        return make(Kind.FULL, path, seed=seed)

    def sources(self, *opened: Path, used: dict[str, float] | None = None) -> Sources:
        """What a scan begins with."""
        return Sources(self.data_dir, self.computer, opened, used)

    def scan(self, *opened: Path, used: dict[str, float] | None = None) -> list[ModelFile]:
        """The catalogue, without the starter model."""
        return [model for model in scan(self.sources(*opened, used=used)) if model.origin != "starter"]


def ollama_model(folder: Path, name: str, blob: bytes, *, tag: str = "latest") -> Path:
    """Put a model into a folder of Ollama's; its blob."""
    digest = hashlib.sha256(blob).hexdigest()
    path = folder / "blobs" / f"sha256-{digest}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(blob)
    manifest = folder / "manifests" / "registry.ollama.ai" / "library" / name / tag
    manifest.parent.mkdir(parents=True, exist_ok=True)
    layers = [
        {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:" + "1" * 64},
        {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"},
    ]
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    return path


def split(source: Path, folder: Path, stem: str, parts: int) -> list[Path]:
    """Copies of a model named as parts of one; what is in them tests of names need not know."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{stem}-{number:05d}-of-{parts:05d}.gguf" for number in range(1, parts + 1)]
    for path in paths:
        path.write_bytes(source.read_bytes())
    return paths
