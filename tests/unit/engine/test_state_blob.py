"""Blobs of state, taken apart: what this context did not write is refused, whatever its numbers say."""

import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.state_blob import (
    HEADER,
    MAGIC,
    POSITION_EXTENSION,
    Matrix,
    Mismatch,
    RecurrentState,
    SectionLayout,
    check_section,
    moved_checkpoint,
    moved_section,
    read_header,
    read_recurrent,
    read_section,
)

F16, F32 = 1, 0
KEYS = (Matrix(F16, 12), Matrix(F16, 8))
LAYOUTS = {
    "rows": SectionLayout(0, False, KEYS, (Matrix(F16, 8), Matrix(F16, 6))),
    "strips": SectionLayout(0, True, KEYS, (Matrix(F16, 2, 4), Matrix(F16, 2, 3))),
    "m-rope": SectionLayout(POSITION_EXTENSION, False, KEYS, KEYS),
}
START = 100
U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)


@dataclass(frozen=True)
class Piece:
    """A number of the structure, or bytes that mean nothing to it."""

    data: bytes
    structure: bool = True


def number(form: str, *values: int) -> Piece:
    return Piece(struct.pack("<" + form, *values))


def free(count: int) -> Piece:
    return Piece(b"\x5a" * count, structure=False)


def section(layout: SectionLayout, positions: list[int]) -> Iterator[Piece]:
    """A section as llama.cpp writes it, piece by piece."""
    cells = len(positions)
    yield number("II", 1, cells)
    if not cells:
        return
    for position in positions:
        yield number("iI", position, 1)
        yield free(layout.extension)
        yield free(4)  # the sequence's id, which llama.cpp reads past
    yield number("II", layout.transposed, len(layout.keys))
    for matrix in (*layout.keys, *layout.values):
        yield (
            number("iII", matrix.type, matrix.size, matrix.width)
            if matrix.width
            else number("iQ", matrix.type, matrix.size)
        )
        yield free(matrix.bytes_of(cells))


STATES = ((F32, 24), (F32, 8))


def recurrent() -> Iterator[Piece]:
    yield number("IiIII", 1, START, 0, 0, 4)
    for kind, size in STATES:
        yield number("iQ", kind, size)
        yield free(size)


def joined(pieces: Iterator[Piece]) -> bytes:
    return b"".join(piece.data for piece in pieces)


def structure_bytes(pieces: Iterator[Piece]) -> list[int]:
    """Where the bytes of the structure stand."""
    places, at = [], 0
    for piece in pieces:
        places += range(at, at + len(piece.data)) if piece.structure else []
        at += len(piece.data)
    return places


def flipped(data: bytes, byte: int, bit: int) -> bytes:
    return data[:byte] + bytes([data[byte] ^ 1 << bit]) + data[byte + 1 :]


@pytest.fixture(params=LAYOUTS.values(), ids=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> SectionLayout:
    return request.param


ORDERS = ([100, 101, 102], [102, 100, 101])


@pytest.mark.parametrize("positions", ORDERS)
def test_a_section_is_taken_as_it_was_written_whatever_the_order_of_its_cells(
    layout: SectionLayout, positions: list[int]
) -> None:
    data = joined(section(layout, positions))
    check_section(data, layout, START, 3)
    found = read_section(memoryview(b"before" + data + b"behind"), 6, layout.extension)
    assert (found.begin, found.end, found.positions, found.layout) == (6, 6 + len(data), tuple(positions), layout)


def test_every_flip_of_a_bit_of_the_structure_is_refused(layout: SectionLayout) -> None:
    data = joined(section(layout, ORDERS[0]))
    for byte in structure_bytes(section(layout, ORDERS[0])):
        for bit in range(8):
            with pytest.raises(Mismatch):
                check_section(flipped(data, byte, bit), layout, START, 3)


def test_every_flip_of_a_bit_in_the_structure_of_recurrent_states_is_refused() -> None:
    data, wanted = joined(recurrent()), RecurrentState(START, 4, STATES)
    assert read_recurrent(memoryview(data), 0) == wanted
    for byte in structure_bytes(recurrent()):
        for bit in range(8):
            with suppress(Mismatch):
                assert read_recurrent(memoryview(flipped(data, byte, bit)), 0) != wanted


def test_every_flip_of_a_bit_of_the_beginning_is_refused() -> None:
    assert read_header(memoryview(HEADER)) == len(HEADER)
    assert struct.unpack("<I", HEADER[:4]) == (MAGIC,)
    for byte in range(4):
        for bit in range(8):
            with pytest.raises(Mismatch):
                read_header(memoryview(flipped(HEADER, byte, bit)))


@given(st.data())
def test_what_is_cut_off_or_goes_on_is_refused(drawn: st.DataObject) -> None:
    layout = drawn.draw(st.sampled_from(list(LAYOUTS.values())))
    data = joined(section(layout, ORDERS[0]))
    cut = drawn.draw(st.integers(0, len(data) - 1))
    more = drawn.draw(st.binary(min_size=1, max_size=40))
    for wrong in (data[:cut], data + more):
        with pytest.raises(Mismatch):
            check_section(wrong, layout, START, 3)


@pytest.mark.parametrize("cut", range(len(joined(recurrent()))))
def test_recurrent_states_that_are_cut_off_are_refused(cut: int) -> None:
    if cut in (20, 56):  # between two states it is sound, and other states than they were
        assert read_recurrent(memoryview(joined(recurrent())[:cut]), 0).states != STATES
        return
    with pytest.raises(Mismatch):
        read_recurrent(memoryview(joined(recurrent())[:cut]), 0)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=3, max_size=3))
def test_other_positions_are_refused(positions: list[int]) -> None:
    """Negative ones, gaps, the same twice, those of another chunk."""
    layout = LAYOUTS["rows"]
    if sorted(positions) == [100, 101, 102]:
        return
    with pytest.raises(Mismatch):
        check_section(joined(section(layout, positions)), layout, START, 3)


@pytest.mark.parametrize("positions", [[100, 101, 101], [100, 102, 103], [101, 102, 103], [100, 101], []])
def test_near_misses_of_the_positions_are_refused(positions: list[int]) -> None:
    with pytest.raises(Mismatch):
        check_section(joined(section(LAYOUTS["rows"], positions)), LAYOUTS["rows"], START, 3)


@given(cells=U32, layers=U32, size=U64, wide=st.booleans(), width=U32)
def test_no_count_makes_it_take_memory_that_the_data_does_not_have(
    cells: int, layers: int, size: int, wide: bool, width: int
) -> None:
    head = struct.pack("<II", 1, cells)
    one_cell = struct.pack("<IIiIiII", 1, 1, 0, 1, 0, wide, layers)
    keys = struct.pack("<iQ", F16, size)
    strips = struct.pack("<iIQiII", F16, 1, 0, F16, size & 0xFFFFFFFF, width)
    blobs = [head + bytes(200), one_cell + keys + bytes(200), one_cell + strips + bytes(200)]
    tracemalloc.start()
    try:
        for blob in blobs:
            with pytest.raises(Mismatch):
                check_section(blob, LAYOUTS["rows"], START, 3)
        with suppress(Mismatch):
            read_recurrent(memoryview(struct.pack("<IiIIIiQ", 1, 0, 0, 0, layers, F32, size) + bytes(200)), 0)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


# --- moved, for measuring ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", ORDERS)
def test_a_moved_section_has_the_same_rows_at_later_positions(layout: SectionLayout, positions: list[int]) -> None:
    data = joined(section(layout, positions))
    moved = moved_section(data, 50, layout.extension)
    assert bytes(moved) == joined(section(layout, [position + 50 for position in positions]))
    check_section(moved, layout, START + 50, 3)
    assert moved_section(moved, -50, layout.extension) == data


def test_a_moved_checkpoint_stands_at_the_later_position_with_its_window(layout: SectionLayout) -> None:
    window = joined(section(layout, ORDERS[0]))
    moved = moved_checkpoint(HEADER + window + joined(recurrent()), 50, layout.extension, has_window=True)
    end = len(HEADER) + len(window)
    check_section(moved[len(HEADER) : end], layout, START + 50, 3)
    assert read_recurrent(memoryview(moved), end) == RecurrentState(START + 50, 4, STATES)


def test_a_checkpoint_without_a_window_is_moved_alone() -> None:
    moved = moved_checkpoint(HEADER + joined(recurrent()), 7, 0, has_window=False)
    assert read_recurrent(memoryview(moved), len(HEADER)) == RecurrentState(START + 7, 4, STATES)
