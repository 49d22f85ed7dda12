"""Keys: a hash chain over parent and tokens."""

import hashlib

import pytest

from app.kvstore.keys import chunk_key, pack_tokens, unpack_tokens
from tests.unit.kvstore.made import OTHER_ROOT, ROOT


def test_a_key_is_the_hash_of_the_parent_and_the_tokens_in_little_endian() -> None:
    assert chunk_key(ROOT, [1, 258]) == hashlib.sha256(ROOT + b"\1\0\0\0\2\1\0\0").digest()


def test_the_same_tokens_after_something_else_are_another_chunk() -> None:
    keys = {chunk_key(ROOT, [1, 2]), chunk_key(OTHER_ROOT, [1, 2]), chunk_key(chunk_key(ROOT, [1]), [2])}
    assert len(keys) == 3


def test_tokens_come_out_as_they_went_in() -> None:
    tokens = (0, 7, 2**32 - 1)
    assert unpack_tokens(pack_tokens(tokens)) == tokens


@pytest.mark.parametrize("token", [-1, 2**32])
def test_what_is_no_token_id_is_refused(token: int) -> None:
    with pytest.raises(ValueError, match="token"):
        chunk_key(ROOT, [token])
