"""GGUF files built byte by byte, so that a test can make damage that a real writer refuses to."""

import struct
from collections.abc import Mapping, Sequence

STRING, ARRAY = 8, 9
_TYPE_OF = {bool: 7, int: 4, float: 6, str: STRING}
_LAYOUT = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}

Value = bool | int | float | str | Sequence[bool] | Sequence[int] | Sequence[float] | Sequence[str]


def string(text: str | bytes) -> bytes:
    """Return a text as GGUF has it: 64-bit length, then the bytes."""
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def scalar(value: bool | int | float | str) -> bytes:
    """Return one value without its type."""
    return string(value) if isinstance(value, str) else struct.pack(_LAYOUT[_TYPE_OF[type(value)]], value)


def entry(key: str, value: Value) -> bytes:
    """Return one pair of metadata."""
    if isinstance(value, str | bool | int | float):
        return string(key) + struct.pack("<I", _TYPE_OF[type(value)]) + scalar(value)
    kind = _TYPE_OF[type(value[0])] if value else 4
    body = b"".join(scalar(item) for item in value)
    return string(key) + struct.pack("<IIQ", ARRAY, kind, len(value)) + body


def typed_entry(key: str, kind: int, value: int | float | bool) -> bytes:
    """Return one pair of metadata with a number of the given type."""
    return string(key) + struct.pack("<I", kind) + struct.pack(_LAYOUT[kind], value)


def tensor(name: str, shape: Sequence[int], kind: int = 0, offset: int = 0) -> bytes:
    """Return one entry of the tensor table."""
    dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return string(name) + dimensions + struct.pack("<IQ", kind, offset)


def gguf(
    entries: Sequence[bytes] = (),
    tensors: Sequence[bytes] = (),
    *,
    version: int = 3,
    data_bytes: int = 0,
    counts: tuple[int, int] | None = None,
) -> bytes:
    """Return a file: header, padding, `data_bytes` of zeros; `counts` are the numbers it claims."""
    claimed = counts or (len(tensors), len(entries))
    header = b"GGUF" + struct.pack("<IQQ", version, *claimed) + b"".join(entries) + b"".join(tensors)
    padding = -len(header) % 32 if tensors else 0
    return header + bytes(padding + data_bytes)


def described(architecture: str, figures: Mapping[str, Value] | None = None, *, tokens: int = 0) -> bytes:
    """Return a file without tensors that describes a model; `figures` go under the architecture's name."""
    entries = [entry("general.architecture", architecture)]
    entries += [entry(f"{architecture}.{key}", value) for key, value in (figures or {}).items()]
    if tokens:
        entries.append(entry("tokenizer.ggml.tokens", [f"t{number}" for number in range(tokens)]))
    return gguf(entries)
