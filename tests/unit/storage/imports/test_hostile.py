"""Hostile files of other programs: each refused in a sentence, within bounds."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.conversation import ConversationTree
from app.core.errors import EmberError
from app.storage.archive_format import MESSAGE_LIMIT, MESSAGE_TEXT_LIMIT, RefusedError
from app.storage.imports import bounds
from app.storage.imports.draft import Taken
from app.storage.imports.reading import Refused, conversations_in
from tests.unit.storage.imports import samples
from tests.unit.storage.imports.samples import chatgpt, chatgpt_node


def reasons(folder: Path, content: Any) -> list[str]:
    """Why nothing of a file was taken."""
    path = folder / "file.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    try:
        found = list(conversations_in(path))
    except RefusedError as error:
        return [str(error)]
    told = [each.reason for each in found if isinstance(each, Refused)]
    assert len(told) == len(found)
    return told


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no conversation that Ember knows"),
        (b"\0" * 5_000, "no conversation that Ember knows"),
        (b"# A read-me\n\n## Installation\n\nText\n", "no conversation that Ember knows"),
        (b"[]", "holds no conversation"),
        (b"{}", "no conversation that Ember knows"),
        (b"[1,2,3]", "not built as"),
        (b'{"messages": 7}', "not built as"),
        (b'{"mapping": {}}', "no message with words"),
        (b'{"messages": [{"role": "user", "content": "  "}]}', "no message with words"),
        (b'{"messages": [{"role": "user", "content": "x"}', "not readable JSON"),
        (b'[{"a":' + b"[" * 200_000, "not readable JSON"),
        (b'{"mapping": ' + b'{"a":' * 100_000, "not readable JSON"),
        (b'{"messages": [{"role": "user", "content": "\xff"}]}', "not readable JSON"),
    ],
)
def test_what_is_no_conversation_is_refused_with_its_reason(content: bytes, words: str, tmp_path: Path) -> None:
    (told,) = reasons(tmp_path, content)
    assert words in told


def test_messages_that_go_round_in_a_circle_are_refused(tmp_path: Path) -> None:
    circle = chatgpt(chatgpt_node("a", "b", "user", "x"), chatgpt_node("b", "a", "assistant", "y"))
    assert reasons(tmp_path, circle) == ["its messages go round in a circle"]


def test_a_message_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    twice = samples.LLAMA_WEB | {"messages": [samples.LLAMA_WEB["messages"][2]] * 2}
    assert reasons(tmp_path, twice) == ["it holds the same message twice"]


def test_the_title_of_what_is_refused_tells_a_terminal_nothing(tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text(json.dumps({"title": "\x1b]0;x\x07Roads\n" + "x" * 500, "mapping": 7}))
    (refused,) = conversations_in(tmp_path / "file.json")
    assert isinstance(refused, Refused)
    assert refused.title.startswith("]0;xRoads x") and len(refused.title) <= 80


def test_too_many_messages_are_refused(tmp_path: Path) -> None:
    many = [{"role": "user", "content": str(number)} for number in range(MESSAGE_LIMIT + 1)]
    assert "more than 20,000 messages" in reasons(tmp_path, {"messages": many})[0]


def test_an_endless_message_is_refused_also_where_it_comes_in_pieces(tmp_path: Path) -> None:
    half = "a" * (MESSAGE_TEXT_LIMIT // 2)
    whole = [{"role": "user", "content": half + half}]
    path = tmp_path / "whole.json"
    path.write_text(json.dumps({"messages": whole}))
    assert [type(each) for each in conversations_in(path)] == [Taken]
    pieces = [{"role": "user", "content": half}] * 3
    for messages in (pieces, [{"role": "user", "content": 3 * half}]):
        assert "longer than 4,194,304 characters" in reasons(tmp_path, {"messages": messages})[0]


def test_an_endless_chain_is_read_without_recursion(tmp_path: Path) -> None:
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": "x"} for number in range(MESSAGE_LIMIT)]
    path = tmp_path / "long.json"
    path.write_text(json.dumps({"messages": messages}))
    (taken,) = conversations_in(path)
    assert isinstance(taken, Taken)
    assert len(taken.imported.tree.path()) == MESSAGE_LIMIT


@pytest.mark.parametrize("name", ["FILE_LIMIT", "CONVERSATION_LIMIT", "STRING_LIMIT", "OBJECT_LIMIT"])
def test_what_is_beyond_a_bound_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, name, 3)
    (told,) = reasons(tmp_path, samples.OPENAI)
    assert "larger than" in told or "more parts" in told


def test_a_folder_a_missing_file_and_a_pipe_are_refused(tmp_path: Path) -> None:
    for path, words in ((tmp_path, "not a file"), (tmp_path / "none.json", "does not exist")):
        with pytest.raises(RefusedError, match=words):
            list(conversations_in(path))
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(RefusedError, match="not a file"):
            list(conversations_in(tmp_path / "pipe"))


MEASURE = """
import sys
import zipfile
from pathlib import Path
from app.storage.archive_format import RefusedError
from app.storage.imports.reading import conversations_in
try:
    for _ in conversations_in(Path(sys.argv[1])):
        pass
except RefusedError:
    pass
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize(
    "unit",
    [
        b"{},",
        b"{}," + b" " * 40,
        b'{"mapping":{"' + b"a" * 300 + b'":{}}},',
        b"1,",
        b'{"messages":[{"role":"user","content":"%s"}]},' % ("\U0001f600" + "a" * 8_000_000).encode(),
    ],
    ids=["objects", "many objects", "conversations", "numbers", "wide text"],
)
def test_a_file_as_large_as_may_be_takes_less_than_300_mib(unit: bytes, tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    repeat = max(1, 1_000_000 // len(unit))
    with path.open("wb") as file:
        file.write(b"[")
        for _ in range((bounds.FILE_LIMIT - 100) // len(unit) // repeat):
            file.write(unit * repeat)
        file.write(b"{}]")
    command = [sys.executable, "-c", MEASURE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300 * 1024


FILES = [
    json.dumps(each).encode()
    for each in (
        [samples.CHATGPT], samples.LLAMA_WEB, samples.LM_STUDIO, samples.JAN_MESSAGES, samples.OPENAI
    )
]  # fmt: skip
FILES.append(
    b"\n".join(
        json.dumps(each).encode()
        for each in (
            {"type": "session", "harness": "llama.app"} | samples.LLAMA_WEB["conv"],
            *({"type": "message", "message": each} for each in samples.LLAMA_WEB["messages"]),
        )
    )
)


def holds_together(tree: ConversationTree) -> bool:
    """Whether parents stand before their children, roles are known and the shown message is there."""
    seen: set[str] = set()
    for message in tree.messages.values():
        if message.parent is not None and message.parent not in seen:
            return False
        seen.add(message.id)
    return tree.conversation.leaf in seen and all(m.role in ("user", "assistant") for m in tree.messages.values())


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FILES), st.lists(st.tuples(st.integers(0, 3_000), st.binary(max_size=6)), max_size=4))
def test_a_mutated_file_is_refused_or_gives_a_tree_that_holds_together(
    tmp_path: Path, data: bytes, changes: list[tuple[int, bytes]]
) -> None:
    changed = bytearray(data)
    for at, piece in changes:
        changed[at % len(changed) : at % len(changed) + len(piece)] = piece
    path = tmp_path / "mutated.json"
    path.write_bytes(changed)
    try:
        found = list(conversations_in(path))
    except (RefusedError, EmberError) as error:  # the latter where it begins like a zip file now
        assert "\n" not in str(error)
        return
    for each in found:
        assert isinstance(each, Refused) or holds_together(each.imported.tree)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 3_000), st.binary(min_size=1, max_size=6)), min_size=1, max_size=4))
def test_a_mutated_zip_file_is_refused_or_gives_a_tree_that_holds_together(
    tmp_path: Path, changes: list[tuple[int, bytes]]
) -> None:
    path = tmp_path / "mutated.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conversations.json", json.dumps([samples.CHATGPT]))
        archive.writestr("images/a.png", b"x" * 100)
    changed = bytearray(path.read_bytes())
    for at, piece in changes:
        changed[at % len(changed) : at % len(changed) + len(piece)] = piece
    path.write_bytes(changed)
    try:
        found = list(conversations_in(path))
    except (RefusedError, EmberError) as error:
        assert "\n" not in str(error)
        return
    for each in found:
        assert isinstance(each, Refused) or holds_together(each.imported.tree)
