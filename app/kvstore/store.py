"""The store: what the engine sees of saved state. Usable from several threads."""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from app.kvstore import chunk_file, staging, tree
from app.kvstore.access import BATCH, Access
from app.kvstore.attempts import Attempts
from app.kvstore.chunk_file import Kind, Payload
from app.kvstore.errors import Damaged
from app.kvstore.eviction import Budget
from app.kvstore.folder import Folder
from app.kvstore.index import File, Index, Link
from app.kvstore.keys import Digest
from app.kvstore.reconcile import BRANCHES, reconcile
from app.kvstore.records import (
    ChunkData,
    ChunkRow,
    Held,
    Outcome,
    PlacedFile,
    PutResult,
    Reconciled,
    Totals,
    Usage,
)
from app.kvstore.saving import Draft, checkpoint_draft, chunk_draft, save
from app.kvstore.staging import StagedFile


class Store:
    """Chunks of tokens with their KV rows on the disk, as a prefix tree under a byte budget.

    The disk is first touched when something is asked. Every method raises StoreUnavailable if the disk does not
    allow it; a later call finds the store working again as soon as the disk does. Only one process may use a folder.
    """

    def __init__(self, folder: Path, budget_bytes: int, clock: Callable[[], float] = time.time) -> None:
        """Use `folder`, made when needed, and at most `budget_bytes` of its disk; `clock` gives Unix time."""
        self._access = Access(Folder(folder))
        self._attempts = Attempts(self._access.folder, self._reconcile)
        self._budget = Budget(self._access, budget_bytes)
        self._clock = clock

    def close(self) -> None:
        """Let go of the index."""
        self._access.close()

    @property
    def generation(self) -> int:
        """A number that moves whenever something was added or removed."""
        return self._access.generation

    # Finding and reading

    def find(self, root: Digest, tokens: Sequence[int]) -> list[ChunkRow]:
        """The chain under `root`, the first chunk first, whose tokens are the longest prefix of `tokens`."""

        def work() -> list[ChunkRow]:
            with self._access.locked() as index:
                return tree.longest_chain(index, root, tokens)

        return self._attempts.ask(work)

    def read(
        self,
        row: ChunkRow,
        *,
        window: bool,
        before: bytes = b"",
        behind: bytes = b"",
        spare: bytearray | None = None,
    ) -> ChunkData:
        """A chunk's tokens and rows, and its window rows if asked for; raises Damaged: call `quarantine` then.

        They come in one buffer with the bytes that are wanted `before` and `behind` them: in `spare`, which nobody
        else uses any more, if that is as long. Several threads may read at once.
        """
        path = self._access.folder.file(row.key, Kind.CHUNK)
        read = partial(chunk_file.read_chunk, path, row, window=window, before=before, behind=behind, spare=spare)
        return self._attempts.once(read)

    def read_checkpoint(self, row: ChunkRow) -> bytes:
        """A chunk's checkpoint; raises Damaged: call `quarantine_checkpoint` then."""
        path = self._access.folder.file(row.key, Kind.CHECKPOINT)
        return self._attempts.once(lambda: chunk_file.read_checkpoint(path, row))

    def touch(self, keys: Iterable[Digest]) -> None:
        """Say that these chunks were of use just now; what is before them need not be named."""
        now = self._clock()
        keys = tuple(keys)

        def work() -> None:
            with self._access.locked() as index:
                index.touch(keys, now)

        self._attempts.ask(work)

    # Saving

    def put(
        self,
        root: Digest,
        parent: Digest,
        start: int,
        tokens: Sequence[int],
        rows: Payload,
        window: Payload = (),
        checkpoint: Payload = (),
    ) -> PutResult:
        """Save a chunk that continues `parent` (or `root`) at position `start`, if it is not there; see `Outcome`.

        An empty part is none. Raises ValueError for what can be no chunk, or not this parent's.
        """
        draft = chunk_draft(root, parent, start, tokens, (rows, window, checkpoint), self._clock())
        return self._save(draft)

    def add_checkpoint(self, key: Digest, payload: Payload) -> PutResult:
        """Save the checkpoint of a chunk that is there, if it has none."""
        row = self._row(key)
        if row is None:
            return PutResult(Outcome.NO_PARENT, key)
        return self._save(checkpoint_draft(replace(row, used=self._clock()), payload))

    def add_window(self, key: Digest, window: Payload) -> PutResult:
        """Save the window rows of a chunk that is there without: as its checkpoint, since no file is written again."""
        row = self._row(key)
        if row is not None and row.window_bytes:
            return PutResult(Outcome.PRESENT, key)
        return self.add_checkpoint(key, window)

    def drop_checkpoint(self, key: Digest) -> int:
        """Remove the checkpoint of a chunk; the bytes freed."""

        def work() -> int:
            with self._access.locked(whole=True) as index:
                row = index.row(key)
                if row is None or not row.checkpoint_bytes:
                    return 0
                self._access.folder.remove(key, Kind.CHECKPOINT)
                index.set_checkpoint(key, 0)
                self._access.generation += 1
            self._access.folder.empty_trash()
            return row.checkpoint_bytes

        return self._attempts.change(work)

    # Out of the store and into it, by whole files

    def stage(self, tips: Iterable[Digest], folder: Path, progress: Callable[[int, int], None]) -> list[PlacedFile]:
        """Put the files on the paths to these tips into `folder`, parents first; `progress` gets bytes done and all."""
        tips = tuple(tips)
        known: dict[File, Digest] = {}

        def plan() -> list[ChunkRow]:
            with self._access.locked(whole=True) as index:
                rows = staging.paths_to(index, tips)
                for first in range(0, len(rows), BATCH):
                    known.update(index.digests([row.key for row in rows[first : first + BATCH]]))
                return rows

        rows = self._attempts.change(plan)
        done, total = 0, sum(row.disk_bytes for row in rows)

        def placed(size: int) -> None:
            nonlocal done
            done += size
            progress(done, total)

        files = self._attempts.once(lambda: staging.link_out(self._access.folder, rows, known, folder, placed))
        self._remember([(file, each.sha256) for file, each in files.items() if file not in known])
        return list(files.values())

    def learn_digests(self, key: Digest) -> None:
        """Read the files of a chunk through for what an archive will need to know of them, unless it is known."""

        def look_up() -> tuple[ChunkRow | None, dict[File, Digest]]:
            with self._access.locked() as index:
                return index.row(key), index.digests([key])

        row, known = self._attempts.ask(look_up)
        if row is not None:
            self._remember(self._attempts.once(lambda: staging.digests_of(self._access.folder, row, known)))

    def inspect(self, path: Path) -> StagedFile:
        """Read a file that shall be adopted; raises Damaged unless it is a sound one of this format."""
        return self._attempts.once(lambda: staging.inspect(path))

    def adopt(self, file: StagedFile) -> PutResult:
        """Move a checked file into the store, parents before children and chunks before their checkpoints.

        Raises Damaged for what does not continue the chunk that it names. What was there before stays as it is.
        """
        now = self._clock()
        if file.header.kind is Kind.CHUNK:
            draft = staging.chunk_draft(file, now)
        else:
            row = self._row(file.header.key)
            if row is None:
                return PutResult(Outcome.NO_PARENT, file.header.key)
            draft = staging.checkpoint_draft(file, row, now)
        try:
            return self._save(draft)
        except ValueError as error:
            raise Damaged("it does not begin where the piece before it ends") from error

    def root_of(self, tip: Digest) -> Digest | None:
        """The root under which a chunk stands; None if it is not there."""
        row = self._row(tip)
        return None if row is None else row.root

    # Removing

    def drop(self, tips: Iterable[Digest], keep: Collection[Digest]) -> int:
        """Remove what belongs to `tips` alone: upwards what nothing follows any longer, and what follows them.

        Nothing in `keep` goes, nor what is before it; so `keep` must name every other tip, also of a turn that is
        still being saved. Files in quarantine, which nobody can attribute, go too. The bytes freed.
        """
        tips = frozenset(tips)
        keep = frozenset(keep)

        return self._drop(lambda index: tree.doomed(index, tips, keep))

    def drop_root(self, root: Digest) -> int:
        """Remove everything under one root, and the files in quarantine; the bytes freed."""
        return self._drop(lambda index: index.under(root))

    def drop_all(self) -> int:
        """Remove everything; the bytes freed."""
        return self._attempts.ask(self._access.clear)

    def sweep(self, keep: Collection[Digest], since: float) -> int:
        """Remove what nobody can name any more: chunks on no path to a tip in `keep`; the bytes freed.

        What was used `since` (Unix time) stays, because a turn that runs names its tip at its end. A sweep that is
        broken off leaves whole chains, and the next one goes on with them.
        """

        def work() -> int:
            return self._access.remove(tree.strays(self._links(whole=True), keep), since=since)

        return self._attempts.change(work)

    def quarantine(self, key: Digest) -> bool:
        """Set a damaged chunk aside, and remove all that follows; False if its file was removed meanwhile."""

        def work() -> bool:
            with self._access.locked(whole=True) as index:
                rows = index.subtree(key)
                set_aside = bool(rows) and self._access.folder.quarantine(key, Kind.CHUNK)
            self._access.folder.empty_trash()
            self._access.remove([row.key for row in rows])
            return set_aside

        return self._attempts.change(work)

    def quarantine_checkpoint(self, key: Digest) -> bool:
        """Set a damaged checkpoint aside, its chunk stays; False if its file was removed meanwhile."""

        def work() -> bool:
            with self._access.locked(whole=True) as index:
                row = index.row(key)
                if row is None or not row.checkpoint_bytes:
                    return False
                set_aside = self._access.folder.quarantine(key, Kind.CHECKPOINT)
                index.set_checkpoint(key, 0)
                self._access.generation += 1
            self._access.folder.empty_trash()
            return set_aside

        return self._attempts.change(work)

    # The budget

    def pin(self, tips: Iterable[Digest]) -> None:
        """From now on these tips, and what is before them, are not evicted; earlier ones may be again."""
        self._budget.pinned = frozenset(tips)

    def keep(self, tips: Iterable[Digest]) -> None:
        """The same for tips that the person wants to stay, beside those that `pin` names."""
        self._budget.kept = frozenset(tips)

    def set_budget(self, budget_bytes: int) -> int:
        """Keep to another budget, at once; the bytes freed. Pinned chains stay, so it may be exceeded by them."""
        self._budget.limit = budget_bytes
        return self._attempts.change(self._budget.enforce)

    # What is there

    def usage(self, groups: Sequence[Collection[Digest]]) -> list[Usage]:
        """For each group of tips what it takes of the disk, on its own and shared with the other groups."""

        return self._attempts.ask(lambda: tree.usage(self._links(), groups))

    def held(self, tips: Iterable[Digest]) -> dict[Digest, Held]:
        """Those of the tips whose chain is there from the root on."""
        keys = tuple(frozenset(tips))

        def work() -> dict[Digest, Held]:
            rows: list[ChunkRow] = []
            for first in range(0, len(keys), BATCH):
                with self._access.locked() as index:
                    rows += index.rows(keys[first : first + BATCH])
            return {row.key: Held(row.end, row.chain_bytes + row.checkpoint_bytes) for row in rows}

        return self._attempts.ask(work)

    def totals(self) -> Totals:
        """What the whole store keeps."""

        def work() -> Totals:
            with self._access.locked() as index:
                quarantined = self._access.folder.quarantined_bytes()
                return Totals(index.totals(), self._budget.limit, quarantined, index.bytes_written)

        return self._attempts.ask(work)

    # Looking after it

    def reconcile(self) -> Reconciled:
        """Look at every file once, to be done after opening: what a kill left is adopted or deleted.

        Takes time (a hundred thousand chunks: seconds), so it belongs on the thread that writes.
        """
        return self._attempts.ask(self._reconcile)

    def branch(self, name: str) -> list[ChunkRow]:
        """The chunks whose keys begin with these hexadecimal digits."""

        def work() -> list[ChunkRow]:
            with self._access.locked(whole=True) as index:
                return index.branch(name)

        return self._attempts.change(work)

    def _links(self, *, whole: bool = False) -> dict[Digest, Link]:
        """The whole tree; `whole` as in `Access.locked`."""
        links: dict[Digest, Link] = {}
        for branch in BRANCHES:  # so that nobody waits for a hundred thousand of them
            with self._access.locked(whole=whole) as index:
                links.update(index.links(branch))
        return links

    def _remember(self, digests: Sequence[tuple[File, Digest]]) -> None:
        """Keep what was learnt of files."""

        def work() -> None:
            with self._access.locked() as index:
                index.remember(digests)

        if digests:
            self._attempts.ask(work)

    def _row(self, key: Digest) -> ChunkRow | None:
        """The chunk with that key."""

        def work() -> ChunkRow | None:
            with self._access.locked(whole=True) as index:
                return index.row(key)

        return self._attempts.change(work)

    def _drop(self, plan: Callable[[Index], Sequence[ChunkRow]]) -> int:
        """Remove whole subtrees; the bytes freed."""
        freed: dict[Digest, int] = {}

        def planned(index: Index) -> Sequence[ChunkRow]:
            rows = plan(index)
            freed.update((row.key, row.disk_bytes) for row in rows)
            return rows

        self._attempts.change(lambda: self._access.drop(planned))
        return sum(freed.values())

    def _save(self, draft: Draft) -> PutResult:
        """Save what is not there yet."""
        return self._attempts.change(lambda: save(self._access, self._budget, draft))

    def _reconcile(self) -> Reconciled:
        """Bring index and files together, within the budget."""
        result = reconcile(self._access, self._clock())
        self._budget.enforce()
        return result
