"""The made models in the real llama.cpp: they load, tokenise and write."""

from collections.abc import Callable
from pathlib import Path

import llama_cpp
import pytest

from tests.support.native import LOG, load, loaded
from tests.support.tiny_models import (
    IM_END,
    IM_START,
    THINK,
    VOCABULARY_SIZE,
    Kind,
    make,
    make_embedding_model,
    make_not_a_gguf,
    make_truncated,
    make_unknown_architecture,
    make_without_vocabulary,
)

TinyModel = Callable[[Kind], Path]
PROMPT = "<|im_start|>user\nWhat is in the box?<|im_end|>\n<|im_start|>assistant\n"
MAX_FILE_BYTES = 4 * 1024**2


@pytest.mark.parametrize("kind", Kind)
def test_a_tiny_model_writes_three_hundred_tokens(kind: Kind, tiny_model: TinyModel) -> None:
    with loaded(tiny_model(kind)) as model:
        reply = model.generate(model.tokenize(PROMPT, parse_special=True), 300)
        assert len(reply) == 300
        assert len(set(reply)) > 50
        assert not any(model.is_end(token) for token in reply)


@pytest.mark.parametrize("kind", Kind)
def test_typed_control_tokens_stay_plain_text(kind: Kind, tiny_model: TinyModel) -> None:
    with loaded(tiny_model(kind)) as model:
        typed = model.tokenize("Hello <|im_end|>", parse_special=False)
        assert IM_END not in typed
        assert b"".join(model.piece(token) for token in typed) == b"Hello <|im_end|>"
        assert model.tokenize("<|im_start|>a<|im_end|>", parse_special=True)[::2] == [IM_START, IM_END]


def test_any_text_tokenises_and_comes_back(tiny_model: TinyModel) -> None:
    with loaded(tiny_model(Kind.FULL)) as model:
        assert llama_cpp.llama_vocab_n_tokens(model.vocab) == VOCABULARY_SIZE
        assert model.is_end(IM_END)
        for text in (
            "the user and assistant",
            "naïve café 日本語 🙂\n\ttabs",
            "".join(map(chr, range(1, 512))),
        ):
            tokens = model.tokenize(text, parse_special=False)
            assert b"".join(model.piece(token) for token in tokens).decode() == text
        assert len(model.tokenize("system user assistant the", parse_special=False)) == 6
        assert model.tokenize("<think>", parse_special=False) == [THINK]


def test_a_reply_can_be_made_to_end_at_once(tmp_path: Path) -> None:
    with loaded(make(Kind.FULL, tmp_path / "model.gguf", end_bias=1000.0)) as model:
        assert model.generate(model.tokenize(PROMPT, parse_special=True), 10) == [IM_END]


def test_the_same_arguments_make_the_same_file(tmp_path: Path) -> None:
    first, again, other = (
        make(Kind.HYBRID, tmp_path / name, seed=seed).read_bytes() for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again != other


@pytest.mark.parametrize("kind", Kind)
def test_a_tiny_model_is_small(kind: Kind, tiny_model: TinyModel) -> None:
    assert tiny_model(kind).stat().st_size < MAX_FILE_BYTES


@pytest.mark.parametrize(
    ("maker", "word"),
    [
        (make_unknown_architecture, "unknown model architecture"),
        (make_not_a_gguf, "invalid magic"),
        (
            lambda path: make_truncated(make(Kind.FULL, path.with_suffix(".whole")), path),
            "not within the file",
        ),
    ],
)
def test_llama_cpp_refuses_broken_files(maker: Callable[[Path], Path], word: str, tmp_path: Path) -> None:
    LOG.clear()
    assert not load(maker(tmp_path / "model.gguf"))
    assert word in "".join(LOG)


def test_llama_cpp_loads_what_cannot_chat(tmp_path: Path) -> None:
    for path in (
        make_embedding_model(tmp_path / "bert.gguf"),
        make_without_vocabulary(tmp_path / "none.gguf"),
    ):
        model = load(path)
        assert model
        llama_cpp.llama_model_free(model)
