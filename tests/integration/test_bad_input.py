"""What a person may give by mistake, or somebody else on purpose: a clear sentence, and nothing is lost."""

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from app.protocol.answers import Done, Failed, Loaded
from app.protocol.parts import ChatMessage
from app.services.workspace import Reading
from tests.support import gguf_bytes
from tests.support.command import Argument, Outcome, ember
from tests.support.engine import Engine, EngineEnded
from tests.support.tiny_models import (
    Kind,
    make,
    make_embedding_model,
    make_not_a_gguf,
    make_truncated,
    make_unknown_architecture,
    make_without_vocabulary,
)

TinyModel = Callable[[Kind], Path]
Maker = Callable[[Path], Path]

TEBIBYTE = 2**40
LONG = 2**31 - 1


@pytest.fixture
def tiny(tiny_model: TinyModel) -> Path:
    return tiny_model(Kind.FULL)


@pytest.fixture(scope="module")
def engine(tiny_model: TinyModel) -> Iterator[Engine]:
    """An engine with a model, which has to be there after every refusal."""
    with Engine() as running:
        assert isinstance(running.load(tiny_model(Kind.FULL), context=512), Loaded)
        yield running


def answers(engine: Engine) -> bool:
    """Whether its model still answers."""
    done = engine.generate([ChatMessage(id="m", role="user", text="Hi")], max_tokens=1)
    return isinstance(done, Done)


# --- model files ------------------------------------------------------------------------------------------------------


def truncated(kept: float) -> Maker:
    """A maker of the first part of a model."""
    return lambda path: make_truncated(make(Kind.FULL, path.with_suffix(".whole")), path, kept)


def make_folder(path: Path) -> Path:
    path.mkdir()
    return path


def make_empty(path: Path) -> Path:
    path.touch()
    return path


def make_pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def make_loop(path: Path) -> Path:
    path.symlink_to(path)
    return path


def make_adapter(path: Path) -> Path:
    entries = [gguf_bytes.entry("general.architecture", "llama"), gguf_bytes.entry("general.type", "adapter")]
    path.write_bytes(gguf_bytes.gguf(entries))
    return path


def make_too_large(path: Path) -> Path:
    """A header with terabytes of weights, which are a hole in the file."""
    figures = {"block_count": 8, "context_length": 4096, "embedding_length": 4096, "attention.head_count": 32}
    entries = [gguf_bytes.entry("general.architecture", "llama")]
    entries += [gguf_bytes.entry(f"llama.{key}", value) for key, value in figures.items()]
    entries.append(gguf_bytes.entry("tokenizer.ggml.tokens", ["a", "b"]))
    path.write_bytes(gguf_bytes.gguf(entries, [gguf_bytes.tensor("token_embd.weight", (4096, TEBIBYTE // 4096))]))
    os.truncate(path, path.stat().st_size + 4 * TEBIBYTE)
    return path


REFUSED: Sequence[tuple[str, Maker, str, str]] = (
    ("text", make_not_a_gguf, "not_gguf", "not a GGUF model"),
    ("empty", make_empty, "truncated", "is empty"),
    ("cut in its weights", truncated(0.5), "truncated", "cut off"),
    ("cut in its header", truncated(0.001), "truncated", "cut off"),
    ("missing", lambda path: path, "no_file", "There is no file"),
    ("folder", make_folder, "not_gguf", "is a folder"),
    ("loop", make_loop, "unreadable", "cannot be read"),
    ("embeddings", make_embedding_model, "no_chat", "embeddings"),
    ("adapter", make_adapter, "adapter", "adapter"),
    ("too large", make_too_large, "too_large", "4.0 TiB"),
)


@pytest.mark.parametrize(("maker", "kind", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_file_that_cannot_be_used_is_refused_and_the_loaded_model_stays(
    maker: Maker, kind: str, words: str, engine: Engine, tmp_path: Path
) -> None:
    failed = engine.load(maker(tmp_path / "file.gguf"))
    assert isinstance(failed, Failed)
    assert words in failed.sentence
    assert failed.kind == kind
    assert failed.sentence.endswith(".")
    assert answers(engine)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_instead_of_waited_for(engine: Engine, tmp_path: Path) -> None:
    failed = engine.load(make_pipe(tmp_path / "pipe.gguf"))
    assert isinstance(failed, Failed)
    assert answers(engine)


@pytest.mark.parametrize(
    ("maker", "kind", "words"),
    [
        (make_unknown_architecture, "unknown_architecture", "“emberlight”"),
        (make_without_vocabulary, "no_vocabulary", "no vocabulary"),
    ],
)
def test_what_only_llama_cpp_finds_is_found_before_the_old_model_is_freed(
    maker: Maker, kind: str, words: str, engine: Engine, tmp_path: Path
) -> None:
    failed = engine.load(maker(tmp_path / "file.gguf"))
    assert isinstance(failed, Failed)
    assert words in failed.sentence
    assert failed.kind == kind
    assert answers(engine)


# --- metadata that lies -----------------------------------------------------------------------------------------------


def patched(model: Path, key: str, value: int, path: Path) -> Path:
    """The model with another number under a key."""
    data = bytearray(model.read_bytes())
    at = data.index(gguf_bytes.string(key) + struct.pack("<I", 4)) + len(gguf_bytes.string(key)) + 4
    data[at : at + 4] = struct.pack("<I", value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("key", ["block_count", "embedding_length", "feed_forward_length", "attention.head_count"])
def test_figures_that_cannot_be_are_refused(key: str, engine: Engine, tiny: Path, tmp_path: Path) -> None:
    for value in (0, 3, 2**31, 2**32 - 1):
        if (key, value) == ("block_count", 3):
            continue  # what it really has
        failed = engine.load(patched(tiny, f"qwen2.{key}", value, tmp_path / "lies.gguf"))
        assert isinstance(failed, Failed), (key, value)
    if not answers(engine):  # llama.cpp finds some of these lies only after the old model was freed
        assert isinstance(engine.load(tiny, context=512), Loaded)


@pytest.mark.parametrize("trained", [0, 1, 3, 63, LONG, 2**32 - 1])
def test_a_model_may_say_anything_about_its_context(trained: int, engine: Engine, tiny: Path, tmp_path: Path) -> None:
    model = patched(tiny, "qwen2.context_length", trained, tmp_path / "odd.gguf")
    loaded = engine.load(model)
    assert isinstance(loaded, Loaded)
    assert 64 <= loaded.model.context <= 8192
    assert loaded.model.context_trained >= 0
    assert answers(engine)


def test_special_tokens_that_do_not_exist_are_survived(engine: Engine, tiny: Path, tmp_path: Path) -> None:
    for name in ("bos", "eos", "padding"):
        for value in (300_000, 2**32 - 1):
            loaded = engine.load(
                patched(tiny, f"tokenizer.ggml.{name}_token_id", value, tmp_path / "odd.gguf"), context=512
            )
            assert isinstance(loaded, Loaded)
            assert answers(engine)


def test_an_assertion_in_llama_cpp_ends_the_engine_and_nothing_else(tiny: Path, tmp_path: Path) -> None:
    """Two tokens of one text: no parser could foresee all of these, which is why the engine is its own process."""
    twins = tmp_path / "twins.gguf"
    twins.write_bytes(tiny.read_bytes().replace(gguf_bytes.string("assist"), gguf_bytes.string("system")))
    engine = Engine()
    with pytest.raises(EngineEnded):
        engine.load(twins)
    engine.close()


def test_the_name_in_a_file_may_be_anything(engine: Engine, tiny: Path, tmp_path: Path) -> None:
    named = tmp_path / "named.gguf"
    named.write_bytes(tiny.read_bytes().replace(b"Tiny full", b"\x1b]0;\xff\xfe\0\n\r"))
    loaded = engine.load(named, context=512)
    assert isinstance(loaded, Loaded)
    assert answers(engine)


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a'|center(900000000) }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ raise_exception('never') }}",
        "{% for %}",
        "",
    ],
)
def test_a_template_that_fails_gives_way_to_the_common_one(template: str, engine: Engine, tmp_path: Path) -> None:
    model = make(Kind.FULL, tmp_path / "template.gguf", chat_template=template)
    loaded = engine.load(model, context=512)
    assert isinstance(loaded, Loaded)
    done = engine.generate([ChatMessage(id="m", role="user", text="Hi")], max_tokens=1)
    assert isinstance(done, Done)
    assert any("ChatML" in notice for notice in (*loaded.model.notices, *done.notices))


# --- contexts ---------------------------------------------------------------------------------------------------------


def test_a_context_beyond_the_memory_is_refused_before_anything_is_freed(
    engine: Engine, tiny: Path, tmp_path: Path
) -> None:
    model = patched(tiny, "qwen2.context_length", LONG, tmp_path / "long.gguf")
    failed = engine.load(model, context=LONG)
    assert isinstance(failed, Failed)
    assert failed.kind == "too_large"
    assert "Choose a smaller context" in failed.sentence
    assert answers(engine)


def test_a_context_that_is_too_small_is_refused(engine: Engine, tiny: Path) -> None:
    failed = engine.load(tiny, context=63)
    assert isinstance(failed, Failed)
    assert failed.kind == "bad_options"
    assert answers(engine)


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def send(data: Path, model: Path, *arguments: Argument) -> Outcome:
    return ember("send", "--data-dir", data, "--model", model, "--max-tokens", 2, "--json", *arguments)


def assert_one_sentence(outcome: Outcome, words: str) -> None:
    """It failed, said why in one line, and printed nothing else."""
    assert (outcome.status, outcome.out) == (1, "")
    assert words in outcome.err
    assert outcome.err.count("\n") == 1
    assert outcome.err.endswith(".\n")


@pytest.mark.parametrize(
    ("maker", "words"),
    [
        (make_not_a_gguf, "not a GGUF"),
        (lambda path: path, "There is no file"),
        (make_without_vocabulary, "no vocabulary"),
        (make_too_large, "needs about"),
    ],
    ids=["text", "missing", "no vocabulary", "too large"],
)
def test_a_command_with_a_bad_model_says_one_sentence_and_leaves_no_empty_chat(
    maker: Maker, words: str, data: Path, tmp_path: Path
) -> None:
    assert_one_sentence(send(data, maker(tmp_path / "m.gguf"), "Hi"), words)
    assert ember("conversations", "--data-dir", data).out == ""


def test_a_model_that_kills_the_engine_is_said(data: Path, tiny: Path, tmp_path: Path) -> None:
    twins = tmp_path / "twins.gguf"
    twins.write_bytes(tiny.read_bytes().replace(gguf_bytes.string("assist"), gguf_bytes.string("system")))
    assert_one_sentence(send(data, twins, "Hi"), "The engine met an error in llama.cpp")


def test_a_prompt_longer_than_the_context_is_refused_and_kept(data: Path, tiny: Path) -> None:
    assert_one_sentence(send(data, tiny, "--context", 256, "word " * 2000), "the context holds 256")
    reading = Reading(data)
    (kept,) = reading.store.summaries()
    assert reading.store.get(kept.id).draft == "word " * 2000
    reading.close()


def test_a_context_longer_than_trained_is_cut_and_said(data: Path, tmp_path: Path) -> None:
    model = make(Kind.FULL, tmp_path / "short.gguf", context_length=512)
    outcome = send(data, model, "--context", 100_000, "Hi")
    assert outcome.status == 0
    assert outcome.line["finish_reason"] == "length"
    assert "512" in outcome.err
    assert "100,000" in outcome.err


def test_a_model_without_a_template_says_what_is_used_instead(data: Path, tmp_path: Path) -> None:
    model = make(Kind.FULL, tmp_path / "plain.gguf", chat_template=None)
    outcome = send(data, model, "Hi")
    assert outcome.status == 0
    assert "ChatML" in outcome.err


def test_a_data_folder_that_cannot_be_written_is_said(tmp_path: Path, tiny: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert_one_sentence(send(tmp_path / "file", tiny, "Hi"), "a file stands where a folder should be")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="the administrator may write anywhere")
def test_a_data_folder_of_somebody_elses_is_said(data: Path, tiny: Path) -> None:
    data.mkdir(mode=0o500)
    assert_one_sentence(send(data, tiny, "Hi"), "this account may not write there")


def test_a_damaged_database_is_kept_aside_said_and_the_turn_goes_on(data: Path, tiny: Path) -> None:
    send(data, tiny, "Earlier")
    damage = bytearray((data / "ember.db").read_bytes())
    damage[:4096] = os.urandom(4096)
    (data / "ember.db").write_bytes(damage)
    outcome = send(data, tiny, "Hi")
    assert (outcome.status, outcome.line["finish_reason"]) == (0, "length")
    (kept,) = data.glob("ember.damaged-*.db")
    assert kept.name in outcome.err
    assert kept.read_bytes() == damage


def test_a_conversation_that_is_not_there_is_said_before_a_model_is_loaded(data: Path, tmp_path: Path) -> None:
    outcome = send(data, tmp_path / "absent.gguf", "--conversation", "beef", "Hi")
    assert_one_sentence(outcome, "There is no conversation “beef”")


def test_a_model_whose_name_is_no_text_is_said(data: Path, tiny: Path, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xff.gguf"))
    try:
        odd.symlink_to(tiny)
    except (OSError, UnicodeError):
        pytest.skip("this system's names are always text")
    assert_one_sentence(send(data, odd, "Hi"), "not valid text")
