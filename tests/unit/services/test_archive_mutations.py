"""A thousand changed archives with state: taken whole, refused in a sentence, or their state left with the reason."""

import copy
import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.conversation import MessageId
from app.engine import saved_transfer
from app.engine.saving import Saving
from app.kvstore.chunk_file import HEADER_BYTES
from app.kvstore.keys import packed_key
from app.kvstore.store import Store
from app.protocol.answers import SavedAdopted
from app.protocol.parts import StagedFile
from app.protocol.requests import AdoptSaved
from app.services.import_files import ImportHooks, ImportOrder, StateOutcome, dropped, import_files
from app.services.state_transfer import staging_folder
from app.storage.archive import CONVERSATION, MANIFEST, STATE_FOLDER
from app.storage.archive_format import Manifest, RefusedError, StateManifest, StateModel, StateTip
from app.storage.archive_state import OutgoingState, export_with_state, extract_state
from app.storage.conversations import ConversationStore
from app.storage.database import Database
from app.storage.signing import KEY_BYTES, sign
from tests.unit.kvstore.made import PLENTY, ROOT, all_sound, files, save
from tests.unit.storage.made import forked_tree, message_id, outgoing

Json = dict[str, Any]
KEY = bytes(range(KEY_BYTES))
TEXTS = [message.text for message in forked_tree().messages.values()]
REMOVED: Final = "(removed)"
TWICE: Final = "(twice)"
HEADER = struct.Struct("<8sII32s32s32sQIQIQI")
"""A chunk's: magic, version, kind, root, parent, key, start, tokens, rows and their sum, window and its sum."""


@dataclass(frozen=True, repr=False)
class Home:
    """A data folder, and an archive that was written there."""

    folder: Path
    store: ConversationStore
    kept: Store
    """The engine's."""
    good: bytes
    members: Mapping[str, bytes]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """One for all the archives; what is taken of one is removed before the next."""
    folder = tmp_path_factory.mktemp("home")
    written, staged = Store(folder / "other", PLENTY), folder / "staged"
    tip = save(written, "why did roads", checkpoint=[b"c" * 50])
    fork = save(written, "why not")
    staged.mkdir()
    chunks = [outgoing(file.path) for file in written.stage([tip, fork], staged, lambda _done, _total: None)]
    written.close()
    state = OutgoingState(
        chunks,
        [StateModel(fingerprint=ROOT.hex(), name="SmolLM2", sha256="e" * 64)],
        [
            StateTip(message=message_id(number), fingerprint=ROOT.hex(), key=key.hex())
            for number, key in ((2, fork), (5, tip))
        ],
    )
    export_with_state(forked_tree(), {"t": {message_id(2): bytes(8)}}, folder / "chat.ember", state, KEY)
    good = (folder / "chat.ember").read_bytes()
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (folder / "data").mkdir()
    database = Database.open(folder / "data" / "ember.db", folder)
    database.rows("PRAGMA synchronous = OFF")  # a thousand commits
    kept = Store(folder / "data" / "kv", PLENTY)
    yield Home(folder, ConversationStore(database), kept, good, members)
    kept.close()
    database.close()


def adopt(home: Home, file: Path, state: StateManifest) -> StateOutcome:
    """What the window and its engine do with an archive's state."""
    try:
        with staging_folder(home.folder / "data" / "staging") as folder:
            extract_state(file, state, folder)
            request = AdoptSaved(
                id=1,
                folder=str(folder),
                files=tuple(StagedFile(name=each.name, bytes=each.bytes, sha256=each.sha256) for each in state.files),
                tips=tuple(bytes.fromhex(tip.key) for tip in state.tips),
            )
            engine = cast(Saving, SimpleNamespace(store=home.kept))  # all of it that is used; the rest is a thread
            answer = saved_transfer.adopt(engine, request, lambda _progress: None, lambda: False)
    except RefusedError as error:
        return dropped(str(error))
    assert isinstance(answer, SavedAdopted)
    if not answer.tips or answer.trouble:
        assert answer.trouble
        return dropped(answer.trouble)
    return StateOutcome("used", "", answer.bytes)


# --- the changes ---------------------------------------------------------------------------------------------------


def paths(document: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to each value of a JSON document."""
    parts = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for name, value in parts:
        yield (*at, name)
        yield from paths(value, (*at, name))


def put_at(document: Any, path: tuple[str | int, ...], value: Any) -> None:
    """Replace a value, remove it, or say it twice."""
    for step in path[:-1]:
        document = document[step]
    last = path[-1]
    if value == REMOVED:
        del document[last]
    elif value == TWICE:
        if isinstance(document, list):
            document.append(document[last])
        else:
            document[f"{last}_"] = document[last]
    else:
        document[last] = value


def forged_chunk(data: bytes, change: tuple[str, int, int]) -> bytes:
    """A chunk with another field, token or byte, its checksums and its key right again."""
    what, place, value = change
    if what == "bytes" or len(data) < HEADER_BYTES:
        at = place % max(1, len(data))
        return data[:at] + bytes([value % 256]) + data[at + 1 :]
    fields = list(HEADER.unpack_from(data))
    rest = bytearray(data[HEADER_BYTES:])
    if what == "field":
        number = place % len(fields)
        width = 4 if number in (1, 2, 7, 9, 11) else 8
        old = fields[number]
        fields[number] = value % 2 ** (8 * width) if isinstance(old, int) else value.to_bytes(8, "little") + old[8:]
    else:
        at = place % len(rest)
        rest[at] = value % 256
        tokens = bytes(rest[: 4 * fields[7]])
        rows = bytes(rest[len(tokens) : len(tokens) + fields[8]])
        fields[9] = zlib.crc32(rows)
        if fields[2] == 1:
            fields[5] = packed_key(fields[4], tokens)
    head = HEADER.pack(*fields)
    return head + struct.pack("<I", zlib.crc32(head)) + bytes(rest)


def pack(members: Mapping[str, bytes], *, twice: str = "", packed: str = "") -> bytes:
    """An archive of these members, as Ember packs them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            stored = name.startswith(STATE_FOLDER) and name != packed
            for _ in range(2 if name == twice else 1):
                archive.writestr(name, data, zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def signed(members: dict[str, bytes], manifest: Json) -> bytes:
    """The archive with that manifest, signed as by this installation where it can be."""
    try:
        parsed = msgspec.json.decode(json.dumps(manifest), type=Manifest)
        manifest["signature"] = sign(KEY, parsed.signed_part())
    except msgspec.ValidationError:
        pass
    return pack(members | {MANIFEST: json.dumps(manifest).encode()})


def mutated(home: Home, how: tuple[str, Any]) -> bytes:
    """The good archive after one of the changes."""
    kind, change = how
    members, manifest = dict(home.members), json.loads(home.members[MANIFEST])
    if kind == "raw":
        data = bytearray(home.good)
        for at, way, some in change:
            at %= len(data)
            data[at : at + (0 if way == "add" else len(some))] = b"" if way == "cut" else some
        return bytes(data)
    if kind == "manifest":
        for path, value in change:
            try:
                put_at(manifest, path, copy.deepcopy(value))
            except (KeyError, IndexError, TypeError):  # the change before took it away
                continue
        return signed(members, manifest)
    if kind == "conversation":
        raw = bytearray(members[CONVERSATION])
        for at, byte in change:
            raw[at % len(raw)] = byte
        manifest["sha256"] = hashlib.sha256(raw).hexdigest()
        return signed(members | {CONVERSATION: bytes(raw)}, manifest)
    if kind == "members":
        way, one, other = change
        names = list(members)
        name, second = names[one % len(names)], names[other % len(names)]
        if way == "exchange":
            members[name], members[second] = members[second], members[name]
        elif way == "rename":
            members[f"{STATE_FOLDER}../../{one}"] = members.pop(name)
        elif way == "drop":
            del members[name]
        return pack(members, twice=name if way == "twice" else "", packed=name if way == "pack" else "")
    number, forgery, tells = change
    entry = manifest["state"]["files"][number % len(manifest["state"]["files"])]
    data = forged_chunk(members.pop(STATE_FOLDER + entry["name"]), forgery)
    if tells:  # a liar who says the right length, digest and name of what he forged
        kind_of = entry["name"].partition(".")[2]
        key = data[16 + 64 : 16 + 96].hex() if len(data) >= HEADER_BYTES and kind_of == "chunk" else entry["name"][:64]
        for tip in manifest["state"]["tips"]:
            if f"{tip['key']}.chunk" == entry["name"]:
                tip["key"] = key
        entry.update(name=f"{key}.{kind_of}", bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    return signed(members | {STATE_FOLDER + entry["name"]: data}, manifest)


NUMBERS = st.one_of(st.sampled_from([0, 1, 2, 255, 2**31, 2**32 - 1, 2**63, 2**64 - 1]), st.integers(0, 2**64 - 1))
NAMES = [None, "", "x", "../../x", "/etc/passwd", "0" * 64, "A" * 64, "a" * 64 + ".chunk", message_id(1), message_id(9)]
VALUES = [REMOVED, TWICE, *NAMES, True, -1, 0, 1, 3, 999, 2**30, 2**31, 2**63, 10**30, 1.5, [], {}, [[]] * 9, {"x": 1}]
HOSTILE = st.sampled_from(VALUES)


def changes(manifest: Json) -> st.SearchStrategy[tuple[str, Any]]:
    """What may be done to the archive with that manifest."""
    ways = st.sampled_from(["set", "cut", "add"])
    raw = st.tuples(st.integers(0, 2**20), ways, st.binary(min_size=1, max_size=4))
    places = st.tuples(st.sampled_from(list(paths(manifest))), HOSTILE)
    members = st.tuples(st.sampled_from(["exchange", "rename", "drop", "twice", "pack"]), st.integers(0, 9), NUMBERS)
    forged = st.tuples(st.sampled_from(["bytes", "field", "payload"]), st.integers(0, 10_000), NUMBERS)
    return st.one_of(
        st.tuples(st.just("raw"), st.lists(raw, min_size=1, max_size=4)),
        st.tuples(st.just("manifest"), st.lists(places, min_size=1, max_size=3)),
        st.tuples(
            st.just("conversation"),
            st.lists(st.tuples(st.integers(0, 2**20), st.sampled_from(list(b'{}[]",:0e-.\\nt\xff1ac'))), max_size=3),
        ),
        st.tuples(st.just("members"), members),
        st.tuples(st.just("chunk"), st.tuples(st.integers(0, 9), forged, st.booleans())),
    )


# --- what becomes of them ------------------------------------------------------------------------------------------


def inside(folder: Path) -> set[str]:
    """The files in a folder, but for those of the databases."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(("ember.db", "index.db"))
    }


def is_sentence(words: str) -> bool:
    return words.endswith(".") and words[0] in "“ATI" and "\n" not in words and "Error" not in words


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(max_examples=400, derandomize=True, deadline=None)
@given(data=st.data(), trusts=st.booleans())
def test_a_mutated_archive_with_state_is_taken_refused_or_left_without_its_state(
    home: Home, data: st.DataObject, trusts: bool
) -> None:
    file = home.folder / "mutated.ember"
    file.write_bytes(mutated(home, data.draw(changes(json.loads(home.members[MANIFEST])))))
    before = inside(home.folder)

    def taken_up(path: Path, state: StateManifest, _names: Mapping[MessageId, MessageId]) -> StateOutcome:
        return adopt(home, path, state)

    hooks = ImportHooks(key=lambda: KEY, may_save=lambda _conversation: True, adopt=taken_up)
    report = import_files(home.store, ImportOrder((file,), trust_state=trusts), hooks)
    conversations = [summary.id for summary in home.store.summaries()]
    assert len(report.taken) + len(report.not_taken) == 1 and len(conversations) == len(report.taken)
    for refused in report.not_taken:
        assert is_sentence(refused.sentence)
    for one in report.taken:
        tree = home.store.tree(one.id)
        assert len(tree.messages) == one.messages == len(TEXTS)
        assert one.state.fate in ("none", "used", "dropped")
        assert is_sentence(one.state.why) == (one.state.fate == "dropped")
        home.store.delete(one.id)
    home.store.purge_deleted(1e12)
    added = inside(home.folder) - before
    assert all(name.startswith("data/kv/chunks/") for name in added)
    if not report.taken or report.taken[0].state.fate == "none":
        assert not added
    if added:
        assert all_sound(home.kept)
        assert files(home.folder / "data" / "kv")
        home.kept.drop_all()


def test_the_good_archive_is_taken_with_its_state(home: Home, tmp_path: Path) -> None:
    (tmp_path / "good.ember").write_bytes(pack(home.members))
    hooks = ImportHooks(lambda: KEY, lambda _: True, lambda path, state, _names: adopt(home, path, state))
    (one,) = import_files(home.store, ImportOrder((tmp_path / "good.ember",)), hooks).taken
    assert one.state.fate == "used" and len(files(home.folder / "data" / "kv")) == 5
    assert [each.text for each in home.store.tree(one.id).messages.values()] == TEXTS
    home.store.delete(one.id)
    home.store.purge_deleted(1e12)
    home.kept.drop_all()
