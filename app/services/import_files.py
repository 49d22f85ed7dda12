"""Conversations of files and folders into the database: what is read, what is stored, and what becomes of its state."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from app.core.conversation import ConversationId, MessageId
from app.core.errors import EmberError
from app.paths import plain_reason
from app.storage.archive import place, read_archive
from app.storage.archive_format import Manifest, RefusedError, StateManifest
from app.storage.conversations import ConversationStore
from app.storage.merge import Difference, add_new, add_token_ids, compare
from app.storage.signing import is_signed

if TYPE_CHECKING:  # a window that only starts reads no other program's format
    from app.storage.imports.draft import Taken

Known = Literal["copy", "merge", "ask"]
"""What becomes of a conversation that is here already: a copy, what is new of it is added, or it is only told."""
Outcome = Literal["new", "copy", "merged", "same"]
StateFate = Literal["none", "used", "partly", "dropped"]
FILES_LIMIT: Final = 20_000
"""Files of a folder that are looked at."""
FOREIGN: Final = "it was written by another installation of Ember, and state can say other things than the text shows"
OFF: Final = "saving of state is switched off"
STOPPED: Final = "it was stopped"
LEFT_OUT: Final = "The state in the archive was not taken; the text is all there."
_READ: Final = (".ember", ".json", ".jsonl", ".md", ".markdown", ".zip")


@dataclass(frozen=True, slots=True)
class ImportOrder:
    """What is to be imported."""

    paths: tuple[Path, ...]
    """Files, and folders of them."""
    known: Known = "copy"
    trust_state: bool = False
    """Whether state that another installation wrote is used too."""
    only: frozenset[tuple[Path, ConversationId]] | None = None
    """These conversations of the files, by the ids that they have there; None for all."""


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far it is; the state is that of the conversation that is at work."""

    done: int
    """Conversations."""
    total: int
    """As far as the files have told by now."""
    state_done: int = 0
    state_total: int = 0
    """Bytes."""


@dataclass(frozen=True, slots=True)
class StateOutcome:
    """What became of the state that an archive carries."""

    fate: StateFate = "none"
    why: str = ""
    """A sentence where it was not used as a whole, or waits for its model."""
    written: int = 0
    """Bytes that were not in the store before."""


@dataclass(frozen=True, slots=True)
class ForeignState:
    """State that another installation signed, or nobody, which waits for the person's word."""

    file: Path
    digest: str
    """Of the manifest, which the person's word is about."""
    conversation: ConversationId
    names: Mapping[MessageId, MessageId]
    """What the archive's messages are called here."""


@dataclass(frozen=True, slots=True)
class ImportedOne:
    """A conversation that is in the database now."""

    file: Path
    id: ConversationId
    title: str
    messages: int
    """Of the file."""
    outcome: Outcome
    remarks: tuple[str, ...] = ()
    """What of it could not be taken, in sentences."""
    state: StateOutcome = field(default_factory=StateOutcome)
    added: tuple[MessageId, ...] = ()
    """What was added to a conversation that was here."""
    branches: int = 0
    """That these are."""
    model: str | None = None
    """The file's name of the model that it was written with, where that is told."""
    model_sha256: str | None = None
    model_source: str | None = None
    """The repository that it came from, where that is told."""
    foreign: ForeignState | None = None


@dataclass(frozen=True, slots=True)
class Undecided:
    """A conversation that is here, of which a file has more; nothing was stored of it."""

    file: Path
    id: ConversationId
    title: str
    """Here."""
    difference: Difference


@dataclass(frozen=True, slots=True)
class NotImported:
    """A file or a conversation that was not taken, and the sentence why."""

    file: Path
    title: str
    sentence: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What the files gave."""

    taken: tuple[ImportedOne, ...] = ()
    not_taken: tuple[NotImported, ...] = ()
    undecided: tuple[Undecided, ...] = ()
    was_stopped: bool = False


@dataclass(frozen=True, slots=True)
class ImportHooks:
    """What importing asks and tells; all of it on the thread that imports."""

    key: Callable[[], bytes]
    """The installation's key; raises EmberError."""
    may_save: Callable[[ConversationId], bool]
    """Whether that conversation's state may be saved."""
    adopt: Callable[[Path, StateManifest, Mapping[MessageId, MessageId]], StateOutcome]
    """Takes an archive's state into the store, for messages that are stored; raises nothing."""
    is_stopped: Callable[[], bool] = lambda: False
    progressed: Callable[[int, int], None] = lambda _done, _total: None
    """Gets the conversations that are done, and all of which is known."""
    told: Callable[[ImportedOne], None] = lambda _one: None


def import_files(store: ConversationStore, order: ImportOrder, hooks: ImportHooks) -> ImportReport:
    """Take what the files hold, each conversation's text in a transaction of its own, then its state.

    Raises EmberError only where the database or the key cannot be used; what was stored by then stays.
    """
    return _Import(store, order, hooks).run()


def adopt_foreign(store: ConversationStore, foreign: ForeignState, hooks: ImportHooks) -> StateOutcome:
    """Take state that the person trusts, for a conversation that is stored; raises EmberError as `import_files`."""
    try:
        imported = read_archive(foreign.file)
    except EmberError as error:
        return StateOutcome("dropped", f"{error.sentence} {LEFT_OUT}")
    manifest = imported.manifest
    if manifest is None or manifest.state is None or _digest(manifest) != foreign.digest:
        return dropped("the file is another one by now")
    names = foreign.names
    token_ids = {
        tokenizer: {names[each]: packed for each, packed in ids.items()}
        for tokenizer, ids in imported.token_ids.items()
    }
    add_token_ids(store, foreign.conversation, token_ids)
    return hooks.adopt(foreign.file, manifest.state, names)


def dropped(why: str) -> StateOutcome:
    """State that was not taken because of `why`."""
    return StateOutcome(
        "dropped",
        f"The state in the archive was not taken because {why}. The text is all there, and the model reads it again.",
    )


def _digest(manifest: Manifest) -> str:
    return hashlib.sha256(manifest.signed_part()).hexdigest()


class _Import:
    """One order being carried out."""

    def __init__(self, store: ConversationStore, order: ImportOrder, hooks: ImportHooks) -> None:
        self._store = store
        self._order = order
        self._hooks = hooks
        self._taken: list[ImportedOne] = []
        self._not_taken: list[NotImported] = []
        self._undecided: list[Undecided] = []
        self._done = self._total = 0
        self._missing = set(order.only or ())
        """What was asked for of the files and was not found in them by now."""

    def run(self) -> ImportReport:
        """Carry it out; the report."""
        files = [file for path in self._order.paths for file in self._files(path)]
        self._total = len(files)
        was_stopped = False
        for file in files:
            was_stopped = self._hooks.is_stopped() or self._take_file(file)
            if was_stopped:
                break
        else:
            self._tell_missing()
        return ImportReport(tuple(self._taken), tuple(self._not_taken), tuple(self._undecided), was_stopped)

    def _tell_missing(self) -> None:
        """Say which files were exchanged since they were asked about."""
        said = {refused.file for refused in self._not_taken}
        for file in dict.fromkeys(file for file, _ in self._missing if file not in said):
            self._refuse(file, "", f"“{file.name}” was not imported because it is another file by now.")

    def _files(self, path: Path) -> list[Path]:
        try:
            files = list(_files_of(path))
        except EmberError as error:
            self._refuse(path, "", error.sentence)
            return []
        except OSError as error:
            self._refuse(path, "", f"“{path.name}” was not imported because {plain_reason(error)}.")
            return []
        if not files:
            self._refuse(path, "", f"“{path.name}” holds no file that Ember reads; nothing was imported from it.")
        return files

    def _refuse(self, file: Path, title: str, sentence: str) -> None:
        self._not_taken.append(NotImported(file, title, sentence))

    def _take_file(self, file: Path) -> bool:
        """Take the conversations of one file, and report them; whether it was stopped."""
        from app.storage.imports.reading import Refused, conversations_in

        seen = self._done

        def counted(number: int) -> None:
            self._total += number - 1  # the file itself was counted

        try:
            for found in conversations_in(file, counted):
                if isinstance(found, Refused):
                    named = f"“{found.title}” of “{file.name}”" if found.title else f"A conversation of “{file.name}”"
                    self._refuse(file, found.title, f"{named} was not imported because {found.reason}.")
                elif self._is_wanted(file, found):
                    self._try(file, found)
                self._progress(1)
                if self._hooks.is_stopped():
                    return True
        except RefusedError as error:
            self._refuse(file, "", f"“{file.name}” was not imported because {error}.")
        except EmberError as error:
            if error.kind != "bad_archive":
                raise
            self._refuse(file, "", error.sentence)
        self._progress(1 if self._done == seen else 0)
        return False

    def _is_wanted(self, file: Path, found: "Taken") -> bool:
        one = (file, found.imported.tree.conversation.id)
        self._missing.discard(one)
        return self._order.only is None or one in self._order.only

    def _progress(self, more: int) -> None:
        self._done += more
        self._total = max(self._total, self._done)
        self._hooks.progressed(self._done, self._total)

    # --- one conversation --------------------------------------------------------------------------------------------

    def _try(self, file: Path, found: "Taken") -> None:
        """Take a conversation, unless the person changed or deleted the one that is here just then."""
        try:
            self._take(file, found)
        except EmberError as error:
            if error.kind not in ("cannot_merge", "no_conversation"):
                raise
            self._refuse(file, found.imported.tree.conversation.title, error.sentence)

    def _take(self, file: Path, found: "Taken") -> None:
        """Store the text, then see to the state."""
        imported, order = found.imported, self._order
        conversation = imported.tree.conversation.id
        here = None if order.known == "copy" else compare(self._store, imported.tree)
        adds = here is not None and (here.is_none or (order.known == "merge" and here.can_be_added))
        if here is not None and order.known == "ask" and not here.is_none:
            title = self._store.get(conversation).title
            self._undecided.append(Undecided(file, conversation, title, here))
            return
        manifest = imported.manifest
        trusts = manifest is not None and (order.trust_state or self._is_ours(manifest))
        if here is not None and adds:
            added = add_new(self._store, imported, trust_token_ids=trusts)
            names: Mapping[MessageId, MessageId] = {each: each for each in imported.tree.messages}
            outcome: Outcome = "merged" if added else "same"
        else:
            placed = place(self._store, imported, trust_token_ids=trusts)
            added, names = (), placed.messages
            outcome = "new" if placed.conversation == conversation else "copy"
            conversation = placed.conversation
        foreign = None
        if manifest is not None and not trusts and self._hooks.may_save(conversation):
            foreign = ForeignState(file, _digest(manifest), conversation, names)
        one = ImportedOne(
            file,
            conversation,
            self._store.get(conversation).title,
            len(imported.tree.messages),
            outcome,
            found.remarks,
            self._state(file, manifest, conversation, names, trusts=trusts),
            added,
            here.branches if here is not None and added else 0,
            imported.model,
            _model_digest(manifest),
            imported.model_source,
            foreign,
        )
        self._taken.append(one)
        self._hooks.told(one)

    def _is_ours(self, manifest: Manifest) -> bool:
        return is_signed(self._hooks.key(), manifest.signed_part(), manifest.signature)

    def _state(
        self,
        file: Path,
        manifest: Manifest | None,
        conversation: ConversationId,
        names: Mapping[MessageId, MessageId],
        *,
        trusts: bool,
    ) -> StateOutcome:
        if manifest is None or manifest.state is None:
            return StateOutcome()
        if not self._hooks.may_save(conversation):
            return dropped(OFF)
        if not trusts:
            return dropped(FOREIGN)
        if self._hooks.is_stopped():
            return dropped(STOPPED)
        return self._hooks.adopt(file, manifest.state, names)


def _model_digest(manifest: Manifest | None) -> str | None:
    """The SHA-256 of the model's file, where the archive's state is of one model."""
    if manifest is None or manifest.state is None:
        return None
    digests = {model.sha256 for model in manifest.state.models}
    return digests.pop() if len(digests) == 1 else None


def _files_of(path: Path) -> Iterator[Path]:
    """The file itself, or the files of a folder that may hold conversations; links are not followed."""
    from app.storage.imports.jan import MESSAGES, THREAD

    if not path.is_dir():
        yield path
        return
    seen = 0
    for folder, folders, names in os.walk(path, onerror=_unreadable):
        folders.sort()
        for name in sorted(names):
            seen += 1
            if seen > FILES_LIMIT:
                raise EmberError(
                    f"“{path.name}” holds more than {FILES_LIMIT:,} files. Nothing was imported from it; "
                    "choose the folder with the conversations in it.",
                    kind="too_large",
                )
            pair = name == THREAD and MESSAGES in names  # read together with the messages
            if name.lower().endswith(_READ) and not pair and not Path(folder, name).is_symlink():
                yield Path(folder, name)


def _unreadable(error: OSError) -> None:
    raise EmberError(
        f"“{error.filename}” cannot be read because {plain_reason(error)}. Nothing was imported from it.",
        kind="cannot_read",
    ) from error
