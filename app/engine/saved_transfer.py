"""Saved state out of the store into a staging folder, and from one into the store: what archives need."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.engine.saving import Saving
from app.kvstore.errors import Damaged
from app.kvstore.records import Outcome
from app.kvstore.staging import StagedFile as SoundFile
from app.protocol.answers import Failed, SavedAdopted, SavedExported, TransferProgress
from app.protocol.messages import Answer
from app.protocol.parts import AdoptedTip, OutgoingFile
from app.protocol.requests import AdoptSaved, ExportSaved

CHECKERS = 2
"""Threads that read files through: hashing takes longer than reading, and lets other threads run."""
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
        files=tuple(
            OutgoingFile(name=file.path.name, bytes=file.bytes, sha256=file.sha256.hex(), crc32=file.crc32)
            for file in files
        ),
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
    paths = [Path(request.folder) / Path(file.name).name for file in request.files]
    with ThreadPoolExecutor(CHECKERS, "checker") as checkers:
        for said, sound in zip(request.files, checkers.map(saving.store.inspect, paths), strict=True):
            if cancelled():
                checkers.shutdown(cancel_futures=True)
                raise _Cancelled
            if sound.sha256.hex() != said.sha256:
                raise Damaged("a piece of it is not what its list says")
            found.append(sound)
            done += said.bytes
            send(TransferProgress(id=request.id, done=done, total=total))
    return sorted(found, key=lambda each: (each.header.start, each.header.kind))


def _stopped(request: int) -> Failed:
    return Failed(id=request, kind="cancelled", sentence="It was stopped. The texts are as they were.")
