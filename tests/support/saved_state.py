"""The engine's own classes in this process, without its process: a context, its state, and saved state on a disk."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import llama_cpp
import numpy as np

from app.engine import library
from app.engine.chunk_reader import READERS, ChunkReader
from app.engine.chunk_writer import ChunkWriter, Written
from app.engine.context import Context, ContextSettings
from app.engine.fingerprint import Root
from app.engine.helpers import Helpers
from app.engine.model import Model
from app.engine.rates import Rates
from app.engine.saved_state import SavedState
from app.engine.sequence import LiveSequence, Resumed, prefill
from app.engine.session import memory_mode
from app.engine.state import ContextState
from app.engine.state_blob import HEADER, SectionLayout, as_bytes, read_section
from app.kvstore.store import Store
from app.protocol.parts import MemoryMode
from tests.support.tiny_models import VOCABULARY_SIZE

ROOT = bytes(range(32))
PLENTY = 1 << 40
BATCH = 128
SAMPLE = range(3)
FLASH = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
NO_FLASH = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
Rows = dict[int, tuple[bytes, ...]]
HELPERS = Helpers(READERS)
"""For all of this process."""


def some_tokens(count: int, seed: int = 0) -> list[int]:
    """Text of a tiny model, as ids: never a control token."""
    return [int(token) for token in np.random.default_rng(seed).integers(8, VOCABULARY_SIZE, count)]


def settings(**options: int) -> ContextSettings:
    """Those of a small context on one thread."""
    plain = {"tokens": 1024, "batch": BATCH, "threads": 1, "flash_attention": NO_FLASH}
    return ContextSettings(**(plain | options))


class Place:
    """A context with its state; what a session is made of."""

    def __init__(self, model: Model, wanted: ContextSettings, mode: MemoryMode | None = None) -> None:
        self.model = model
        self.context = Context(model, wanted)
        self.state = ContextState(self.context, mode or memory_mode(model), SAMPLE)
        self.saved: SavedState | None = None
        self.sequence = LiveSequence(self.context, self.state.mode, model.window)

    def save_into(self, store: Store, writer: ChunkWriter, root: bytes | None = ROOT) -> "Place":
        """Connect it with a store; the same place."""
        known = Root()
        known.set(root)
        self.writer = writer
        reader = ChunkReader(store, self.state, HELPERS)
        self.saved = SavedState(self.context, self.state, store, writer, reader, known, Rates())
        self.sequence = LiveSequence(self.context, self.state.mode, self.model.window, self.saved)
        return self

    def read(self, tokens: Sequence[int], boundaries: Sequence[int] = (), checkpoints: Sequence[int] = ()) -> None:
        """Read tokens onto the end in slices, saving after each as a turn does; boundaries are places in the whole."""
        start, length = len(self.sequence.tokens), len(tokens)
        stops = {*range(BATCH, length, BATCH), *(at - start for at in checkpoints if start < at < start + length)}

        def after(_done: int, _total: int) -> None:
            if self.saved is not None:
                now = self.sequence.tokens
                self.saved.after_slice(now, boundaries, checkpoint=len(now) in checkpoints)

        assert prefill(self.sequence, tokens, [*sorted(stops), length], after, lambda: False)

    def keep(self, boundaries: Sequence[int] = ()) -> tuple[Written, bytes | None]:
        """Save what is not saved yet, as the end of a turn does; what was written, and the tip."""
        assert self.saved is not None
        told: list[tuple[Written, bytes | None]] = []
        self.saved.collect(self.sequence.tokens, boundaries, final=True)
        self.saved.report(self.sequence.tokens, lambda written, tip: told.append((written, tip)))
        self.writer.flush()
        return told[0]

    def resume(self, prompt: Sequence[int], stopped: Callable[[], bool] = lambda: False) -> Resumed:
        """Have as much of a prompt in the context as memory and store give."""
        return self.sequence.resume(prompt, use_saved=True, stopped=stopped)

    def held(self) -> tuple[Rows, Rows, bytes]:
        """Keys and values of every position, those of the window's layers, and the rest: what a next token depends on.

        Read back through the state, whatever the order of the cells.
        """
        end, state = len(self.sequence.tokens), self.state
        layouts = state.layouts
        rows = _by_position(state.take(0, end)[0], layouts.rows) if state.has_rows else {}
        if not state.has_checkpoints:
            reach = max(0, end - self.context.window + 1)
            return rows, _by_position(state.take(reach, end)[1], layouts.window) if layouts.window else {}, b""
        rest = state.checkpoint()[len(HEADER) :]
        if layouts.window is None:
            return rows, {}, bytes(rest)
        behind = read_section(as_bytes(rest), 0, layouts.window.extension).end
        return rows, _by_position(rest[:behind], layouts.window), bytes(rest[behind:])

    def logits(self) -> np.ndarray:
        """What the model makes of the last token."""
        pointer = llama_cpp.llama_get_logits_ith(self.context.pointer, -1)
        return np.ctypeslib.as_array(pointer, (self.model.vocabulary.size,)).copy()

    def close(self) -> None:
        """Free the context."""
        self.context.close()


def _by_position(section: memoryview, layout: SectionLayout | None) -> Rows:
    """A section's rows, whatever the order of its cells."""
    if layout is None or not len(section):
        return {}
    found = read_section(as_bytes(section), 0, layout.extension)
    cells, at = len(found.positions), 8 + len(found.positions) * (12 + layout.extension) + 8
    matrices = []
    for matrix in (*layout.keys, *layout.values):
        at += 12
        data = np.frombuffer(section[at : at + matrix.bytes_of(cells)], np.uint8)
        if matrix.width:
            data = data.reshape(matrix.width, cells, matrix.size).transpose(1, 0, 2)
        matrices.append(data.reshape(cells, -1))
        at += matrix.bytes_of(cells)
    assert at == len(section)
    return {at: tuple(bytes(matrix[cell]) for matrix in matrices) for cell, at in enumerate(found.positions)}


@dataclass
class Bench:
    """Places of one model on one store, all closed at the end."""

    model: Model
    store: Store
    writer: ChunkWriter
    places: list[Place] = field(default_factory=list)

    mode: MemoryMode | None = None
    """What its memory is taken for, if not for what llama.cpp says."""

    def place(self, *, saving: bool = True, **options: int) -> Place:
        """A fresh context, as after a restart."""
        place = Place(self.model, settings(**options), self.mode)
        self.places.append(place)
        return place.save_into(self.store, self.writer) if saving else place


@contextmanager
def bench(path: Path, folder: Path, budget: int = PLENTY) -> Iterator[Bench]:
    """A loaded model and an open store."""
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    library.log.install()
    llama_cpp.llama_backend_init()
    model = Model(path, 0, lambda _fraction: None, lambda: False)
    store = Store(folder, budget)
    made = Bench(model, store, ChunkWriter(store))
    try:
        yield made
    finally:
        made.writer.flush()
        for place in made.places:
            place.close()
        model.close()
        store.close()
