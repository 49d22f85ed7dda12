"""Questions about the saved state, and orders to remove it; they need no model."""

from collections.abc import Callable

from app.engine.saved_transfer import adopt, export
from app.engine.saving import Saving
from app.kvstore.verification import verify
from app.protocol.answers import SavedDropped, SavedPinned, SavedUsage, SavedVerified, VerifyProgress
from app.protocol.messages import Answer
from app.protocol.parts import RootUsage, TipUsage
from app.protocol.requests import AdoptSaved, ClearSaved, DropSaved, ExportSaved, GetSavedUsage, PinSaved, VerifySaved

SavedQuestion = DropSaved | PinSaved | ClearSaved | GetSavedUsage | VerifySaved | ExportSaved | AdoptSaved
PROGRESS_STEPS = 100


def answer_saved(
    saving: Saving,
    request: SavedQuestion,
    send: Callable[[Answer], None],
    cancelled: Callable[[], bool],
    turn_began: float,
) -> Answer:
    """Carry it out, with progress through `send`; raises StoreUnavailable.

    What was used since `turn_began` (Unix time) may be of a turn whose tip the window does not know yet.
    """
    match request:
        case DropSaved():
            saving.writer.flush()  # what is still being written of these chats goes too
            freed = saving.store.drop(request.tips, request.keep)
            return SavedDropped(id=request.id, freed_bytes=freed + saving.store.sweep(request.keep, turn_began))
        case PinSaved():
            saving.keep(request.id, request.tips)
            saving.writer.flush()  # what is still being written of them counts too
            (usage,) = saving.store.usage([request.tips])
            return SavedPinned(id=request.id, bytes=usage.own_bytes)
        case ClearSaved():
            saving.writer.flush()
            return SavedDropped(id=request.id, freed_bytes=_clear(saving, request.roots))
        case GetSavedUsage():
            return _usage(saving, request)
        case VerifySaved():
            return _verify(saving, request, send, cancelled)
        case ExportSaved():
            saving.writer.flush()  # what is still being written belongs to it
            return export(saving, request, send, cancelled)
        case AdoptSaved():
            return adopt(saving, request, send, cancelled)


def _clear(saving: Saving, roots: tuple[bytes, ...] | None) -> int:
    if roots is None:
        return saving.store.drop_all()
    return sum(saving.store.drop_root(root) for root in roots)


def _usage(saving: Saving, request: GetSavedUsage) -> SavedUsage:
    totals = saving.store.totals()
    return SavedUsage(
        id=request.id,
        groups=tuple(
            TipUsage(own=usage.own_bytes, shared=usage.shared_bytes, tokens=usage.tokens)
            for usage in saving.store.usage(request.groups)
        ),
        roots=tuple(
            RootUsage(
                root=root,
                chunks=each.chunks,
                tokens=each.tokens,
                bytes=each.bytes,
                checkpoint_bytes=each.checkpoint_bytes,
            )
            for root, each in totals.roots.items()
        ),
        budget=totals.budget,
        disk_free=saving.disk_free(),
        bytes_written=totals.bytes_written,
        quarantined=totals.quarantined_bytes,
    )


def _verify(
    saving: Saving, request: VerifySaved, send: Callable[[Answer], None], cancelled: Callable[[], bool]
) -> SavedVerified:
    def progress(done: int, total: int) -> None:
        if done == total or done % max(1, total // PROGRESS_STEPS) == 0:
            send(VerifyProgress(id=request.id, done=done, total=total))

    found = verify(saving.store, progress, cancelled)
    return SavedVerified(
        id=request.id, chunks=found.chunks, bytes=found.bytes, damaged=len(found.damaged), finished=found.finished
    )
