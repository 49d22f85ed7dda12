"""How a model is loaded with what a person chose: layers, context, the verdict in words, and what would fit instead."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from app.core.context_budget import DEFAULT_LIMIT, SMALLEST_CONTEXT
from app.core.load_options import MIN_CONTEXT, Calibration, LoadOptions
from app.core.memory_estimate import OUTPUTS, ContextOptions
from app.core.offload import CPU, SMALLEST_MARGIN, Layout, Machine, Offload, Room, Share
from app.core.units import format_bytes, format_count

Verdict = Literal["fits", "fewer_layers", "does_not_fit"]

CPU_BATCH: Final = 256
"""Tokens of a slice of reading on the CPU: about 1 s on two cores, so progress moves and Stop is quick."""
GPU_BATCH: Final = 512
MOST_OFFERS: Final = 4
THE_RAM: Final = "the computer's memory"
HALF_SIZE: Final = "Keep the chat's memory (KV) at half the size"
"""What q8_0 is called where it is offered."""


def layers_label(count: int, most: int) -> str:
    """What a number of layers on the GPU is called where it is offered."""
    return f"Put {count} of {most} layers on the GPU" if count else "Use the processor alone"


def context_label(tokens: int) -> str:
    """What a context is called where it is offered."""
    return f"Use a context of {format_count(tokens)} tokens"


@dataclass(frozen=True, slots=True)
class Offered:
    """Options that would fit, and what to call them."""

    label: str
    options: LoadOptions


@dataclass(frozen=True, slots=True)
class Decision:
    """How a model is going to be loaded, and whether it can be."""

    layout: Layout
    shares: tuple[Share, ...]
    verdict: Verdict
    sentence: str
    can_load: bool
    """False also where the person asked for more layers than fit."""
    offers: tuple[Offered, ...]


def context_options(options: LoadOptions, calibration: Calibration | None, on_gpu: bool) -> ContextOptions:
    """Return what a context is made with, what is left open filled by what was measured, or Ember's general choice.

    Without a measurement flash attention is on for a GPU, and off on a CPU: follow-ups are 1.9 times and decode 1.15
    times as fast there without it (KV_STATE, measured). Quantised values need it.
    """
    best = calibration.best if calibration is not None else None
    flash = best.flash_attention if best is not None else on_gpu
    if options.flash_attention != "auto":
        flash = options.flash_attention == "on"
    batch = best.batch if best is not None else GPU_BATCH if on_gpu else CPU_BATCH
    return ContextOptions(
        n_ubatch=options.batch or batch,
        type_k=options.kv_type,
        type_v=options.kv_type,
        flash_attention=flash or options.kv_type != "f16",
        window_in_full=options.window_in_full,
        n_outputs=OUTPUTS,
    )


class Decider:
    """Decides for one model on one machine."""

    def __init__(self, offload: Offload, name: str, calibration: Calibration | None) -> None:
        """`name` is the model's, for sentences."""
        self._offload = offload
        self._name = name
        self._calibration = calibration
        self._trained = offload.header.context_length or 0

    def decide(self, options: LoadOptions) -> Decision:
        """Return how to load with `options`, and what would fit if that does not."""
        layout = self.layout(options)
        return self.judge(options, layout)

    def judge(self, options: LoadOptions, layout: Layout) -> Decision:
        """Return the decision for a layout that was worked out before."""
        offload = self._offload
        verdict: Verdict = "fits"
        fitting = layout.gpu_layers
        can_load = offload.fits(layout, margin=False)
        if not can_load:
            fitting = self._fewer(options, layout) if options.gpu_layers else 0
            verdict = "fewer_layers" if fitting else "does_not_fit"
        elif options.gpu_layers is None and offload.machine.gpus and layout.gpu_layers < offload.all_layers:
            verdict = "fewer_layers"
        shares = offload.shares(layout)
        return Decision(
            layout=layout,
            shares=shares,
            verdict=verdict,
            sentence=self._sentence(options, layout, shares, verdict, fitting),
            can_load=can_load,
            offers=() if can_load else tuple(self._offers(options, layout))[:MOST_OFFERS],
        )

    # --- the layout ------------------------------------------------------------------------------------------------

    def layout(self, options: LoadOptions) -> Layout:
        """Return layers and context: those asked for, else as many layers as fit, and then the context that fits."""
        context = self.wanted_context(options)
        layers = options.gpu_layers if self._offload.machine.gpus else 0
        if layers is None:
            layers = self._most_layers(options, context)
            if not layers and options.context is None:  # split, it may fit with a shorter context
                alone = self._offload.longest_context(self._with(options, context, 0), context)
                layers = 0 if alone >= SMALLEST_CONTEXT else self._most_layers(options, SMALLEST_CONTEXT)
        layout = self._with(options, context, min(layers, self._offload.all_layers))
        if options.context is None and context > SMALLEST_CONTEXT:
            fits = self._offload.longest_context(layout, context)
            layout = replace(layout, context=max(SMALLEST_CONTEXT, fits))
        return layout

    def wanted_context(self, options: LoadOptions) -> int:
        """Return the tokens asked for, at most what the model was trained for; without a wish at most 8,192."""
        if options.context is None:
            return max(MIN_CONTEXT, min(self._trained or DEFAULT_LIMIT, DEFAULT_LIMIT))
        return min(options.context, self._trained) if self._trained >= MIN_CONTEXT else options.context

    def _most_layers(self, options: LoadOptions, context: int) -> int:
        return self._offload.most_layers(self._with(options, context, self._offload.all_layers))

    def _with(self, options: LoadOptions, context: int, gpu_layers: int) -> Layout:
        return Layout(
            context=context,
            gpu_layers=gpu_layers,
            kv_on_gpu=options.kv_on_gpu,
            options=context_options(options, self._calibration, on_gpu=gpu_layers > 0),
        )

    # --- words -----------------------------------------------------------------------------------------------------

    def _sentence(
        self, options: LoadOptions, layout: Layout, shares: tuple[Share, ...], verdict: Verdict, fitting: int
    ) -> str:
        count, most = layout.gpu_layers, self._offload.all_layers
        rooms = self._rooms()
        gpus = " and ".join(rooms[share.device].words for share in shares if share.device != CPU)
        if verdict == "fits":
            where = f", {'all' if count == most else count} of {most} layers on {gpus}" if count else ""
            return f"It fits{where}: about {self._of_free(shares, is_named=count > 0)}."
        if verdict == "does_not_fit":
            return self._too_large(options, layout, shares)
        if options.gpu_layers is None:
            where = f"with {count} of {most} layers on {gpus}" if count else "only in the computer's memory"
            why = self._pieces(replace(layout, gpu_layers=most))
            about = self._of_free(shares, is_named=count > 0)
            words = f"It fits {where}: about {about}. The processor computes the rest."
            return f"{words} {why}." if why else words
        return (
            f"{count} of {most} layers do not fit: {self._lack(layout)}. "
            f"{fitting} {'layer does' if fitting == 1 else 'layers do'}."
        )

    def _of_free(self, shares: tuple[Share, ...], *, is_named: bool) -> str:
        """Such as `270 MiB of the 21 GiB that are free`, for each device, the GPUs first.

        With `is_named` the sentence has named the GPUs before: a single one is not named again.
        """
        rooms = self._rooms()
        gpus = [share for share in shares if share.device != CPU]
        parts = []
        for share in sorted(shares, key=lambda share: share.device == CPU):
            need, free = format_bytes(self._offload.need(share)), format_bytes(max(0, rooms[share.device].free))
            if len(shares) == 1:
                parts.append(f"{need} of the {free} that are free{' there' if gpus and is_named else ''}")
            elif share.device == CPU:
                parts.append(f"and {need} of {THE_RAM}, where {free} are free")
            else:
                where = "there" if is_named and len(gpus) == 1 else f"on {rooms[share.device].words}"
                parts.append(f"{need} of the {free} that are free {where}")
        return ", ".join(parts)

    def _lack(self, layout: Layout) -> str:
        if pieces := self._pieces(layout):
            return pieces
        needs, lacking = self._offload.needs(layout), self._offload.lacking(layout, margin=False)
        names = {room.device: THE_RAM if room.device == CPU else room.words for room in lacking}
        return ", ".join(
            f"{names[room.device]} would need about {_beside(needs[room.device], max(0, room.free), 'and has', 'free')}"
            for room in lacking
        )

    def _pieces(self, layout: Layout) -> str:
        """Where a layer's keys or values are more than a device takes in one piece; empty where none are."""
        rooms = self._rooms()
        limits = {gpu.device: gpu.largest_tensor or 0 for gpu in self._offload.machine.gpus}
        return ", ".join(
            f"{rooms[device].words} takes at most {format_bytes(limits[device])} in one piece, and the keys or values "
            f"of one layer would be {_more(size, limits[device])}"
            for device, size in self._offload.too_large_pieces(layout).items()
        )

    def _too_large(self, options: LoadOptions, layout: Layout, shares: tuple[Share, ...]) -> str:
        need = sum(map(self._offload.need, shares))
        free = sum(max(0, room.free) for room in self._rooms().values() if room.device == CPU or not room.is_unified)
        what, advice = self._name, "Choose a smaller model or close other programs."
        smallest = self._with(options, MIN_CONTEXT, layout.gpu_layers)
        if options.context is not None and self._offload.fits(smallest, margin=False):
            what, advice = (
                f"{what} with a context of {format_count(layout.context)} tokens",
                "Choose a smaller context.",
            )
        if need <= free or self._offload.too_large_pieces(layout):  # there is room enough, but not where it is needed
            return f"{what} does not fit: {self._lack(layout)}. {advice}"
        return f"{what} needs about {_beside(need, free, 'and', 'are free')}. {advice}"

    def _rooms(self) -> dict[str, Room]:
        return {room.device: room for room in (self._offload.machine.cpu, *self._offload.machine.gpus)}

    # --- what would fit --------------------------------------------------------------------------------------------

    def _offers(self, options: LoadOptions, layout: Layout) -> Iterator[Offered]:
        """What would fit, the mildest change first; each is held against the same estimate, with the margin."""
        fewer = self._fewer(options, layout) if layout.gpu_layers else 0
        if fewer not in (0, layout.gpu_layers):  # more, where it is the computer's memory that does not suffice
            yield from self._layers(options, layout, fewer)
        yield from self._shorter(options, layout)
        if options.kv_type == "f16":
            lean = replace(options, kv_type="q8_0", flash_attention="auto")
            if self._fits(lean, layout.context):
                yield Offered(HALF_SIZE, lean)
            else:
                yield from self._shorter(lean, layout, " and the chat's memory (KV) at half the size")
        if layout.gpu_layers and options.kv_on_gpu:
            outside = replace(options, kv_on_gpu=False)
            if self._fits(outside, layout.context):
                yield Offered("Keep the chat's memory (KV) off the GPU", outside)
        if self._offload.machine.gpus and options.gpu_layers != 0 and not fewer:
            yield from self._layers(options, layout, 0)

    def offers_below(self, options: LoadOptions, layout: Layout) -> tuple[Offered, ...]:
        """Return what takes clearly less than a layout that should have fitted and did not.

        Each GPU that it used, or else the computer's memory, must do with three fifths of what it takes there beside
        weights.
        """
        offload = self._offload
        shares = {share.device: share for share in offload.shares(layout)}

        def limited(room: Room) -> Room:
            share = shares.get(room.device)
            if share is None:
                return room
            most = share.weights + (share.kv + share.compute) * 3 // 5
            return replace(room, free=min(room.free, max(most + SMALLEST_MARGIN, most * 10 // 9)))

        gpus = tuple(map(limited, offload.machine.gpus))
        cpu = offload.machine.cpu if layout.gpu_layers else limited(offload.machine.cpu)
        smaller = Offload(offload.header, Machine(cpu, gpus), offload.learnt, offload.measured)
        return tuple(Decider(smaller, self._name, self._calibration)._offers(options, layout))[:MOST_OFFERS]

    def _fewer(self, options: LoadOptions, layout: Layout) -> int:
        """How many layers fit with the context that was wanted, or else with the one that was found."""
        wanted = replace(layout, context=self.wanted_context(options))
        return self._offload.most_layers(wanted) or self._offload.most_layers(layout)

    def _layers(self, options: LoadOptions, layout: Layout, count: int) -> Iterator[Offered]:
        if self._offload.fits(self._with(options, layout.context, count), margin=True):
            yield Offered(layers_label(count, self._offload.all_layers), replace(options, gpu_layers=count))

    def _shorter(self, options: LoadOptions, layout: Layout, more: str = "") -> Iterator[Offered]:
        """The longest context that fits with `options`, if there is one."""
        counts = {layout.gpu_layers}
        if options.gpu_layers is None:
            counts |= {0, self._most_layers(options, SMALLEST_CONTEXT)}
        longest = max(
            self._offload.longest_context(self._with(options, layout.context, count), layout.context)
            for count in counts
        )
        if SMALLEST_CONTEXT <= longest < layout.context:
            yield Offered(context_label(longest) + more, replace(options, context=longest))

    def _fits(self, options: LoadOptions, context: int) -> bool:
        layout = self.layout(replace(options, context=context))
        return self._offload.fits(layout, margin=True)


def _more(size: int, limit: int) -> str:
    """Such as `256 MiB`; the difference, where rounded both are the same."""
    words = format_bytes(size)
    return words if words != format_bytes(limit) else f"{format_bytes(size - limit)} more"


def _beside(need: int, free: int, has: str, is_free: str) -> str:
    """Such as `36 GiB (estimated) and 22 GiB are free`; the difference, where rounded both are the same."""
    if format_bytes(need) == format_bytes(free):
        return f"{format_bytes(need - free)} more than the {format_bytes(free)} that are free (estimated)"
    return f"{format_bytes(need)} (estimated) {has} {format_bytes(free)} {is_free}"
