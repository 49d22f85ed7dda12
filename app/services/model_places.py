"""Where model files lie on this computer: Ember's own folder, the Hugging Face cache, and other programs' folders.

Nothing is copied or written here, and nothing is read but names and Ollama's manifests.
"""

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from app.services.folder_walk import files_below

logger = logging.getLogger(__name__)

Origin = Literal[
    "starter", "downloaded", "hugging_face", "lm_studio", "jan", "gpt4all", "ollama", "linked", "added", "opened"
]

ORIGIN_NAMES: Final[dict[Origin, str]] = {
    "starter": "comes with Ember",
    "downloaded": "downloaded",
    "hugging_face": "Hugging Face's cache",
    "lm_studio": "LM Studio",
    "jan": "Jan",
    "gpt4all": "GPT4All",
    "ollama": "Ollama",
    "linked": "another folder, through a link",
    "added": "added",
    "opened": "opened before",
}
FOREIGN: Final = frozenset[Origin](("hugging_face", "lm_studio", "jan", "gpt4all", "ollama", "linked"))
"""Files of other programs, and those that a link in Ember's folder leads to: Ember never changes or removes them."""
MOST_FILES: Final = 2000
"""How many files of one place are looked at; a folder with more is no folder of models."""
MOST_MANIFEST_BYTES: Final = 1024 * 1024
_OLLAMA_KINDS: Final = ("application/vnd.ollama.image.model", "application/vnd.ollama.image.projector")


@dataclass(frozen=True, slots=True)
class Found:
    """A file that may be a model."""

    path: Path
    origin: Origin
    name: str = ""
    """What its program calls it; empty where the file's own name tells."""
    sha256: str = ""
    """Hexadecimal, where the program that keeps the file names it by that."""


@dataclass(frozen=True, slots=True)
class Computer:
    """What decides where programs keep their files."""

    home: Path
    variables: Mapping[str, str]
    platform: str

    @classmethod
    def this(cls) -> "Computer":
        """The one that Ember runs on."""
        return cls(Path.home(), os.environ, sys.platform)

    def variable(self, name: str) -> Path | None:
        """A folder that an environment variable names, if it is set."""
        value = self.variables.get(name)
        return Path(value).expanduser() if value else None

    @property
    def programs(self) -> Path:
        """The folder in which programs keep what belongs to this account."""
        if self.platform == "win32":
            return self.variable("APPDATA") or self.home / "AppData" / "Roaming"
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support"
        return self.variable("XDG_CONFIG_HOME") or self.home / ".config"

    @property
    def data(self) -> Path:
        """The folder for larger files of programs, where the system has one of its own."""
        if self.platform == "win32":
            return self.variable("LOCALAPPDATA") or self.home / "AppData" / "Local"
        if self.platform == "darwin":
            return self.programs
        return self.variable("XDG_DATA_HOME") or self.home / ".local" / "share"


def foreign_models(computer: Computer) -> Iterator[Found]:
    """The models of other programs, in no order."""
    yield from _hugging_face(computer)
    for origin, folders in _folders(computer).items():
        for folder in folders:
            for path in gguf_files(folder):
                yield Found(path, origin, _folder_name(path, folder) if origin == "jan" else "")
    for folder in _ollama_folders(computer):
        yield from ollama_models(folder)


def gguf_files(folder: Path) -> Iterator[Path]:
    """The .gguf files below a folder, also behind links, hidden folders left out; at most MOST_FILES."""
    for count, path in enumerate(files_below(folder, ".gguf")):
        if count >= MOST_FILES:
            logger.warning("more than %d models in %s; the others are not looked at", MOST_FILES, folder)
            return
        yield path


def _folders(computer: Computer) -> dict[Origin, list[Path]]:
    """Where programs keep plain .gguf files, by program; current places first, then those of older versions."""
    home = computer.home
    return {
        "lm_studio": [_lm_studio_folder(home), home / ".cache" / "lm-studio" / "models"],
        "jan": [
            computer.programs / "Jan" / "data" / "llamacpp" / "models",
            computer.programs / "Jan" / "data" / "models",
            computer.data / "Jan" / "data" / "llamacpp" / "models",
            home / "jan" / "models",
        ],
        "gpt4all": [computer.data / "nomic.ai" / "GPT4All"],
    }


def _folder_name(path: Path, folder: Path) -> str:
    """What Jan calls a model: by its folders, as each of its files is `model.gguf`; empty where the file is named."""
    return "/".join(path.relative_to(folder).parts[:-1]) if path.stem == "model" else ""


def _lm_studio_folder(home: Path) -> Path:
    """LM Studio's folder of models, which a person can move: its settings say where it is."""
    usual = home / ".lmstudio" / "models"
    settings = _read_json(home / ".lmstudio" / "settings.json")
    moved = settings.get("downloadsFolder") if isinstance(settings, dict) else None
    return Path(moved) if isinstance(moved, str) and moved else usual


def _hugging_face(computer: Computer) -> Iterator[Found]:
    """The snapshots in the cache that huggingface_hub shares among programs; large blobs are named by their sha256."""
    caches = computer.variable("XDG_CACHE_HOME") or computer.home / ".cache"
    home = computer.variable("HF_HOME") or caches / "huggingface"
    cache = computer.variable("HF_HUB_CACHE") or computer.variable("HUGGINGFACE_HUB_CACHE") or home / "hub"
    for path in gguf_files(cache):
        if "snapshots" not in path.parts:
            continue
        blob = _real(path).name
        yield Found(path, "hugging_face", sha256=blob if _is_sha256(blob) else "")


def _ollama_folders(computer: Computer) -> list[Path]:
    """Where Ollama keeps manifests and blobs: named by a variable, this account's, the service's on Linux."""
    named = computer.variable("OLLAMA_MODELS")
    folders = [named] if named is not None else [computer.home / ".ollama" / "models"]
    if computer.platform == "linux":
        folders.append(Path("/usr/share/ollama/.ollama/models"))
    return folders


def ollama_models(folder: Path) -> Iterator[Found]:
    """The models below a folder of Ollama's, each called as Ollama calls it (`gemma3:4b`)."""
    manifests = folder / "manifests"
    for path in files_below(manifests, ""):
        manifest = _read_json(path)
        layers = manifest.get("layers") if isinstance(manifest, dict) else None
        for layer in layers if isinstance(layers, list) else ():
            if isinstance(layer, dict) and layer.get("mediaType") in _OLLAMA_KINDS:
                digest = str(layer.get("digest", "")).removeprefix("sha256:")
                if _is_sha256(digest):
                    name = _ollama_name(path.relative_to(manifests).parts)
                    yield Found(folder / "blobs" / f"sha256-{digest}", "ollama", name, digest)


def _ollama_name(parts: tuple[str, ...]) -> str:
    """`registry.ollama.ai/library/gemma3/4b` as `gemma3:4b`; other owners and registries stay in the name."""
    *owner, model, tag = parts if len(parts) >= 2 else (*parts, "latest")
    owner = [part for part in owner if part not in ("registry.ollama.ai", "library")]
    return "/".join((*owner, f"{model}:{tag}"))


def _is_sha256(text: str) -> bool:
    return len(text) == 64 and all(letter in "0123456789abcdef" for letter in text)


def _read_json(path: Path) -> object:
    """What a small JSON file of another program says; None where it is missing, too large or none."""
    try:
        if path.stat().st_size > MOST_MANIFEST_BYTES:
            return None
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _real(path: Path) -> Path:
    """The file that links lead to; the path itself where they lead nowhere."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path
