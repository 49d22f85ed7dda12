"""Where a model's layers lie on the devices of a machine, what that takes of each, and how many layers fit.

Source: `llama_model_base::load_tensors` in llama-model.cpp (llama.cpp 0c1e570): the last layers go to the GPUs, split
in proportion to their free memory, the output counts as one more layer, and what turns tokens into vectors stays on
the CPU. A model whose output is its token embedding has that tensor twice once the output is on a GPU.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from app.core.gguf_description import GgufHeader
from app.core.memory_estimate import (
    CONTEXT_STEP,
    ContextOptions,
    cell_bytes,
    compute_bytes,
    host_compute_bytes,
    kv_by_layer,
    largest_kv_by_layer,
)

CPU: Final = "CPU"
SMALLEST_MARGIN: Final = 256 * 1024 * 1024
"""Bytes of a device that are left to others at least by what is chosen unasked; a tenth of what is free if more."""
_LAYER = re.compile(r"blk\.(\d+)\.")
_OUTPUT = ("output", "cls", "dec.output", "enc.output")
"""How the names of tensors begin that llama.cpp counts to the output (LLM_TENSOR_LAYER_OUTPUT in llama-arch.cpp)."""
_EMBEDDING = "token_embd.weight"


@dataclass(frozen=True, slots=True)
class Room:
    """A device that can take a part of a model; bytes, as they are before the model is loaded."""

    device: str
    free: int
    total: int
    is_unified: bool = False
    """Whether its memory is the computer's own."""
    largest_tensor: int | None = None
    """What it can work with in one piece; None: as much as it has."""
    label: str = ""
    """What it is called in a sentence; empty: as llama.cpp calls it."""

    @property
    def words(self) -> str:
        """Its name in a sentence."""
        return self.label or self.device

    @property
    def usable(self) -> int:
        """The free bytes less a margin."""
        return self.free - max(SMALLEST_MARGIN, self.free // 10)


@dataclass(frozen=True, slots=True)
class Machine:
    """The computer's memory, and the GPUs that may be used, in llama.cpp's order."""

    cpu: Room
    gpus: tuple[Room, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to load a model: its context in tokens, and how many layers are on the GPUs, the output as one more."""

    context: int
    gpu_layers: int
    kv_on_gpu: bool
    options: ContextOptions


@dataclass(frozen=True, slots=True)
class Share:
    """What a model takes of one device; bytes."""

    device: str
    weights: int = 0
    kv: int = 0
    compute: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv + self.compute


@dataclass(frozen=True, slots=True)
class Measured:
    """What llama.cpp itself says of one layout: keys and values in all, and the compute buffers by device; bytes."""

    layout: Layout
    kv: int
    compute: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Weights:
    """The bytes of a model's tensors by where they belong."""

    inputs: int
    layers: tuple[int, ...]
    output: int
    twice: int
    """What the output on a GPU needs of the inputs' bytes, where both are the same tensor."""


@dataclass(frozen=True, slots=True)
class _ContextFigures:
    """What a context takes; bytes."""

    kv: tuple[int, ...]
    """Keys and values by layer."""
    largest: tuple[int, ...]
    """The larger tensor of both, by layer."""
    compute: int
    """What computing takes of a device."""
    account: int
    """The account of the cells."""


@dataclass(slots=True)
class Offload:
    """How one model can lie on one machine; the figures are the header's, or follow what was measured of a layout."""

    header: GgufHeader
    machine: Machine
    learnt: Mapping[str, int] = field(default_factory=dict)
    """By device: bytes that earlier loads took beyond the estimate."""
    measured: Measured | None = None
    _weights: _Weights = field(init=False)
    _known: dict[tuple[int, ContextOptions], _ContextFigures] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Sum up the tensor table."""
        self._weights = _weights(self.header)

    @property
    def all_layers(self) -> int:
        """How many layers can be on GPUs: all, and the output as one more."""
        return len(self._weights.layers) + 1

    def shares(self, layout: Layout) -> tuple[Share, ...]:
        """Return what each device takes, the CPU first, GPUs without a part left out."""
        plain = self._plain(layout)
        if (measured := self.measured) is None:
            return plain
        same = self._plain(measured.layout)
        kv_before = sum(share.kv for share in same)
        before = {share.device: share.compute for share in same}
        return tuple(
            replace(
                share,
                kv=_scaled(share.kv, measured.kv, kv_before),
                compute=_scaled(
                    share.compute, measured.compute.get(share.device, 0), before.get(share.device, share.compute)
                )
                if share.device in before
                else share.compute,
            )
            for share in plain
        )

    def _plain(self, layout: Layout) -> tuple[Share, ...]:
        """The shares by the header's figures alone."""
        places = self._places(layout.gpu_layers)
        figures = self._context_figures(layout)
        weights = self._weights
        names = (CPU, *(gpu.device for gpu in self.machine.gpus))
        taken = {name: [0, 0, 0] for name in names}
        taken[CPU][0] += weights.inputs
        for index, size in enumerate(weights.layers):
            taken[places[index]][0] += size
        taken[places[-1]][0] += weights.output + (weights.twice if places[-1] != CPU else 0)
        for index, size in enumerate(figures.kv):
            taken[places[index] if layout.kv_on_gpu else CPU][1] += size
        for name in set(places):
            taken[name][2] = figures.compute
        if CPU not in places:
            taken[CPU][2] = host_compute_bytes(self.header, layout.context, layout.options)
        return tuple(Share(name, *taken[name]) for name in names if name == CPU or any(taken[name]))

    def _context_figures(self, layout: Layout) -> _ContextFigures:
        key = (layout.context, layout.options)
        if key not in self._known:
            options = replace(layout.options, n_ubatch=min(layout.options.n_ubatch, layout.context))
            self._known[key] = _ContextFigures(
                kv_by_layer(self.header, layout.context, options),
                largest_kv_by_layer(self.header, layout.context, options),
                compute_bytes(self.header, layout.context, options),
                cell_bytes(self.header, layout.context),
            )
        return self._known[key]

    def _places(self, gpu_layers: int) -> tuple[str, ...]:
        """The device of each layer, and of the output at the end."""
        gpus, count = self.machine.gpus, self.all_layers
        on_gpu = min(gpu_layers, count) if gpus else 0
        free = [float(gpu.free) for gpu in gpus]
        whole = sum(free)
        splits = [sum(free[: index + 1]) / whole if whole else 1.0 for index in range(len(gpus))]
        places = [CPU] * (count - on_gpu)
        for index in range(on_gpu):
            places.append(gpus[min(len(gpus) - 1, bisect_right(splits, index / on_gpu))].device)
        return tuple(places)

    # --- what fits -------------------------------------------------------------------------------------------------

    def need(self, share: Share) -> int:
        """Return the bytes that a device needs for its share, with what earlier loads taught."""
        return max(0, share.total + self.learnt.get(share.device, 0))

    def account(self, layout: Layout) -> int:
        """Return the bytes of the computer's memory in which llama.cpp keeps account of the context's cells."""
        return self._context_figures(layout).account

    def needs(self, layout: Layout) -> dict[str, int]:
        """Return the bytes that each device must have free; the CPU also what GPUs take of the computer's memory."""
        needs = {share.device: self.need(share) for share in self.shares(layout)}
        needs[CPU] += self.account(layout) + sum(
            needs.get(gpu.device, 0) for gpu in self.machine.gpus if gpu.is_unified
        )
        return needs

    def too_large_pieces(self, layout: Layout) -> dict[str, int]:
        """Return by device the bytes of the largest tensor of keys or values that it could not work with.

        llama.cpp does not refuse such a layout: the process ends ("a buffer that cannot run the operation").
        """
        limits = {gpu.device: gpu.largest_tensor for gpu in self.machine.gpus} if layout.kv_on_gpu else {}
        found: dict[str, int] = {}
        for size, device in zip(self._context_figures(layout).largest, self._places(layout.gpu_layers), strict=False):
            limit = limits.get(device)
            if limit is not None and size > limit:
                found[device] = max(size, found.get(device, 0))
        return found

    def lacking(self, layout: Layout, *, margin: bool) -> tuple[Room, ...]:
        """Return the devices that have too little room for a layout, with the margin or to the last byte."""
        rooms, needs = (self.machine.cpu, *self.machine.gpus), self.needs(layout)
        used, pieces = (room for room in rooms if room.device in needs), self.too_large_pieces(layout)
        return tuple(
            room
            for room in used
            if room.device in pieces or needs[room.device] > (room.usable if margin else room.free)
        )

    def fits(self, layout: Layout, *, margin: bool) -> bool:
        """Return whether every device has room for its share."""
        return not self.lacking(layout, margin=margin)

    def most_layers(self, layout: Layout, *, margin: bool = True) -> int:
        """Return the most layers that can be on the GPUs with the layout's context; 0 also where nothing fits."""
        for count in range(self.all_layers if self.machine.gpus else 0, 0, -1):
            if self.fits(replace(layout, gpu_layers=count), margin=margin):
                return count
        return 0

    def longest_context(self, layout: Layout, limit: int) -> int:
        """Return the longest context up to `limit` tokens that fits, a multiple of 256; 0 where none does."""
        low, high = 0, limit // CONTEXT_STEP
        while low < high:
            middle = (low + high + 1) // 2
            if self.fits(replace(layout, context=middle * CONTEXT_STEP), margin=True):
                low = middle
            else:
                high = middle - 1
        return low * CONTEXT_STEP


def learnt_bytes(estimated: Mapping[str, int], taken: Mapping[str, int], process: int, own: int) -> dict[str, int]:
    """Return by device what a load took beyond its estimate, for the next one; bytes.

    `estimated` and `taken` are weights, keys, values and compute by device; what llama.cpp reports is what was taken.
    The computer's memory also counts by how much the `process` (resident) is larger than that and its `own` share, as
    it was estimated without anything learnt: smaller it is also where a buffer was not used yet, which teaches nothing.
    """
    learnt = {device: taken[device] - estimated.get(device, 0) for device in taken}
    learnt[CPU] = learnt.get(CPU, 0) + max(0, process - own - taken.get(CPU, 0))
    return {device: size for device, size in learnt.items() if size}


def _weights(header: GgufHeader) -> _Weights:
    layers = [0] * (header.block_count or 0)
    inputs = output = embedding = 0
    has_output = False
    for tensor in header.tensors:
        match = _LAYER.match(tensor.name)
        if match is not None and int(match[1]) < len(layers):
            layers[int(match[1])] += tensor.size
        elif tensor.name.startswith(_OUTPUT):
            output += tensor.size
            has_output = has_output or tensor.name == "output.weight"
        else:
            inputs += tensor.size
            embedding += tensor.size if tensor.name == _EMBEDDING else 0
    return _Weights(inputs, tuple(layers), output, 0 if has_output else embedding)


def _scaled(size: int, measured: int, estimated: int) -> int:
    """`size` as much larger or smaller as a measurement was than its estimate."""
    return round(size * (measured / estimated)) if estimated else measured
