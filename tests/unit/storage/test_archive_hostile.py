"""Hostile archives: each refused in one sentence, with nothing taken from it."""

import hashlib
import io
import json
import os
import stat
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.core.errors import EmberError
from app.storage import archive
from app.storage.archive import CONVERSATION, MANIFEST, archive_bytes, read_archive
from app.storage.archive_format import MESSAGE_LIMIT, MESSAGE_TEXT_LIMIT
from tests.unit.storage.made import forked_tree, message_id

Json = dict[str, Any]


def refusal(path: Path) -> str:
    """The sentence with which an archive is refused."""
    with pytest.raises(EmberError) as caught:
        read_archive(path)
    assert caught.value.kind == "bad_archive"
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 400
    return sentence


def documents() -> tuple[Json, Json]:
    """The manifest and the conversation of a good archive."""
    with zipfile.ZipFile(io.BytesIO(archive_bytes(forked_tree(), {}))) as good:
        return json.loads(good.read(MANIFEST)), json.loads(good.read(CONVERSATION))


def packed(folder: Path, members: list[tuple[str | zipfile.ZipInfo, bytes | str]], **how: Any) -> Path:
    """A zip file with these members."""
    path = folder / "hostile.ember"
    with zipfile.ZipFile(path, "w", how.pop("compression", zipfile.ZIP_DEFLATED)) as file:
        for name, data in members:
            file.writestr(name, data, **how)
    return path


def with_conversation(folder: Path, conversation: Json | str | bytes, **manifest: Any) -> Path:
    """An archive of a changed conversation, its checksum right and its counts those of the good one."""
    data = json.dumps(conversation) if isinstance(conversation, dict) else conversation
    raw = data.encode() if isinstance(data, str) else data
    head = documents()[0] | {"sha256": hashlib.sha256(raw).hexdigest()} | manifest
    return packed(folder, [(MANIFEST, json.dumps(head)), (CONVERSATION, raw)])


def test_the_helper_makes_an_archive_that_is_taken(tmp_path: Path) -> None:
    assert read_archive(with_conversation(tmp_path, documents()[1])).tree == forked_tree()


# --- the file ------------------------------------------------------------------------------------------------


def test_a_missing_file_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    assert "it does not exist" in refusal(tmp_path / "no.ember")
    assert "it is not a file" in refusal(tmp_path)
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe")
        assert "it is not a file" in refusal(tmp_path / "pipe")


@pytest.mark.parametrize("data", [b"", b"PK", b"hello " * 100, bytes(5000)])
def test_what_is_no_zip_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.ember").write_bytes(data)
    assert "not an Ember archive" in refusal(tmp_path / "a.ember")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    data = archive_bytes(forked_tree(), {})
    path = tmp_path / "cut.ember"
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        refusal(path)


def test_something_before_or_after_the_archive_is_refused(tmp_path: Path) -> None:
    data = archive_bytes(forked_tree(), {})
    for changed in (b"#!/bin/sh\n" + data, data + b"\n"):
        (tmp_path / "a.ember").write_bytes(changed)
        refusal(tmp_path / "a.ember")


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "FILE_LIMIT", 1000)
    (tmp_path / "a.ember").write_bytes(archive_bytes(forked_tree(), {}))
    assert "larger than 1000 B" in refusal(tmp_path / "a.ember")


# --- its members ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../escape.txt", "/etc/passwd", "C:\\x", "state/0.kv", "manifest.json ", "x\0y"])
def test_any_other_member_is_refused_and_never_extracted(tmp_path: Path, name: str) -> None:
    manifest, conversation = (json.dumps(document) for document in documents())
    refusal(packed(tmp_path, [(MANIFEST, manifest), (CONVERSATION, conversation), (name, "x")]))
    assert [path.name for path in tmp_path.iterdir()] == ["hostile.ember"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("twice", [MANIFEST, CONVERSATION])
def test_a_member_that_is_there_twice_is_refused(tmp_path: Path, twice: str) -> None:
    members = dict(zip((MANIFEST, CONVERSATION), map(json.dumps, documents()), strict=True))
    refusal(packed(tmp_path, [*members.items(), (twice, members[twice])]))


@pytest.mark.parametrize("missing", [MANIFEST, CONVERSATION])
def test_a_missing_member_is_refused(tmp_path: Path, missing: str) -> None:
    members = dict(zip((MANIFEST, CONVERSATION), map(json.dumps, documents()), strict=True))
    del members[missing]
    refusal(packed(tmp_path, list(members.items())))


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    link = zipfile.ZipInfo(CONVERSATION)
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "checksum" in refusal(packed(tmp_path, [(MANIFEST, json.dumps(documents()[0])), (link, "/etc/passwd")]))


def test_a_crowd_of_members_is_refused_before_the_directory_is_read(tmp_path: Path) -> None:
    members = [(f"{number:0200}", b"") for number in range(5000)]
    assert "too many files" in refusal(packed(tmp_path, [*members, (MANIFEST, json.dumps(documents()[0]))]))


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_kind_of_packing_is_refused(tmp_path: Path, compression: int) -> None:
    members = list(zip((MANIFEST, CONVERSATION), map(json.dumps, documents()), strict=True))
    assert "packed in a way" in refusal(packed(tmp_path, list(members), compression=compression))


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = with_conversation(tmp_path, documents()[1])
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(signature, at + 4)
    path.write_bytes(data)
    assert "damaged" in refusal(path)


def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    assert "far more than its size" in refusal(with_conversation(tmp_path, b" " * 20_000_000))


def test_a_bomb_that_lies_about_its_size_is_stopped_while_it_unpacks(tmp_path: Path) -> None:
    path = with_conversation(tmp_path, b" " * 20_000_000)
    data = bytearray(path.read_bytes())
    size = (20_000_000).to_bytes(4, "little")
    assert data.count(size) == 2
    path.write_bytes(data.replace(size, (1000).to_bytes(4, "little")))
    refusal(path)


def test_a_conversation_that_is_too_large_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "CONVERSATION_LIMIT", 1000)
    assert "larger than 1000 B" in refusal(with_conversation(tmp_path, documents()[1]))


# --- the manifest --------------------------------------------------------------------------------------------


def test_a_newer_format_has_its_own_sentence_whatever_else_is_in_it(tmp_path: Path) -> None:
    newer = json.dumps({"format": "ember-conversation", "version": 3, "state": {"chunks": 3}})
    path = packed(tmp_path, [(MANIFEST, newer), ("state/0.kv", b"x"), (CONVERSATION, "{}")])
    assert "newer Ember" in refusal(path)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "zip"},
        {"version": 0},
        {"version": "1"},
        {"version": 10**400},
        {"version": True},
        {"messages": 5},
        {"branches": 1},
        {"messages": -1},
        {"sha256": "0" * 64},
        {"sha256": "X"},
        {"exported": "yesterday"},
        {"more": 1},
    ],
)
def test_a_manifest_that_is_wrong_is_refused(tmp_path: Path, change: Json) -> None:
    refusal(with_conversation(tmp_path, documents()[1], **change))


# --- the conversation ----------------------------------------------------------------------------------------


WRONG: list[tuple[str, str, Any]] = [
    ("reply", "id", message_id(1)),
    ("reply", "id", "../../etc"),
    ("reply", "id", "A" * 32),
    ("reply", "id", message_id(2) + "\n"),
    ("reply", "id", None),
    ("reply", "parent", message_id(2)),
    ("reply", "parent", message_id(4)),
    ("reply", "parent", "f" * 32),
    ("reply", "role", "system"),
    ("reply", "role", None),
    ("reply", "text", None),
    ("reply", "text", ["nested"]),
    ("reply", "text", "a" * (MESSAGE_TEXT_LIMIT + 1)),
    ("reply", "created", -1),
    ("reply", "created", 1e300),
    ("reply", "created", "now"),
    ("reply", "finish_reason", "tired"),
    ("reply", "model", "m" * 1001),
    ("reply", "token_ids", {"t": "AAA="}),
    ("reply", "token_ids", {"t": "not base64!"}),
    ("reply", "token_ids", {str(number): "" for number in range(17)}),
    ("reply", "surprise", 1),
    ("figures tokens", "prompt", -1),
    ("figures tokens", "prompt", 10**300),
    ("figures seconds", "total", "long"),
    ("figures kv", "bytes_written", 2**60),
    ("conversation", "id", "c" * 31),
    ("conversation", "leaf", "f" * 32),
    ("conversation", "title", "t" * 1001),
    ("conversation", "title", None),
    ("conversation", "updated", 1e11),
    ("conversation", "sampler", {"temperature": 1e9}),
    ("conversation", "sampler", []),
    ("conversation", "messages", None),
    ("conversation", "surprise" * 10_000, 1),
]


@pytest.mark.parametrize(
    ("where", "key", "value"), WRONG, ids=[f"{number} {case[0]}" for number, case in enumerate(WRONG)]
)
def test_a_conversation_that_is_wrong_is_refused(tmp_path: Path, where: str, key: str, value: Any) -> None:
    conversation = documents()[1]
    reply = conversation["messages"][1]
    part, _, figures = where.partition(" ")
    {"conversation": conversation, "reply": reply, "figures": reply["figures"].get(figures)}[part][key] = value
    refusal(with_conversation(tmp_path, conversation))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"id": "' + b"a" * 1000,
        b"[" * 5000,
        b'{"id":' * 5000,
        b'{"sampler": {"x": ' + b"[" * 200_000,
        b'{"title": "\\ud800"}',
    ],
)
def test_broken_and_deep_json_is_refused(tmp_path: Path, data: bytes) -> None:
    path = packed(
        tmp_path,
        [
            (MANIFEST, json.dumps(documents()[0] | {"sha256": hashlib.sha256(data).hexdigest()})),
            (CONVERSATION, data),
        ],
        compress_type=zipfile.ZIP_STORED,
    )
    refusal(path)


def test_a_crowd_of_messages_and_a_crowd_of_strings_are_refused(tmp_path: Path) -> None:
    conversation = documents()[1]
    conversation["messages"] = [
        {"id": message_id(n), "parent": None, "role": "user", "text": str(n), "created": 1}
        for n in range(MESSAGE_LIMIT + 1)
    ]
    assert "not as the format says" in refusal(with_conversation(tmp_path, conversation))
    crowd = b",".join([b'""'] * 3_500_000)
    path = packed(
        tmp_path,
        [
            (MANIFEST, json.dumps(documents()[0] | {"sha256": hashlib.sha256(crowd).hexdigest()})),
            (CONVERSATION, crowd),
        ],
        compress_type=zipfile.ZIP_STORED,
    )
    assert "more parts than any conversation" in refusal(path)


# --- anything ------------------------------------------------------------------------------------------------

GOOD = archive_bytes(forked_tree(), {"t": {message_id(1): b"\1\0\0\0"}})
CHANGES = st.lists(
    st.tuples(st.integers(0, len(GOOD) - 1), st.sampled_from(["set", "cut", "add"]), st.binary(min_size=1, max_size=4)),
    min_size=1,
    max_size=4,
)


@settings(
    max_examples=1000,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(CHANGES)
@example([(0, "set", b"X")])
def test_a_mutated_archive_is_refused_or_unharmed(tmp_path: Path, changes: list[tuple[int, str, bytes]]) -> None:
    data = bytearray(GOOD)
    for at, how, some in changes:
        data[at : at + (0 if how == "add" else len(some))] = b"" if how == "cut" else some
    path = tmp_path / "mutated.ember"
    path.write_bytes(data)
    try:
        imported = read_archive(path)
    except EmberError as error:
        assert error.kind == "bad_archive"
    else:
        assert imported.tree == forked_tree()


@settings(
    max_examples=300,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.integers(0, 10_000), st.sampled_from(list(b'{}[]",:0e-.\\nt\xff')))
def test_mutated_json_with_a_right_checksum_is_refused_or_a_whole_conversation(
    tmp_path: Path, at: int, byte: int
) -> None:
    raw = bytearray(json.dumps(documents()[1]).encode())
    raw[at % len(raw)] = byte
    try:
        imported = read_archive(with_conversation(tmp_path, bytes(raw)))
    except EmberError as error:
        assert error.kind == "bad_archive"
    else:
        assert len(imported.tree.messages) == 6
