"""What stands in an .ember archive: its two JSON documents, as strict as hostile input asks for.

The format is described in README.md beside this file.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import Annotated, Final, TypeVar

import msgspec

from app.core.conversation import Conversation, ConversationId, ConversationTree, Message, MessageId, Role
from app.core.sampling import SamplerSettings
from app.core.turn import FinishReason, TurnFigures
from app.core.units import format_count
from app.storage.records import LATEST_TIME, TokenIds, are_plausible, storable

LIBRARY_FORMAT: Final = "ember-library"
"""What a backup of the whole library calls itself."""
FORMAT: Final = "ember-conversation"
VERSION: Final = 2
TEXT_VERSION: Final = 1
"""Of an archive without state, which the first Ember reads too."""
STATE_FILE_LIMIT: Final = 4096
STATE_FILE_BYTES: Final = 1024**3
"""The largest piece of state that is taken."""
STATE_MODEL_LIMIT: Final = 64
MESSAGE_LIMIT: Final = 20_000
TOKENIZER_LIMIT: Final = 16
"""Tokenizers whose ids one message may have."""
MESSAGE_TEXT_LIMIT: Final = 4 * 1024 * 1024
"""Characters of one message: storing it takes some times as much memory."""
STRING_LIMIT: Final = 3_000_000
"""Strings in conversation.json, keys included: what bounds the memory that small values take."""
_DETAIL_LIMIT: Final = 150

Id = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Time = Annotated[float, msgspec.Meta(ge=0, le=LATEST_TIME)]
Version = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Digest = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
StateName = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\.(chunk|checkpoint)\Z")]
Name = Annotated[str, msgspec.Meta(max_length=1_000)]
Text = Annotated[str, msgspec.Meta(max_length=16 * 1024 * 1024)]
MessageText = Annotated[str, msgspec.Meta(max_length=MESSAGE_TEXT_LIMIT)]

_T = TypeVar("_T")


class RefusedError(Exception):
    """Why an archive is not taken, as the part of a sentence that follows "because"."""


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the documents and their parts share."""


class ManifestHead(msgspec.Struct, frozen=True):
    """The part of manifest.json that every version of the format has."""

    format: Name
    version: Version


class StateFile(_Document, frozen=True):
    """One file of saved state, the member `state/NAME`; named after its key."""

    name: StateName
    bytes: Annotated[int, msgspec.Meta(ge=1, le=STATE_FILE_BYTES)]
    sha256: Digest


class StateModel(_Document, frozen=True):
    """A fingerprint, and the model that it is of."""

    fingerprint: Digest
    name: Name
    sha256: Digest | None
    """Of the model's file; null where it was not known."""


class StateTip(_Document, frozen=True):
    """Where the state of the branch that ends with a message ends."""

    message: Id
    fingerprint: Digest
    key: Digest


class StateManifest(_Document, frozen=True):
    """The saved state that an archive carries."""

    models: Annotated[list[StateModel], msgspec.Meta(max_length=STATE_MODEL_LIMIT)]
    tips: Annotated[list[StateTip], msgspec.Meta(min_length=1, max_length=MESSAGE_LIMIT)]
    files: Annotated[list[StateFile], msgspec.Meta(min_length=1, max_length=STATE_FILE_LIMIT)]

    @property
    def total_bytes(self) -> int:
        """The bytes of all files."""
        return sum(file.bytes for file in self.files)


class Manifest(_Document, frozen=True, omit_defaults=True):
    """manifest.json."""

    format: Name
    version: Version
    app: Name
    """The version of the Ember that wrote it."""
    exported: datetime.datetime
    messages: Annotated[int, msgspec.Meta(ge=0, le=MESSAGE_LIMIT)]
    branches: Annotated[int, msgspec.Meta(ge=0, le=MESSAGE_LIMIT)]
    """How many messages have none below them."""
    sha256: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    """Of the bytes of conversation.json."""
    model_source: Name | None = None
    """The repository that the model's file came from, where that is known."""
    state: StateManifest | None = None
    signature: Digest | None = None
    """Of everything else here, by the installation that wrote it; see `signing.py`."""

    def signed_part(self) -> bytes:
        """What the signature is of."""
        return msgspec.json.encode(msgspec.structs.replace(self, signature=None))


class _Message(_Document, frozen=True):
    """One message; its parent stands before it."""

    id: Id
    parent: Id | None
    role: Role
    text: MessageText
    created: Time
    model: Name | None = None
    finish_reason: FinishReason | None = None
    figures: TurnFigures | None = None
    error: Text | None = None
    token_ids: Annotated[dict[Name, bytes], msgspec.Meta(max_length=TOKENIZER_LIMIT)] = {}
    """By tokenizer, base64 of unsigned 32-bit integers, little-endian."""


class ConversationDocument(_Document, frozen=True):
    """conversation.json."""

    id: Id
    title: Name
    system_prompt: Text
    created: Time
    updated: Time
    leaf: Id | None
    model: Name | None
    """The name of the model's file, without its folder."""
    sampler: SamplerSettings
    draft: Text
    messages: Annotated[list[_Message], msgspec.Meta(max_length=MESSAGE_LIMIT)]


@dataclass(frozen=True, slots=True)
class ImportedConversation:
    """A conversation as an archive holds it, checked, in no database yet."""

    tree: ConversationTree
    """Its model path is None: a path of another machine means nothing here, and is not for us to open."""
    token_ids: TokenIds
    model: str | None
    """The name of the GGUF file last used."""
    model_source: str | None = None
    """The repository that the file came from, where the archive tells."""
    manifest: Manifest | None = None
    """Only of an archive that carries state."""


def document_of(tree: ConversationTree, token_ids: TokenIds) -> bytes:
    """conversation.json for a tree; raises RefusedError where a message is longer than one may be."""
    longest = max((len(message.text) for message in tree.messages.values()), default=0)
    if longest > MESSAGE_TEXT_LIMIT:
        limit = format_count(MESSAGE_TEXT_LIMIT)
        raise RefusedError(f"one of its messages has {format_count(longest)} characters, and an archive holds {limit}")
    conversation = tree.conversation
    path = conversation.model_path
    document = ConversationDocument(
        id=conversation.id,
        title=storable(conversation.title),
        system_prompt=storable(conversation.system_prompt),
        created=conversation.created,
        updated=conversation.updated,
        leaf=conversation.leaf,
        # PureWindowsPath knows both kinds of separator. The folder is the person's own business.
        model=None if path is None else storable(PureWindowsPath(path).name),
        sampler=conversation.sampler,
        draft=storable(conversation.draft),
        messages=[_message_document(message, token_ids) for message in tree.messages.values()],
    )
    return msgspec.json.format(msgspec.json.encode(document), indent=1)


def _message_document(message: Message, token_ids: TokenIds) -> _Message:
    """One message for conversation.json."""
    return _Message(
        id=message.id,
        parent=message.parent,
        role=message.role,
        text=storable(message.text),
        created=message.created,
        model=None if message.model is None else storable(message.model),
        finish_reason=message.finish_reason,
        figures=message.figures,
        error=None if message.error is None else storable(message.error),
        token_ids={tokenizer: ids[message.id] for tokenizer, ids in token_ids.items() if message.id in ids},
    )


def branches_of(parents: Mapping[str, str | None]) -> int:
    """How many messages have none below them, from each message's parent."""
    return len(parents.keys() - set(parents.values()))


def parse(data: bytes, kind: type[_T], what: str) -> _T:
    """A JSON document as `kind`; raises RefusedError, saying that `what` is wrong."""
    strings = data.count(b'"') - data.count(b'\\"')
    if strings > 2 * STRING_LIMIT:
        raise RefusedError(f"its {what} has more parts than any conversation")
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        detail = " ".join(str(error).split())[:_DETAIL_LIMIT]  # it quotes the file, which may say anything
        raise RefusedError(f"its {what} is not as the format says ({detail})") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(f"its {what} is not readable JSON") from error


def check_counts(manifest: Manifest, document: ConversationDocument) -> None:
    """Raise RefusedError unless the manifest's counts are those of the conversation."""
    parents: dict[str, str | None] = {message.id: message.parent for message in document.messages}
    if (manifest.messages, manifest.branches) != (len(document.messages), branches_of(parents)):
        raise RefusedError("it does not hold as many messages as it says")


def check_state(state: StateManifest, document: ConversationDocument) -> None:
    """Raise RefusedError unless the state's lists fit together and name messages of the conversation."""
    names = {file.name for file in state.files}
    fingerprints = {model.fingerprint for model in state.models}
    messages = {message.id for message in document.messages}
    if len(names) != len(state.files) or len(fingerprints) != len(state.models):
        raise RefusedError("it names a piece of its state twice")
    if len({tip.message for tip in state.tips}) != len(state.tips):
        raise RefusedError("a message's state ends at two places")
    for tip in state.tips:
        if tip.message not in messages or tip.fingerprint not in fingerprints or f"{tip.key}.chunk" not in names:
            raise RefusedError("its state belongs to no message, or is missing")


def conversation_from(document: ConversationDocument) -> ImportedConversation:
    """The conversation of a parsed document; raises RefusedError where its parts do not fit together."""
    identity = ConversationId(document.id)
    messages: dict[MessageId, Message] = {}
    token_ids: dict[str, dict[MessageId, bytes]] = {}
    for entry in document.messages:
        _check_message(entry, messages)
        message = MessageId(entry.id)
        messages[message] = Message(
            id=message,
            conversation=identity,
            parent=None if entry.parent is None else MessageId(entry.parent),
            role=entry.role,
            text=entry.text,
            created=entry.created,
            model=entry.model,
            finish_reason=entry.finish_reason,
            figures=entry.figures,
            error=entry.error,
        )
        for tokenizer, packed in entry.token_ids.items():
            token_ids.setdefault(tokenizer, {})[message] = packed
    if document.leaf is not None and document.leaf not in messages:
        raise RefusedError("the message that it shows is missing")
    conversation = Conversation(
        id=identity,
        title=document.title,
        system_prompt=document.system_prompt,
        created=document.created,
        updated=document.updated,
        leaf=None if document.leaf is None else MessageId(document.leaf),
        sampler=document.sampler,
        draft=document.draft,
    )
    return ImportedConversation(ConversationTree(conversation, messages), token_ids, document.model)


def _check_message(entry: _Message, before: Mapping[MessageId, Message]) -> None:
    """Raise RefusedError unless the message fits below those `before` it, which also rules out a cycle."""
    if entry.id in before:
        raise RefusedError("it holds the same message twice")
    if entry.parent is not None and entry.parent not in before:
        raise RefusedError("a message answers one that does not stand before it")
    if entry.figures is not None and not are_plausible(entry.figures):
        raise RefusedError("the figures of a reply are impossible")
    if any(len(packed) % 4 for packed in entry.token_ids.values()):
        raise RefusedError("the token ids of a message are cut off")
