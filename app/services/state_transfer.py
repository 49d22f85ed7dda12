"""Saved state through the engine: a conversation's out into a staging folder, and an archive's into the store."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from app.core.conversation import ConversationId, MessageId
from app.core.errors import EmberError
from app.paths import plain_reason
from app.protocol.answers import Failed, SavedAdopted, SavedExported, TransferProgress
from app.protocol.messages import Response
from app.protocol.parts import StagedFile
from app.protocol.requests import AdoptSaved, ExportSaved
from app.services.engine_client import EngineClient
from app.services.saved_states import SavedStates
from app.storage.archive_format import StateManifest, StateModel, StateTip
from app.storage.archive_state import OutgoingFile, OutgoingState, Progress
from app.storage.saved_roots import SavedModel, SavedRoots, SavedTip

logger = logging.getLogger(__name__)

_T = TypeVar("_T", SavedExported, SavedAdopted)
OnFailed = Callable[[EmberError], None]
Stop = Callable[[], None]
"""Stops an order; it still calls back, with an error of kind "cancelled" if it was in time."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became of an archive's state in the store."""

    tips: int
    """Replies whose state is there now."""
    written_bytes: int
    unknown: tuple[str, ...]
    """Names of models whose fingerprint was never seen here: their state is kept until such a model is loaded."""
    trouble: str
    """Why not all of it was taken, as the part of a sentence that follows “because”; empty if all was."""


@contextmanager
def staging_folder(parent: Path) -> Iterator[Path]:
    """An empty private folder in `parent`, which is made, gone at the end; raises EmberError of kind "data_folder"."""
    try:
        parent.mkdir(mode=0o700, exist_ok=True)
        temporary = TemporaryDirectory(dir=parent, ignore_cleanup_errors=True)
    except OSError as error:
        raise EmberError(
            f"No folder can be made in “{parent}” because {plain_reason(error)}. Nothing was changed; make room there.",
            "data_folder",
        ) from error
    with temporary as folder:
        yield Path(folder)


class StateTransfer:
    """Orders to the engine that is running; each calls back once, with what came of it or an error."""

    def __init__(self, engine: EngineClient, saved: SavedStates, roots: SavedRoots) -> None:
        """Use these of a workspace."""
        self._engine = engine
        self._saved = saved
        self._roots = roots

    def stage(
        self,
        conversation: ConversationId,
        folder: Path,
        told: Callable[[OutgoingState], None],
        failed: OnFailed,
        progress: Progress,
    ) -> Stop:
        """Have a conversation's state put into the empty `folder`; files are empty where nothing of it is saved."""
        tips = self._roots.of(conversation)
        known = self._roots.models()
        roots = tuple(dict.fromkeys(tip.root for tip in tips))
        models = [known.get(root, SavedModel("", "")) for root in roots]
        request = ExportSaved(
            id=self._engine.new_id(),
            tips=tuple(dict.fromkeys(tip.tip for tip in tips)),
            folder=str(folder),
            models=tuple(model.path for model in models),
        )

        def exported(answer: SavedExported) -> None:
            named = [
                StateModel(fingerprint=root.hex(), name=model.name, sha256=digest)
                for root, model, digest in zip(roots, models, answer.hashes, strict=True)
            ]
            told(_outgoing(outgoing_files(answer, folder), named, tips))

        return self._send(request, SavedExported, exported, failed, progress)

    def adopt(
        self,
        state: StateManifest,
        names: Mapping[MessageId, MessageId],
        folder: Path,
        told: Callable[[Adopted], None],
        failed: OnFailed,
        progress: Progress,
    ) -> Stop:
        """Have the files in `folder` taken into the store, and note which reply's state ends where.

        `names` says what the archive's messages are called here.
        """
        request = AdoptSaved(
            id=self._engine.new_id(),
            folder=str(folder),
            files=tuple(StagedFile(name=file.name, bytes=file.bytes, sha256=file.sha256) for file in state.files),
            tips=tuple(dict.fromkeys(bytes.fromhex(tip.key) for tip in state.tips)),
        )

        def adopted(answer: SavedAdopted) -> None:
            try:
                told(self._record(state, names, answer))
            except EmberError as error:
                failed(error)

        return self._send(request, SavedAdopted, adopted, failed, progress)

    def _record(self, state: StateManifest, names: Mapping[MessageId, MessageId], answer: SavedAdopted) -> Adopted:
        """Note the tips that are in the store now, under the fingerprint that they have there."""
        there = {each.tip: each.root for each in answer.tips}
        called = {bytes.fromhex(model.fingerprint): model.name for model in state.models}
        tips = [
            SavedTip(names[MessageId(tip.message)], there[key], key)
            for tip in state.tips
            if (key := bytes.fromhex(tip.key)) in there
        ]
        known = self._roots.models()
        unknown = tuple({called.get(tip.root, "") for tip in tips if tip.root not in known})
        self._roots.adopt(tips, {tip.root: SavedModel("", called.get(tip.root, "")) for tip in tips})
        self._saved.refresh()
        logger.info("%d files of an archive's state taken, %d bytes written", answer.files, answer.bytes)
        return Adopted(len(tips), answer.bytes, unknown, answer.trouble)

    def _send(
        self,
        request: ExportSaved | AdoptSaved,
        kind: type[_T],
        told: Callable[[_T], None],
        failed: OnFailed,
        progress: Progress,
    ) -> Stop:
        is_sent = is_stopped = False

        def answered(answer: Response) -> None:
            if isinstance(answer, TransferProgress):
                progress(answer.done, answer.total)
            elif isinstance(answer, kind):
                told(answer)
            elif isinstance(answer, Failed):
                failed(EmberError(answer.sentence, answer.kind))

        def begin(why_not: str) -> None:
            nonlocal is_sent
            if is_stopped:
                return
            if why_not:
                failed(EmberError(why_not, "saved_state"))
            else:
                is_sent = True
                self._engine.send(request, answered)

        def stop() -> None:
            nonlocal is_stopped
            if is_sent:
                self._engine.cancel(request.id)
            elif not is_stopped:
                is_stopped = True
                failed(EmberError("It was cancelled before it began.", "cancelled"))

        self._saved.when_open(begin)
        return stop


def outgoing_files(answer: SavedExported, folder: Path) -> list[OutgoingFile]:
    """What the engine put into the staging folder."""
    return [OutgoingFile(folder / file.name, file.bytes, file.sha256, file.crc32) for file in answer.files]


def _outgoing(files: list[OutgoingFile], models: list[StateModel], tips: list[SavedTip]) -> OutgoingState:
    """What came into the staging folder, and the tips whose last chunk is there."""
    there = {file.path.name for file in files}
    ends = [
        StateTip(message=tip.message, fingerprint=tip.root.hex(), key=tip.tip.hex())
        for tip in tips
        if f"{tip.tip.hex()}.chunk" in there
    ]
    return OutgoingState(files, models, ends)
