"""What each layer remembers, for one architecture of each sort."""

import pytest

from app.core.gguf_header import GgufError, parse_bytes
from app.core.model_layers import layers, window_tokens
from tests.support.gguf_bytes import Value, described

SHAPE: dict[str, Value] = {"embedding_length": 64, "attention.head_count": 4, "attention.head_count_kv": 2}


def letters(architecture: str, blocks: int, **figures: Value) -> str:
    """Return one letter for each layer: f(ull), w(indow), r(ecurrent), b(oth), n(othing)."""
    more = {key.replace("__", "."): value for key, value in figures.items()}
    header = parse_bytes(described(architecture, {"block_count": blocks, **SHAPE, **more}))
    result = ""
    for layer in layers(header):
        kept = layer.key_row + layer.value_row
        if layer.state:
            result += "b" if kept else "r"
        else:
            result += ("w" if layer.windowed else "f") if kept else "n"
    return result


def test_every_layer_of_a_plain_model_keeps_everything() -> None:
    assert letters("llama", 4) == "ffff"


def test_a_window_that_llama_cpp_ignores_counts_as_full_attention() -> None:
    assert letters("qwen2", 4, attention__sliding_window=4096) == "ffff"
    assert letters("phi3", 4, attention__sliding_window=2047) == "ffff"


@pytest.mark.parametrize(
    ("architecture", "pattern"),
    [
        ("gemma3", "wwwwwfww"),
        ("gemma2", "wfwfwfwf"),
        ("gpt-oss", "wfwfwfwf"),
        ("cohere2", "wwwfwwwf"),
        ("cohere2moe", "fwwwfwww"),
        ("llama4", "wwwfwwwf"),
    ],
)
def test_windows_follow_the_architectures_pattern(architecture: str, pattern: str) -> None:
    assert letters(architecture, 8, attention__sliding_window=512) == pattern


def test_a_pattern_in_the_file_goes_before_the_architectures() -> None:
    listed = [True, False, False, True]
    assert letters("gemma3", 4, attention__sliding_window=512, attention__sliding_window_pattern=2) == "wfwf"
    for architecture in ("gemma3", "mimo2"):
        assert (
            letters(architecture, 4, attention__sliding_window=512, attention__sliding_window_pattern=listed) == "wffw"
        )


def test_an_architecture_that_lists_its_windows_has_none_without_the_list() -> None:
    assert letters("step35", 3, attention__sliding_window=512) == "fff"


def test_no_window_means_full_attention() -> None:
    assert letters("gemma3", 6) == "ffffff"
    assert letters("llama4", 4, attention__sliding_window=0) == "ffff"


@pytest.mark.parametrize(
    ("architecture", "stated", "tokens"),
    [
        ("gemma3", 512, 512),
        ("gemma2", None, 4096),
        ("llama4", 512, 8192),
        ("llama4", None, 8192),
        ("smallthinker", None, 0),
        ("smallthinker", 128, 4096),
        ("exaone4", None, 0),
        ("llama", 4096, 0),
    ],
)
def test_the_windows_size(architecture: str, stated: int | None, tokens: int) -> None:
    figures: dict[str, Value] = {"block_count": 4}
    if stated is not None:
        figures["attention.sliding_window"] = stated
    assert window_tokens(parse_bytes(described(architecture, figures))) == tokens


def test_the_large_exaone4_has_windows() -> None:
    assert letters("exaone4", 64).count("w") == 48


def test_hybrids_with_head_counts_by_layer() -> None:
    assert letters("lfm2", 4, attention__head_count_kv=[0, 2, 0, 2], shortconv__l_cache=3) == "rfrf"
    assert (
        letters(
            "lfm2",
            4,
            attention__head_count_kv=[0, 2, 0, 2],
            shortconv__l_cache=3,
            attention__sliding_window=64,
        )[1::2]
        == "ww"
    )


def test_a_nemotron_layer_of_feed_forward_only_remembers_nothing() -> None:
    assert (
        letters(
            "nemotron_h",
            3,
            attention__head_count_kv=[0, 2, 0],
            feed_forward_length=[0, 0, 128],
            ssm__conv_kernel=4,
            ssm__inner_size=32,
            ssm__state_size=16,
        )
        == "rfn"
    )


def test_hybrids_by_interval() -> None:
    ssm: dict[str, Value] = {"ssm__conv_kernel": 4, "ssm__inner_size": 32, "ssm__state_size": 16}
    assert letters("qwen3next", 8, **ssm) == "rrrfrrrf"
    assert letters("qwen3next", 4, full_attention_interval=2, **ssm) == "rfrf"
    assert letters("qwen35", 4, attention__recurrent_layers=[1, 0, 0, 1], **ssm) == "rffr"
    with pytest.raises(GgufError, match="0th"):
        letters("qwen3next", 4, full_attention_interval=0, **ssm)


def test_recurrent_models_keep_a_state_and_no_keys() -> None:
    assert letters("mamba", 2, ssm__conv_kernel=4, ssm__inner_size=32, ssm__state_size=16) == "rr"
    assert letters("rwkv7", 2, wkv__head_size=64) == "rr"
    assert letters("falcon-h1", 2, ssm__conv_kernel=4, ssm__inner_size=32, ssm__state_size=16) == "bb"


def test_states_have_llama_cpps_size() -> None:
    def state(architecture: str, **figures: Value) -> int:
        more = {key.replace("__", "."): value for key, value in figures.items()}
        header = parse_bytes(described(architecture, {"block_count": 1, **SHAPE, **more}))
        return layers(header)[0].state

    assert state("lfm2", attention__head_count_kv=[0], shortconv__l_cache=3) == 64 * 2
    assert state("rwkv7", wkv__head_size=16) == 2 * 64 + 64 * 16
    mamba = state("mamba2", ssm__conv_kernel=4, ssm__inner_size=32, ssm__state_size=16, ssm__group_count=2)
    assert mamba == 3 * (32 + 2 * 2 * 16) + 16 * 32
    kda = state("kimi-linear", attention__head_count_kv=[0], kda__head_dim=8, ssm__conv_kernel=4)
    assert kda == 3 * 3 * 4 * 8 + 8 * 8 * 4


def test_layers_that_share_keys_or_only_predict_ahead_keep_none() -> None:
    assert letters("gemma4", 4, attention__shared_kv_layers=1) == "fffn"
    assert letters("gemma3n", 22) == "f" * 20 + "nn"
    assert letters("glm4moe", 4, nextn_predict_layers=1) == "fff"


def test_latent_attention_keeps_one_row_for_keys_and_values() -> None:
    figures: dict[str, Value] = {
        "block_count": 1,
        "attention.head_count": 16,
        "attention.head_count_kv": 1,
        "attention.key_length": 576,
        "attention.value_length": 512,
        "attention.key_length_mla": 192,
        "attention.value_length_mla": 128,
    }
    (layer,) = layers(parse_bytes(described("deepseek2", figures)))
    assert (layer.key_row, layer.value_row) == (576, 0)


def test_window_layers_may_have_narrower_heads() -> None:
    header = parse_bytes(
        described(
            "gemma4",
            {
                **SHAPE,
                "block_count": 2,
                "attention.key_length": 512,
                "attention.value_length": 512,
                "attention.key_length_swa": 256,
                "attention.value_length_swa": 256,
                "attention.sliding_window": 1024,
                "attention.sliding_window_pattern": [True, False],
            },
        )
    )
    assert [(layer.key_row, layer.windowed) for layer in layers(header)] == [(512, True), (1024, False)]
