"""`cache`, `regenerate` and `send --after` as scripts call them, and that deleted chats leave the disk."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from app.core.conversation import ConversationId
from app.services.workspace import Reading, Workspace
from tests.support.command import PATIENCE, Argument, Outcome, begin, ember
from tests.support.tiny_models import Kind

TinyModel = Callable[[Kind], Path]

SYSTEM = "You are a patient teacher who answers in short and simple sentences. " * 8
QUICK = ("--temperature", 0, "--context", 1024, "--max-tokens", 12, "--json")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder that is not there yet."""
    return tmp_path / "data"


@pytest.fixture(scope="module")
def tiny(tiny_model: TinyModel) -> Path:
    """A model of full attention that never ends a reply."""
    return tiny_model(Kind.FULL)


@pytest.fixture(scope="module")
def made(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A data folder, and the ids of two conversations with the same system prompt in it."""
    folder = tmp_path_factory.mktemp("made") / "data"
    return folder, talk(folder, tiny, "Name a colour."), talk(folder, tiny, "Name a river.")


@pytest.fixture
def two(made: tuple[Path, str, str], data: Path) -> tuple[str, str]:
    """The same in this test's data folder; the ids."""
    folder, first, second = made
    shutil.copytree(folder, data)
    return first, second


def run(command: str, data: Path, model: Path, *arguments: Argument) -> list[Any]:
    """A command with a model; it has to succeed. Its lines of JSON."""
    outcome = ember(command, "--data-dir", data, "--model", model, *QUICK, *arguments)
    assert outcome.status == 0, outcome.err
    return outcome.lines


def talk(data: Path, model: Path, *texts: str, system: str = SYSTEM) -> str:
    """A new conversation; its id."""
    conversation: str = run("send", data, model, "--system", system, *texts)[0]["conversation"]
    return conversation


def cache(data: Path, *arguments: Argument) -> Outcome:
    return ember("cache", "--data-dir", data, *arguments)


def report(data: Path) -> Any:
    outcome = cache(data, "--json")
    assert outcome.status == 0, outcome.err
    return outcome.line


def own(report: Any, conversation: str) -> int:
    """The bytes that only this conversation needs; 0 if nothing of it is saved."""
    return next((chat["own_bytes"] for chat in report["conversations"] if chat["id"] == conversation), 0)


def files(data: Path) -> list[Path]:
    """Chunks and checkpoints on the disk."""
    return [path for path in (data / "kv").rglob("*") if path.suffix in (".chunk", ".checkpoint")]


def on_disk(data: Path) -> int:
    """Bytes of the chunks, also while the engine removes some."""
    size = 0
    for path in files(data):
        with suppress(FileNotFoundError):
            size += path.stat().st_size
    return size


# --- what is there ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.FULL, Kind.WINDOW, Kind.HYBRID])
def test_the_report_tells_the_bytes_that_lie_on_the_disk(kind: Kind, data: Path, tiny_model: TinyModel) -> None:
    model = tiny_model(kind)
    first, second = talk(data, model, "Name a colour.", "And another?"), talk(data, model, "Name a river.")
    told = report(data)
    assert told["bytes"] == on_disk(data) > 0
    assert told["chunks"] == sum(path.suffix == ".chunk" for path in files(data))
    assert told["checkpoint_bytes"] == sum(path.stat().st_size for path in files(data) if path.suffix == ".checkpoint")
    assert told["bytes_written"] >= told["bytes"]
    (of_model,) = told["models"]
    assert (of_model["file"], of_model["bytes"]) == (str(model), told["bytes"])
    shared = {chat["shared_bytes"] for chat in told["conversations"]}
    assert len(shared) == 1
    assert own(told, first) + own(told, second) + shared.pop() == told["bytes"]


def test_in_words_the_report_names_models_and_conversations(data: Path, two: tuple[str, str]) -> None:
    conversation, _ = two
    lines = cache(data).out.splitlines()
    assert " written ever, " in lines[0]
    assert any(line.startswith(conversation) and line.endswith("Name a colour.") for line in lines)


def test_nothing_saved_is_a_report_too(data: Path) -> None:
    told = report(data)
    assert (told["bytes"], told["models"], told["conversations"]) == (0, [], [])
    assert told["budget"] > 0


# --- clearing ---------------------------------------------------------------------------------------------------------


def test_clearing_a_conversation_leaves_what_another_one_needs(data: Path, tiny: Path, two: tuple[str, str]) -> None:
    first, second = two
    before, bytes_before = report(data), on_disk(data)
    cleared = cache(data, "clear", "--conversation", first[:8], "--json").line
    assert cleared == {"would_free_bytes": own(before, first), "freed_bytes": own(before, first)}
    assert on_disk(data) == bytes_before - own(before, first)
    assert [chat["id"] for chat in report(data)["conversations"]] == [second]
    again = run("send", data, tiny, "--conversation", second, "And another?")[0]
    assert again["reread"] is None
    assert again["tokens"]["reused_saved"] > 100
    assert cache(data, "clear", "--conversation", second, "--json").line["freed_bytes"] > own(before, second)
    assert files(data) == []


def test_a_cleared_conversation_is_read_again_and_saved_again(data: Path, tiny: Path, two: tuple[str, str]) -> None:
    conversation, _ = two
    assert cache(data, "clear", "--all").status == 0
    line = run("send", data, tiny, "--conversation", conversation, "And another?")[0]
    assert line["tokens"]["reused_saved"] == 0
    assert line["tokens"]["evaluated"] == line["tokens"]["prompt"]
    assert own(report(data), conversation) > 0


def test_clearing_a_model_leaves_the_other_models_state(data: Path, tiny_model: TinyModel) -> None:
    full, window = tiny_model(Kind.FULL), tiny_model(Kind.WINDOW)
    talk(data, full, "Name a colour.")
    talk(data, window, "Name a colour.")
    sizes = {model["file"]: model["bytes"] for model in report(data)["models"]}
    cleared = cache(data, "clear", "--model", full)
    assert cleared.status == 0
    assert cleared.out.splitlines()[0].startswith("This frees ")
    left = report(data)
    assert [model["file"] for model in left["models"]] == [str(window)]
    assert left["bytes"] == on_disk(data) == sizes[str(window)]


def test_clearing_everything_leaves_the_texts(data: Path, two: tuple[str, str]) -> None:
    conversation, _ = two
    before = report(data)["bytes"]
    assert cache(data, "clear", "--all", "--json").line == {"would_free_bytes": before, "freed_bytes": before}
    assert files(data) == []
    assert "Name a colour." in ember("show", conversation, "--data-dir", data).out


def test_what_to_clear_has_to_be_named_and_to_exist(data: Path, two: tuple[str, str]) -> None:
    assert cache(data, "clear").status == 2
    unknown = cache(data, "clear", "--conversation", "nothing")
    assert (unknown.status, unknown.out) == (1, "")
    assert "nothing" in unknown.err
    no_file = cache(data, "clear", "--model", data / "no.gguf")
    assert (no_file.status, no_file.out) == (1, "")
    assert "no.gguf" in no_file.err
    (other := data / "other.gguf").write_bytes(b"")
    assert cache(data, "clear", "--model", other, "--json").line["freed_bytes"] == 0
    assert files(data)


# --- checking ---------------------------------------------------------------------------------------------------------


def test_a_damaged_chunk_is_found_set_aside_and_told_by_the_status(data: Path, two: tuple[str, str]) -> None:
    count, size = len(files(data)), on_disk(data)
    sound = cache(data, "verify", "--json")
    assert (sound.status, sound.line) == (0, {"chunks": count, "bytes": size, "damaged": 0})
    victim = max(files(data), key=lambda path: path.stat().st_mtime_ns)
    content = bytearray(victim.read_bytes())
    content[-3] ^= 16
    victim.write_bytes(content)
    damaged = cache(data, "verify")
    assert damaged.status == 1
    assert damaged.out.endswith(": 1 was damaged and set aside.\n")
    assert not victim.exists()
    after = cache(data, "verify", "--json")
    assert (after.status, after.line["damaged"]) == (0, 0)
    assert report(data)["set_aside_bytes"] == len(content)


# --- deleted conversations --------------------------------------------------------------------------------------------


@contextmanager
def opened(data: Path, qtbot: QtBot, *, with_engine: bool) -> Iterator[Workspace]:
    """The data folder as the window has it."""
    workspace = Workspace(data)
    try:
        if with_engine:
            workspace.engine.start()
            qtbot.waitUntil(lambda: workspace.saved.is_open, timeout=1000 * PATIENCE)
        yield workspace
    finally:
        workspace.close()


def test_a_deleted_conversation_leaves_the_disk_at_once(
    data: Path, tiny: Path, two: tuple[str, str], qtbot: QtBot
) -> None:
    first, second = two
    left = on_disk(data) - own(report(data), first)
    with opened(data, qtbot, with_engine=True) as workspace:
        workspace.store.delete(ConversationId(first))
        qtbot.waitUntil(lambda: on_disk(data) == left, timeout=1000 * PATIENCE)
        qtbot.waitUntil(lambda: not workspace.saved._roots.owed(), timeout=1000 * PATIENCE)
    assert run("send", data, tiny, "--conversation", second, "Go on.")[0]["reread"] is None


def test_one_that_is_deleted_without_an_engine_leaves_it_when_the_next_one_starts(
    data: Path, tiny: Path, two: tuple[str, str], qtbot: QtBot
) -> None:
    first, second = two
    before, bytes_before = report(data), on_disk(data)
    with opened(data, qtbot, with_engine=False) as workspace:
        workspace.store.delete(ConversationId(first))
    assert on_disk(data) == bytes_before
    after = report(data)
    assert after["bytes"] == on_disk(data) == bytes_before - own(before, first)
    assert [chat["id"] for chat in after["conversations"]] == [second]


def kill_in_a_first_turn(data: Path, model: Path) -> str:
    """Begin a conversation and kill it while its message is read, when some of that is saved; its id."""
    before = on_disk(data)
    with begin("send", "--data-dir", data, "--model", model, "--context", 4096, "Tell me a story. " * 60) as process:
        assert process.stdout is not None
        while on_disk(data) == before:
            assert process.stdout.read(1)
        os.killpg(process.pid, signal.SIGKILL)
    reading = Reading(data)
    try:
        return max(reading.store.summaries(), key=lambda summary: summary.created).id
    finally:
        reading.close()


def reported_after_kill(data: Path) -> int:
    """What is reported once it is all that is on the disk: a file that the index lacks is taken in after opening."""
    for _ in range(4):
        if (told := int(report(data)["bytes"])) == on_disk(data):
            return told
    raise AssertionError("what is reported is not what is on the disk")


def test_what_a_killed_engine_saved_of_a_turn_is_used_when_that_is_taken_up_again(
    data: Path, tiny_model: TinyModel
) -> None:
    """A window's rows are saved while they are read."""
    model = tiny_model(Kind.WINDOW)
    conversation = kill_in_a_first_turn(data, model)
    done = run("regenerate", data, model, "--conversation", conversation, "--context", 4096)[0]
    assert done["tokens"]["reused_saved"] > 0


def test_what_a_killed_engine_saved_of_a_turn_goes_with_its_chat(data: Path, tiny_model: TinyModel) -> None:
    """No reply names it."""
    model = tiny_model(Kind.WINDOW)
    first = talk(data, model, "Name a colour.")
    before = on_disk(data)
    conversation = kill_in_a_first_turn(data, model)
    left = reported_after_kill(data) - before
    assert left > 0
    assert cache(data, "clear", "--conversation", conversation, "--json").line["freed_bytes"] == left
    assert on_disk(data) == before
    again = run("send", data, model, "--conversation", first, "And another?")[0]
    assert again["tokens"]["reused_saved"] > 100


def test_never_save_this_chat_removes_what_is_saved_of_it_and_undo_lets_it_be_saved_again(
    data: Path, tiny: Path, qtbot: QtBot
) -> None:
    conversation = ConversationId(talk(data, tiny, "Name a colour."))
    size = on_disk(data)
    freed: list[int | None] = []
    with opened(data, qtbot, with_engine=True) as workspace:
        workspace.saved.set_may_save(conversation, False, freed.append)
        qtbot.waitUntil(lambda: bool(freed), timeout=1000 * PATIENCE)
    assert freed == [size]
    unsaved = run("send", data, tiny, "--conversation", conversation, "And another?")[0]
    assert (unsaved["kv"]["bytes_written"], files(data)) == (0, [])
    with opened(data, qtbot, with_engine=False) as workspace:
        workspace.saved.set_may_save(conversation, True)
    assert run("send", data, tiny, "--conversation", conversation, "Go on.")[0]["kv"]["bytes_written"] > 0


# --- other branches ---------------------------------------------------------------------------------------------------


def shown(data: Path, conversation: str) -> list[str]:
    """The texts on the path that is shown."""
    reading = Reading(data)
    try:
        return [message.text for message in reading.store.tree(ConversationId(conversation)).path()]
    finally:
        reading.close()


def test_another_reply_reads_only_what_comes_after_the_message(data: Path, tiny: Path, two: tuple[str, str]) -> None:
    conversation, _ = two
    first = shown(data, conversation)[1]
    line = run("regenerate", data, tiny, "--conversation", conversation, "--temperature", 1.5, "--seed", 3)[0]
    assert line["tokens"]["reused_saved"] > 100
    assert line["tokens"]["evaluated"] < 20
    assert line["reread"] is None
    assert shown(data, conversation) == ["Name a colour.", line["text"]]
    assert line["text"] != first
    assert len(ember("show", conversation, "--json", "--data-dir", data).line["messages"]) == 3


def test_a_branch_goes_on_from_the_saved_state_of_the_message_it_follows(data: Path, tiny: Path) -> None:
    lines = run("send", data, tiny, "--system", SYSTEM, "Name a colour.", "And another?")
    conversation, reply = lines[0]["conversation"], lines[0]["message"]
    size = on_disk(data)
    branch = run("send", data, tiny, "--conversation", conversation, "--after", reply[:12], "Why that one?")[0]
    held = lines[0]["tokens"]["prompt"] + lines[0]["tokens"]["generated"]
    assert branch["tokens"]["reused_saved"] >= held - 1
    assert branch["reread"] is None
    assert shown(data, conversation)[2] == "Why that one?"
    assert on_disk(data) - size < size / 2  # only the branch was written
    assert report(data)["bytes"] == on_disk(data) == own(report(data), conversation)


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        ("send", ("--after", "zzz", "Hi"), "There is no message with an id that begins with “zzz”"),
        ("regenerate", ("--message", "zzz"), "There is no message with an id that begins with “zzz”"),
    ],
)
def test_a_message_that_does_not_exist_is_said_and_nothing_is_added(
    command: str, arguments: tuple[Argument, ...], sentence: str, data: Path, tiny: Path, two: tuple[str, str]
) -> None:
    conversation, _ = two
    before = shown(data, conversation)
    outcome = ember(command, "--data-dir", data, "--model", tiny, "--conversation", conversation, *arguments)
    assert (outcome.status, outcome.out) == (1, "")
    assert sentence in outcome.err
    assert shown(data, conversation) == before
