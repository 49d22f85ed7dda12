"""The commands as scripts call them: processes of their own, with the real engine and real models."""

import io
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from app.core.conversation import ConversationId, ConversationTree, Message
from app.services.workspace import Reading
from app.storage.conversations import INTERRUPTED
from tests.support.command import PATIENCE, ROOT, Argument, Outcome, begin, command, ember, environment
from tests.support.tiny_models import Kind, make

TinyModel = Callable[[Kind], Path]

QUICK = ("--temperature", 0, "--context", 512, "--json")
LINE_KEYS = [
    *("conversation", "message", "model", "text", "finish_reason"),
    *("tokens", "seconds", "tokens_per_second", "kv", "reread"),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder that is not there yet."""
    return tmp_path / "data"


@pytest.fixture
def tiny(tiny_model: TinyModel) -> Path:
    """A model of full attention that never ends a reply."""
    return tiny_model(Kind.FULL)


def send(data: Path, model: Path, *arguments: Argument) -> Outcome:
    """Short replies as JSON; they have to succeed."""
    outcome = ember("send", "--data-dir", data, "--model", model, *QUICK, "--max-tokens", 6, *arguments)
    assert outcome.status == 0, outcome.err
    return outcome


def stored(data: Path, conversation: str = "") -> ConversationTree:
    """A conversation as it is stored, read beside whoever writes; the newest one without an id."""
    reading = Reading(data)
    try:
        return reading.store.tree(ConversationId(conversation) or reading.store.summaries()[0].id)
    finally:
        reading.close()


def messages(data: Path, conversation: str = "") -> list[Message]:
    """Its messages, oldest first."""
    return list(stored(data, conversation).messages.values())


@contextmanager
def long_reply(data: Path, tiny: Path, *texts: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A command in the middle of a reply: its first words are on its stdout."""
    process = begin("send", "--data-dir", data, "--model", tiny, *(texts or ("Hello",)))
    try:
        assert process.stdout is not None
        assert process.stdout.read(1)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE)


# --- the starter model ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A conversation of two turns with the starter model, which needs no --model."""
    folder = tmp_path_factory.mktemp("headless") / "data"
    options = ("--data-dir", folder, "--system", "You are brief.", "--max-tokens", 12, *QUICK)
    return folder, ember("send", *options, "Name a colour.", "And another?")


def test_a_turn_is_one_line_of_json_with_all_its_figures(talk: tuple[Path, Outcome]) -> None:
    outcome = talk[1]
    assert (outcome.status, outcome.err) == (0, "")
    assert len(outcome.lines) == 2
    for line in outcome.lines:
        assert list(line) == LINE_KEYS
        assert line["model"] == "SmolLM2 135M"
        assert line["text"]
        assert line["finish_reason"] in ("stop", "length")
        assert list(line["tokens"]) == ["prompt", "reused_memory", "reused_saved", "evaluated", "generated"]
        assert list(line["seconds"]) == ["restore", "prefill", "first_token", "total"]
        assert 0 < line["seconds"]["prefill"] <= line["seconds"]["first_token"] <= line["seconds"]["total"]
        assert line["tokens_per_second"] > 0
        assert list(line["kv"]) == ["bytes_written", "bytes_per_token"]
        assert line["kv"]["bytes_per_token"] == 23040
        assert line["reread"] is None


def test_the_second_turn_evaluates_only_the_new_tokens(talk: tuple[Path, Outcome]) -> None:
    first, second = (line["tokens"] for line in talk[1].lines)
    assert first["evaluated"] == first["prompt"]
    assert second["prompt"] == second["reused_memory"] + second["reused_saved"] + second["evaluated"]
    assert second["reused_memory"] >= first["prompt"] + first["generated"] - 1
    assert second["evaluated"] < 20


def test_another_process_goes_on_where_the_first_stopped(talk: tuple[Path, Outcome]) -> None:
    folder, before = talk
    conversation = before.lines[0]["conversation"]
    after = ember(
        "send", "Why?", "--conversation", conversation[:8], "--max-tokens", 2, *QUICK, "--data-dir", folder
    ).line
    assert after["conversation"] == conversation
    last = before.lines[1]["tokens"]
    assert after["tokens"]["prompt"] > last["prompt"] + last["generated"]
    assert after["tokens"]["reused_saved"] >= last["prompt"] + last["generated"] - 1
    assert after["seconds"]["restore"] > 0
    assert after["reread"] is None
    assert stored(folder, conversation).conversation.system_prompt == "You are brief."
    kept = messages(folder, conversation)
    assert [message.role for message in kept] == ["user", "assistant"] * 3
    assert [line["text"] for line in before.lines] == [kept[1].text, kept[3].text]


# --- options ----------------------------------------------------------------------------------------------------------


def test_without_json_the_replies_are_printed_and_nothing_else(data: Path, tiny: Path) -> None:
    text = ember("send", "Hi", "--data-dir", data, "--model", tiny, "--max-tokens", 40, "--temperature", 0)
    assert (text.status, text.err) == (0, "")
    assert text.out == messages(data)[1].text + "\n"


def test_no_kv_reuses_nothing(data: Path, tiny: Path) -> None:
    first, second = send(data, tiny, "--no-kv", "One", "Two").lines
    assert first["reread"] is None
    assert second["tokens"]["evaluated"] == second["tokens"]["prompt"]
    assert second["tokens"]["reused_memory"] == 0
    assert second["kv"]["bytes_written"] == 0
    assert second["reread"]["at_token"] == 0


def test_a_seed_repeats_a_reply(data: Path, tiny: Path) -> None:
    options = ("--temperature", 1.5, "--seed", 7)
    texts = [send(data, tiny, *options, "Hi").line["text"] for _ in range(2)]
    assert texts[0] == texts[1]


def test_a_conversation_keeps_the_settings_that_a_later_call_does_not_name(data: Path, tiny: Path) -> None:
    first = send(data, tiny, "--temperature", 0.25, "--seed", 3, "Hi").line["conversation"]
    ember("send", "--conversation", first, "--data-dir", data, "--model", tiny, "--seed", 4, "--max-tokens", 1, "Hi")
    sampler = stored(data, first).conversation.sampler
    assert (sampler.temperature, sampler.seed) == (0.25, 4)


def test_a_new_system_prompt_is_read_from_there_on(data: Path, tiny: Path) -> None:
    first = send(data, tiny, "--system", "Be kind.", "Hi").line
    after = send(data, tiny, "--system", "Be very kind.", "--conversation", first["conversation"], "Hi").line
    assert stored(data, first["conversation"]).conversation.system_prompt == "Be very kind."
    assert after["reread"]["at_token"] == 0


def test_the_reply_ends_when_the_model_ends_it(data: Path, tmp_path: Path) -> None:
    model = make(Kind.FULL, tmp_path / "ending.gguf", end_bias=1000.0)
    line = send(data, model, "Hi").line
    assert (line["finish_reason"], line["text"], line["tokens"]["generated"]) == ("stop", "", 0)


def test_the_smallest_context_works(data: Path, tiny: Path) -> None:
    outcome = ember(
        "send", "--data-dir", data, "--model", tiny, "--context", 64, "--json", "--temperature", 0, "Hi", "Go on"
    )
    assert outcome.lines[0]["finish_reason"] == "length"
    assert outcome.status == 1  # the second message does not fit any more
    assert "the context holds" in outcome.err


ANY_TEXT = ("\u202eשלום עולם\u202c", "👩‍👩‍👧 é ﷽", "a\x1b[2J\x07b", "'; DROP TABLE x; --", "-5")


def test_any_text_is_stored_as_it_was_typed(data: Path, tiny: Path) -> None:
    send(data, tiny, "--max-tokens", 1, "--", *ANY_TEXT)
    assert tuple(message.text for message in messages(data)[::2]) == ANY_TEXT


# --- names and texts from outside -------------------------------------------------------------------------------------


def test_bytes_that_are_no_utf_8_are_replaced_and_nothing_breaks(data: Path, tiny: Path) -> None:
    arguments = [os.fsencode(each) for each in command("send", "--data-dir", data, "--model", tiny, "--json")]
    done = subprocess.run(
        [*arguments, b"--max-tokens", b"2", b"--system", b"\xff", b"a\xff\xfeb"],
        capture_output=True,
        cwd=ROOT,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    conversation = stored(data).conversation
    assert messages(data)[0].text == "a��b"
    assert (conversation.system_prompt, conversation.draft) == ("�", "")


def test_it_runs_without_a_home_and_without_a_locale(data: Path, tiny: Path) -> None:
    bare = {name: None for name in os.environ if name != "PATH"}
    bare["PYTHONIOENCODING"] = "ascii"
    arguments = ("send", "--data-dir", data, "--model", tiny, "--max-tokens", 30, "--temperature", 0)
    text = ember(*arguments, "é", env=bare)
    assert (text.status, text.err) == (0, "")
    as_json = ember(*arguments, "--json", "é", env=bare)
    assert as_json.line["text"].encode("ascii", "replace") == text.out.removesuffix("\n").encode()


def test_what_lies_in_the_working_directory_is_never_run(data: Path, tiny: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile"
    for module in ("app/__init__.py", "llama_cpp.py", "msgspec.py", "json.py", "sitecustomize.py"):
        (hostile / module).parent.mkdir(parents=True, exist_ok=True)
        (hostile / module).write_text("raise SystemExit('the hostile module ran')")
    python, *rest = command("send", "--data-dir", data, "--model", tiny, "--max-tokens", 1, "--json", "Hi")
    done = subprocess.run(
        [python, "-P", *rest],
        cwd=hostile,
        env=environment({"PYTHONPATH": str(ROOT)}),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


# --- pipes and Ctrl+C -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_json", [False, True])
def test_a_reader_that_goes_away_ends_the_command_quietly(as_json: bool, data: Path, tiny: Path) -> None:
    process = begin(
        "send", "--data-dir", data, "--model", tiny, *(["--json", "--max-tokens", 30] if as_json else []), "Hi", "Again"
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(1)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=PATIENCE) == 1
    reply = messages(data)[1]
    assert reply.text
    assert reply.finish_reason == ("length" if as_json else "cancelled")


def test_ctrl_c_stops_the_reply_and_keeps_what_has_come(data: Path, tiny: Path) -> None:
    """A terminal sends it to the engine too."""
    with long_reply(data, tiny) as process:
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err) == (0, b"")
    reply = messages(data)[1]
    assert (reply.finish_reason, reply.error) == ("cancelled", None)
    assert reply.figures is not None
    assert reply.figures.tokens.generated > 0
    assert reply.text.encode().endswith(out.removesuffix(b"\n")[-20:])


def test_ctrl_c_says_that_later_messages_were_not_sent(data: Path, tiny: Path) -> None:
    with long_reply(data, tiny, "One", "Two") as process:
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err) == (1, b"Stopped: the messages after this one were not sent.\n")
    assert [message.role for message in messages(data)] == ["user", "assistant"]


def test_a_killed_engine_ends_the_command_with_why_and_keeps_the_partial_reply(data: Path, tiny: Path) -> None:
    with long_reply(data, tiny) as process:
        (engine,) = psutil.Process(process.pid).children()
        engine.kill()
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert err.startswith(b"The engine was ended from outside")
    assert err.endswith(b"What had come of the reply is kept.\n")
    reply = messages(data)[1]
    assert reply.text
    assert reply.error is not None
    assert reply.error in err.decode()


def test_a_data_folder_that_is_removed_meanwhile_is_said(data: Path, tiny: Path) -> None:
    with long_reply(data, tiny) as process:
        shutil.rmtree(data)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert b"was removed meanwhile" in err
    assert not data.exists()


def test_a_killed_command_leaves_no_engine_and_the_next_start_says_what_happened(data: Path, tiny: Path) -> None:
    with long_reply(data, tiny) as process:
        (engine,) = psutil.Process(process.pid).children()
        os.kill(process.pid, signal.SIGKILL)
        engine.wait(timeout=PATIENCE)
    conversation = stored(data).conversation.id
    assert send(data, tiny, "Hi").line["finish_reason"] == "length"
    reply = messages(data, conversation)[1]
    assert (reply.finish_reason, reply.error) == ("failed", INTERRUPTED)


# --- a folder that is in use ------------------------------------------------------------------------------------------


def test_one_writes_at_a_time_while_others_read(data: Path, tiny: Path, tmp_path: Path) -> None:
    send(data, tiny, "Earlier")
    with long_reply(data, tiny):
        second = ember("send", "--data-dir", data, "--model", tiny, "Hi")
        assert (second.status, second.out) == (1, "")
        assert second.err.count("\n") == 1
        assert "Ember is open on" in second.err
        listed = ember("conversations", "--data-dir", data, "--json").lines
        assert [line["title"] for line in listed] == ["Hello", "Earlier"]
        assert ember("show", listed[1]["id"], "--data-dir", data).out.startswith("# Earlier\n")
        exported = ember("export", listed[1]["id"], "--to", tmp_path / "x.ember", "--data-dir", data)
        assert exported.status == 0
        refused = ember("import", tmp_path / "x.ember", "--data-dir", data)
        assert (refused.status, refused.err) == (1, second.err)


def test_many_commands_at_once_lose_nothing(data: Path, tiny: Path) -> None:
    arguments = ("send", "--data-dir", data, "--model", tiny, "--max-tokens", 2, "--json")
    running = [begin(*arguments, f"Number {number}") for number in range(4)]
    ended = [(*process.communicate(timeout=PATIENCE), process.returncode) for process in running]
    answered = [out for out, _, status in ended if status == 0]
    assert answered
    assert all(b"Ember is open on" in err for _, err, status in ended if status == 1)
    assert len(ember("conversations", "--data-dir", data, "--json").lines) == len(answered)
    assert {len(io.BytesIO(out).readlines()) for out in answered} == {1}
