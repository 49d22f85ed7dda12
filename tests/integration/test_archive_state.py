"""Archives with state as scripts write and take them: the next turn reads only the new words, hostile state is left."""

import hashlib
import io
import json
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.storage.archive_format import Manifest
from app.storage.signing import sign
from tests.support.command import Argument, Outcome, ember
from tests.support.tiny_models import Kind

TinyModel = Callable[[Kind], Path]

SYSTEM = "You are a patient teacher who answers in short and simple sentences. " * 8
QUICK = ("--temperature", 0, "--context", 1024, "--max-tokens", 12, "--json")


def send(data: Path, model: Path, text: str, *more: Argument) -> Any:
    outcome = ember("send", "--data-dir", data, "--model", model, *QUICK, *more, text)
    assert outcome.status == 0, outcome.err
    return outcome.line


def talk(data: Path, model: Path) -> str:
    """A conversation of two turns; its id."""
    conversation: str = send(data, model, "Name a colour.", "--system", SYSTEM)["conversation"]
    send(data, model, "And another one?", "--conversation", conversation)
    return conversation


def export(data: Path, conversation: str, to: Path) -> Path:
    outcome = ember("export", "--data-dir", data, conversation, "--to", to, "--with-state")
    assert (outcome.status, outcome.err) == (0, "")
    return to


def reload(data: Path, file: Path, *more: Argument) -> Any:
    outcome = ember("import", "--data-dir", data, file, "--json", *more)
    assert outcome.status == 0, outcome.err
    return outcome.line


def clear(data: Path) -> None:
    assert ember("cache", "--data-dir", data, "clear", "--all").status == 0


def state_files(data: Path) -> set[str]:
    return {path.name for path in (data / "kv").rglob("*") if path.suffix in (".chunk", ".checkpoint")}


def figures(data: Path, model: Path, conversation: str) -> Any:
    """Of one more turn: how the prompt was had."""
    return send(data, model, "One more, please.", "--conversation", conversation)["kv"]


@pytest.mark.parametrize("kind", [Kind.FULL, Kind.WINDOW, Kind.HYBRID])
def test_after_a_reload_with_the_cache_cleared_the_next_turn_reads_only_the_new_words(
    kind: Kind, tmp_path: Path, tiny_model: TinyModel
) -> None:
    data, model = tmp_path / "data", tiny_model(kind)
    conversation = talk(data, model)
    file = export(data, conversation, tmp_path / "chat.ember")
    plain = tmp_path / "plain"
    shutil.copytree(data, plain)
    expected = figures(plain, model, conversation)
    before = state_files(data)
    clear(data)
    assert not state_files(data)
    told = reload(data, file)
    assert (told["state"], told["why"]) == ("used", "")
    assert state_files(data) == before
    after = figures(data, model, told["id"])
    assert after["computed"] == expected["computed"] < 40
    assert after["restored"] == expected["restored"] > 100
    assert not list((data / "staging").iterdir())
