"""Archives with state for tests: the state is of no model, and only a fake engine takes it."""

from pathlib import Path

from app.core.conversation import ConversationTree
from app.protocol.parts import OutgoingFile
from app.storage.archive_format import StateModel, StateTip
from app.storage.archive_state import OutgoingState, export_with_state
from tests.unit.storage.made import forked_tree, message_id, outgoing

STRANGER = bytes(32)
"""The key of another installation."""
TIP = "a" * 64
FINGERPRINT = "f" * 64


def archive_with_state(path: Path, key: bytes = STRANGER, tree: ConversationTree | None = None) -> Path:
    """An archive whose one chunk is 1,000 bytes of nothing, signed with `key`."""
    chunk = path.with_name(f"{TIP}.chunk")
    chunk.write_bytes(b"x" * 1000)
    state = OutgoingState(
        [outgoing(chunk)],
        [StateModel(fingerprint=FINGERPRINT, name="a", sha256="e" * 64)],
        [StateTip(message=message_id(5), fingerprint=FINGERPRINT, key=TIP)],
    )
    export_with_state(tree or forked_tree(), {}, path, state, key)
    chunk.unlink()
    return path


def exported(path: Path) -> OutgoingFile:
    """What the engine says of a file that it put into a staging folder."""
    file = outgoing(path)
    return OutgoingFile(name=path.name, bytes=file.bytes, sha256=file.sha256, crc32=file.crc32)
