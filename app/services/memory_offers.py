"""What to offer when a model did not fit although it should have: the same with less."""

from dataclasses import replace
from typing import Final

from app.core.load_options import LoadOptions
from app.core.units import format_count
from app.protocol.messages import MemoryPlan, Offer

CONTEXT_STEP: Final = 256
"""Tokens; llama.cpp rounds a context up to it."""
SMALLEST_CONTEXT: Final = 512
"""Tokens; less is no chat."""


def offers_below(plan: MemoryPlan, options: LoadOptions) -> tuple[Offer, ...]:
    """What takes less than `options` did, the mildest first.

    The estimate's own offers where it says that they do not fit; where it was wrong and said that they do, half of what
    was tried.
    """
    if plan.verdict != "fits" and plan.offers:
        return plan.offers
    return tuple(offer for offer in (_half_the_layers(plan, options), *_smaller_context(plan, options)) if offer)


def _half_the_layers(plan: MemoryPlan, options: LoadOptions) -> Offer | None:
    if plan.gpu_layers <= 0:
        return None
    half = plan.gpu_layers // 2
    label = f"Put {half} of {plan.layers + 1} layers on the GPU" if half else "Use the CPU"
    return Offer(label=label, options=replace(options, gpu_layers=half))


def _smaller_context(plan: MemoryPlan, options: LoadOptions) -> tuple[Offer, ...]:
    half = max(SMALLEST_CONTEXT, plan.context // 2 // CONTEXT_STEP * CONTEXT_STEP)
    offers = []
    if half < plan.context:
        label = f"Use a context of {format_count(half)} tokens"
        offers.append(Offer(label=label, options=replace(options, context=half)))
    if options.kv_type == "f16" and options.flash_attention != "off":
        less = replace(options, kv_type="q8_0")
        offers.append(Offer(label="Keep the chat's memory (KV) at half the size", options=less))
    return tuple(offers)
