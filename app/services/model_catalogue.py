"""Every model that is known on this computer, with what its header says and what is wrong with it."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QFile, QObject, QStandardPaths, Signal

from app.core.errors import EmberError
from app.core.fit import Fit, Need, fit
from app.core.model_facts import ModelFacts, unusable_because
from app.core.offload import Machine
from app.core.shards import shard_names, shard_of
from app.paths import DataDir, plain_reason
from app.services.added_models import added_models, forget_added, remember_added
from app.services.background import run_detached, run_in_background
from app.services.download_record import DownloadRecord, files_of, records, remove_empty_folders, remove_partial
from app.services.header_cache import HeaderCache
from app.services.model_library import STARTER_NAME, opened_models, starter_model, used_models
from app.services.model_places import FOREIGN, ORIGIN_NAMES, Computer, Found, Origin, foreign_models, gguf_files
from app.services.model_verification import Check, verify
from app.storage.settings import SettingsStore


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One model of the catalogue; its parts as one."""

    name: str
    path: Path
    """The file to load: the first part."""
    files: tuple[Path, ...]
    """All parts that are there."""
    origin: Origin
    size: int
    """Bytes of all parts."""
    facts: ModelFacts | None
    """None where the header could not be read."""
    problem: str = ""
    """Why it cannot be used, as a sentence."""
    notice: str = ""
    """Something to know although it can be used, as a sentence."""
    last_used: float | None = None
    """Seconds since 1970."""
    repository: str = ""
    licence: str = ""
    checksums: tuple[str, ...] = ()
    """The sha256 that each file must have, where that is known."""

    @property
    def is_own(self) -> bool:
        """Whether the files are Ember's, so that it may remove them."""
        return self.origin == "downloaded"

    @property
    def is_usable(self) -> bool:
        """Whether one can chat with it, as far as the header tells."""
        return not self.problem

    def fit(self, machine: Machine) -> Fit | None:
        """Whether it fits, estimated; None where that cannot be told."""
        if self.facts is None or self.problem:
            return None
        return fit(Need(self.facts.weights, self.facts.beside_weights, self.facts.beside_weights_least), machine)


@dataclass(frozen=True, slots=True)
class Sources:
    """What a scan begins with."""

    data_dir: DataDir
    computer: Computer
    opened: tuple[Path, ...] = ()
    """The files that were opened in the window."""
    used: Mapping[str, float] | None = None
    """When each path was loaded last; seconds since 1970."""


def model_sources(data_dir: DataDir, settings: SettingsStore) -> Sources:
    """What a scan of this computer begins with."""
    return Sources(data_dir, Computer.this(), opened_models(settings), used_models(settings))


def scan(sources: Sources) -> tuple[ModelFile, ...]:
    """Look at every place; takes as long as the disk does. Reads only headers that are not known yet."""
    cache = HeaderCache(sources.data_dir.model_headers)
    downloads = dict(_downloads(sources.data_dir))
    seen: set[Path] = set()
    models = []
    for found in _all(sources, downloads):
        for model in _model(found, sources, cache, downloads):
            real = _real(model.path)
            if real not in seen:
                seen.add(real)
                models.append(model)
    cache.save()
    return tuple(models)


def _all(sources: Sources, downloads: Mapping[Path, DownloadRecord]) -> Iterator[Found]:
    """What is found, the places first whose rules a file must keep that is found twice."""
    starter = starter_model()
    if starter is not None:
        yield Found(starter, "starter", STARTER_NAME)
    own, linked = _real(sources.data_dir.models), []
    for path in gguf_files(sources.data_dir.models):
        record = downloads.get(path)
        if record is None and not _real(path).is_relative_to(own):
            linked.append(path)
        elif record is None or record.is_done:
            yield Found(path, "downloaded")
    yield from foreign_models(sources.computer)
    yield from (Found(path, "linked") for path in linked)
    for path in added_models(sources.data_dir):
        yield Found(path, "added")
    for path in sources.opened:
        yield Found(path, "opened")


def _downloads(data_dir: DataDir) -> Iterator[tuple[Path, DownloadRecord]]:
    """Each file of a download with its record."""
    for path, record in records(data_dir.models):
        for file in files_of(path, record):
            yield file, record


def _model(
    found: Found, sources: Sources, cache: HeaderCache, downloads: Mapping[Path, DownloadRecord]
) -> Iterator[ModelFile]:
    """The model that a file belongs to; none for a later part, whose first part is found too, and for what is gone."""
    path, missing = found.path, 0
    files: tuple[Path, ...] = (path,)
    shard = shard_of(path.name)
    if shard is not None and shard.count > 1:
        parts = [path.with_name(name) for name in shard_names(shard.stem, shard.count)]
        files = tuple(part for part in parts if _is_file(part))
        missing = shard.count - len(files)
        if not files or (path != files[0] and found.origin not in ("added", "opened")):
            return
        path = files[0]
    elif not _is_file(path):
        return
    used = (sources.used or {}).get(str(path))
    record = downloads.get(path)
    name = found.name or (path.stem if shard is None else shard.stem)
    size = sum(map(_size, files))
    checksums = tuple(file.sha256 for file in record.files) if record else (found.sha256,) if found.sha256 else ()
    if missing:
        problem = f"{missing} of its {len(files) + missing} parts {'is' if missing == 1 else 'are'} missing."
        yield ModelFile(name, path, files, found.origin, size, None, problem, last_used=used)
        return
    known = cache.look(files)
    problem = known.problem or (unusable_because(known.facts) if known.facts is not None else "")
    yield ModelFile(
        name=name,
        path=path,
        files=files,
        origin=found.origin,
        size=size,
        facts=known.facts,
        problem=problem,
        notice=_notice(known.was_replaced, path, used),
        last_used=used,
        repository=record.repository if record else "",
        licence=record.licence if record else "",
        checksums=checksums if len(checksums) == len(files) else (),
    )


def _notice(was_replaced: bool, path: Path, used: float | None) -> str:
    """What to say of a file that stands where another one stood, until it was loaded."""
    try:
        if not was_replaced or (used is not None and used > path.stat().st_mtime):
            return ""
    except OSError:  # gone since; the next scan finds nothing there
        return ""
    return "The file was replaced by another one since Ember looked at it last."


def find(models: Iterable[ModelFile], name: str) -> ModelFile:
    """The model that a person means: a name, a file's name, a path or a repository; raises EmberError."""
    small, path = name.lower(), Path(name).absolute()
    known = tuple(models)
    hits = [model for model in known if path in (model.path, *model.files)]
    hits = hits or [model for model in known if small in _names(model)]
    hits = hits or [model for model in known if any(small in each for each in _names(model))]
    if len(hits) == 1:
        return hits[0]
    if not hits:
        raise EmberError(f"No model is called “{name}”. See `models` for those that are known.", "no_model")
    called = ", ".join(str(model.path) for model in hits[:5])
    raise EmberError(f"“{name}” stands for {len(hits)} models; name one of them: {called}.", "ambiguous")


def _names(model: ModelFile) -> set[str]:
    return {each.lower() for each in (model.name, model.path.name, model.path.stem, model.repository) if each}


# --- adding ----------------------------------------------------------------------------------------------------------


def add_model(data_dir: DataDir, path: Path) -> None:
    """Know a model from now on, without copying it; raises EmberError for a file that one cannot chat with."""
    path = path.absolute()
    if path.exists() and not (path.is_file() or path.is_dir()):  # opening a pipe would wait for somebody to write
        raise EmberError(f"{path} cannot be added because it is no file. Nothing was changed.", "no_file")
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise EmberError(
            f"{path} cannot be added because {plain_reason(error, reading=True)}. Nothing was changed.", "no_file"
        ) from error
    cache = HeaderCache(data_dir.model_headers)
    for model in _model(Found(path, "added"), Sources(data_dir, Computer.this()), cache, {}):
        if model.problem:
            raise EmberError(f"{path.name} was not added. {model.problem}", "unusable")
        path = model.path
    remember_added(data_dir, path)


# --- removing --------------------------------------------------------------------------------------------------------


def remove_model(data_dir: DataDir, model: ModelFile) -> str:
    """Move an own model to the trash, forget an added one; the sentence that says so. Raises EmberError."""
    if model.origin in FOREIGN:
        raise EmberError(
            f"{model.name} belongs to {ORIGIN_NAMES[model.origin]}, so Ember does not touch it. Remove it there.",
            "not_ours",
        )
    if model.origin == "starter":
        raise EmberError(f"{model.name} comes with Ember and goes with it; it was not removed.", "not_ours")
    if model.origin != "downloaded":
        forget_added(data_dir, model.path)
        return f"{model.name} is not listed any more; the file stays where it is."
    # Qt finds no trash on Linux while the folder that holds it is missing, as on a machine without a desktop.
    with contextlib.suppress(OSError):
        Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericDataLocation)).mkdir(
            parents=True, exist_ok=True
        )
    for file in model.files:
        if not QFile(str(file)).moveToTrash():  # on a file system without one
            raise EmberError(
                f"{file.name} could not be moved to the trash, so it was kept. Remove it by hand: {file}.", "no_trash"
            )
    for path, record in records(data_dir.models):
        if model.path in files_of(path, record):
            remove_partial(path, record)
    remove_empty_folders(data_dir.models, model.path.parent)
    cache = HeaderCache(data_dir.model_headers)
    cache.forget(model.path)
    cache.save()
    return f"{model.name} is in the trash."


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # links in a circle
        return path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


# --- for the window --------------------------------------------------------------------------------------------------


class ModelCatalogue(QObject):
    """The catalogue for a window: looked through in the background, told when it changed."""

    changed = Signal()
    """`models` may be others now."""
    failed = Signal(str)
    """A sentence about something that could not be done."""
    told = Signal(str)
    """A sentence about something that was done."""
    checking = Signal(object, object, object)
    """While files are verified: (Path, bytes done, bytes in all)."""
    checked = Signal(object, object)
    """(Path, Check) when that is over; not after `stop_check`."""

    def __init__(self, sources: Callable[[], Sources], parent: QObject | None = None) -> None:
        """`sources` is asked before each scan, on this object's thread."""
        super().__init__(parent)
        self._sources = sources
        self._models: tuple[ModelFile, ...] = ()
        self._is_scanning = False
        self._scan_again = False
        self._stop_check = threading.Event()
        self._is_closed = False

    @property
    def models(self) -> tuple[ModelFile, ...]:
        """What the last scan found."""
        return self._models

    @property
    def is_scanning(self) -> bool:
        """Whether a scan is under way."""
        return self._is_scanning

    def refresh(self) -> None:
        """Look through all places again; `changed` follows."""
        if self._is_closed:
            return
        if self._is_scanning:
            self._scan_again = True
            return
        self._is_scanning = True
        sources = self._sources()
        run_detached(self, lambda: scan(sources), self._take, self._scan_failed)

    def add(self, path: Path) -> None:
        """Know a file from now on."""
        self._do(lambda data_dir: add_model(data_dir, path))

    def remove(self, model: ModelFile) -> None:
        """Move it to the trash, or forget it; `told` or `failed` follows."""
        self._do(lambda data_dir: remove_model(data_dir, model))

    def verify(self, model: ModelFile) -> None:
        """Hold its files against their checksums; `checking`…, then `checked`."""
        self._stop_check = stop = threading.Event()

        def check() -> Check | None:
            return verify(model.files, model.checksums, lambda n, of: self.checking.emit(model.path, n, of), stop)

        def done(result: Check | None) -> None:
            if result is not None:
                self.checked.emit(model.path, result)

        run_detached(self, check, done, lambda error: self.failed.emit(error.sentence))

    def stop_check(self) -> None:
        """End a verification."""
        self._stop_check.set()

    def close(self) -> None:
        """Tell nothing any more; a scan that is under way ends by itself."""
        self._is_closed = True
        self.stop_check()

    def _do(self, deed: Callable[[DataDir], str | None]) -> None:
        data_dir = self._sources().data_dir

        def done(sentence: str | None) -> None:
            if sentence:
                self.told.emit(sentence)
            self.refresh()

        run_in_background(self, lambda: deed(data_dir), done, lambda error: self.failed.emit(error.sentence))

    def _take(self, models: tuple[ModelFile, ...]) -> None:
        self._is_scanning = False
        if self._is_closed:
            return
        self._models = models
        self.changed.emit()
        self._scan_if_asked()

    def _scan_failed(self, error: EmberError) -> None:
        self._is_scanning = False
        if self._is_closed:
            return
        self.failed.emit(error.sentence)
        self._scan_if_asked()

    def _scan_if_asked(self) -> None:
        """Another one was asked for while the last ran."""
        if self._scan_again:
            self._scan_again = False
            self.refresh()
