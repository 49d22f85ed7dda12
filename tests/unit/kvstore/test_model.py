"""The store compared with a simple one in memory, over sequences of operations that nobody thought of."""

import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.kvstore.keys import Digest, chunk_key
from app.kvstore.records import Outcome
from app.kvstore.store import Store
from tests.unit.kvstore.made import ROOT, disk_bytes, files, found, ids

WORDS = st.lists(st.sampled_from(["a", "b", "ab", "ba", "abb"]), min_size=1, max_size=3)
TEXTS = st.text("ab", min_size=1, max_size=12)
BUDGETS = st.integers(4, 20)
NOT_THERE = b"?" * 32
SIZES = st.sampled_from([10, 10, 200])


@dataclass
class Node:
    """A chunk of the model."""

    parent: Digest
    text: str
    size: int
    used: float
    checkpoint: int = 0


class Model:
    """What the store should hold, in the plainest words."""

    def __init__(self, budget: int) -> None:
        """Begin empty."""
        self.nodes: dict[Digest, Node] = {}
        self.budget = budget
        self.pinned: set[Digest] = set()
        self.kept: set[Digest] = set()

    @property
    def bytes(self) -> int:
        """All of it."""
        return sum(node.size + node.checkpoint for node in self.nodes.values())

    def path(self, tips: Iterable[Digest]) -> set[Digest]:
        """The tips that are there, and what is before them."""
        keys = set()
        for tip in tips:
            key = tip
            while key in self.nodes:
                keys.add(key)
                key = self.nodes[key].parent
        return keys

    def leaves(self) -> set[Digest]:
        """What no other follows."""
        return set(self.nodes) - {node.parent for node in self.nodes.values()}

    def remove(self, key: Digest) -> None:
        """Take a leaf out; its parent was as lately of use."""
        node = self.nodes.pop(key)
        if node.parent in self.nodes:
            self.nodes[node.parent].used = max(self.nodes[node.parent].used, node.used)

    def remove_while(self, choice: Callable[[Digest], bool]) -> None:
        """Take leaves out as long as there are some of this choice."""
        while chosen := [key for key in self.leaves() if choice(key)]:
            for key in chosen:
                self.remove(key)

    def make_room(self, needed: int, chain: set[Digest]) -> bool:
        """Evict until it fits; nothing if it never will."""
        safe = self.path(self.pinned | self.kept | chain)
        kept = sum(self.nodes[key].size + self.nodes[key].checkpoint for key in safe)
        if self.bytes + needed > self.budget and kept + needed > self.budget:
            return False
        self.evict(needed, safe)
        return True

    def evict(self, needed: int, safe: set[Digest]) -> None:
        """Take out the oldest leaves until it fits."""
        while self.bytes + needed > self.budget and (free := self.leaves() - safe):
            self.remove(min(free, key=lambda key: (self.nodes[key].used, key)))

    def drop(self, tips: set[Digest], keep: set[Digest]) -> None:
        """First what follows the tips and is not kept, then what is before them and kept by nothing."""
        kept = self.path(keep)
        after = {key for key in self.nodes if self.path([key]) & tips}
        parents = {tip: self.nodes[tip].parent for tip in tips}
        self.remove_while(lambda key: key in after - kept)
        before = self.path(parent for tip, parent in parents.items() if tip not in self.nodes)
        self.remove_while(lambda key: key in before - keep)


class StoreAgainstModel(RuleBasedStateMachine):
    """Does the same to both, and compares."""

    @initialize(budget=BUDGETS)
    def begin(self, budget: int) -> None:
        """An empty store with room for that many small chunks."""
        self.folder = Path(tempfile.mkdtemp())
        self.now = 1000.0
        self.model = Model(budget * disk_bytes("ab", 10))
        self.open()

    def open(self) -> None:
        """Open the store on its folder."""
        self.store = Store(self.folder / "kv", self.model.budget, lambda: self.now)

    def teardown(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    def some_key(self, data: st.DataObject) -> Digest:
        """A chunk that is there, or now and then one that is not."""
        return data.draw(st.sampled_from([*self.model.nodes, NOT_THERE]))

    def some_keys(self, data: st.DataObject) -> set[Digest]:
        """A few of them."""
        return data.draw(st.sets(st.sampled_from([*self.model.nodes, NOT_THERE]), max_size=4))

    @rule(data=st.data(), branches=st.lists(WORDS, min_size=1, max_size=4), size=SIZES)
    def save(self, data: st.DataObject, branches: list[list[str]], size: int) -> None:
        """Go on from any chunks, as far as the budget lets."""
        for words in branches:
            self.save_branch(data.draw(st.sampled_from([ROOT, *self.model.nodes])), words, size)

    def save_branch(self, parent: Digest, words: list[str], size: int) -> None:
        """Go on from a chunk."""
        text = self.model.nodes[parent].text if parent != ROOT else ""
        for word in words:
            self.now += 1
            key = chunk_key(parent, ids(word))
            result = self.store.put(ROOT, parent, len(text), ids(word), [bytes(size)])
            text += word
            length = disk_bytes(word, size)
            if key in self.model.nodes:
                self.model.nodes[key].used = self.now
                assert result.outcome is Outcome.PRESENT
            elif self.model.make_room(length, {parent}):
                self.model.nodes[key] = Node(parent, text, length, self.now)
                assert (result.outcome, result.written) == (Outcome.WRITTEN, length)
            else:
                assert result.outcome is Outcome.FULL
                break
            parent = key

    @rule(data=st.data(), size=SIZES)
    def add_checkpoint(self, data: st.DataObject, size: int) -> None:
        """Save a checkpoint, if its chunk is there."""
        self.now += 1
        key = self.some_key(data)
        outcome = self.store.add_checkpoint(key, [bytes(size)]).outcome
        length = disk_bytes("", size)
        node = self.model.nodes.get(key)
        if node is None:
            assert outcome is Outcome.NO_PARENT
        elif node.checkpoint:
            assert outcome is Outcome.PRESENT
            node.used = self.now
        elif self.model.make_room(length, {key}):
            assert outcome is Outcome.WRITTEN
            node.checkpoint = length
        else:
            assert outcome is Outcome.FULL

    @rule(data=st.data())
    def drop_checkpoint(self, data: st.DataObject) -> None:
        """Take a checkpoint away."""
        key = self.some_key(data)
        node = self.model.nodes.get(key)
        assert self.store.drop_checkpoint(key) == (node.checkpoint if node else 0)
        if node:
            node.checkpoint = 0

    @rule(data=st.data())
    def touch(self, data: st.DataObject) -> None:
        """Use a chunk."""
        self.now += 1
        key = self.some_key(data)
        self.store.touch([key])
        if key in self.model.nodes:
            self.model.nodes[key].used = self.now

    @rule(data=st.data())
    def pin(self, data: st.DataObject) -> None:
        """Pin other tips."""
        self.model.pinned = self.some_keys(data)
        self.store.pin(self.model.pinned)

    @rule(data=st.data())
    def keep(self, data: st.DataObject) -> None:
        """Keep other tips by the person's word."""
        self.model.kept = self.some_keys(data)
        self.store.keep(self.model.kept)

    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        """Drop tips."""
        before = self.model.bytes
        tips = self.some_keys(data)
        keep = self.some_keys(data)
        self.model.drop(tips & set(self.model.nodes), keep)
        assert self.store.drop(tips, keep) == before - self.model.bytes

    @rule(data=st.data(), age=st.integers(0, 6))
    def sweep(self, data: st.DataObject, age: int) -> None:
        """Remove what leads to no tip, but not what was used in the last moments."""
        before, since = self.model.bytes, self.now - age
        keep = self.some_keys(data)
        kept = self.model.path(keep | {key for key, node in self.model.nodes.items() if node.used >= since})
        self.model.remove_while(lambda key: key not in kept)
        assert self.store.sweep(keep, since) == before - self.model.bytes

    @rule(data=st.data())
    def quarantine(self, data: st.DataObject) -> None:
        """Set a chunk aside."""
        key = self.some_key(data)
        assert self.store.quarantine(key) == (key in self.model.nodes)
        self.model.remove_while(lambda leaf: key in self.model.path([leaf]))

    @rule(budget=BUDGETS)
    def set_budget(self, budget: int) -> None:
        """Another budget."""
        self.model.budget = budget * disk_bytes("ab", 10)
        before = self.model.bytes
        self.model.evict(0, self.model.path(self.model.pinned | self.model.kept))
        assert self.store.set_budget(self.model.budget) == before - self.model.bytes

    @rule()
    def reopen(self) -> None:
        """Close and open, and look through the files; pins are forgotten."""
        self.store.close()
        self.open()
        self.model.pinned, self.model.kept = set(), set()
        self.model.evict(0, set())
        result = self.store.reconcile()
        assert (result.adopted, result.swept, result.lost) == (0, 0, 0)

    @rule(data=st.data())
    def usage(self, data: st.DataObject) -> None:
        """Own and shared bytes of groups of tips."""
        groups = [self.some_keys(data) for _ in range(3)]
        paths = [self.model.path(tips) for tips in groups]
        size = {key: node.size + node.checkpoint for key, node in self.model.nodes.items()}
        for path, usage in zip(paths, self.store.usage([list(tips) for tips in groups]), strict=True):
            own = {key for key in path if sum(key in other for other in paths) == 1}
            assert usage.own_bytes == sum(size[key] for key in own)
            assert usage.shared_bytes == sum(size[key] for key in path - own)

    @rule(text=TEXTS)
    def find(self, text: str) -> None:
        """The longest prefix is found."""
        fitting = [node.text for node in self.model.nodes.values() if text.startswith(node.text)]
        assert found(self.store, text).replace(" ", "") == max(fitting, key=len, default="")
        for row in self.store.find(ROOT, ids(text)):
            node = self.model.nodes[row.key]
            assert (row.used, row.bytes, row.checkpoint_bytes) == (node.used, node.size, node.checkpoint)

    @invariant()
    def both_hold_the_same(self) -> None:
        """Chunks, sums and files agree."""
        if not hasattr(self, "store"):
            return
        totals = self.store.totals().all
        assert (totals.chunks, totals.bytes) == (len(self.model.nodes), self.model.bytes)
        assert set(self.store.held(self.model.nodes)) == set(self.model.nodes)
        names = {key.hex() + ".chunk" for key in self.model.nodes}
        names |= {key.hex() + ".checkpoint" for key, node in self.model.nodes.items() if node.checkpoint}
        assert files(self.folder / "kv") == names


TestStoreAgainstModel = StoreAgainstModel.TestCase
TestStoreAgainstModel.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
