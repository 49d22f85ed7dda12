"""Ranges of the live sequence taken out of a context, and put back: as checked blobs, through the scratch sequence.

How each kind of memory is saved, and why so, stands in KV_STATE. What cannot be taken apart is saved as one opaque
blob of the sequence; what does not survive the self-test is not saved at all.
"""

import ctypes
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import llama_cpp

from app.engine.context import SCRATCH, SEQUENCE, WHOLE, Context
from app.engine.state_blob import (
    HEADER,
    POSITION_EXTENSION,
    Buffer,
    Mismatch,
    RecurrentState,
    Section,
    SectionLayout,
    as_bytes,
    check_section,
    read_header,
    read_recurrent,
    read_section,
    turned,
)
from app.protocol.parts import MemoryMode

logger = logging.getLogger(__name__)

EVERYTHING = llama_cpp.LLAMA_STATE_SEQ_FLAGS_NONE
PARTIAL_ONLY = llama_cpp.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
"""Only what is no plain attention: the recurrent states, and window rows beside them."""


@dataclass(frozen=True, slots=True)
class Layouts:
    """What the self-test saw; a blob with anything else is refused."""

    rows: SectionLayout | None = None
    window: SectionLayout | None = None
    states: tuple[tuple[int, int], ...] = ()
    """Types and bytes of the recurrent states."""
    state_layers: int = 0
    """The layers that are counted beside them."""

    def turned(self) -> "Layouts":
        """The same with values of f16 lying the other way."""
        rows, window = (turned(each) if each is not None else None for each in (self.rows, self.window))
        return replace(self, rows=rows, window=window)


class ContextState:
    """Saves and restores the live sequence of one context.

    `mode` is how: what llama.cpp says of the model's memory if the self-test bears it out, else "opaque".
    """

    def __init__(self, context: Context, mode: MemoryMode, sample: Sequence[int]) -> None:
        """Test the context, which is empty afterwards, with the few tokens of `sample`.

        Raises EmberError where it cannot even decode them.
        """
        self._context = context
        self._tail = b""
        """The sections after the rows in the blob of an empty sequence."""
        self.layouts = Layouts()
        """What is written on this context; part of the fingerprint."""
        self.mode: MemoryMode = mode
        self.works = (mode != "opaque" and self._test(sample)) or self._test_as_opaque(sample)
        """False: this memory cannot be saved at all."""
        context.clear()

    @property
    def has_rows(self) -> bool:
        """Whether ranges of tokens can be saved each for itself."""
        return self.mode in ("full", "window", "hybrid")

    @property
    def is_transposed(self) -> bool:
        """Whether values lie in strips, as they do without flash attention."""
        return self.layouts.rows is not None and self.layouts.rows.transposed

    @property
    def has_checkpoints(self) -> bool:
        """Whether a boundary needs a checkpoint to be restored."""
        return self.mode in ("hybrid", "recurrent", "opaque")

    # --- saving ------------------------------------------------------------------------------------------------------

    def take(self, start: int, end: int) -> tuple[memoryview, memoryview]:
        """The rows of positions [start, end), and their window rows: empty where there are none or not all of them.

        Raises Mismatch where the context holds other positions than that.
        """
        context = self._context
        llama_cpp.llama_memory_seq_cp(context.memory, SEQUENCE, SCRATCH, start, end)
        try:
            blob = self._get(SCRATCH, EVERYTHING)
        finally:
            llama_cpp.llama_memory_seq_rm(context.memory, SCRATCH, WHOLE, WHOLE)
        rows = self._section(blob, read_header(blob))
        if sorted(rows.positions) != list(range(start, end)):
            raise Mismatch("the context holds other positions")
        window = memoryview(b"")
        if self.mode == "hybrid":  # with the rows came the recurrent states: not wanted, and large
            return memoryview(bytes(blob[rows.begin : rows.end])), window
        if self.mode == "window":
            found = self._section(blob, rows.end)
            if len(found.positions) == end - start:
                window = blob[found.begin : found.end]
        return blob[rows.begin : rows.end], window

    def checkpoint(self) -> memoryview:
        """The state at the end of the live sequence that rows alone do not hold."""
        return self._get(SEQUENCE, PARTIAL_ONLY if self.mode == "hybrid" else EVERYTHING)

    # --- restoring ---------------------------------------------------------------------------------------------------

    def frame(self, *, window: bool) -> tuple[bytes, bytes]:
        """What has to stand before and behind a chunk's rows, and its window rows if it has them, to be a blob."""
        return HEADER, b"" if window else self._tail

    def append(self, blob: bytearray, rows: int, window: int, start: int, count: int) -> None:
        """Put positions [start, start + count) at the end of the live sequence.

        `blob` is framed as `frame` says; `rows` and `window` are bytes of it, and without `window` those rows are left
        out. Raises Mismatch; the context is then to be cleared.
        """
        layouts, view, begin = self.layouts, memoryview(blob), len(HEADER)
        if layouts.rows is None or (window and layouts.window is None):
            raise Mismatch("this memory is not saved so")
        if len(blob) != sum(map(len, self.frame(window=bool(window)))) + rows + window:
            raise Mismatch("its length is wrong")
        check_section(view[begin : begin + rows], layouts.rows, start, count)
        if window and layouts.window is not None:
            check_section(view[begin + rows : begin + rows + window], layouts.window, start, count)
        buffer = (ctypes.c_uint8 * len(blob)).from_buffer(blob)
        self._put(SCRATCH, EVERYTHING, buffer, len(blob))
        memory = self._context.memory
        llama_cpp.llama_memory_seq_cp(memory, SCRATCH, SEQUENCE, WHOLE, WHOLE)
        llama_cpp.llama_memory_seq_rm(memory, SCRATCH, WHOLE, WHOLE)

    def load_checkpoint(self, data: Buffer, position: int) -> None:
        """Put back the checkpoint taken when the live sequence had `position` tokens. Raises Mismatch."""
        view = as_bytes(data)
        self._check_checkpoint(view, position)
        buffer = (ctypes.c_uint8 * len(view)).from_buffer_copy(view)
        self._put(SEQUENCE, PARTIAL_ONLY if self.mode == "hybrid" else EVERYTHING, buffer, len(view))

    def _check_checkpoint(self, view: memoryview, position: int) -> None:
        at = read_header(view)
        if self.mode == "opaque":
            return
        if self.layouts.window is not None:
            section = self._section(view, at)
            reach = range(position - len(section.positions), position)
            if section.layout != self.layouts.window or sorted(section.positions) != list(reach):
                raise Mismatch("its window rows are others")
            at = section.end
        found = read_recurrent(view, at)
        if found != RecurrentState(position - 1, self.layouts.state_layers, self.layouts.states):
            raise Mismatch("its states are others")

    # --- self-test ---------------------------------------------------------------------------------------------------

    def _test(self, sample: Sequence[int]) -> bool:
        """Learn the layouts from a few tokens, and require that saved rows come back as they were."""
        for extension in (0, POSITION_EXTENSION):
            self._fill(sample)
            try:
                self._learn(extension)
                rows, window = self.take(0, len(sample)) if self.has_rows else (b"", b"")
                checkpoint = self.checkpoint() if self.has_checkpoints else b""
                self._context.clear()
                if self.has_rows:
                    before, behind = self.frame(window=bool(window))
                    blob = bytearray(b"".join((before, rows, window, behind)))
                    self.append(blob, len(rows), len(window), 0, len(sample))
                if self.has_checkpoints:
                    self.load_checkpoint(checkpoint, len(sample))
                same = not self.has_rows or self.take(0, len(sample)) == (rows, window)
                if same and (not self.has_checkpoints or self.checkpoint() == checkpoint):
                    return True
            except Mismatch as mismatch:
                logger.info("%s memory, %d bytes of extension: %s", self.mode, extension, mismatch)
        return False

    def _test_as_opaque(self, sample: Sequence[int]) -> bool:
        """Whether the sequence's whole blob comes back as it was."""
        if self.mode != "opaque":
            logger.warning("This model's memory is not what was expected of %s memory; it is saved whole", self.mode)
        self.mode, self.layouts = "opaque", Layouts()
        self._fill(sample)
        whole = self.checkpoint()
        self._context.clear()
        try:
            self.load_checkpoint(whole, len(sample))
        except Mismatch:
            return False
        return self.checkpoint() == whole

    def _fill(self, sample: Sequence[int]) -> None:
        self._context.clear()
        self._context.decode(sample, 0)

    def _learn(self, extension: int) -> None:
        """Note the layouts of the sections. Raises Mismatch where they are not those of this mode."""
        whole = self._get(SEQUENCE, EVERYTHING)
        at = read_header(whole)
        rows = window = None
        if self.has_rows:
            section = read_section(whole, at, extension)
            rows, at = section.layout, section.end
            empty = self._get(SCRATCH, EVERYTHING)
            self._tail = bytes(empty[read_section(empty, read_header(empty), extension).end :])
        if self.mode == "window":
            section = read_section(whole, at, extension)
            window, at = section.layout, section.end
        if self.mode in ("full", "window") and at != len(whole):
            raise Mismatch("there is more than rows")
        self.layouts = Layouts(rows, window)
        if self.has_checkpoints:
            blob = self.checkpoint()
            at = read_header(blob)
            if self.mode == "hybrid" and self._has_window(blob, at, extension):
                section = read_section(blob, at, extension)
                window, at = section.layout, section.end
            found = read_recurrent(blob, at)
            self.layouts = Layouts(rows, window, found.states, found.layers)

    @staticmethod
    def _has_window(blob: memoryview, at: int, extension: int) -> bool:
        """Whether window rows stand before the recurrent states in a checkpoint."""
        try:
            read_recurrent(blob, read_section(blob, at, extension).end)
        except Mismatch:
            return False
        return True

    # --- llama.cpp ---------------------------------------------------------------------------------------------------

    def _get(self, sequence: int, flags: int) -> memoryview:
        pointer = self._context.pointer
        size = llama_cpp.llama_state_seq_get_size_ext(pointer, sequence, flags)
        buffer = (ctypes.c_uint8 * size)()
        written = llama_cpp.llama_state_seq_get_data_ext(pointer, buffer, size, sequence, flags)
        return memoryview(buffer).cast("B")[:written]

    def _put(self, sequence: int, flags: int, buffer: ctypes.Array[ctypes.c_uint8], size: int) -> None:
        read = llama_cpp.llama_state_seq_set_data_ext(self._context.pointer, buffer, size, sequence, flags)
        if read != size:
            raise Mismatch("llama.cpp refused it")

    def _section(self, blob: memoryview, at: int) -> Section:
        layout = self.layouts.rows
        return read_section(blob, at, layout.extension if layout is not None else 0)
