"""Archives with state as scripts write and take them: the next turn reads only the new words, hostile state is left."""

import hashlib
import json
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.kvstore.chunk_file import HEADER_BYTES
from app.storage.archive_format import Manifest
from app.storage.signing import sign
from tests.support.command import Argument, ember
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
    return send(data, model, "One more, please.", "--conversation", conversation)["tokens"]


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
    assert not list((data / "staging").iterdir())
    after = figures(data, model, told["id"])
    assert after["evaluated"] == expected["evaluated"] < 60
    assert after["reused_saved"] == expected["reused_saved"] > 200


@pytest.fixture(scope="module")
def tiny(tiny_model: TinyModel) -> Path:
    """A model of full attention that never ends a reply."""
    return tiny_model(Kind.FULL)


@pytest.fixture(scope="module")
def written(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data folder whose saved state was cleared, and an archive with state that was written there."""
    folder = tmp_path_factory.mktemp("written")
    file = export(folder / "data", talk(folder / "data", tiny), folder / "chat.ember")
    clear(folder / "data")
    return folder / "data", file


@pytest.fixture
def home(written: tuple[Path, Path], tmp_path: Path) -> Path:
    """That data folder, for this test alone."""
    shutil.copytree(written[0], tmp_path / "home")
    return tmp_path / "home"


def texts(data: Path, conversation: str) -> list[str]:
    shown = ember("show", "--data-dir", data, conversation, "--json").line
    return [message["text"] for message in shown["messages"]]


def forged(
    file: Path, to: Path, change: Callable[[str, bytearray], None], key: bytes | None, *, tell: bool = True
) -> Path:
    """The archive with changed state, its digests right if `tell`, signed with `key` if there is one."""
    with zipfile.ZipFile(file) as archive:
        members = {name: bytearray(archive.read(name)) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    for entry in manifest["state"]["files"]:
        data = members[f"state/{entry['name']}"]
        change(entry["name"], data)
        if tell:
            entry.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    if key is not None:
        parsed = msgspec.json.decode(json.dumps(manifest), type=Manifest)
        manifest["signature"] = sign(key, parsed.signed_part())
    members["manifest.json"] = bytearray(json.dumps(manifest).encode())
    with zipfile.ZipFile(to, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, bytes(data))
    return to


def with_sound_checksums(data: bytearray) -> None:
    """Make a chunk's checksums right again, as one who forges it would."""
    (tokens, rows) = struct.unpack_from("<IQ", data, 120)
    begin = HEADER_BYTES + 4 * tokens
    struct.pack_into("<I", data, 132, zlib.crc32(data[begin : begin + rows]))
    struct.pack_into("<I", data, HEADER_BYTES - 4, zlib.crc32(data[: HEADER_BYTES - 4]))


def test_another_installation_leaves_the_state_unless_it_is_told_to_trust_it(
    written: tuple[Path, Path], tiny: Path, tmp_path: Path
) -> None:
    _, file = written
    told = reload(tmp_path / "other", file)
    assert told["state"] == "dropped" and "another installation" in told["why"]
    assert not (tmp_path / "other" / "kv").exists()
    assert len(texts(tmp_path / "other", told["id"])) == 4
    trusted = reload(tmp_path / "other", file, "--trust-state")
    assert trusted["state"] == "used" and trusted["why"].startswith("Its state is kept until “")
    after = figures(tmp_path / "other", tiny, trusted["id"])
    assert after["reused_saved"] > 200


def test_a_second_reload_is_a_copy_that_shares_the_state(written: tuple[Path, Path], home: Path, tiny: Path) -> None:
    first, second = reload(home, written[1]), reload(home, written[1])
    assert first["id"] != second["id"] and second["title"].endswith("(copy)")
    assert second["state"] == "used" and second["state_bytes"] == 0
    assert figures(home, tiny, second["id"])["reused_saved"] > 200


def test_an_archive_is_written_as_text_where_nothing_is_saved(home: Path, tmp_path: Path) -> None:
    conversation = ember("conversations", "--data-dir", home, "--json").line["id"]
    outcome = ember("export", "--data-dir", home, conversation, "--to", tmp_path / "a.ember", "--with-state")
    assert outcome.status == 0 and "holds its text only" in outcome.err
    assert reload(tmp_path / "other", tmp_path / "a.ember")["state"] == "none"


def nothing(_name: str, _data: bytearray) -> None:
    """Leave it as it is."""


def other_rows(_name: str, data: bytearray) -> None:
    data[-1] ^= 1


def other_tokens(_name: str, data: bytearray) -> None:
    data[HEADER_BYTES] ^= 1
    with_sound_checksums(data)


def shorter(_name: str, data: bytearray) -> None:
    del data[-8:]


def other_start(_name: str, data: bytearray) -> None:
    struct.pack_into("<Q", data, 112, 7)
    with_sound_checksums(data)


def no_chunk(_name: str, data: bytearray) -> None:
    data[:] = b"PK not a chunk"


@pytest.mark.parametrize("lie", [other_rows, other_tokens, shorter, other_start, no_chunk])
def test_trusted_state_that_lies_is_refused_in_a_sentence_and_the_text_is_there(
    lie: Callable[[str, bytearray], None], written: tuple[Path, Path], home: Path, tmp_path: Path
) -> None:
    file = forged(written[1], tmp_path / "lie.ember", lie, None)
    told = reload(home, file, "--trust-state")
    assert told["state"] == "dropped" and told["why"].endswith("reads it again.")
    assert len(texts(home, told["id"])) == 4
    assert not state_files(home)
    assert not list((home / "staging").iterdir())


def test_state_that_was_changed_under_our_signature_is_refused(
    written: tuple[Path, Path], home: Path, tmp_path: Path
) -> None:
    def other_sound_rows(name: str, data: bytearray) -> None:
        other_rows(name, data)
        with_sound_checksums(data)

    file = forged(written[1], tmp_path / "swapped.ember", other_sound_rows, None, tell=False)
    told = reload(home, file)
    assert told["state"] == "dropped" and "not what its list says" in told["why"]
    assert not state_files(home)


def test_a_signature_swapped_for_another_is_no_signature(
    written: tuple[Path, Path], home: Path, tmp_path: Path
) -> None:
    told = reload(home, forged(written[1], tmp_path / "swapped.ember", nothing, bytes(32)))
    assert told["state"] == "dropped" and "another installation" in told["why"]


def test_rows_of_another_type_are_refused_when_they_are_restored_and_the_text_is_read(
    written: tuple[Path, Path], home: Path, tiny: Path, tmp_path: Path
) -> None:
    def other_type(_name: str, data: bytearray) -> None:
        """Call the first layer's keys another ggml type: cells, then a flag and the number of layers, then types."""
        (tokens,) = struct.unpack_from("<I", data, 120)
        begin = HEADER_BYTES + 4 * tokens
        (_, cells) = struct.unpack_from("<II", data, begin)
        struct.pack_into("<i", data, begin + 8 + 12 * cells + 8, 30)
        with_sound_checksums(data)

    told = reload(home, forged(written[1], tmp_path / "types.ember", other_type, (home / "archive.key").read_bytes()))
    assert told["state"] == "used"  # the store knows tokens and checksums; what the rows are, only a context does
    after = figures(home, tiny, told["id"])
    assert after["reused_saved"] == 0 and after["evaluated"] > 200
