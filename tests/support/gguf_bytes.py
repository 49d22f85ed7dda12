"""GGUF files built byte by byte, so that a test can make damage that a real writer refuses to."""

import struct
from collections.abc import Mapping, Sequence

STRING, ARRAY = 8, 9
Q4_0 = 2
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


def described_model(
    *,
    layers: int,
    width: int,
    feed_forward: int,
    heads: int,
    kv_heads: int,
    context_length: int = 131_072,
    vocabulary: int = 32_000,
    tied: bool = False,
    more: Sequence[bytes] = (),
) -> bytes:
    """Return the header of a Llama in Q4_0 without the weights behind it; to be parsed without the file's size."""
    figures = {
        "block_count": layers,
        "context_length": context_length,
        "embedding_length": width,
        "feed_forward_length": feed_forward,
        "attention.head_count": heads,
        "attention.head_count_kv": kv_heads,
        "vocab_size": vocabulary,
    }
    entries = [entry("general.architecture", "llama"), *more]
    entries += [entry(f"llama.{key}", value) for key, value in figures.items()]
    kv_width = width // heads * kv_heads
    shapes = [("token_embd.weight", (width, vocabulary))]
    for layer in range(layers):
        block = f"blk.{layer}."
        shapes += [
            (f"{block}attn_q.weight", (width, width)),
            (f"{block}attn_k.weight", (width, kv_width)),
            (f"{block}attn_v.weight", (width, kv_width)),
            (f"{block}attn_output.weight", (width, width)),
            (f"{block}ffn_gate.weight", (width, feed_forward)),
            (f"{block}ffn_up.weight", (width, feed_forward)),
            (f"{block}ffn_down.weight", (feed_forward, width)),
        ]
    shapes += [] if tied else [("output.weight", (width, vocabulary))]
    tensors, offset = [], 0
    for name, shape in shapes:
        tensors.append(tensor(name, shape, Q4_0, offset))
        offset += -(-(shape[0] * shape[1] // 32 * 18) // 32) * 32
    return gguf(entries, tensors)
