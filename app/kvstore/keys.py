"""The keys of chunks: a hash chain over the fingerprint and the exact tokens."""

import hashlib
import struct
from collections.abc import Sequence
from typing import Final, TypeAlias

Digest: TypeAlias = bytes
"""A SHA-256 of 32 bytes: the fingerprint at the root of a tree, or the key of a chunk."""

DIGEST_BYTES: Final = 32
TOKEN_BYTES: Final = 4

MAX_CHUNK_TOKENS: Final = 256
"""A chunk holds one to this many tokens."""


def pack_tokens(tokens: Sequence[int]) -> bytes:
    """The tokens as unsigned 32-bit little-endian integers; raises ValueError for an id that is none."""
    try:
        return struct.pack(f"<{len(tokens)}I", *tokens)
    except struct.error as error:
        raise ValueError(f"not a token id: {error}") from error


def unpack_tokens(packed: bytes) -> tuple[int, ...]:
    """The tokens that `pack_tokens` packed."""
    return struct.unpack(f"<{len(packed) // TOKEN_BYTES}I", packed)


def packed_key(parent: Digest, packed: bytes | memoryview) -> Digest:
    """The key of the chunk with these packed tokens after `parent`: SHA-256 of both, one after the other."""
    digest = hashlib.sha256(parent)
    digest.update(packed)
    return digest.digest()


def chunk_key(parent: Digest, tokens: Sequence[int]) -> Digest:
    """The key of the chunk `tokens` after the chunk (or the root) `parent`; raises ValueError for a bad token id."""
    return packed_key(parent, pack_tokens(tokens))
