"""The fingerprint changes with everything that changes a key or a value, and a model's file is hashed once."""

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from app.engine.context import ContextSettings
from app.engine.fingerprint import HASHES, REMEMBERED, ModelHashes, fingerprint, model_files
from app.engine.state import Layouts
from app.engine.state_blob import Matrix, SectionLayout

F16, Q8_0 = 1, 8
ROWS = SectionLayout(0, transposed=True, keys=(Matrix(F16, 384),), values=(Matrix(F16, 2, 192),))


@dataclass
class Header:
    """What the fingerprint asks of a header."""

    tensors: tuple[Any, ...] = ()
    original: int | None = None
    context_length: int | None = 4096
    split_count: int | None = None

    def number(self, suffix: str) -> int | None:
        return self.original if suffix == "rope.scaling.original_context_length" else None


@dataclass
class Tensor:
    name: str


@dataclass
class Context:
    size: int = 2048
    settings: ContextSettings | None = None


@dataclass
class State:
    mode: str = "full"
    layouts: Layouts = field(default_factory=lambda: Layouts(ROWS))


def root(
    model: str = "a" * 64,
    commit: str = "1",
    header: Header | None = None,
    context: Context | None = None,
    state: State | None = None,
) -> bytes:
    kept = state or State()
    made = fingerprint(
        commit,
        header or Header(),  # type: ignore[arg-type]
        context or Context(),  # type: ignore[arg-type]
        kept.mode,  # type: ignore[arg-type]
        kept.layouts,
    )
    return made(model)


def test_the_same_model_and_context_have_the_same_fingerprint() -> None:
    assert root() == root()
    assert len(root()) == 32


@pytest.mark.parametrize(
    "other",
    [
        {"model": "b" * 64},
        {"commit": "2"},
        {"state": State(mode="window")},
        {"state": State(layouts=Layouts(replace(ROWS, keys=(Matrix(Q8_0, 408),))))},
        {"state": State(layouts=Layouts(replace(ROWS, transposed=False, values=(Matrix(F16, 384),))))},
    ],
    ids=["model", "commit", "kind of memory", "type of the keys", "layout of the values"],
)
def test_what_changes_keys_or_values_changes_it(other: dict[str, Any]) -> None:
    assert root(**other) != root()


def test_what_is_not_taken_apart_is_told_apart_by_how_its_context_was_made() -> None:
    opaque = State("opaque", Layouts())
    made = ContextSettings(tokens=2048, batch=64, threads=1, flash_attention=0)
    roots = {
        root(state=opaque, context=Context(settings=settings))
        for settings in (made, replace(made, flash_attention=1), replace(made, type_k=Q8_0), replace(made, batch=128))
    }
    assert len(roots) == 3


def test_rotation_switched_off_changes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = root()
    monkeypatch.setenv("LLAMA_ATTN_ROT_DISABLE", "1")
    assert root() != before


def test_the_size_of_the_context_matters_only_to_factors_for_long_ones() -> None:
    assert root(context=Context(8192)) == root(context=Context(2048))
    header = Header(tensors=(Tensor("rope_factors_long.weight"),), original=4096)
    assert root(header=header, context=Context(4096)) == root(header=header, context=Context(2048))
    assert root(header=header, context=Context(4352)) != root(header=header, context=Context(4096))


# --- the digest of a model's files ------------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"weights")
    return path


def test_a_file_is_hashed_once_and_known_to_the_next_process(tmp_path: Path, model: Path) -> None:
    hashes = ModelHashes(tmp_path)
    assert hashes.known((model,)) is None
    digest = hashes.compute((model,))
    assert digest is not None and len(digest) == 64
    assert ModelHashes(tmp_path).known((model,)) == digest


def test_a_changed_file_is_unknown_even_with_its_old_time_and_size(tmp_path: Path, model: Path) -> None:
    hashes, before = ModelHashes(tmp_path), model.stat()
    digest = hashes.compute((model,))
    model.write_bytes(b"Weights")
    os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hashes.known((model,)) is None
    assert hashes.compute((model,)) != digest


def test_all_parts_of_a_split_model_are_hashed(tmp_path: Path) -> None:
    parts = [tmp_path / f"big-0000{number}-of-00002.gguf" for number in (1, 2)]
    for part in parts:
        part.write_bytes(part.name.encode())
    files = model_files(parts[0], Header(split_count=2))  # type: ignore[arg-type]
    assert files == tuple(parts)
    digest = ModelHashes(tmp_path).compute(files)
    parts[1].write_bytes(b"other")
    assert ModelHashes(tmp_path).compute(files) != digest


@pytest.mark.parametrize("broken", [b"", b"[1]", b"\xff", b'{"a": 3}', b"[" * 100_000])
def test_a_broken_list_of_digests_is_forgotten(broken: bytes, tmp_path: Path, model: Path) -> None:
    (tmp_path / HASHES).write_bytes(broken)
    hashes = ModelHashes(tmp_path)
    assert hashes.known((model,)) is None
    assert hashes.compute((model,)) == ModelHashes(tmp_path).known((model,))


def test_the_list_of_digests_is_bounded(tmp_path: Path, model: Path) -> None:
    many = {str(number): "a" * 64 for number in range(2 * REMEMBERED)}
    (tmp_path / HASHES).write_text(json.dumps(many))
    digest = ModelHashes(tmp_path).compute((model,))
    kept = json.loads((tmp_path / HASHES).read_text())
    assert len(kept) == REMEMBERED
    assert digest in kept.values()
