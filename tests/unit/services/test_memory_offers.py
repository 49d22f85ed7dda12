"""What is offered when a model did not fit: less of what was tried."""

from app.core.load_decision import Verdict
from app.core.load_options import LoadOptions
from app.protocol.parts import DeviceEstimate, MemoryPlan, Offer
from app.services.memory_offers import offers_below


def plan(
    verdict: Verdict = "fits", context: int = 8192, gpu_layers: int = 0, offers: tuple[Offer, ...] = ()
) -> MemoryPlan:
    """A plan for a model of 30 layers."""
    device = DeviceEstimate(device="CPU", free_bytes=1, total_bytes=1)
    return MemoryPlan(
        verdict=verdict,
        sentence="",
        context=context,
        gpu_layers=gpu_layers,
        layers=30,
        devices=(device,),
        is_dry_run=True,
        offers=offers,
    )


def test_the_estimates_own_offers_come_first() -> None:
    own = Offer(label="Use a context of 512 tokens", options=LoadOptions(context=512))
    assert offers_below(plan("does_not_fit", offers=(own,)), LoadOptions()) == (own,)


def test_where_the_estimate_knows_of_nothing_that_would_fit_nothing_is_offered() -> None:
    assert offers_below(plan("does_not_fit"), LoadOptions()) == ()


def test_what_should_have_fitted_is_tried_with_half_the_context_or_a_smaller_kv() -> None:
    options = LoadOptions(threads=2)
    assert [(offer.label, offer.options) for offer in offers_below(plan(), options)] == [
        ("Use a context of 4,096 tokens", LoadOptions(context=4096, threads=2)),
        ("Keep the chat's memory (KV) at half the size", LoadOptions(kv_type="q8_0", threads=2)),
    ]


def test_with_layers_on_a_gpu_half_of_them_is_the_mildest() -> None:
    (first, *_) = offers_below(plan(gpu_layers=31), LoadOptions())
    assert (first.label, first.options.gpu_layers) == ("Put 15 of 31 layers on the GPU", 15)
    (first, *_) = offers_below(plan(gpu_layers=1), LoadOptions())
    assert (first.label, first.options.gpu_layers) == ("Use the processor alone", 0)


def test_nothing_is_offered_that_would_be_the_same_or_no_chat() -> None:
    assert offers_below(plan(context=512), LoadOptions(kv_type="q4_0")) == ()
    assert [offer.options.context for offer in offers_below(plan(context=700), LoadOptions(kv_type="q8_0"))] == [512]


def test_a_smaller_kv_is_not_offered_where_flash_attention_is_off() -> None:
    labels = [offer.label for offer in offers_below(plan(), LoadOptions(flash_attention="off"))]
    assert labels == ["Use a context of 4,096 tokens"]
