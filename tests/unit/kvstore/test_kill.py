"""kill -9 while chunks are saved and dropped: the store opens, whole chains are there, and nothing is damaged."""

import math
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from app.kvstore.keys import Digest, chunk_key
from app.kvstore.records import Reconciled
from app.kvstore.store import Store
from tests.unit.kvstore.made import PLENTY, ROOT, all_sound, save

REPOSITORY = Path(__file__).parents[3]
WRITER = """
import itertools, os, sys
from pathlib import Path
from app.kvstore.store import Store
from tests.unit.kvstore.made import ROOT

store = Store(Path(sys.argv[1]), 3_000_000)
store.reconcile()
parent, start = ROOT, 0
for number in itertools.count():
    result = store.put(ROOT, parent, start, [number, number], [bytes(30_000)] * 3, [b"window"], [bytes(20_000)])
    assert result.outcome.value in ("written", "present"), result
    parent, start = result.key, start + 2
    print(number, flush=True)
    if number % 10 == 9:
        store.drop([parent], [])
        parent, start = ROOT, 0
"""


SWEEPER = """
import math, sys
from pathlib import Path
from app.kvstore.folder import Folder
from app.kvstore.store import Store

remove = Folder.remove_chunk
def told(folder, key):
    remove(folder, key)
    print("gone", flush=True)
Folder.remove_chunk = told
Store(Path(sys.argv[1]), 10**9).sweep([], math.inf)
"""


def chain(first: int, last: int) -> list[Digest]:
    """The keys of the chunks with these numbers, from the root on."""
    keys = []
    parent = ROOT
    for number in range(first, last + 1):
        parent = chunk_key(parent, [number, number])
        keys.append(parent)
    return keys


def sweep_until_killed(folder: Path, chunks: int) -> None:
    """Let another process sweep everything; kill it once it removed so many chunks."""
    process = subprocess.Popen(
        [sys.executable, "-c", SWEEPER, str(folder)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert process.stdout is not None
    with process.stdout:
        for _ in range(chunks):
            assert process.stdout.readline() == "gone\n"
        process.kill()
    process.wait()


def save_until_killed(folder: Path, puts: int) -> int:
    """Let another process save; kill it once it reported so many chunks. The last number it reported at all."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert process.stdout is not None
    with process.stdout:
        for _ in range(puts):
            number = int(process.stdout.readline())
        process.kill()
        rest = process.stdout.read().splitlines()
    process.wait()
    # It went on until the signal came. Its last line may be cut off, so only what is whole counts.
    return max([number, *(int(line) for line in rest[:-1])])


@pytest.mark.parametrize("rounds", [[1, 4], [7, 10, 25]])
def test_a_kill_while_saving_leaves_a_sound_store(tmp_path: Path, rounds: list[int]) -> None:
    folder = tmp_path / "kv"
    for puts in rounds:
        last = save_until_killed(folder, puts)
        with closing(Store(folder, PLENTY)) as store:
            reported = chain(last - last % 10, last)
            if last % 10 < 8:  # after every tenth all ten are dropped, and a last line may not have been counted
                assert set(store.held(reported)) == set(reported)
            store.reconcile()
            assert all_sound(store)
            assert store.reconcile() == Reconciled(0, 0, 0)
            assert store.totals().quarantined_bytes == 0


@pytest.mark.parametrize("chunks", [1, 70])
def test_a_kill_while_sweeping_leaves_a_sound_store(tmp_path: Path, chunks: int) -> None:
    folder = tmp_path / "kv"
    with closing(Store(folder, PLENTY)) as store:
        tips = [save(store, f"system {number} one two") for number in range(100)]
    sweep_until_killed(folder, chunks)
    with closing(Store(folder, PLENTY)) as store:
        store.reconcile()
        assert all_sound(store)
        assert store.totals().all.chunks <= 301 - chunks
        left = set(store.held(tips))
        store.sweep(tips, math.inf)
        assert set(store.held(tips)) == left
        store.sweep([], math.inf)
        assert store.totals().all.chunks == 0
