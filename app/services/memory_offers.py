"""What to offer when a model did not fit although it should have: the same with less."""

from dataclasses import replace

from app.core.context_budget import SMALLEST_CONTEXT
from app.core.load_decision import HALF_SIZE, context_label, layers_label
from app.core.load_options import LoadOptions
from app.core.memory_estimate import CONTEXT_STEP
from app.protocol.parts import MemoryPlan, Offer


def offers_below(plan: MemoryPlan, options: LoadOptions) -> tuple[Offer, ...]:
    """What takes less than `options` did, the mildest first.

    The estimate's own offers where it says that they do not fit, which may be none; where it was wrong and said that
    they do, half of what was tried.
    """
    if plan.verdict == "does_not_fit" or (plan.verdict != "fits" and plan.offers):
        return plan.offers
    return tuple(offer for offer in (_half_the_layers(plan, options), *_smaller_context(plan, options)) if offer)


def _half_the_layers(plan: MemoryPlan, options: LoadOptions) -> Offer | None:
    if plan.gpu_layers <= 0:
        return None
    half = plan.gpu_layers // 2
    return Offer(label=layers_label(half, plan.layers + 1), options=replace(options, gpu_layers=half))


def _smaller_context(plan: MemoryPlan, options: LoadOptions) -> tuple[Offer, ...]:
    half = max(SMALLEST_CONTEXT, plan.context // 2 // CONTEXT_STEP * CONTEXT_STEP)
    offers = []
    if half < plan.context:
        offers.append(Offer(label=context_label(half), options=replace(options, context=half)))
    if options.kv_type == "f16" and options.flash_attention != "off":
        less = replace(options, kv_type="q8_0")
        offers.append(Offer(label=HALF_SIZE, options=less))
    return tuple(offers)
