"""Where layers go, what fits, and the verdict, on device tables recorded of machines with and without GPUs."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.gguf_header import GgufHeader, parse
from app.core.gguf_header import parse_bytes as parse_whole
from app.core.load_decision import Decider, Decision, context_options
from app.core.load_options import Calibration, LoadOptions, Trial
from app.core.memory_estimate import ContextOptions, estimate
from app.core.offload import SMALLEST_MARGIN, Layout, Machine, Measured, Offload, Room, learnt_bytes
from tests.support.gguf_bytes import described_model
from tests.support.tiny_models import Kind, make

MIB, GIB = 1024**2, 1024**3

NO_GPU = Machine(Room("CPU", 22 * GIB, 24 * GIB, True))
ONE_CUDA = Machine(Room("CPU", 28 * GIB, 32 * GIB, True), (Room("CUDA0", 23_512 * MIB, 24_082 * MIB),))
SMALL_CUDA = Machine(Room("CPU", 28 * GIB, 32 * GIB, True), (Room("CUDA0", 3_700 * MIB, 4_096 * MIB),))
TWO_CUDA = Machine(
    Room("CPU", 60 * GIB, 64 * GIB, True),
    (Room("CUDA0", 11_000 * MIB, 12_044 * MIB), Room("CUDA1", 22_000 * MIB, 24_082 * MIB)),
)
METAL = Machine(Room("CPU", 12 * GIB, 24 * GIB, True), (Room("MTL0", 16 * GIB, 16 * GIB, True),))
VULKAN_INTEGRATED = Machine(Room("CPU", 10 * GIB, 16 * GIB, True), (Room("Vulkan0", 8 * GIB, 8 * GIB, True),))
VULKAN_PIECES = Machine(
    Room("CPU", 60 * GIB, 64 * GIB, True), (Room("Vulkan0", 22 * GIB, 24 * GIB, largest_tensor=128 * MIB),)
)
"""As Mesa and some drivers say it: maxStorageBufferRange is 128 MiB."""

PLAIN = ContextOptions(flash_attention=True)


def parse_bytes(data: bytes) -> GgufHeader:
    """A header whose weights are not there."""
    return parse(lambda offset, size: data[offset : offset + size], None)


def llama_8b() -> GgufHeader:
    """The shapes of Llama 3 8B at about 4.5 GiB."""
    return parse_bytes(described_model(layers=32, width=4096, feed_forward=14_336, heads=32, kv_heads=8))


def llama_70b() -> GgufHeader:
    """The shapes of Llama 3 70B at about 40 GiB."""
    return parse_bytes(described_model(layers=80, width=8192, feed_forward=28_672, heads=64, kv_heads=8))


def decided(header: GgufHeader, machine: Machine, options: LoadOptions | None = None) -> Decision:
    return Decider(Offload(header, machine), "model.gguf", None).decide(options or LoadOptions())


def by_device(decision: Decision) -> dict[str, int]:
    return {share.device: share.total for share in decision.shares}


# --- the automatic choice


def test_without_a_gpu_everything_is_in_the_computers_memory() -> None:
    decision = decided(llama_8b(), NO_GPU)
    assert (decision.verdict, decision.layout.gpu_layers, decision.layout.context) == ("fits", 0, 8192)
    assert list(by_device(decision)) == ["CPU"]
    assert decision.sentence.startswith("It fits: about ")
    assert decision.sentence.endswith("of the 22 GiB that are free.")


def test_a_large_gpu_takes_all_layers_and_only_the_embedding_stays() -> None:
    decision = decided(llama_8b(), ONE_CUDA)
    assert (decision.verdict, decision.layout.gpu_layers) == ("fits", 33)
    cpu, gpu = decision.shares
    assert (cpu.device, gpu.device) == ("CPU", "CUDA0")
    assert cpu.kv == 0
    assert cpu.weights + gpu.weights == llama_8b().tensor_bytes
    assert "all of 33 layers on CUDA0" in decision.sentence
    assert decision.sentence.endswith(" of the computer's memory, where 28 GiB are free.")


def test_a_gpu_is_called_by_its_name_in_sentences() -> None:
    named = replace(ONE_CUDA.gpus[0], label="NVIDIA RTX 4090")
    decision = decided(llama_8b(), Machine(ONE_CUDA.cpu, (named,)))
    assert "all of 33 layers on NVIDIA RTX 4090: about " in decision.sentence
    assert " that are free there, and " in decision.sentence
    assert decision.sentence.count("NVIDIA RTX 4090") == 1


def test_a_small_gpu_takes_as_many_layers_as_fit_with_their_keys_and_values() -> None:
    decision = decided(llama_8b(), SMALL_CUDA)
    layers = decision.layout.gpu_layers
    assert decision.verdict == "fewer_layers"
    assert 15 <= layers < 33
    assert f"{layers} of 33 layers" in decision.sentence
    gpu = next(share for share in decision.shares if share.device == "CUDA0")
    assert gpu.total <= SMALL_CUDA.gpus[0].usable
    assert gpu.kv > 0
    more = replace(decision.layout, gpu_layers=layers + 1)
    assert not Offload(llama_8b(), SMALL_CUDA).fits(more, margin=True)


def test_two_gpus_share_the_layers_as_their_free_memory_is() -> None:
    decision = decided(llama_8b(), TWO_CUDA)
    shares = {share.device: share for share in decision.shares}
    assert decision.layout.gpu_layers == 33
    assert shares["CUDA1"].kv * 11 == shares["CUDA0"].kv * 21  # 11 layers, and 21 with the output
    assert shares["CUDA0"].kv + shares["CUDA1"].kv == estimate(llama_8b(), 8192, PLAIN).kv


def test_what_is_unified_counts_once_for_both() -> None:
    fits = Offload(llama_8b(), METAL)
    layout = Decider(fits, "m", None).layout(LoadOptions())
    assert layout.gpu_layers == 33
    tight = replace(METAL, cpu=replace(METAL.cpu, free=5 * GIB))
    assert [room.device for room in Offload(llama_8b(), tight).lacking(layout, margin=True)] == ["CPU"]


def test_an_integrated_gpu_may_not_take_what_the_computer_lacks() -> None:
    decision = decided(llama_8b(), VULKAN_INTEGRATED)
    assert sum(by_device(decision).values()) <= VULKAN_INTEGRATED.cpu.free


def test_keys_and_values_can_stay_outside_and_make_room_for_layers() -> None:
    inside = decided(llama_8b(), SMALL_CUDA)
    outside = decided(llama_8b(), SMALL_CUDA, LoadOptions(kv_on_gpu=False))
    assert outside.layout.gpu_layers > inside.layout.gpu_layers
    gpu = next(share for share in outside.shares if share.device == "CUDA0")
    assert gpu.kv == 0


def test_an_output_that_is_the_embedding_lies_on_the_gpu_a_second_time() -> None:
    tied = parse_bytes(described_model(layers=4, width=512, feed_forward=1024, heads=8, kv_heads=8, tied=True))
    cpu = Offload(tied, ONE_CUDA).shares(Layout(512, 0, True, PLAIN))
    both = Offload(tied, ONE_CUDA).shares(Layout(512, 5, True, PLAIN))
    embedding = next(tensor.size for tensor in tied.tensors if tensor.name == "token_embd.weight")
    assert sum(share.weights for share in both) == sum(share.weights for share in cpu) + embedding


def test_with_little_memory_the_context_is_what_fits() -> None:
    header = llama_8b()
    free = estimate(header, 2048, context_options(LoadOptions(), None, on_gpu=False)).total
    machine = Machine(Room("CPU", free + free // 9 + MIB, 8 * GIB, True))
    decision = decided(header, machine)
    assert (decision.verdict, decision.layout.context) == ("fits", 2048)


def test_a_model_trained_for_little_gets_no_more() -> None:
    header = parse_bytes(described_model(layers=2, width=64, feed_forward=64, heads=2, kv_heads=2, context_length=300))
    assert decided(header, NO_GPU).layout.context == 300
    assert decided(header, NO_GPU, LoadOptions(context=4096)).layout.context == 300


# --- what does not fit


def test_a_70b_model_is_refused_on_24_gib_with_the_figures_and_nothing_that_would_not_fit() -> None:
    decision = decided(llama_70b(), NO_GPU)
    assert (decision.verdict, decision.can_load) == ("does_not_fit", False)
    assert "model.gguf needs about 36 GiB (estimated) and 22 GiB are free" in decision.sentence
    assert decision.offers == ()


def test_too_many_layers_are_refused_and_as_many_as_fit_are_offered() -> None:
    asked = LoadOptions(gpu_layers=33)
    decision = decided(llama_8b(), SMALL_CUDA, asked)
    assert (decision.verdict, decision.can_load) == ("fewer_layers", False)
    assert decision.layout.gpu_layers == 33
    assert "33 of 33 layers do not fit: CUDA0 would need about" in decision.sentence
    first = decision.offers[0]
    assert first.options.gpu_layers == decided(llama_8b(), SMALL_CUDA).layout.gpu_layers
    assert f"{first.options.gpu_layers} of 33 layers" in first.label


def test_a_context_that_is_too_long_is_refused_and_what_fits_is_offered() -> None:
    header = parse_bytes(
        described_model(layers=32, width=4096, feed_forward=14_336, heads=32, kv_heads=8, context_length=1_000_000)
    )
    decision = decided(header, NO_GPU, LoadOptions(context=130_000, flash_attention="on"))
    assert decision.verdict == "fits"
    decision = decided(header, NO_GPU, LoadOptions(context=160_000, flash_attention="on"))
    assert (decision.verdict, decision.can_load) == ("does_not_fit", False)
    assert "with a context of 160,000 tokens" in decision.sentence
    labels = [offer.label for offer in decision.offers]
    assert labels[0].startswith("Use a context of ")
    assert any("half the size" in label for label in labels)


@pytest.mark.parametrize("machine", [NO_GPU, ONE_CUDA, SMALL_CUDA, TWO_CUDA, METAL, VULKAN_INTEGRATED])
@pytest.mark.parametrize("options", [LoadOptions(context=400_000), LoadOptions(context=100_000, gpu_layers=33)])
def test_every_offer_fits_by_the_same_estimate(machine: Machine, options: LoadOptions) -> None:
    header = parse_bytes(
        described_model(layers=32, width=4096, feed_forward=14_336, heads=32, kv_heads=8, context_length=1_000_000)
    )
    for offer in decided(header, machine, options).offers:
        assert decided(header, machine, offer.options).can_load
        assert offer.options != options


@pytest.mark.parametrize("machine", [NO_GPU, ONE_CUDA, SMALL_CUDA, TWO_CUDA, METAL])
def test_what_is_offered_after_a_failure_takes_less_than_what_failed(machine: Machine) -> None:
    decider = Decider(Offload(llama_8b(), machine), "m", None)
    before = decider.decide(LoadOptions())
    offers = decider.offers_below(LoadOptions(), before.layout)
    assert offers
    where = "CPU" if machine is NO_GPU else machine.gpus[0].device
    for offer in offers:
        after = decider.decide(offer.options)
        assert after.can_load
        assert after.layout != before.layout
        assert by_device(after).get(where, 0) < by_device(before)[where]


# --- options


def test_what_was_measured_answers_where_nothing_was_chosen() -> None:
    best = Trial(flash_attention=True, threads=3, batch=128, follow_up=1, decode=1, prefill=1)
    calibration = Calibration(best, (best,), 512)
    found = context_options(LoadOptions(), calibration, on_gpu=False)
    assert (found.flash_attention, found.n_ubatch) == (True, 128)
    chosen = context_options(LoadOptions(flash_attention="off", batch=64), calibration, on_gpu=False)
    assert (chosen.flash_attention, chosen.n_ubatch) == (False, 64)


def test_small_keys_and_values_take_flash_attention_along() -> None:
    assert context_options(LoadOptions(kv_type="q8_0"), None, on_gpu=False).flash_attention


@pytest.mark.parametrize(
    ("options", "what"),
    [(LoadOptions(kv_type="q8_0"), "kv"), (LoadOptions(context=4096), "kv"), (LoadOptions(batch=64), "compute")],
)
def test_a_smaller_choice_takes_less(options: LoadOptions, what: str) -> None:
    (plain,) = decided(llama_8b(), NO_GPU).shares
    (lean,) = decided(llama_8b(), NO_GPU, options).shares
    assert getattr(lean, what) < getattr(plain, what)


# --- figures


def test_what_was_measured_of_a_layout_replaces_the_estimate_and_moves_the_others() -> None:
    layout = Layout(8192, 33, True, PLAIN)
    measured = Measured(layout, kv=1100 * MIB, compute={"CPU": 24 * MIB, "CUDA0": 300 * MIB})
    offload = Offload(llama_8b(), ONE_CUDA, measured=measured)
    cpu, gpu = offload.shares(layout)
    assert (cpu.compute, gpu.compute, gpu.kv) == (24 * MIB, 300 * MIB, 1100 * MIB)
    shorter = offload.shares(replace(layout, context=4096))
    assert shorter[1].kv == 550 * MIB


@given(st.integers(0, 33), st.sampled_from([ONE_CUDA, SMALL_CUDA, TWO_CUDA, METAL]))
def test_no_byte_is_lost_between_devices(layers: int, machine: Machine) -> None:
    header = LLAMA
    shares = Offload(header, machine).shares(Layout(4096, layers, True, PLAIN))
    assert sum(share.weights for share in shares) == header.tensor_bytes
    assert sum(share.kv for share in shares) == estimate(header, 4096, PLAIN).kv


LLAMA = llama_8b()


@pytest.mark.parametrize("kind", [Kind.FULL, Kind.WINDOW, Kind.HYBRID, Kind.HYBRID_WINDOW, Kind.RECURRENT])
def test_every_kind_of_memory_is_split_by_layers(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> None:
    header = parse_whole(make(kind, tmp_path_factory.mktemp("offload") / "m.gguf").read_bytes())
    count = (header.block_count or 0) + 1
    whole = estimate(header, 1024, PLAIN).kv
    for layers in range(count + 1):
        shares = Offload(header, ONE_CUDA).shares(Layout(1024, layers, True, PLAIN))
        assert sum(share.kv for share in shares) == whole
        assert (shares[0].kv == whole) == (layers <= 1)


def test_a_margin_is_left_to_others() -> None:
    assert Room("CUDA0", GIB, GIB).usable == GIB - SMALLEST_MARGIN
    assert Room("CUDA0", 20 * GIB, 24 * GIB).usable == 18 * GIB


def test_the_next_estimate_learns_what_this_one_missed() -> None:
    learnt = learnt_bytes({"CPU": 100, "CUDA0": 900}, {"CPU": 130, "CUDA0": 900}, process=300, own=120)
    assert learnt == {"CPU": 30 + 50}
    assert learnt_bytes({"CPU": 100}, {"CPU": 100}, process=150, own=120) == {}


def test_what_was_learnt_of_a_device_leaves_it_less_room() -> None:
    taught = Offload(LLAMA, SMALL_CUDA, {"CUDA0": GIB})
    assert taught.most_layers(Layout(8192, 33, True, PLAIN)) < decided(LLAMA, SMALL_CUDA).layout.gpu_layers


def test_a_sentence_counts_what_earlier_loads_taught() -> None:
    gib_free = Machine(Room("CPU", 6 * GIB, 8 * GIB, True))
    fits = Decider(Offload(llama_8b(), gib_free), "model.gguf", None).decide(LoadOptions(context=512))
    assert fits.can_load
    taught = Decider(Offload(llama_8b(), gib_free, {"CPU": 3 * GIB}), "model.gguf", None)
    refused = taught.decide(LoadOptions(context=512))
    assert refused.sentence.startswith("model.gguf needs about 6.9 GiB (estimated) and 6.0 GiB are free.")


def test_what_lacks_little_is_said_as_the_difference() -> None:
    need = by_device(decided(llama_8b(), NO_GPU))["CPU"]
    refused = decided(llama_8b(), Machine(Room("CPU", need - 3 * MIB, 24 * GIB, True)), LoadOptions(context=8192))
    assert " needs about 3.0 MiB more than the " in refused.sentence


def test_what_a_gpu_takes_of_the_computers_memory_counts_in_the_sentence() -> None:
    roomy = Room("MTL0", 64 * GIB, 64 * GIB, True)
    refused = decided(llama_70b(), Machine(Room("CPU", 30 * GIB, 32 * GIB, True), (roomy,)), LoadOptions(gpu_layers=40))
    assert not refused.can_load
    assert "needs about 37 GiB (estimated) and 30 GiB are free" in refused.sentence


def test_a_model_that_fits_only_when_it_is_split_and_its_context_short_is_loaded_so() -> None:
    header = parse_bytes(described_model(layers=32, width=4096, feed_forward=14_336, heads=32, kv_heads=32))
    tight = Machine(Room("CPU", 4_600 * MIB, 8 * GIB, True), (Room("CUDA0", 2_500 * MIB, 4 * GIB),))
    decision = decided(header, tight)
    assert decision.can_load
    assert 0 < decision.layout.gpu_layers < 33
    assert 512 <= decision.layout.context < 8192
    (shorter, *_) = decided(header, tight, LoadOptions(context=8192)).offers
    assert decided(header, tight, shorter.options).can_load


def test_more_layers_are_offered_where_the_computers_memory_does_not_suffice() -> None:
    tight = Machine(Room("CPU", 3 * GIB, 4 * GIB, True), (Room("CUDA0", 23_512 * MIB, 24_082 * MIB),))
    decision = decided(llama_8b(), tight, LoadOptions(gpu_layers=5))
    assert decision.verdict == "fewer_layers"
    assert decision.offers[0].options.gpu_layers == 33


def test_a_gpu_that_is_full_and_not_used_is_in_nobodys_way() -> None:
    full = Machine(Room("CPU", 22 * GIB, 24 * GIB, True), (Room("CUDA0", 0, 24_082 * MIB),))
    decision = decided(llama_8b(), full)
    assert (decision.can_load, decision.layout.gpu_layers, decision.layout.context) == (True, 0, 8192)


# --- what a device takes in one piece


def long_8b() -> GgufHeader:
    """As Llama 3 8B, whose keys of one layer are 2 KiB a token, for long contexts."""
    shape = {"layers": 32, "width": 4096, "feed_forward": 14_336, "heads": 32, "kv_heads": 8}
    return parse_bytes(described_model(**shape, context_length=2**20))


def test_keys_and_values_of_a_layer_may_be_as_large_as_a_device_takes_in_one_piece() -> None:
    assert decided(long_8b(), VULKAN_PIECES, LoadOptions(context=65_536, gpu_layers=33)).verdict == "fits"
    refused = decided(long_8b(), VULKAN_PIECES, LoadOptions(context=65_792, gpu_layers=33))
    assert not refused.can_load
    assert "Vulkan0 takes at most 128 MiB in one piece" in refused.sentence
    assert "the keys or values of one layer would be 129 MiB." in refused.sentence


def test_larger_pieces_are_refused_in_a_sentence_with_what_a_device_does_take() -> None:
    asked = LoadOptions(context=131_072, gpu_layers=33)
    refused = decided(long_8b(), VULKAN_PIECES, asked)
    assert refused.sentence.startswith("33 of 33 layers do not fit: Vulkan0 takes at most 128 MiB in one piece")
    assert "would be 256 MiB." in refused.sentence
    offers = {offer.label: offer.options for offer in refused.offers}
    assert offers["Use a context of 65,536 tokens"] == replace(asked, context=65_536)
    assert "Keep the chat's memory (KV) off the GPU" in offers
    assert all(decided(long_8b(), VULKAN_PIECES, options).can_load for options in offers.values())


def test_off_the_gpu_the_keys_and_values_may_be_larger() -> None:
    outside = LoadOptions(context=131_072, gpu_layers=33, kv_on_gpu=False)
    assert decided(long_8b(), VULKAN_PIECES, outside).can_load


def test_layers_that_stay_off_the_gpu_for_their_pieces_are_explained() -> None:
    decision = decided(long_8b(), VULKAN_PIECES, LoadOptions(context=131_072))
    assert (decision.verdict, decision.can_load) == ("fewer_layers", True)
    assert not any(share.kv for share in decision.shares if share.device == "Vulkan0")
    assert "Vulkan0 takes at most 128 MiB in one piece" in decision.sentence
    usual = decided(long_8b(), VULKAN_PIECES)
    assert usual.layout.gpu_layers == 33 and "in one piece" not in usual.sentence


def test_smaller_keys_and_values_go_into_one_piece_for_longer() -> None:
    lean = LoadOptions(context=114_688, gpu_layers=33, kv_type="q8_0")
    assert decided(long_8b(), VULKAN_PIECES, lean).can_load
    assert not decided(long_8b(), VULKAN_PIECES, replace(lean, context=131_072)).can_load
