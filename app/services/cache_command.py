"""The `cache` command: what is saved of conversations' state, removing it, and checking it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PySide6.QtCore import QCoreApplication, QObject

from app.core.conversation import ConversationId
from app.core.errors import EmberError
from app.core.units import format_bytes, format_count
from app.protocol.messages import Failed, Response, SavedDropped, SavedUsage, SavedVerified, TipUsage
from app.services.output import write_json, write_line
from app.services.workspace import Workspace

Deed = Literal["report", "clear", "verify"]
Answer = dict[str, Any]
"""What a deed found, as it is printed with --json."""


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

    def do(self, options: CacheOptions, told: Callable[[Answer], None], failed: Callable[[EmberError], None]) -> None:
        """Begin; raises EmberError for what does not exist."""

        def refused(answer: Failed) -> None:
            failed(EmberError(answer.sentence, answer.kind))

        saved = self._workspace.saved
        if options.deed == "report":
            saved.ask(lambda groups, usage: told(self._report(groups, usage)), refused)
        elif options.deed == "verify":
            saved.verify(lambda answer: _verified(answer, told, refused))
        else:
            conversation = None
            if options.conversation is not None:
                conversation = self._workspace.store.resolve(options.conversation)
            saved.ask(lambda groups, usage: self._clear(options, conversation, groups, usage, told, refused), refused)

    def _report(self, groups: dict[ConversationId, TipUsage], usage: SavedUsage) -> Answer:
        models = self._workspace.saved.models()
        titles = {summary.id: summary.title for summary in self._workspace.store.summaries()}
        return {
            "bytes": sum(root.bytes for root in usage.roots),
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
            expected = sum(root.bytes for root in usage.roots)
            saved.clear(cleared)


def _verified(answer: Response, told: Callable[[Answer], None], refused: Callable[[Failed], None]) -> None:
    if isinstance(answer, SavedVerified):
        told({"chunks": answer.chunks, "bytes": answer.bytes, "damaged": answer.damaged})
    elif isinstance(answer, Failed):
        refused(answer)


def cache(options: CacheOptions, root: Path | None) -> int:
    """Carry out the command and print what it found; the exit status. Raises EmberError."""
    application = QCoreApplication.instance() or QCoreApplication(sys.argv[:1])
    workspace = Workspace(root)
    answers: list[Answer | EmberError] = []

    def end(answer: Answer | EmberError) -> None:
        answers.append(answer)
        application.quit()

    def begin() -> None:
        try:
            deeds.do(options, end, end)
        except EmberError as error:
            end(error)

    try:
        deeds = CacheDeeds(workspace)
        workspace.saved.trouble.connect(lambda sentence: end(EmberError(sentence, "saved_state")) if sentence else None)
        workspace.saved.opened.connect(begin)
        workspace.engine.died.connect(lambda death: end(EmberError(death.sentence, "engine_died")))
        workspace.engine.start()
        application.exec()
    finally:
        workspace.close()
    answer = answers[0]
    if isinstance(answer, EmberError):
        raise answer
    print_answer(options, answer)
    return 1 if answer.get("damaged") else 0


def print_answer(options: CacheOptions, answer: Answer) -> None:
    """Write what was found to stdout."""
    if options.as_json:
        write_json(answer)
    elif options.deed == "clear":
        write_line(f"This frees {format_bytes(answer['would_free_bytes'])}; all texts stay.")
        write_line(f"{format_bytes(answer['freed_bytes'])} freed.")
    elif options.deed == "verify":
        found = (
            f"{format_count(answer['damaged'])} were damaged and set aside" if answer["damaged"] else "all are sound"
        )
        write_line(f"{format_count(answer['chunks'])} chunks, {format_bytes(answer['bytes'])}: {found}.")
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
