"""What is kept of a model, in the words of a command."""

from pathlib import Path

import pytest

from app.core.load_options import Calibration, LoadOptions, Trial
from app.services.memory_commands import EstimateOptions
from app.services.stored_models import OwnSettings, own_report, own_words

MIB = 1024**2
TRIAL = Trial(flash_attention=True, threads=1, batch=1024, follow_up=9.0, decode=9.0, prefill=9.0)
MEASURED = Calibration(best=TRIAL, trials=(TRIAL,), depth=512)


def test_a_model_of_which_nothing_is_kept_needs_no_words() -> None:
    assert own_words(OwnSettings(LoadOptions())) == ""
    assert own_report(OwnSettings(LoadOptions())) == {"options": {}, "measured": None, "learnt_bytes": {}}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (LoadOptions(context=4096, kv_type="q8_0"), "a context of 4,096 tokens; keys and values as q8_0"),
        (LoadOptions(gpu_layers=1, kv_on_gpu=False), "1 layer on the GPU; keys and values off the GPU"),
        (LoadOptions(gpu_layers=0), "no layer on a GPU"),
        (LoadOptions(devices=("CUDA0", "CUDA1")), "only CUDA0, CUDA1"),
        (LoadOptions(devices=()), "no GPU"),
        (
            LoadOptions(flash_attention="off", threads=2, batch=64),
            "flash attention off; 2 threads; slices of 64 tokens",
        ),
        (LoadOptions(use_mmap=False, window_in_full=True), "the file read instead of mapped; windows kept in full"),
    ],
)
def test_what_the_person_chose_is_said(options: LoadOptions, words: str) -> None:
    assert own_words(OwnSettings(options)) == f"With this model's own settings: {words}."


def test_what_a_flag_says_otherwise_is_not_called_the_models_own() -> None:
    own = OwnSettings(LoadOptions(context=512, gpu_layers=3))
    assert own_words(own, frozenset({"context"})) == "With this model's own settings: 3 layers on the GPU."
    assert own_report(own, frozenset({"context"}))["options"] == {"gpu_layers": 3}


def test_what_was_measured_is_said_where_the_person_left_it_open() -> None:
    everything = own_words(OwnSettings(LoadOptions(), MEASURED))
    assert everything.endswith("measured here: flash attention on, 1 thread, slices of 1,024 tokens.")
    assert own_words(OwnSettings(LoadOptions(threads=4, kv_type="q4_0"), MEASURED)).endswith(
        "4 threads; measured here: slices of 1,024 tokens."
    )
    chosen = OwnSettings(LoadOptions(flash_attention="on", threads=4, batch=8), MEASURED)
    assert "measured" not in own_words(chosen)
    assert own_report(chosen)["measured"]["threads"] == 1


def test_what_loads_took_beyond_their_estimate_is_said_by_device() -> None:
    own = OwnSettings(LoadOptions(), learnt={"CPU": 3 * MIB, "CUDA0": -2 * MIB})
    assert own_words(own).endswith(
        "the last load took 3.0 MiB more on CPU and 2.0 MiB less on CUDA0 than was estimated."
    )


def test_flags_stand_over_the_models_own_options() -> None:
    own = LoadOptions(context=512, kv_type="q8_0", threads=2)
    asked = EstimateOptions(Path("a.gguf"), gpu_layers=0)
    assert asked.over(own) == LoadOptions(context=512, kv_type="q8_0", threads=2, gpu_layers=0)
    assert asked.given == {"gpu_layers"}


def test_smaller_keys_and_values_on_demand_leave_flash_attention_open_again() -> None:
    own = LoadOptions(flash_attention="off")
    asked = EstimateOptions(Path("a.gguf"), kv_type="q8_0")
    assert asked.over(own) == LoadOptions(kv_type="q8_0")
    assert EstimateOptions(Path("a.gguf"), kv_type="f16").over(own) == own
