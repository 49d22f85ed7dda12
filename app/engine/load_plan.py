"""What is going to be loaded and how, decided from the file's header and the devices before any weight is read."""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import llama_cpp
import psutil

from app.core.errors import EmberError
from app.core.gguf_cursor import damaged
from app.core.gguf_header import GgufHeader
from app.core.load_decision import Decider, Decision, Offered, context_options
from app.core.load_options import Calibration, LoadOptions, refuse_impossible
from app.core.model_layers import window_tokens
from app.core.offload import CPU, Layout, Machine, Measured, Offload, Room
from app.core.units import format_count
from app.engine.context import ContextSettings
from app.engine.dry_run import DryFigures, DryRun
from app.engine.fingerprint import model_files
from app.engine.library import Ggml
from app.engine.model import read_header
from app.protocol.parts import Device, DeviceEstimate, MemoryPlan, Offer
from app.protocol.requests import EstimateMemory, LoadModel

FLASH_ATTENTION = {
    "auto": llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}
TYPES = {
    "f16": llama_cpp.GGML_TYPE_F16,
    "q8_0": llama_cpp.GGML_TYPE_Q8_0,
    "q4_0": llama_cpp.GGML_TYPE_Q4_0,
}
MOST_BYTES = 2**62
"""What nobody has, and what still can be told: messages carry 64 bits."""
MOST_DRY_RUNS = 2
"""The second where the first one's figures left room for fewer layers or a shorter context."""


LONGEST_DRY_RUN = 2**22
"""Tokens; llama.cpp makes its account of the cells in a dry run too: 208 MiB for so many, gone again afterwards."""


class DoesNotFitError(EmberError):
    """A model that does not fit as it was asked for, with what would."""

    def __init__(self, sentence: str, kind: str, offers: tuple[Offer, ...]) -> None:
        """Hold the offers beside the sentence."""
        super().__init__(sentence, kind)
        self.offers = offers


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What is going to be loaded, decided before anything is read."""

    path: Path
    header: GgufHeader
    asked: LoadOptions
    """As the person chose."""
    calibration: Calibration | None
    layout: Layout
    devices: tuple[str, ...]
    """The GPUs that are used, by ggml's names."""
    memory: MemoryPlan
    can_load: bool
    after_failure: Callable[[], tuple[Offer, ...]]
    """What takes clearly less, for when memory does not suffice although it should."""

    @property
    def on_gpu(self) -> bool:
        """Whether any layer is on a GPU."""
        return self.layout.gpu_layers > 0

    @property
    def settings(self) -> ContextSettings:
        """What the context is made with."""
        return context_settings(self.asked, self.calibration, self.layout)

    @property
    def leaves_layout_open(self) -> bool:
        """Whether flash attention may be as it was when the model's state was saved: the person chose nothing else."""
        is_freed = self.calibration is not None and self.calibration.is_layout_free
        return self.asked.flash_attention == "auto" and self.asked.kv_type == "f16" and not is_freed

    def measured(self, calibration: Calibration) -> "LoadPlan":
        """The same load with what was measured since in the place of what the person left open."""
        options = context_options(self.asked, calibration, self.on_gpu)
        return replace(self, calibration=calibration, layout=replace(self.layout, options=options))

    def require(self) -> None:
        """Raise DoesNotFitError (too_large) where it cannot be loaded as asked."""
        if not self.can_load:
            raise DoesNotFitError(self.memory.sentence, "too_large", self.memory.offers)

    def notices(self, trained: int) -> tuple[str, ...]:
        """Sentences about a wish that could not be met; `trained` is the context that it was trained for, in tokens."""
        if self.asked.context is None or self.asked.context <= self.layout.context:
            return ()
        return (
            f"The model was trained for {format_count(trained)} tokens, so the context has those instead of "
            f"{format_count(self.asked.context)}.",
        )


class Planner:
    """Plans loads on the devices of this machine, and remembers the last file's header."""

    def __init__(self, ggml: Ggml) -> None:
        """To be made before anything is loaded: what the process takes by itself is measured now."""
        self._ggml = ggml
        self._own = psutil.Process().memory_info().rss
        self._dry_run = DryRun(ggml)
        self._header: tuple[tuple[Path, int, int], GgufHeader] | None = None

    def plan(self, question: LoadModel | EstimateMemory, given_back: Mapping[str, int]) -> LoadPlan:
        """Decide layers, context and memory; what `given_back` says by device counts as free.

        Raises EmberError for a file that is no model, and for options that no model can be loaded with.
        """
        options = question.options
        refuse_impossible(options)
        path = Path(question.path)
        header = self._header_of(path)
        machine = machine_of(self._ggml.devices(limits=options.gpu_layers != 0), options, given_back)
        offload = Offload(header, machine, question.learnt)
        decider = Decider(offload, path.name, question.calibration)
        decision, figures = self._decide(question, offload, decider)
        if any(share.total > MOST_BYTES for share in decision.shares):
            raise damaged("by its figures it would need more memory than a computer can have")
        own = self._own + (figures.process if figures is not None else 0)
        return LoadPlan(
            path=path,
            header=header,
            asked=options,
            calibration=question.calibration,
            layout=decision.layout,
            devices=used_devices(machine, decision.layout),
            memory=_memory_plan(decision, offload, own, is_dry_run=figures is not None),
            can_load=decision.can_load,
            after_failure=lambda: _offers(decider.offers_below(options, decision.layout)),
        )

    def _decide(
        self, question: LoadModel | EstimateMemory, offload: Offload, decider: Decider
    ) -> tuple[Decision, DryFigures | None]:
        """Decide by the header, and again by llama.cpp's own figures of what was decided; None where there are none."""
        decision = decider.decide(question.options)
        figures: DryFigures | None = None
        for _ in range(MOST_DRY_RUNS if decision.can_load else 0):
            layout = decision.layout
            if layout.context > LONGEST_DRY_RUN:
                return decision, None
            devices = used_devices(offload.machine, layout)
            settings = context_settings(question.options, question.calibration, layout)
            figures = self._dry_run.measure(Path(question.path), layout.gpu_layers, devices, settings)
            if figures is None:
                break
            offload.measured = Measured(layout, figures.kv, figures.compute)
            decision = decider.decide(question.options)
            if decision.layout == layout:
                break
        return decision, figures

    def _header_of(self, path: Path) -> GgufHeader:
        try:
            stat = path.stat()
        except OSError:
            return read_header(path)  # which says why
        key = (path, stat.st_size, stat.st_mtime_ns)
        if self._header is None or self._header[0] != key:
            self._header = (key, _whole_header(path))
        return self._header[1]

    def release(self) -> None:
        """Let go of what the last dry run keeps."""
        self._dry_run.close()


def _whole_header(path: Path) -> GgufHeader:
    """The header of a model, with the tensors of all its files; raises EmberError also where one is missing."""
    header = read_header(path)
    others = [read_header(part) for part in model_files(path, header)[1:]]
    return replace(header, tensors=sum((other.tensors for other in others), header.tensors))


def machine_of(devices: tuple[Device, ...], options: LoadOptions, given_back: Mapping[str, int]) -> Machine:
    """The computer's memory, and the GPUs that `options` allow: all, or integrated ones where there are no others.

    Raises EmberError (bad_options) for a device that is not there.
    """
    gpus = [device for device in devices if device.kind == "gpu"]
    gpus = gpus or [device for device in devices if device.kind == "integrated"]
    if options.devices is not None:
        by_name = {device.name: device for device in devices if device.kind in ("gpu", "integrated")}
        missing = [name for name in options.devices if name not in by_name]
        if missing:
            there = f"there are {', '.join(by_name)}" if by_name else "this build finds none"
            raise EmberError(f"There is no GPU {', '.join(missing)}; {there}. Choose the devices again.", "bad_options")
        gpus = [by_name[name] for name in options.devices]
    ram = psutil.virtual_memory()
    same = Counter(gpu.description for gpu in gpus)
    return Machine(
        Room(CPU, ram.available + given_back.get(CPU, 0), ram.total, is_unified=True),
        tuple(
            Room(
                gpu.name,
                gpu.free_bytes + given_back.get(gpu.name, 0),
                gpu.total_bytes,
                gpu.is_unified,
                gpu.largest_tensor,
                gpu.description if same[gpu.description] == 1 else f"{gpu.description} ({gpu.name})",
            )
            for gpu in gpus
        ),
    )


def used_devices(machine: Machine, layout: Layout) -> tuple[str, ...]:
    """The GPUs to hand to llama.cpp: none where no layer is on one, so that none is touched."""
    return tuple(gpu.device for gpu in machine.gpus) if layout.gpu_layers else ()


def context_settings(options: LoadOptions, calibration: Calibration | None, layout: Layout) -> ContextSettings:
    """What a context of a layout is made with."""
    best = calibration.best if calibration is not None else None
    return ContextSettings(
        tokens=layout.context,
        batch=min(layout.options.n_ubatch, layout.context),
        threads=options.threads or (best.threads if best is not None else default_threads()),
        flash_attention=_flash_attention(options, calibration, layout),
        type_k=TYPES[options.kv_type],
        type_v=TYPES[options.kv_type],
        kv_on_gpu=options.kv_on_gpu,
        window_in_full=options.window_in_full,
    )


def _flash_attention(options: LoadOptions, calibration: Calibration | None, layout: Layout) -> int:
    """LLAMA_FLASH_ATTN_TYPE_*; on a GPU, with nothing chosen or measured, llama.cpp looks whether the device can."""
    open_choice = options.flash_attention == "auto" and calibration is None and options.kv_type == "f16"
    if open_choice and layout.gpu_layers:
        return FLASH_ATTENTION["auto"]
    return FLASH_ATTENTION["on" if layout.options.flash_attention else "off"]


def _memory_plan(decision: Decision, offload: Offload, own: int, *, is_dry_run: bool) -> MemoryPlan:
    rooms = {room.device: room for room in (offload.machine.cpu, *offload.machine.gpus)}
    return MemoryPlan(
        verdict=decision.verdict,
        sentence=decision.sentence,
        context=decision.layout.context,
        gpu_layers=decision.layout.gpu_layers,
        layers=offload.all_layers - 1,
        devices=tuple(
            DeviceEstimate(
                device=share.device,
                free_bytes=max(0, rooms[share.device].free),
                total_bytes=rooms[share.device].total,
                weights=share.weights,
                kv=share.kv,
                compute=share.compute,
                other=offload.learnt.get(share.device, 0)
                + (own + offload.account(decision.layout) if share.device == CPU else 0),
            )
            for share in decision.shares
        ),
        is_dry_run=is_dry_run,
        offers=_offers(decision.offers),
        context_trained=max(0, offload.header.context_length or 0),
        has_window=window_tokens(offload.header) > 0,
    )


def _offers(offered: tuple[Offered, ...]) -> tuple[Offer, ...]:
    return tuple(Offer(label=offer.label, options=offer.options) for offer in offered)


def default_threads() -> int:
    """The physical cores that this process may run on: more only get in each other's way."""
    return max(1, min(psutil.cpu_count(logical=False) or allowed_threads(), allowed_threads()))


def allowed_threads() -> int:
    """The cores that this process may run on, counted as the system does."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
