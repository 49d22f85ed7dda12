"""Saved state out of the store into a staging folder, and from one into the store: what archives need."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from app.engine.saving import Saving
from app.kvstore.errors import Damaged
from app.kvstore.records import Outcome
from app.kvstore.staging import StagedFile as SoundFile
from app.protocol.messages import (
    AdoptedTip,
    AdoptSaved,
    Answer,
    ExportSaved,
    Failed,
    SavedAdopted,
    SavedExported,
    StagedFile,
    TransferProgress,
)

NO_ROOM = "the disk space that saved state may take is too little for it"
NO_PARENT = "a piece of it is missing"


class _Cancelled(Exception):
    """The person stopped it."""


def export(
    saving: Saving, request: ExportSaved, send: Callable[[Answer], None], cancelled: Callable[[], bool]
) -> Answer:
    """Carry an export out; raises StoreUnavailable."""

    def progress(done: int, total: int) -> None:
        if cancelled():
            raise _Cancelled
        send(TransferProgress(id=request.id, done=done, total=total))

    try:
        files = saving.store.stage(request.tips, Path(request.folder), progress)
    except _Cancelled:
        return _stopped(request.id)
    return SavedExported(
        id=request.id,
        files=tuple(file.name for file in files),
        hashes=tuple(saving.hash_of(Path(model)) for model in request.models),
    )


def adopt(saving: Saving, request: AdoptSaved, send: Callable[[Answer], None], cancelled: Callable[[], bool]) -> Answer:
    """Carry an adoption out: first all files are checked, then all are taken; raises StoreUnavailable."""
    try:
        found = _checked(saving, request, send, cancelled)
    except _Cancelled:
        return _stopped(request.id)
    except Damaged as error:
        return SavedAdopted(id=request.id, tips=(), files=0, bytes=0, trouble=str(error))
    taken = written = 0
    trouble = ""
    for file in found:
        try:
            result = saving.store.adopt(file)
        except Damaged as error:
            trouble = trouble or str(error)
            break
        written += result.written
        if result.outcome in (Outcome.WRITTEN, Outcome.PRESENT):
            taken += 1
        else:
            trouble = trouble or (NO_ROOM if result.outcome is Outcome.FULL else NO_PARENT)
    roots = {tip: saving.store.root_of(tip) for tip in request.tips}
    tips = tuple(AdoptedTip(tip=tip, root=root) for tip, root in roots.items() if root is not None)
    return SavedAdopted(id=request.id, tips=tips, files=taken, bytes=written, trouble=trouble)


def _checked(
    saving: Saving, request: AdoptSaved, send: Callable[[Answer], None], cancelled: Callable[[], bool]
) -> list[SoundFile]:
    """The files in the order in which they can be taken; raises Damaged, StoreUnavailable and _Cancelled."""
    found: list[SoundFile] = []
    done, total = 0, sum(file.bytes for file in request.files)
    for file in request.files:
        if cancelled():
            raise _Cancelled
        path = Path(request.folder) / Path(file.name).name
        _compare_digest(path, file)
        found.append(saving.store.inspect(path))
        done += file.bytes
        send(TransferProgress(id=request.id, done=done, total=total))
    return sorted(found, key=lambda each: (each.header.start, each.header.kind))


def _compare_digest(path: Path, said: StagedFile) -> None:
    """Raise Damaged unless the file is what the archive's list says."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Damaged(f"a piece of it cannot be read: {error.strerror}") from error
    if digest != said.sha256:
        raise Damaged("a piece of it is not what its list says")


def _stopped(request: int) -> Failed:
    return Failed(id=request, kind="cancelled", sentence="It was stopped. The texts are as they were.")
