"""kill -9 while chunks are saved and dropped: the store opens, whole chains are there, and nothing is damaged."""

import math
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from app.kvstore.keys import Digest, chunk_key
from app.kvstore.records import Reconciled
from app.kvstore.store import Store
from tests.support.killed import REPOSITORY, lines_of_killed
from tests.unit.kvstore.made import PLENTY, ROOT, all_sound, found, save

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


@pytest.mark.parametrize("rounds", [[1, 4], [7, 10, 25]])
def test_a_kill_while_saving_leaves_a_sound_store(tmp_path: Path, rounds: list[int]) -> None:
    folder = tmp_path / "kv"
    for puts in rounds:
        last = int(lines_of_killed(WRITER, folder, puts)[-1])
        with closing(Store(folder, PLENTY)) as store:
            reported = chain(last - last % 10, last)
            if last % 10 < 8:  # after every tenth all ten are dropped, and what came last may not have been told
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
    assert set(lines_of_killed(SWEEPER, folder, chunks)) == {"gone"}
    with closing(Store(folder, PLENTY)) as store:
        store.reconcile()
        assert all_sound(store)
        assert store.totals().all.chunks <= 301 - chunks
        left = set(store.held(tips))
        store.sweep(tips, math.inf)
        assert set(store.held(tips)) == left
        store.sweep([], math.inf)
        assert store.totals().all.chunks == 0


ADOPTER = """
import os, signal, sys
from pathlib import Path
from app.kvstore import saving
from app.kvstore.store import Store

store, (moment, count) = Store(Path(sys.argv[1]), 10**9), (sys.argv[3], int(sys.argv[4]))
left = count
owner = saving if moment == "_enter" else saving.Draft
before = getattr(owner, moment)
def killed(*given):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return before(*given)
setattr(owner, moment, killed)
found = [store.inspect(path) for path in Path(sys.argv[2]).iterdir()]
for file in sorted(found, key=lambda each: (each.header.start, each.header.kind)):
    store.adopt(file)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("moment", ["write", "_enter"])
@pytest.mark.parametrize("count", [1, 3, 5])
def test_a_kill_while_files_are_adopted_leaves_a_sound_store_that_takes_the_rest(
    tmp_path: Path, moment: str, count: int
) -> None:
    """Before a file is moved, or between the file in its place and the row that tells of it."""
    words, folder, staging = "once upon a time", tmp_path / "kv", tmp_path / "staging"
    staging.mkdir()
    with closing(Store(tmp_path / "other", PLENTY)) as other:
        tip = save(other, words, checkpoint=[b"state"])
        paths = [file.path for file in other.stage([tip], staging, lambda _done, _total: None)]
        call = [sys.executable, "-c", ADOPTER, str(folder), str(staging), moment, str(count)]
        assert subprocess.run(call, cwd=REPOSITORY, check=False).returncode == -signal.SIGKILL
        for path in paths:
            path.unlink(missing_ok=True)
        other.stage([tip], staging, lambda _done, _total: None)
    with closing(Store(folder, PLENTY)) as store:
        store.reconcile()
        assert all_sound(store)
        assert words.startswith(found(store, words))
        for path in paths:
            store.adopt(store.inspect(path))
        assert found(store, words) == words and all_sound(store)
