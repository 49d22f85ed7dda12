"""The state of a sequence as llama.cpp writes it, taken apart and checked before it is given back.

    blob       = u32 magic, i32 sequence id, then one section per memory
                 full attention: [rows]   window: [rows][window rows]   hybrid: [rows][window rows, if any][recurrent]
    section    = u32 streams (1), u32 cells; nothing more where there are none
                 per cell: i32 position, u32 sequence ids (1), [12 bytes: M-RoPE], i32 sequence id
                 u32 transposed, u32 layers
                 per layer K: i32 type, u64 row bytes, rows
                 per layer V: the same, or transposed: i32 type, u32 element bytes, u32 width, strips
    recurrent  = u32 cells (1), i32 position, u32 sequence ids (0), u32 transposed (0), u32 layers,
                 then states: i32 type, u64 row bytes, row

Source: `state_write*` in llama-kv-cache.cpp and llama-memory-recurrent.cpp. llama.cpp validates next to nothing of
this when it reads it (KV_STATE, Traps), so everything is compared here with what this very context writes.
"""

import struct
from dataclasses import dataclass, replace

MAGIC = 0xAF143CD8
HEADER = struct.pack("<Ii", MAGIC, 0)
POSITION_EXTENSION = 12
"""Bytes more per cell where positions have several dimensions (struct llama_kv_cell_ext)."""
MAX_LAYERS = 4096
F16_BYTES = 2


Buffer = bytes | bytearray | memoryview


class Mismatch(Exception):
    """A blob that is not what this context writes."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """One layer's keys or values: ggml type, bytes of an element or of a whole row, and strips (0: rows)."""

    type: int
    size: int
    width: int = 0

    def bytes_of(self, cells: int) -> int:
        """The bytes of that many cells."""
        return cells * self.size * (self.width or 1)


@dataclass(frozen=True, slots=True)
class SectionLayout:
    """What every section of one memory has in common."""

    extension: int
    transposed: bool
    keys: tuple[Matrix, ...]
    values: tuple[Matrix, ...]


def turned(layout: SectionLayout) -> SectionLayout:
    """The same with values of f16 lying the other way: flash attention has them in rows, without it they are strips."""
    if layout.transposed:
        values = tuple(Matrix(value.type, value.size * value.width) for value in layout.values)
    else:
        values = tuple(Matrix(value.type, F16_BYTES, value.size // F16_BYTES) for value in layout.values)
    return replace(layout, transposed=not layout.transposed, values=values)


@dataclass(frozen=True, slots=True)
class Section:
    """A section found in a blob at [begin, end): the positions of its cells, in their order."""

    begin: int
    end: int
    positions: tuple[int, ...]
    layout: SectionLayout | None
    """None where there are no cells."""


class _Reader:
    """Reads numbers from a buffer, and never beyond its end."""

    def __init__(self, data: memoryview, at: int) -> None:
        self.data, self.at = data, at

    def take(self, form: str) -> tuple[int, ...]:
        try:
            values = struct.unpack_from("<" + form, self.data, self.at)
        except struct.error as error:
            raise Mismatch("it is cut off") from error
        self.at += struct.calcsize("<" + form)
        return values

    def skip(self, count: int) -> None:
        if count > len(self.data) - self.at:
            raise Mismatch("it is cut off")
        self.at += count


def as_bytes(data: Buffer) -> memoryview:
    """A view of single bytes."""
    return memoryview(data).cast("B")


def read_header(data: memoryview) -> int:
    """Where the first section begins; raises Mismatch."""
    reader = _Reader(data, 0)
    magic, _sequence = reader.take("Ii")
    if magic != MAGIC:
        raise Mismatch("it does not begin as a state does")
    return reader.at


def read_section(data: memoryview, at: int, extension: int) -> Section:
    """Take apart the section at `at`; raises Mismatch for what no section can be."""
    reader = _Reader(data, at)
    streams, cells = reader.take("II")
    if streams != 1:
        raise Mismatch("it has several streams")
    if not cells:
        return Section(at, reader.at, (), None)
    begin, cell = reader.at, struct.Struct(f"<iI{extension}xi")
    reader.skip(cells * cell.size)
    rows = list(cell.iter_unpack(data[begin : reader.at]))
    if any(count != 1 for _, count, _ in rows):
        raise Mismatch("a cell belongs to several sequences")
    transposed, layers = reader.take("II")
    if transposed > 1 or layers > MAX_LAYERS:
        raise Mismatch("its layers are none that could be")
    keys = tuple(_matrix(reader, cells, False) for _ in range(layers))
    values = tuple(_matrix(reader, cells, bool(transposed)) for _ in range(layers))
    layout = SectionLayout(extension, bool(transposed), keys, values)
    return Section(at, reader.at, tuple(row[0] for row in rows), layout)


def _matrix(reader: _Reader, cells: int, transposed: bool) -> Matrix:
    matrix = Matrix(*reader.take("iII")) if transposed else Matrix(*reader.take("iQ"))
    if matrix.size <= 0 or (transposed and matrix.width <= 0):
        raise Mismatch("a layer has rows of no size")
    reader.skip(matrix.bytes_of(cells))
    return matrix


def check_section(data: Buffer, layout: SectionLayout, start: int, count: int) -> None:
    """Require that `data` is one section of that layout with exactly the positions [start, start + count), any order.

    Raises Mismatch.
    """
    view = as_bytes(data)
    section = read_section(view, 0, layout.extension)
    if section.end != len(view):
        raise Mismatch("something follows it")
    if section.layout != layout:
        raise Mismatch("it was written with other types or layers")
    if sorted(section.positions) != list(range(start, start + count)):
        raise Mismatch("its positions are others")


@dataclass(frozen=True, slots=True)
class RecurrentState:
    """A recurrent section: the position it stands at, the model's layers, and (type, bytes) of each state."""

    position: int
    layers: int
    states: tuple[tuple[int, int], ...]


def read_recurrent(data: memoryview, at: int) -> RecurrentState:
    """Take apart a recurrent section that reaches to the end of `data`; raises Mismatch."""
    reader = _Reader(data, at)
    cells, position, sequences, transposed, layers = reader.take("IiIII")
    if (cells, sequences, transposed) != (1, 0, 0) or layers > MAX_LAYERS:
        raise Mismatch("it is no recurrent state of one sequence")
    states = []
    while reader.at < len(data):
        kind, size = reader.take("iQ")
        reader.skip(size)
        states.append((kind, size))
    return RecurrentState(position, layers, tuple(states))


def moved_section(data: Buffer, by: int, extension: int) -> bytearray:
    """A copy of a section with all positions `by` later; its rows are the same. For measuring, never to be saved."""
    copy = bytearray(data)
    _move(copy, 0, by, extension)
    return copy


def moved_checkpoint(data: Buffer, by: int, extension: int, *, has_window: bool) -> bytearray:
    """A copy of a checkpoint (window rows, if it has them, and recurrent states) that stands `by` positions later."""
    copy = bytearray(data)
    at = read_header(memoryview(copy))
    if has_window:
        end = read_section(memoryview(copy), at, extension).end
        _move(copy, at, by, extension)
        at = end
    cells, position = struct.unpack_from("<Ii", copy, at)
    struct.pack_into("<Ii", copy, at, cells, position + by)
    return copy


def _move(data: bytearray, at: int, by: int, extension: int) -> None:
    """Add `by` to the positions of the section at `at`."""
    _streams, cells = struct.unpack_from("<II", data, at)
    cell = struct.calcsize(f"<iI{extension}xi")
    for start in range(at + 8, at + 8 + cells * cell, cell):
        (position,) = struct.unpack_from("<i", data, start)
        struct.pack_into("<i", data, start, position + by)
