"""What a person may choose about how a model is loaded; what is not chosen is worked out or measured."""

from dataclasses import dataclass
from typing import Final, Literal

from app.core.errors import EmberError

KvType = Literal["f16", "q8_0", "q4_0"]
"""How keys and values are kept; the smaller types need flash attention."""
FlashAttention = Literal["auto", "on", "off"]

MIN_CONTEXT: Final = 64
MOST_CONTEXT: Final = 2**31 - 1
MOST_THREADS: Final = 512
MOST_BATCH: Final = 8192
MOST_LAYERS: Final = 4096


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The options of one model; None and "auto" leave the choice to Ember."""

    context: int | None = None
    """Tokens; None: the smallest of what was trained for, 8,192 and what fits."""
    gpu_layers: int | None = None
    """Layers on the GPUs, the output counted as one more; None: all that fit; 0: none."""
    devices: tuple[str, ...] | None = None
    """The GPUs that may be used, by ggml's names; None: all."""
    kv_on_gpu: bool = True
    """Whether the keys and values of layers on a GPU are kept there too."""
    kv_type: KvType = "f16"
    flash_attention: FlashAttention = "auto"
    threads: int | None = None
    batch: int | None = None
    """Tokens of one slice of reading (n_batch = n_ubatch)."""
    use_mmap: bool = True
    window_in_full: bool = False
    """llama.cpp's swa_full: layers with a sliding window keep all tokens."""


def refuse_impossible(options: LoadOptions) -> None:
    """Raise EmberError (bad_options) for what no model can be loaded with."""
    for name, figure, least, most in (
        ("A context", options.context, MIN_CONTEXT, MOST_CONTEXT),
        ("The layers on the GPU", options.gpu_layers, 0, MOST_LAYERS),
        ("The threads", options.threads, 1, MOST_THREADS),
        ("The slice of reading", options.batch, 1, MOST_BATCH),
    ):
        if figure is not None and not least <= figure <= most:
            raise EmberError(f"{name} must be from {least} to {most}, not {figure}.", "bad_options")
    if options.kv_type != "f16" and options.flash_attention == "off":
        raise EmberError("Keys and values smaller than f16 need flash attention; switch it on.", "bad_options")


@dataclass(frozen=True, slots=True)
class Trial:
    """One way to compute, as measured on a model: tokens a second."""

    flash_attention: bool
    threads: int
    batch: int
    follow_up: float
    """Reading a few new tokens at depth."""
    decode: float
    """Writing at depth."""
    prefill: float
    """Reading a long new text at depth."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was found fastest for a model on a device; it answers where the options say "auto" or None."""

    best: Trial
    trials: tuple[Trial, ...]
    depth: int
    """Tokens that were in the context while it was measured."""
    is_steady: bool = True
    """False: the machine was too busy for runs to agree, so the default stayed; it is worth measuring again."""
    is_layout_free: bool = False
    """Whether the person let flash attention change although state was saved that the other choice cannot use."""
