"""The thread that writes chunks: what it does when nothing is to be written."""

import hashlib
import threading
from contextlib import closing
from pathlib import Path

import pytest

from app.engine import chunk_writer
from app.engine.chunk_writer import ChunkWriter, Link, WriteChunk
from app.kvstore.store import Store
from tests.unit.kvstore.made import PLENTY, ROOT, tip_of


def test_digests_are_made_after_a_rest_so_that_an_export_need_not_read_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunk_writer, "REST", 0.0)
    learnt = threading.Event()
    with closing(Store(tmp_path / "kv", PLENTY)) as store:
        learn = store.learn_digests

        def learn_and_tell(key: bytes) -> None:
            learn(key)
            learnt.set()

        monkeypatch.setattr(store, "learn_digests", learn_and_tell)
        writer = ChunkWriter(store)
        writer.put(WriteChunk(lambda: ROOT, Link(0, 4), tuple(map(ord, "once")), (b"rows", b"", b"")))
        assert learnt.wait(10)
        (path,) = tmp_path.rglob("*.chunk")
        data = path.read_bytes()
        path.write_bytes(data[:-1] + b"X")
        (tmp_path / "staging").mkdir()
        (file,) = store.stage([tip_of("once")], tmp_path / "staging", lambda _done, _total: None)
        assert file.sha256 == hashlib.sha256(data).digest()


def test_the_digest_of_window_rows_that_are_saved_later_is_made_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunk_writer, "REST", 0.0)
    learnt = threading.Semaphore(0)
    with closing(Store(tmp_path / "kv", PLENTY)) as store:
        learn = store.learn_digests

        def learn_and_tell(key: bytes) -> None:
            learn(key)
            learnt.release()

        monkeypatch.setattr(store, "learn_digests", learn_and_tell)
        writer = ChunkWriter(store)
        for window in (b"", b"late"):
            writer.put(WriteChunk(lambda: ROOT, Link(0, 4), tuple(map(ord, "once")), (b"rows", window, b"")))
            assert learnt.acquire(timeout=10)
        (path,) = tmp_path.rglob("*.checkpoint")
        data = path.read_bytes()
        path.write_bytes(data[:-1] + b"X")
        (tmp_path / "staging").mkdir()
        _, file = store.stage([tip_of("once")], tmp_path / "staging", lambda _done, _total: None)
        assert file.sha256 == hashlib.sha256(data).digest()
