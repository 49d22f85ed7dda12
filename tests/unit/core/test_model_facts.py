"""What a header says of a model, and why some files are nothing to chat with."""

from dataclasses import replace
from pathlib import Path

import llama_cpp
import pytest

from app.core.architectures import KNOWN_ARCHITECTURES
from app.core.fit import Need, fit, is_hopeless
from app.core.gguf_header import parse_bytes
from app.core.model_facts import ModelKind, facts_of, unusable_because, whole_header
from app.core.offload import CPU, Machine, Room
from app.core.shards import Shard, shard_names, shard_of
from tests.support.gguf_bytes import described, entry, gguf
from tests.support.tiny_models import CHATML, Kind, make, make_embedding_model, make_unknown_architecture

GIB = 1024**3


def test_a_model_tells_its_name_size_and_abilities(tmp_path: Path) -> None:
    template = "{% if tools %}{{ tools }}{% endif %}<think>" + CHATML
    path = make(Kind.FULL, tmp_path / "m.gguf", chat_template=template, context_length=4096)
    facts = facts_of(parse_bytes(path.read_bytes()))
    assert (facts.kind, facts.name, facts.architecture) == ("model", "Tiny full", "qwen2")
    assert (facts.quantisation, facts.context) == ("F32", 4096)
    assert facts.has_template and facts.can_reason and facts.can_use_tools
    assert facts.weights < path.stat().st_size
    assert 0 < facts.beside_weights_least < facts.beside_weights


def test_a_plain_template_promises_no_abilities(tmp_path: Path) -> None:
    facts = facts_of(parse_bytes(make(Kind.FULL, tmp_path / "m.gguf").read_bytes()))
    assert facts.has_template
    assert not facts.can_reason
    assert not facts.can_use_tools


@pytest.mark.parametrize(
    ("data", "kind", "word"),
    [
        (gguf([entry("general.architecture", "clip")]), "mmproj", "mmproj"),
        (gguf([entry("general.architecture", "llama"), entry("adapter.type", "lora")]), "adapter", "LoRA"),
        (gguf([entry("general.type", "imatrix")]), "imatrix", "quantising"),
        (described("qwen3", {"pooling_type": 4}), "reranking", "reranking"),
        (described("qwen3", {"pooling_type": 3}), "embedding", "embeddings"),
    ],
)
def test_a_file_that_cannot_chat_says_what_it_is(data: bytes, kind: ModelKind, word: str) -> None:
    facts = facts_of(parse_bytes(data))
    assert facts.kind == kind
    assert word in unusable_because(facts)


def test_embedding_models_and_unknown_architectures_are_recognised(tmp_path: Path) -> None:
    bert = facts_of(parse_bytes(make_embedding_model(tmp_path / "b.gguf").read_bytes()))
    unknown = facts_of(parse_bytes(make_unknown_architecture(tmp_path / "u.gguf").read_bytes()))
    assert bert.kind == "embedding"
    assert unknown.kind == "unknown_architecture"
    assert "“emberlight”" in unusable_because(unknown)


def test_a_model_in_parts_counts_the_tensors_of_all(tmp_path: Path) -> None:
    header = parse_bytes(make(Kind.FULL, tmp_path / "m.gguf").read_bytes())
    first, second = replace(header, tensors=header.tensors[:5]), replace(header, tensors=header.tensors[5:])
    assert whole_header((first, second)).parameter_count == header.parameter_count


def test_the_architectures_are_those_of_the_installed_llama_cpp() -> None:
    folder = Path(llama_cpp.__file__).parent / "lib"
    (library,) = (path.read_bytes() for path in folder.iterdir() if path.stem.removeprefix("lib") == "llama")
    assert {name for name in KNOWN_ARCHITECTURES if name.encode() + b"\0" not in library} == set()


def test_parts_of_a_model_are_known_by_their_names() -> None:
    assert shard_of("m-Q4_K_M-00002-of-00003.gguf") == Shard("m-Q4_K_M", 2, 3)
    assert shard_of("m.gguf") is None
    assert shard_of("m-00004-of-00003.gguf") is None
    assert shard_names("m", 2) == ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf")


def room(free: int) -> Machine:
    """A machine without a GPU."""
    return Machine(Room(CPU, free, 2 * free, is_unified=True))


def test_a_verdict_on_fit_leaves_a_margin_and_names_its_figures() -> None:
    need = Need(weights=4 * GIB, context=GIB, least_context=GIB // 8)
    assert fit(need, room(8 * GIB)).sentence == "Fits: about 5.0 GiB of the 8.0 GiB that are free."
    assert fit(need, room(5 * GIB)).verdict == "tight"
    assert fit(need, room(4 * GIB)).sentence == "Too large: needs about 4.1 GiB, and 4.0 GiB are free."
    without_a_margin = fit(need, room(4 * GIB + GIB // 5)).sentence
    assert without_a_margin == "Too large: about 4.1 GiB would leave too little of the 4.2 GiB that are free."


def test_a_gpu_of_its_own_counts_and_one_in_the_computers_memory_does_not() -> None:
    need = Need(weights=4 * GIB, context=GIB, least_context=GIB // 8)
    cpu = Room(CPU, 3 * GIB, 8 * GIB, is_unified=True)
    assert "on the GPU" in fit(need, Machine(cpu, (Room("CUDA0", 8 * GIB, 8 * GIB),))).sentence
    assert fit(need, Machine(cpu, (Room("Metal", 8 * GIB, 8 * GIB, is_unified=True),))).verdict == "too_large"


def test_a_list_says_what_is_hopeless_and_nothing_of_what_is_unknown() -> None:
    assert is_hopeless(70_000_000_000, room(8 * GIB))
    assert not is_hopeless(8_000_000_000, room(8 * GIB))
    assert not is_hopeless(0, room(8 * GIB))
