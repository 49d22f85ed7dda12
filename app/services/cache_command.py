"""The `cache` command: what is saved of conversations' state, removing it, and checking it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QObject

from app.core.conversation import ConversationId
from app.core.errors import EmberError
from app.core.units import format_bytes, format_count
from app.protocol.answers import Failed, SavedDropped, SavedUsage, SavedVerified, VerifyProgress
from app.protocol.messages import Response
from app.protocol.parts import TipUsage
from app.services.output import write_json, write_line
from app.services.saved_words import check_words
from app.services.state_transfer import OnFailed
from app.services.waiting import waited
from app.services.window_socket import Answer, CacheRequest, Deed, ask_window
from app.services.workspace import Workspace

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """What `cache` was asked for; `clear` without a conversation or a model is everything."""

    deed: Deed = "report"
    conversation: str | None = None
    model: Path | None = None
    as_json: bool = False


class CacheDeeds(QObject):
    """Carries the deeds out on a workspace whose engine runs; each calls back once, with an answer or an error."""

    def __init__(self, workspace: Workspace, parent: QObject | None = None) -> None:
        """Use the workspace of a window or of a command."""
        super().__init__(parent)
        self._workspace = workspace

    def do(
        self,
        options: CacheOptions,
        told: Callable[[Answer], None],
        failed: OnFailed,
        progress: OnProgress = lambda _done, _total: None,
    ) -> Callable[[], None]:
        """Begin, at the latest when the saved state is open; what comes back stops a check."""
        engine = self._workspace.engine
        checks: list[int] = []

        def begin(why_not: str) -> None:
            try:
                if why_not:
                    raise EmberError(why_not, "saved_state")
                self._begin(options, told, failed, progress, checks)
            except EmberError as error:
                failed(error)

        def stop() -> None:
            for check in checks:
                engine.cancel(check)

        self._workspace.saved.when_open(begin)
        return stop

    def _begin(
        self,
        options: CacheOptions,
        told: Callable[[Answer], None],
        failed: OnFailed,
        progress: OnProgress,
        checks: list[int],
    ) -> None:
        """Ask the engine; raises EmberError for what does not exist."""

        def refused(answer: Failed) -> None:
            failed(EmberError(answer.sentence, answer.kind))

        saved = self._workspace.saved
        if options.deed == "report":
            saved.ask(lambda groups, usage: told(self._report(groups, usage)), refused)
        elif options.deed == "verify":
            checks.append(saved.verify(lambda answer: _verified(answer, told, refused, progress)))
        else:
            conversation = None
            if options.conversation is not None:
                conversation = self._workspace.store.resolve(options.conversation)
            if self._workspace.chats.is_running(conversation):
                raise EmberError("A reply is being written in Ember's window; stop it first, or wait for it.", "busy")
            if options.model is not None:
                self._need_model(options.model.absolute())
            saved.ask(lambda groups, usage: self._clear(options, conversation, groups, usage, told, refused), refused)

    def _report(self, groups: dict[ConversationId, TipUsage], usage: SavedUsage) -> Answer:
        models = self._workspace.saved.models()
        titles = {summary.id: summary.title for summary in self._workspace.store.summaries()}
        return {
            "bytes": usage.bytes,
            "checkpoint_bytes": sum(root.checkpoint_bytes for root in usage.roots),
            "chunks": sum(root.chunks for root in usage.roots),
            "tokens": sum(root.tokens for root in usage.roots),
            "budget": usage.budget,
            "disk_free": usage.disk_free,
            "bytes_written": usage.bytes_written,
            "set_aside_bytes": usage.quarantined,
            "models": [
                {
                    "fingerprint": root.root.hex(),
                    "model": models[root.root].name if root.root in models else None,
                    "file": models[root.root].path if root.root in models else None,
                    "bytes": root.bytes,
                    "checkpoint_bytes": root.checkpoint_bytes,
                    "chunks": root.chunks,
                    "tokens": root.tokens,
                }
                for root in sorted(usage.roots, key=lambda root: -root.bytes)
            ],
            "conversations": [
                {
                    "id": conversation,
                    "title": titles.get(conversation, ""),
                    "own_bytes": group.own,
                    "shared_bytes": group.shared,
                    "tokens": group.tokens,
                }
                for conversation, group in groups.items()
                if group.tokens
            ],
        }

    def _need_model(self, file: Path) -> None:
        """Raise EmberError for what is neither a file nor known from what was saved; a file may have gone since."""
        if not self._workspace.saved.roots_of(file) and not file.is_file():
            sentence = f"There is no model file {file}, and nothing was saved of one; nothing was changed."
            raise EmberError(sentence, "no_file")

    def _clear(
        self,
        options: CacheOptions,
        conversation: ConversationId | None,
        groups: dict[ConversationId, TipUsage],
        usage: SavedUsage,
        told: Callable[[Answer], None],
        refused: Callable[[Failed], None],
    ) -> None:
        """Say what it will free, and free it."""
        saved = self._workspace.saved

        def cleared(answer: SavedDropped | Failed) -> None:
            if isinstance(answer, Failed):
                refused(answer)
            else:
                told({"would_free_bytes": expected, "freed_bytes": answer.freed_bytes})

        if options.model is not None:
            roots = saved.roots_of(options.model.absolute())
            expected = sum(root.bytes for root in usage.roots if root.root in roots)
            saved.clear_roots(roots, cleared)
        elif conversation is not None:
            expected = groups[conversation].own if conversation in groups else 0
            saved.clear(cleared, conversation)
        else:
            expected = usage.bytes
            saved.clear(cleared)


def _verified(
    answer: Response, told: Callable[[Answer], None], refused: Callable[[Failed], None], progress: OnProgress
) -> None:
    if isinstance(answer, VerifyProgress):
        progress(answer.done, answer.total)
    elif isinstance(answer, SavedVerified):
        told({"chunks": answer.chunks, "bytes": answer.bytes, "damaged": answer.damaged})
    elif isinstance(answer, Failed):
        refused(answer)


# --- the command ------------------------------------------------------------------------------------------------------


def cache(options: CacheOptions, root: Path | None) -> int:
    """Carry out the command, through the window if one is open, and print what it found; the exit status.

    Raises EmberError.
    """
    _application = QCoreApplication.instance() or QCoreApplication(sys.argv[:1])
    try:
        workspace = Workspace(root)
    except EmberError as error:
        answer = ask_window(_request(options), root) if error.kind == "in_use" else None
        if answer is None:
            raise
    else:
        answer = _do_alone(options, workspace)
    print_answer(options, answer)
    return 1 if answer.get("damaged") else 0


def _request(options: CacheOptions) -> CacheRequest:
    """What the window is asked; the model's path is absolute."""
    model = str(options.model.absolute()).encode("utf-8", "replace").decode() if options.model is not None else None
    return CacheRequest(deed=options.deed, conversation=options.conversation, model=model)


def _do_alone(options: CacheOptions, workspace: Workspace) -> Answer:
    """Start an engine without a model and let it do it. Raises EmberError."""

    def begin(told: Callable[[Answer], None], failed: OnFailed) -> None:
        CacheDeeds(workspace).do(options, told, failed)

    try:
        return waited(workspace, begin)
    finally:
        workspace.close()


def print_answer(options: CacheOptions, answer: Answer) -> None:
    """Write what was found to stdout."""
    if options.as_json:
        write_json(answer)
    elif options.deed == "clear":
        write_line(f"This frees {format_bytes(answer['would_free_bytes'])}; all texts stay.")
        write_line(f"{format_bytes(answer['freed_bytes'])} freed.")
    elif options.deed == "verify":
        write_line(check_words(answer["chunks"], answer["bytes"], answer["damaged"]))
    else:
        write_line(
            f"{format_bytes(answer['bytes'])} of {format_bytes(answer['budget'])}, {format_count(answer['chunks'])} "
            f"chunks, {format_count(answer['tokens'])} tokens; {format_bytes(answer['bytes_written'])} written ever, "
            f"{format_bytes(answer['disk_free'])} free on the disk"
        )
        for model in answer["models"]:
            write_line(
                f"  {format_bytes(model['bytes']):>10}  {model['model'] or 'a model that is not known any more'}"
            )
        for chat in answer["conversations"]:
            sizes = f"{format_bytes(chat['own_bytes'])} own, {format_bytes(chat['shared_bytes'])} shared"
            write_line(f"{chat['id']}  {sizes}  {' '.join(chat['title'].split())}")
