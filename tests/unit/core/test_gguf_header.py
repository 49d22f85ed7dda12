"""Reading a model file's header: what it says, and every way in which it can be broken."""

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.core.gguf_cursor import FIRST_BLOCK, LARGEST_BLOCK, MAX_HEADER_BYTES
from app.core.gguf_header import (
    KEPT_TEXT_BYTES,
    ArraySummary,
    GgufError,
    TextSummary,
    parse,
    parse_bytes,
)
from tests.support.fixtures import find_starter_model
from tests.support.gguf_bytes import ARRAY, STRING, described, entry, gguf, string, tensor, typed_entry
from tests.support.tiny_models import CHATML, VOCABULARY_SIZE, Kind, make

MIB = 1024**2


def kind_and_sentence(data: bytes) -> tuple[str, str]:
    """Return what parsing `data` complains about."""
    with pytest.raises(GgufError) as caught:
        parse_bytes(data)
    return caught.value.kind, caught.value.sentence


def full_model() -> bytes:
    """Return a small file with everything in it."""
    return gguf(
        [
            entry("general.architecture", "llama"),
            entry("general.name", "Small"),
            entry("general.file_type", 15),
            entry("llama.block_count", 2),
            entry("llama.context_length", 4096),
            entry("llama.embedding_length", 64),
            entry("llama.attention.head_count", 4),
            entry("llama.attention.head_count_kv", [2, 0]),
            entry("tokenizer.ggml.model", "gpt2"),
            entry("tokenizer.ggml.tokens", [f"token {number}" for number in range(100)]),
            entry("tokenizer.ggml.scores", [0.5] * 1000),
            entry("tokenizer.chat_template", "{{ messages }}"),
        ],
        [tensor("a", [32, 2], 8), tensor("b", [64], 0, 96)],
        data_bytes=96 + 256,
    )


# --- what an intact file says


def test_the_starter_model_is_read_from_its_first_megabytes() -> None:
    path = find_starter_model()
    asked: list[tuple[int, int]] = []
    with path.open("rb") as file:

        def read(offset: int, size: int) -> bytes:
            asked.append((offset, size))
            file.seek(offset)
            return file.read(size)

        header = parse(read, path.stat().st_size)
    assert (header.architecture, header.quantisation, header.context_length) == ("llama", "Q4_1", 8192)
    assert (header.block_count, header.head_count, header.head_count_kv) == (30, 9, 3)
    assert (header.key_length, header.value_length, header.embedding_length) == (64, 64, 576)
    assert (header.vocabulary_size, header.text("tokenizer.ggml.model")) == (49152, "gpt2")
    assert header.parameter_count == 134_515_008
    assert header.chat_template is not None
    assert "<|im_start|>" in header.chat_template
    assert header.expected_size == path.stat().st_size
    assert sum(size for _, size in asked) < 4 * MIB
    assert [offset for offset, _ in asked] == sorted(offset for offset, _ in asked)


@pytest.mark.parametrize("kind", Kind)
def test_a_tiny_model_is_read_as_it_was_written(kind: Kind, tmp_path: Path) -> None:
    header = parse_bytes(make(kind, tmp_path / "model.gguf").read_bytes())
    assert header.name == f"Tiny {kind.value}"
    assert (header.embedding_length, header.context_length, header.quantisation) == (128, 8192, "F32")
    assert header.vocabulary_size == VOCABULARY_SIZE
    assert header.chat_template == CHATML
    assert header.sliding_window == (64 if "window" in kind.value else None)
    assert header.general_type == "model"
    assert not header.is_embedding_model


def test_long_arrays_are_summed_up_and_short_ones_kept() -> None:
    header = parse_bytes(full_model())
    assert header.metadata["tokenizer.ggml.tokens"] == ArraySummary("string", 100)
    assert header.metadata["tokenizer.ggml.scores"] == ArraySummary("float32", 1000)
    assert header.head_count_kv == (2, 0)
    assert (header.vocabulary_size, header.quantisation) == (100, "Q4_K_M")


def test_figures_for_as_many_layers_as_there_can_be_are_kept() -> None:
    header = parse_bytes(described("llama", {"block_count": 512, "attention.head_count_kv": [8, 0] * 256}))
    assert header.head_count_kv == (8, 0) * 256


def test_tensors_know_their_place_and_size() -> None:
    header = parse_bytes(full_model())
    assert [(t.name, t.shape, t.type.name, t.offset, t.size) for t in header.tensors] == [
        ("a", (32, 2), "Q8_0", 0, 68),
        ("b", (64,), "F32", 96, 256),
    ]
    assert header.data_offset % header.alignment == 0
    assert (header.parameter_count, header.tensor_bytes) == (128, 324)


def test_the_metadata_cannot_be_changed() -> None:
    header = parse_bytes(full_model())
    with pytest.raises(TypeError):
        header.metadata["general.name"] = "other"  # type: ignore[index]


@pytest.mark.parametrize(
    ("entries", "kind"),
    [
        ([entry("general.type", "adapter")], "adapter"),
        ([entry("adapter.type", "lora")], "adapter"),
        ([entry("general.architecture", "clip")], "mmproj"),
        ([entry("general.type", "mmproj")], "mmproj"),
        ([], "model"),
    ],
)
def test_the_kind_of_file_is_told(entries: Sequence[bytes], kind: str) -> None:
    assert parse_bytes(gguf(entries)).general_type == kind


def test_a_part_of_a_split_model_says_so() -> None:
    assert parse_bytes(gguf([typed_entry("split.count", 2, 3)])).split_count == 3
    assert parse_bytes(gguf([])).split_count is None


def test_more_files_than_a_model_can_have_are_refused_before_their_names_are_made() -> None:
    with pytest.raises(GgufError, match="one of 4294967295 files"):
        parse_bytes(gguf([typed_entry("split.count", 4, 2**32 - 1)]))


def test_embedding_models_are_noticed() -> None:
    assert parse_bytes(described("bert")).is_embedding_model
    assert parse_bytes(described("qwen3", {"pooling_type": 3})).is_embedding_model


def test_without_a_stated_file_type_the_tensors_tell() -> None:
    data = gguf([], [tensor("a", [256], 12), tensor("b", [16], 0, 160)], data_bytes=160 + 64)
    assert parse_bytes(data).quantisation == "Q4_K"


def test_a_template_too_long_to_keep_is_not_forgotten_silently() -> None:
    header = parse_bytes(gguf([entry("tokenizer.chat_template", "x" * (KEPT_TEXT_BYTES + 1))]))
    assert header.chat_template is None
    assert header.has_oversized_chat_template
    assert header.metadata["tokenizer.chat_template"] == TextSummary(KEPT_TEXT_BYTES + 1)


def test_bad_utf8_in_a_text_shows_as_a_replacement() -> None:
    header = parse_bytes(gguf([string("general.name") + struct.pack("<I", STRING) + string(b"Caf\xe9")]))
    assert header.name == "Caf�"


def test_a_stated_alignment_moves_the_data() -> None:
    header = parse_bytes(gguf([entry("general.alignment", 64)], [tensor("a", [4])], data_bytes=80))
    assert (header.alignment, header.data_offset % 64) == (64, 0)


def test_the_second_version_of_the_format_is_read_too() -> None:
    assert parse_bytes(gguf([entry("general.name", "Old")], version=2)).name == "Old"


def test_small_blocks_give_the_same_header() -> None:
    data = full_model() + bytes(FIRST_BLOCK)
    whole = parse_bytes(data)
    assert parse(lambda offset, size: data[offset : offset + size], None) == whole


# --- what is not a GGUF, or not all of one


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"This is not a model.", "does not begin as one"),
        (b"GGU?", "does not begin as one"),
        (b"PK\x03\x04....", "ZIP"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"tjgg\x03\x00\x00\x00", "older format"),
    ],
)
def test_other_files_are_named_for_what_they_are(data: bytes, word: str) -> None:
    kind, sentence = kind_and_sentence(data)
    assert kind == "not_gguf"
    assert word in sentence


def test_a_cut_download_says_how_much_is_there() -> None:
    data = gguf([], [tensor("a", [1024, 1024, 23], 0)], data_bytes=41 * MIB)
    assert kind_and_sentence(data) == (
        "truncated",
        "The file is 41 MiB of the 92 MiB it should have; the download was probably cut off.",
    )


def test_a_cut_of_a_few_bytes_is_told_in_bytes() -> None:
    data = gguf([], [tensor("a", [1024])], data_bytes=4095)
    kind, sentence = kind_and_sentence(data)
    assert kind == "truncated"
    assert f"{len(data):,} bytes of the {len(data) + 1:,} bytes" in sentence


@pytest.mark.parametrize("kept", [0, 1, 3, 4, 7, 8, 23, 24, 30, 60, 200, 500])
def test_a_file_that_ends_inside_its_header_is_truncated(kept: int) -> None:
    data = full_model()[:kept]
    assert kind_and_sentence(data)[0] == "truncated"
    with pytest.raises(GgufError) as caught:
        parse(lambda offset, size: data[offset : offset + size], None)
    assert caught.value.kind == "truncated"


def test_more_bytes_than_the_tensors_need_do_no_harm() -> None:
    assert parse_bytes(full_model() + b"more").name == "Small"


@pytest.mark.parametrize(("version", "word"), [(1, "version 1"), (4, "version 4"), (0x03000000, "byte order")])
def test_other_versions_are_refused(version: int, word: str) -> None:
    kind, sentence = kind_and_sentence(gguf(version=version))
    assert kind == "unsupported_version"
    assert word in sentence


# --- what is damaged


ARRAY_OF = struct.Struct("<IIQ")
DAMAGED = {
    "a version of nothing": gguf(version=0),
    "too many tensors": gguf(counts=(2**40, 0)),
    "too many entries": gguf(counts=(0, 2**63)),
    "an endless key": gguf([struct.pack("<Q", 2**60)]),
    "an empty key": gguf([entry("", 1)]),
    "a key that is not text": gguf([string(b"\xff\xfe") + struct.pack("<II", 4, 1)]),
    "a key of control characters": gguf([entry("a\x00b", 1)]),
    "a key twice": gguf([entry("general.name", "a"), entry("general.name", "b")]),
    "an unknown type of value": gguf([string("a") + struct.pack("<I", 99)]),
    "an endless text": gguf([string("a") + struct.pack("<IQ", STRING, 2**50)]),
    "an array of an unknown type": gguf([string("a") + ARRAY_OF.pack(ARRAY, 77, 1)]),
    "an array in an array": gguf([string("a") + ARRAY_OF.pack(ARRAY, ARRAY, 1)]),
    "an endless array of numbers": gguf([string("a") + ARRAY_OF.pack(ARRAY, 4, 2**62)]),
    "an endless array of texts": gguf([string("a") + ARRAY_OF.pack(ARRAY, STRING, 2**62)]),
    "an array with an endless text": gguf(
        [string("a") + ARRAY_OF.pack(ARRAY, STRING, 100) + struct.pack("<Q", 2**61) + bytes(900)]
    ),
    "an alignment of zero": gguf([entry("general.alignment", 0)]),
    "an odd alignment": gguf([entry("general.alignment", 24)]),
    "an alignment of another type": gguf([typed_entry("general.alignment", 10, 32)]),
    "a tensor with too long a name": gguf([], [tensor("a" * 64, [1])], data_bytes=4),
    "a tensor twice": gguf([], [tensor("a", [8]), tensor("a", [8], 0, 32)], data_bytes=64),
    "a tensor of five dimensions": gguf([], [tensor("a", [1] * 5)], data_bytes=4),
    "a tensor of an unknown type": gguf([], [tensor("a", [1], 4)], data_bytes=4),
    "a tensor larger than any disk": gguf([], [tensor("a", [2**40, 2**40])]),
    "a tensor of negative size": gguf([], [tensor("a", [2**63])]),
    "tensors that add up beyond any disk": gguf([], [tensor("a", [2**60]), tensor("b", [2**60], 0, 2**62)]),
    "rows that do not fit their type": gguf([], [tensor("a", [31], 8)], data_bytes=34),
    "a tensor in the wrong place": gguf([], [tensor("a", [8], 0, 64)], data_bytes=128),
    "an architecture that is a number": gguf([entry("general.architecture", 7)]),
    "a context length that is text": described("llama", {"context_length": "many"}),
    "a width below zero": gguf([entry("general.architecture", "llama"), typed_entry("llama.embedding_length", 5, -1)]),
    "a width beyond 32 bits": gguf(
        [entry("general.architecture", "llama"), typed_entry("llama.embedding_length", 10, 2**40)]
    ),
    "no layers": described("llama", {"block_count": 0}),
    "too many layers": described("llama", {"block_count": 513}),
    "fewer head counts than layers": described("llama", {"block_count": 3, "attention.head_count_kv": [1, 1]}),
    "more head counts than can be": described("llama", {"block_count": 3, "attention.head_count": [1] * 600}),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_file_is_refused_with_a_sentence(what: str) -> None:
    kind, sentence = kind_and_sentence(DAMAGED[what])
    assert kind == "damaged"
    assert sentence.startswith("The model file is damaged: ")
    assert sentence.endswith(".")


class EndlessFile:
    """A file that goes on for ever with zeros after a given beginning, and counts what is asked of it."""

    def __init__(self, start: bytes) -> None:
        self._start = start
        self.total = 0
        self.largest = 0

    def read(self, offset: int, size: int) -> bytes:
        """Return any part of the file."""
        self.total += size
        self.largest = max(self.largest, size)
        part = self._start[offset : offset + size]
        return part + bytes(size - len(part))


@pytest.mark.parametrize(
    "start",
    [
        gguf([string("a") + struct.pack("<IQ", STRING, 2**26)] * 4, counts=(0, 4096)),
        gguf([string("a") + ARRAY_OF.pack(ARRAY, 4, 2**25)], counts=(0, 4096)),
        gguf([string("a") + ARRAY_OF.pack(ARRAY, STRING, 200_000)], counts=(0, 3)),
        gguf(counts=(65_536, 4096)),
    ],
)
def test_a_hostile_file_without_end_is_left_soon(start: bytes) -> None:
    file = EndlessFile(start)
    with pytest.raises(GgufError) as caught:
        parse(file.read, None)
    assert caught.value.kind == "damaged"
    assert file.largest <= LARGEST_BLOCK
    assert file.total <= MAX_HEADER_BYTES
