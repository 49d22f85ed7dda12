"""The files: what was written comes back exactly, and anything else is refused."""

import os
import stat
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.kvstore.checksum import joined_crc
from app.kvstore.chunk_file import HEADER_BYTES, Kind, read_checkpoint, read_chunk, read_head
from app.kvstore.errors import Damaged
from app.kvstore.keys import pack_tokens
from app.kvstore.records import ChunkData, ChunkRow
from app.kvstore.saving import Draft, checkpoint_draft, chunk_draft
from tests.unit.kvstore.made import OTHER_ROOT, ROOT

TOKENS = (5, 6, 70_000)
ROWS = [b"attention ", bytearray(b"rows"), memoryview(b" of three tokens")]
WINDOW = [b"window rows"]
CHECKPOINT = [b"a recurrent state"]
DATA = ChunkData(TOKENS, bytearray(b"attention rows of three tokenswindow rows"), 0, 30, 11)


@pytest.fixture(scope="module")
def draft() -> Draft:
    """A chunk with everything."""
    return chunk_draft(ROOT, OTHER_ROOT, 9, TOKENS, (ROWS, WINDOW, CHECKPOINT), 1.0)


@pytest.fixture(scope="module")
def chunk(draft: Draft, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its chunk file."""
    path = tmp_path_factory.mktemp("files") / "x.chunk"
    draft.write(Kind.CHUNK, path)
    return path


@pytest.fixture(scope="module")
def checkpoint(draft: Draft, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its checkpoint file."""
    path = tmp_path_factory.mktemp("files") / "x.checkpoint"
    draft.write(Kind.CHECKPOINT, path)
    return path


def test_a_chunk_comes_back_as_it_was_written(draft: Draft, chunk: Path) -> None:
    assert read_chunk(chunk, draft.row, window=True) == DATA
    assert chunk.stat().st_size == draft.row.bytes


def test_a_checkpoint_comes_back_as_it_was_written(draft: Draft, checkpoint: Path) -> None:
    assert read_checkpoint(checkpoint, draft.row) == b"a recurrent state"
    assert checkpoint.stat().st_size == draft.row.checkpoint_bytes


def test_window_rows_are_left_out_unless_asked_for(draft: Draft, chunk: Path) -> None:
    assert read_chunk(chunk, draft.row, window=False) == ChunkData(TOKENS, bytearray(DATA.rows), 0, 30, 0)


def test_a_chunk_is_read_into_the_frame_that_its_reader_wants(draft: Draft, chunk: Path) -> None:
    data = read_chunk(chunk, draft.row, window=True, before=b"<<", behind=b">")
    assert data.buffer == b"<<" + DATA.buffer + b">"
    assert (data.rows, data.window) == (DATA.rows, DATA.window)


def test_a_spare_buffer_is_used_again_where_it_fits(chunk: Path, draft: Draft) -> None:
    spare = bytearray(read_chunk(chunk, draft.row, window=True, before=b"<", behind=b">>").buffer)
    wanted = bytes(spare)
    spare[:] = bytes(len(spare))
    data = read_chunk(chunk, draft.row, window=True, before=b"<", behind=b">>", spare=spare)
    assert data.buffer is spare
    assert spare == wanted
    other = read_chunk(chunk, draft.row, window=True, spare=spare)
    assert other == DATA
    assert spare == wanted


def test_a_chunk_may_have_no_rows(tmp_path: Path) -> None:
    bare = chunk_draft(ROOT, ROOT, 0, [1], ((), (), ()), 1.0)
    bare.write(Kind.CHUNK, tmp_path / "x")
    assert read_chunk(tmp_path / "x", bare.row, window=True) == ChunkData((1,), bytearray(), 0, 0, 0)


def test_wider_items_are_written_whole(tmp_path: Path) -> None:
    wide = memoryview(bytes(range(24))).cast("Q")
    draft = chunk_draft(ROOT, ROOT, 0, [1], ([wide], (), ()), 1.0)
    draft.write(Kind.CHUNK, tmp_path / "x")
    assert read_chunk(tmp_path / "x", draft.row, window=True).rows == bytes(range(24))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_only_this_account_may_read_a_file(chunk: Path) -> None:
    assert stat.S_IMODE(chunk.stat().st_mode) == 0o600


def test_the_checksum_of_a_whole_file_follows_from_its_head(draft: Draft, chunk: Path) -> None:
    header, packed = read_head(chunk, Kind.CHUNK)
    assert header.file_crc(packed) == zlib.crc32(chunk.read_bytes())
    draft.write(Kind.CHECKPOINT, chunk.with_name("y"))
    header, packed = read_head(chunk.with_name("y"), Kind.CHECKPOINT)
    assert header.file_crc(packed) == zlib.crc32(chunk.with_name("y").read_bytes())


@given(first=st.binary(), second=st.binary())
def test_the_checksums_of_two_pieces_make_that_of_both(first: bytes, second: bytes) -> None:
    assert joined_crc(zlib.crc32(first), zlib.crc32(second), len(second)) == zlib.crc32(first + second)


def test_the_header_tells_what_an_index_needs(draft: Draft, chunk: Path) -> None:
    header, _ = read_head(chunk, Kind.CHUNK)
    assert header.is_of(draft.row)
    assert (header.file_bytes, header.window_bytes) == (draft.row.bytes, len(b"window rows"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(data=st.data())
def test_a_chunk_with_one_bit_flipped_is_never_used(
    draft: Draft, chunk: Path, tmp_path: Path, data: st.DataObject
) -> None:
    whole = chunk.read_bytes()
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    (tmp_path / "x").write_bytes(flipped(whole, bit))
    with pytest.raises(Damaged):
        read_chunk(tmp_path / "x", draft.row, window=True)
    # Without the window rows a flip in them is not looked at, and does no harm.
    in_window = bit // 8 >= len(whole) - len(b"window rows")
    if in_window:
        assert read_chunk(tmp_path / "x", draft.row, window=False).rows == DATA.rows
    else:
        with pytest.raises(Damaged):
            read_chunk(tmp_path / "x", draft.row, window=False)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(data=st.data())
def test_a_checkpoint_with_one_bit_flipped_is_never_used(
    draft: Draft, checkpoint: Path, tmp_path: Path, data: st.DataObject
) -> None:
    whole = checkpoint.read_bytes()
    (tmp_path / "x").write_bytes(flipped(whole, data.draw(st.integers(0, len(whole) * 8 - 1))))
    with pytest.raises(Damaged):
        read_checkpoint(tmp_path / "x", draft.row)


def test_a_file_cut_off_anywhere_is_never_used(draft: Draft, chunk: Path, checkpoint: Path, tmp_path: Path) -> None:
    for whole in (chunk.read_bytes(), checkpoint.read_bytes()):
        for length in range(len(whole)):
            (tmp_path / "x").write_bytes(whole[:length])
            with pytest.raises(Damaged):
                read_chunk(tmp_path / "x", draft.row, window=False)
            with pytest.raises(Damaged):
                read_checkpoint(tmp_path / "x", draft.row)


def test_a_file_with_more_behind_it_is_never_used(draft: Draft, chunk: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(chunk.read_bytes() + b"\0")
    with pytest.raises(Damaged, match="length"):
        read_chunk(tmp_path / "x", draft.row, window=False)


def test_another_chunk_under_its_name_is_never_used(draft: Draft, tmp_path: Path) -> None:
    for other in (
        chunk_draft(ROOT, OTHER_ROOT, 9, (5, 6, 7), (ROWS, WINDOW, CHECKPOINT), 1.0),
        chunk_draft(ROOT, OTHER_ROOT, 10, TOKENS, (ROWS, WINDOW, CHECKPOINT), 1.0),
        chunk_draft(b"m" * 32, OTHER_ROOT, 9, TOKENS, (ROWS, WINDOW, CHECKPOINT), 1.0),
    ):
        other.write(Kind.CHUNK, tmp_path / "x")
        other.write(Kind.CHECKPOINT, tmp_path / "y")
        with pytest.raises(Damaged, match="another chunk"):
            read_chunk(tmp_path / "x", draft.row, window=True)
        with pytest.raises(Damaged, match="another chunk"):
            read_checkpoint(tmp_path / "y", draft.row)


def test_a_chunk_is_no_checkpoint_and_the_other_way_round(draft: Draft, chunk: Path, checkpoint: Path) -> None:
    with pytest.raises(Damaged, match="kind"):
        read_chunk(checkpoint, draft.row, window=True)
    with pytest.raises(Damaged, match="kind"):
        read_checkpoint(chunk, draft.row)


@pytest.mark.parametrize("place", ["nothing", "folder", "pipe"])
def test_what_is_no_file_is_damaged(draft: Draft, tmp_path: Path, place: str) -> None:
    if place == "folder":
        (tmp_path / "x").mkdir()
    elif place == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("no pipes in folders here")
        os.mkfifo(tmp_path / "x")
    with pytest.raises(Damaged):
        read_chunk(tmp_path / "x", draft.row, window=True)


HEAD = struct.Struct("<8sII32s32s32sQIQIQI")


def forged(row: ChunkRow, **changed: int) -> bytes:
    """A header with a right checksum and impossible content."""
    fields = {
        "start": row.start,
        "tokens": row.tokens,
        "rows": 0,
        "rows_crc": 0,
        "window": 0,
        "window_crc": 0,
    } | changed
    head = HEAD.pack(b"EmberKV\n", 1, 1, row.root, row.parent, row.key, *fields.values())
    return head + struct.pack("<I", zlib.crc32(head)) + pack_tokens(TOKENS)


@pytest.mark.parametrize(
    "changed",
    [{"rows": 2**64 - 1}, {"window": 2**63}, {"rows": 2**32}, {"tokens": 0}, {"tokens": 2**32 - 1}, {"start": 2**63}],
)
def test_a_hostile_header_is_refused_before_anything_is_read(
    draft: Draft, tmp_path: Path, changed: dict[str, int]
) -> None:
    (tmp_path / "x").write_bytes(forged(draft.row, **changed))
    with pytest.raises(Damaged):
        read_head(tmp_path / "x", Kind.CHUNK)


def test_the_format_is_as_documented(draft: Draft, chunk: Path) -> None:
    whole = chunk.read_bytes()
    row = draft.row
    head = HEAD.pack(
        b"EmberKV\n", 1, 1, row.root, row.parent, row.key, 9, 3,
        len(DATA.rows), zlib.crc32(DATA.rows), len(DATA.window), zlib.crc32(DATA.window),
    )  # fmt: skip
    assert len(head) + 4 == HEADER_BYTES
    assert whole == head + struct.pack("<I", zlib.crc32(head)) + pack_tokens(TOKENS) + DATA.rows + DATA.window


@pytest.mark.parametrize(
    ("tokens", "start", "parent"),
    [
        ([], 0, ROOT),
        ([1] * 257, 0, ROOT),
        ([1], 1, ROOT),
        ([1], 0, b"x" * 32),
        ([1], 2**31, b"x" * 32),
        ([1], 5, b"short"),
    ],
)
def test_what_can_be_no_chunk_is_not_written(tokens: list[int], start: int, parent: bytes) -> None:
    with pytest.raises(ValueError, match=r"chunk|key"):
        chunk_draft(ROOT, parent, start, tokens, ((), (), ()), 1.0)


def test_an_empty_checkpoint_is_none(draft: Draft) -> None:
    assert checkpoint_draft(draft.row, [b""]).row.checkpoint_bytes == 0


def flipped(data: bytes, bit: int) -> bytes:
    """The bytes with one bit turned over."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
