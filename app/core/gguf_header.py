"""A strict, bounded parser of a GGUF file's header, from memory, a file or range requests alike.

The format: ggml/docs/gguf.md and `gguf_init_from_reader` in ggml/src/gguf.cpp (llama.cpp 0c1e570). Where
llama.cpp refuses a file this parser refuses it too, with a sentence and without reading beyond the header.
A model file is hostile input: every count and length is bounded before anything is allocated for it.
"""

import struct
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from app.core.ggml_types import GGML_TYPES
from app.core.gguf_cursor import Cursor, GgufError, Read, damaged
from app.core.gguf_description import (
    ArraySummary,
    GgufHeader,
    MetadataValue,
    Scalar,
    TensorInfo,
    TextSummary,
)
from app.core.units import format_bytes, format_count

__all__ = ["ArraySummary", "GgufError", "GgufHeader", "TensorInfo", "TextSummary", "parse", "parse_bytes"]

MAX_METADATA: Final = 4096
MAX_TENSORS: Final = 65_536
MAX_KEY_BYTES: Final = 65_535
MAX_TENSOR_NAME_BYTES: Final = 63
"""GGML_MAX_NAME in ggml.h, less the closing zero."""
MAX_DIMENSIONS: Final = 4
MAX_STRING_BYTES: Final = 64 * 1024 * 1024
MAX_STRINGS: Final = 2 * 1024 * 1024
"""Strings in all arrays together; the largest vocabulary known has about 0.8 million with its merges."""

KEPT_TEXT_BYTES: Final = 1024 * 1024
KEPT_TEXT_TOTAL: Final = 8 * 1024 * 1024
KEPT_STRINGS: Final = 64
KEPT_NUMBERS: Final = 512
"""As many as a model has layers at most, so that figures per layer are always kept."""
KEPT_ENTRIES_TOTAL: Final = 65_536

STRING: Final = 8
ARRAY: Final = 9
UINT32: Final = 4

_NUMBERS: Final = {
    0: ("uint8", struct.Struct("<B")),
    1: ("int8", struct.Struct("<b")),
    2: ("uint16", struct.Struct("<H")),
    3: ("int16", struct.Struct("<h")),
    4: ("uint32", struct.Struct("<I")),
    5: ("int32", struct.Struct("<i")),
    6: ("float32", struct.Struct("<f")),
    7: ("bool", struct.Struct("<?")),
    10: ("uint64", struct.Struct("<Q")),
    11: ("int64", struct.Struct("<q")),
    12: ("float64", struct.Struct("<d")),
}

_NOT_A_MODEL: Final = {
    b"version https://git-lfs": "The file is only a Git LFS pointer to the model, not the model itself.",
    b"<!doctype": "The file is a web page, not a model; the download probably needed a log-in.",
    b"<html": "The file is a web page, not a model; the download probably needed a log-in.",
    b"PK\x03\x04": "The file is a ZIP archive or a PyTorch model, not a GGUF model.",
    b"lmgg": "The file is in an older format (GGML) that llama.cpp no longer reads; look for a GGUF of it.",
    b"fmgg": "The file is in an older format (GGMF) that llama.cpp no longer reads; look for a GGUF of it.",
    b"tjgg": "The file is in an older format (GGJT) that llama.cpp no longer reads; look for a GGUF of it.",
}


def parse_bytes(data: bytes) -> GgufHeader:
    """Return the header of a whole file in memory; raises GgufError as `parse` does."""
    return parse(lambda offset, size: data[offset : offset + size], len(data))


def parse(read: Read, file_size: int | None) -> GgufHeader:
    """Return the header of the file that `read(offset, size)` reads, in growing blocks from its start.

    With `file_size` (bytes) the tensor table is held against it. Raises GgufError: "not_gguf", "truncated",
    "damaged" or "unsupported_version"; what `read` itself raises passes through.
    """
    cursor = Cursor(read, file_size)
    version = _version(cursor)
    tensor_count, metadata_count = cursor.u64(), cursor.u64()
    if tensor_count > MAX_TENSORS:
        raise damaged(f"it says that it has {format_count(tensor_count)} tensors")
    if metadata_count > MAX_METADATA:
        raise damaged(f"it says that it has {format_count(metadata_count)} entries of metadata")
    metadata = _Metadata(cursor).read(metadata_count)
    alignment = _alignment(metadata)
    tensors = _tensors(cursor, tensor_count, alignment)
    data_offset = _padded(cursor.offset, alignment) if tensors else cursor.offset
    header = GgufHeader(version, MappingProxyType(metadata), tensors, alignment, data_offset)
    header.check()
    if file_size is not None and file_size < header.expected_size:
        raise _cut_off(file_size, header.expected_size)
    return header


def _version(cursor: Cursor) -> int:
    """Check the magic and return the format's version, 2 or 3."""
    start = cursor.first_bytes
    if not start.startswith(b"GGUF") and (len(start) >= 4 or not b"GGUF".startswith(start)):
        for signature, sentence in _NOT_A_MODEL.items():
            if start[: len(signature)].lower() == signature.lower():
                raise GgufError(sentence, "not_gguf")
        raise GgufError("The file is not a GGUF model: it does not begin as one.", "not_gguf")
    cursor.take(4)
    version = cursor.u32()
    if version in (2, 3):
        return version
    if version == 0:
        raise damaged("it does not say which version of the format it is in")
    if version & 0xFFFF == 0:
        reason = "The model file was made for computers with the other byte order (big-endian)."
    elif version == 1:
        reason = "The model file is in version 1 of the GGUF format, which llama.cpp no longer reads."
    else:
        reason = f"The model file is in version {version} of the GGUF format; Ember reads 2 and 3."
    raise GgufError(f"{reason} Look for another conversion of the model.", "unsupported_version")


class _Metadata:
    """Reads the key-value pairs and keeps count of what is held in memory."""

    def __init__(self, cursor: Cursor) -> None:
        """Read from `cursor`."""
        self._cursor = cursor
        self._text_left = KEPT_TEXT_TOTAL
        self._entries_left = KEPT_ENTRIES_TOTAL
        self._strings_left = MAX_STRINGS

    def read(self, count: int) -> dict[str, MetadataValue]:
        """Return `count` pairs."""
        metadata: dict[str, MetadataValue] = {}
        for _ in range(count):
            key = _identifier(self._cursor, MAX_KEY_BYTES)
            if not key or key in metadata:
                raise damaged("an entry of its metadata is there twice or has no name")
            kind = self._cursor.u32()
            if key == "general.alignment" and kind != UINT32:
                raise damaged("its alignment is not a number of the right type")
            metadata[key] = self._value(kind)
        return metadata

    def _value(self, kind: int) -> MetadataValue:
        """Return one value of type `kind`."""
        if kind == ARRAY:
            return self._array(self._cursor.u32(), self._cursor.u64())
        if kind == STRING:
            return self._text()
        return self._cursor.values(_layout(kind).layout, 1)[0]

    def _text(self) -> str | TextSummary:
        """Return a text, or only its length where it is too long to keep; bad UTF-8 shows as U+FFFD."""
        length = self._cursor.u64()
        if length > MAX_STRING_BYTES:
            raise damaged(f"it says that a piece of text is {format_bytes(length)} long")
        if length > min(KEPT_TEXT_BYTES, self._text_left):
            self._cursor.skip(length)
            return TextSummary(length)
        self._text_left -= length
        return self._cursor.take(length).decode("utf-8", errors="replace")

    def _array(self, kind: int, length: int) -> MetadataValue:
        """Return a short array as a tuple and a long one as a summary."""
        if kind == ARRAY:
            raise damaged("its metadata has an array inside an array, which llama.cpp does not read")
        if kind == STRING:
            return self._strings(length)
        number = _layout(kind)
        if length <= min(KEPT_NUMBERS, self._entries_left):
            self._entries_left -= length
            return self._cursor.values(number.layout, length)
        self._cursor.skip(number.layout.size * length)
        return ArraySummary(number.name, length)

    def _strings(self, length: int) -> MetadataValue:
        """Return an array of texts, as a summary where it is long or one of its texts is."""
        self._strings_left -= length
        if self._strings_left < 0:
            raise damaged(f"it says that a list has {format_count(length)} texts")
        if length > KEPT_STRINGS:
            self._cursor.skip_strings(length, MAX_STRING_BYTES)
            return ArraySummary("string", length)
        texts = [self._text() for _ in range(length)]
        kept: list[Scalar] = [text for text in texts if isinstance(text, str)]
        return tuple(kept) if len(kept) == length else ArraySummary("string", length)


@dataclass(frozen=True, slots=True)
class _Number:
    """A type of number in the metadata."""

    name: str
    layout: struct.Struct


def _layout(kind: int) -> _Number:
    """Return the number type `kind`, or raise GgufError."""
    if kind not in _NUMBERS:
        raise damaged(f"its metadata has a value of the unknown type {kind}")
    return _Number(*_NUMBERS[kind])


def _identifier(cursor: Cursor, max_bytes: int) -> str:
    """Return the name of an entry or a tensor."""
    length = cursor.u64()
    if length > max_bytes:
        raise damaged(f"it says that a name is {format_bytes(length)} long")
    try:
        name = cursor.take(length).decode("utf-8")
    except UnicodeDecodeError:
        raise damaged("a name in it is not text") from None
    if not name.isprintable():
        raise damaged("a name in it is not text")
    return name


def _alignment(metadata: dict[str, MetadataValue]) -> int:
    """Return the bytes to which each tensor is aligned, a power of two (32 unless stated)."""
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
        raise damaged("its alignment is not a power of two")
    return alignment


def _padded(size: int, alignment: int) -> int:
    """Return `size` rounded up to a multiple of `alignment`."""
    return -(-size // alignment) * alignment


def _tensors(cursor: Cursor, count: int, alignment: int) -> tuple[TensorInfo, ...]:
    """Return the tensor table; the tensors must follow one another without gaps, as llama.cpp demands."""
    tensors: list[TensorInfo] = []
    names: set[str] = set()
    end = 0
    for _ in range(count):
        tensor = _tensor(cursor)
        if tensor.name in names:
            raise damaged(f"a tensor is there twice: {tensor.name}")
        if tensor.offset != end:
            raise damaged(f"the tensor {tensor.name} is not where it should be")
        names.add(tensor.name)
        tensors.append(tensor)
        end = _padded(tensor.offset + tensor.size, alignment)
        if end >= 2**63:
            raise damaged("its tensors are larger than any disk")
    return tuple(tensors)


def _tensor(cursor: Cursor) -> TensorInfo:
    """Return one entry of the tensor table."""
    name = _identifier(cursor, MAX_TENSOR_NAME_BYTES)
    dimensions = cursor.u32()
    if dimensions > MAX_DIMENSIONS:
        raise damaged(f"it says that the tensor {name} has {format_count(dimensions)} dimensions")
    shape = tuple(cursor.u64() for _ in range(dimensions))
    kind = GGML_TYPES.get(cursor.u32())
    offset = cursor.u64()
    if kind is None:
        raise damaged(f"the tensor {name} is of a type that llama.cpp does not know")
    elements = 1
    for extent in shape:
        elements *= extent
        if extent >= 2**63 or elements >= 2**63:
            raise damaged(f"the tensor {name} is larger than any disk")
    row = shape[0] if shape else 1
    if row % kind.block_size:
        raise damaged(f"the rows of the tensor {name} do not fit its type {kind.name}")
    size = elements // kind.block_size * kind.type_size
    return TensorInfo(name, shape, kind, offset, size, elements)


def _cut_off(file_size: int, expected: int) -> GgufError:
    """Return the error for a file that is smaller than its tensors."""
    there, whole = format_bytes(file_size), format_bytes(expected)
    if there == whole:
        there, whole = f"{format_count(file_size)} bytes", f"{format_count(expected)} bytes"
    return GgufError(
        f"The file is {there} of the {whole} it should have; the download was probably cut off.", "truncated"
    )
