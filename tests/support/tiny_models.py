"""Random-weight GGUF models of about 2 MB with a small vocabulary, one per kind of llama.cpp memory.

One can chat with them: all 256 bytes are tokens, so any text tokenises, and their replies are gibberish of
arbitrary bytes, which is what tests of UTF-8, stopping and saved state want. The tensors each architecture
needs are those of its `load_arch_tensors` in llama.cpp's src/models.
"""

from enum import StrEnum
from pathlib import Path
from typing import Final

import gguf
import numpy as np

EMBD: Final = 128
HEADS: Final = 4
KV_HEADS: Final = 2
HEAD_WIDTH: Final = EMBD // HEADS
FEED_FORWARD: Final = 256
WINDOW: Final = 64

CHATML: Final = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

CONTROL_TOKENS: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
USER_TOKENS: Final = ("<think>", "</think>")
END_OF_TEXT, IM_START, IM_END, THINK, END_THINK = range(5)
MERGES: Final = (
    *(
        "t h",
        "th e",
        "Ġ the",
        "a n",
        "an d",
        "Ġ and",
        "i n",
        "in g",
        "e r",
        "o n",
        "r e",
        "a t",
        "e n",
        "o u",
    ),
    *("i s", "Ġ is", "l l", "o r", "o f", "Ġ of", "u s", "us er", "s y", "sy s", "t e", "te m", "sys tem"),
    *("a s", "as s", "ass is", "assis t", "assist an", "assistan t", "Ġ a", "Ġ w", "Ġ c", "Ġ b"),
)


class Kind(StrEnum):
    """The kinds of memory that llama.cpp gives a model."""

    FULL = "full"
    """Full attention (qwen2)."""
    WINDOW = "window"
    """Sliding window in five of six layers (gemma3)."""
    HYBRID = "hybrid"
    """Attention and recurrent short convolutions in turns (lfm2)."""
    HYBRID_WINDOW = "hybrid_window"
    """The same, its attention in a sliding window (lfm2)."""
    M_ROPE = "m_rope"
    """Full attention with positions in several dimensions (qwen2vl)."""
    RECURRENT = "recurrent"
    """Recurrent states only (mamba)."""


def byte_tokens() -> list[str]:
    """Return GPT-2's visible character for each byte, in the order of the bytes."""
    visible = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    spare = iter(range(256, 512))
    return [chr(byte if byte in visible else next(spare)) for byte in range(256)]


def vocabulary() -> list[str]:
    """Return all tokens: control tokens, user-defined ones, bytes, merged pairs."""
    merged = [pair.replace(" ", "") for pair in MERGES]
    return [*CONTROL_TOKENS, *USER_TOKENS, *byte_tokens(), *dict.fromkeys(merged)]


VOCABULARY_SIZE: Final = len(vocabulary())


class _Writer:
    """Writes one model: metadata, random tensors, file."""

    def __init__(self, path: Path, architecture: str, seed: int) -> None:
        self.gguf = gguf.GGUFWriter(str(path), architecture)
        self.gguf.add_type("model")
        self.rng = np.random.default_rng(seed)

    def random(self, name: str, *shape: int, scale: float = 0.15) -> None:
        """Add a tensor of normally distributed values; `shape` as numpy has it, the row length last."""
        self.gguf.add_tensor(name, (self.rng.standard_normal(shape) * scale).astype(np.float32))

    def ones(self, name: str, *shape: int) -> None:
        """Add a tensor of ones, for a norm."""
        self.gguf.add_tensor(name, np.ones(shape, np.float32))

    def zeros(self, name: str, *shape: int) -> None:
        """Add a tensor of zeros, for a bias."""
        self.gguf.add_tensor(name, np.zeros(shape, np.float32))

    def shape(self, layers: int, kv_heads: int | list[int], context_length: int) -> None:
        """Add the figures that all these architectures share."""
        writer = self.gguf
        writer.add_block_count(layers)
        writer.add_context_length(context_length)
        writer.add_embedding_length(EMBD)
        writer.add_feed_forward_length(FEED_FORWARD)
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(kv_heads)
        writer.add_rope_freq_base(10000.0)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_file_type(gguf.LlamaFileType.ALL_F32)

    def tokens(self, chat_template: str | None) -> None:
        """Add the byte-level vocabulary."""
        writer, tokens = self.gguf, vocabulary()
        kinds = [gguf.TokenType.NORMAL] * len(tokens)
        kinds[: len(CONTROL_TOKENS)] = [gguf.TokenType.CONTROL] * len(CONTROL_TOKENS)
        kinds[THINK : END_THINK + 1] = [gguf.TokenType.USER_DEFINED] * len(USER_TOKENS)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("smollm")
        writer.add_token_list(tokens)
        writer.add_token_types(kinds)
        writer.add_token_merges(list(MERGES))
        writer.add_bos_token_id(IM_START)
        writer.add_eos_token_id(IM_END)
        writer.add_pad_token_id(IM_END)
        writer.add_add_bos_token(False)
        if chat_template is not None:
            writer.add_chat_template(chat_template)

    def feed_forward(self, block: str) -> None:
        """Add the gated feed-forward tensors of a layer."""
        self.ones(block + "ffn_norm.weight", EMBD)
        self.random(block + "ffn_gate.weight", FEED_FORWARD, EMBD)
        self.random(block + "ffn_up.weight", FEED_FORWARD, EMBD)
        self.random(block + "ffn_down.weight", EMBD, FEED_FORWARD)

    def attention(self, block: str, *, bias: bool = False, norms: bool = False) -> None:
        """Add the attention tensors of a layer."""
        for name, width in (("q", EMBD), ("k", KV_HEADS * HEAD_WIDTH), ("v", KV_HEADS * HEAD_WIDTH)):
            self.random(f"{block}attn_{name}.weight", width, EMBD)
            if bias:
                self.random(f"{block}attn_{name}.bias", width)
        if norms:
            self.ones(block + "attn_q_norm.weight", HEAD_WIDTH)
            self.ones(block + "attn_k_norm.weight", HEAD_WIDTH)
        self.random(block + "attn_output.weight", EMBD, EMBD)

    def output(self) -> None:
        """Add the output layer, in which control tokens stay at a logit of 0 while others reach about 12."""
        weights = self.rng.standard_normal((VOCABULARY_SIZE, EMBD)) * 0.3
        weights[: len(CONTROL_TOKENS)] = 0
        self.gguf.add_tensor("output.weight", weights.astype(np.float32))

    def output_bias(self, end_bias: float) -> None:
        """Add `end_bias` to the logit of <|im_end|>, and keep the other control tokens from being written."""
        bias = np.zeros(VOCABULARY_SIZE, np.float32)
        bias[: len(CONTROL_TOKENS)] = -1000.0
        bias[IM_END] = end_bias
        self.gguf.add_tensor("output.bias", bias)

    def close(self) -> None:
        """Write the file."""
        self.gguf.write_header_to_file()
        self.gguf.write_kv_data_to_file()
        self.gguf.write_tensors_to_file()
        self.gguf.close()


def make(
    kind: Kind,
    path: Path,
    *,
    seed: int = 0,
    context_length: int = 8192,
    chat_template: str | None = CHATML,
    window: int = WINDOW,
    end_bias: float = -1000.0,
    with_vocabulary: bool = True,
) -> Path:
    """Write a model of `kind` to `path` and return the path; the same arguments give the same bytes.

    `end_bias` is the logit added to <|im_end|> (kinds "full" and "m_rope" only): as it is they never end a
    reply, with 1000 they end it at once. The other kinds end one in about a hundred thousand tokens.
    """
    architectures = {Kind.FULL: "qwen2", Kind.WINDOW: "gemma3", Kind.M_ROPE: "qwen2vl", Kind.RECURRENT: "mamba"}
    writer = _Writer(path, architectures.get(kind, "lfm2"), seed)
    writer.gguf.add_name(f"Tiny {kind.value}")
    if with_vocabulary:
        writer.tokens(chat_template)
    else:
        writer.gguf.add_vocab_size(VOCABULARY_SIZE)
        writer.gguf.add_tokenizer_model("no_vocab")
    if kind is Kind.WINDOW:
        _window(writer, context_length, window)
    elif kind in (Kind.HYBRID, Kind.HYBRID_WINDOW):
        _hybrid(writer, context_length, window if kind is Kind.HYBRID_WINDOW else 0)
    elif kind is Kind.RECURRENT:
        _recurrent(writer, context_length)
    else:
        _full(writer, context_length, end_bias, m_rope=kind is Kind.M_ROPE)
    writer.close()
    return path


def _full(writer: _Writer, context_length: int, end_bias: float, *, m_rope: bool) -> None:
    """Write three layers of full attention."""
    writer.shape(3, KV_HEADS, context_length)
    if m_rope:
        writer.gguf.add_rope_dimension_sections([4, 6, 6, 0])
    writer.random("token_embd.weight", VOCABULARY_SIZE, EMBD, scale=0.5)
    writer.ones("output_norm.weight", EMBD)
    writer.output()
    writer.output_bias(end_bias)
    for layer in range(3):
        block = f"blk.{layer}."
        writer.ones(block + "attn_norm.weight", EMBD)
        writer.attention(block, bias=True)
        writer.feed_forward(block)


def _window(writer: _Writer, context_length: int, window: int) -> None:
    """Write six layers, all but the last with a sliding window."""
    writer.shape(6, KV_HEADS, context_length)
    writer.gguf.add_sliding_window(window)
    writer.gguf.add_key_length(HEAD_WIDTH)
    writer.gguf.add_value_length(HEAD_WIDTH)
    writer.random("token_embd.weight", VOCABULARY_SIZE, EMBD, scale=0.5)
    writer.ones("output_norm.weight", EMBD)
    writer.output()
    for layer in range(6):
        block = f"blk.{layer}."
        writer.ones(block + "attn_norm.weight", EMBD)
        writer.attention(block, norms=True)
        writer.ones(block + "post_attention_norm.weight", EMBD)
        writer.feed_forward(block)
        writer.ones(block + "post_ffw_norm.weight", EMBD)


def _hybrid(writer: _Writer, context_length: int, window: int) -> None:
    """Write four layers, short convolution and attention in turns."""
    layers = "caca"
    writer.shape(len(layers), [KV_HEADS if letter == "a" else 0 for letter in layers], context_length)
    writer.gguf.add_uint32("lfm2.shortconv.l_cache", 3)
    if window:
        writer.gguf.add_sliding_window(window)
    writer.random("token_embd.weight", VOCABULARY_SIZE, EMBD, scale=0.5)
    writer.ones("token_embd_norm.weight", EMBD)
    writer.output()
    for layer, letter in enumerate(layers):
        block = f"blk.{layer}."
        writer.feed_forward(block)
        writer.ones(block + "attn_norm.weight", EMBD)
        if letter == "a":
            writer.attention(block, norms=True)
        else:
            writer.random(block + "shortconv.conv.weight", EMBD, 3)
            writer.random(block + "shortconv.in_proj.weight", 3 * EMBD, EMBD)
            writer.random(block + "shortconv.out_proj.weight", EMBD, EMBD)


def _recurrent(writer: _Writer, context_length: int) -> None:
    """Write two layers of selective state spaces."""
    inner, states, rank, kernel = 2 * EMBD, 16, 8, 4
    writer.shape(2, 0, context_length)
    writer.gguf.add_ssm_conv_kernel(kernel)
    writer.gguf.add_ssm_inner_size(inner)
    writer.gguf.add_ssm_state_size(states)
    writer.gguf.add_ssm_time_step_rank(rank)
    writer.random("token_embd.weight", VOCABULARY_SIZE, EMBD, scale=0.5)
    writer.ones("output_norm.weight", EMBD)
    writer.output()
    for layer in range(2):
        block = f"blk.{layer}."
        writer.ones(block + "attn_norm.weight", EMBD)
        writer.random(block + "ssm_in.weight", 2 * inner, EMBD)
        writer.random(block + "ssm_conv1d.weight", inner, kernel, scale=0.5)
        writer.zeros(block + "ssm_conv1d.bias", inner)
        writer.random(block + "ssm_x.weight", rank + 2 * states, inner)
        writer.random(block + "ssm_dt.weight", inner, rank)
        writer.zeros(block + "ssm_dt.bias", inner)
        writer.gguf.add_tensor(block + "ssm_a", np.full((inner, states), -0.5, np.float32))
        writer.ones(block + "ssm_d", inner)
        writer.random(block + "ssm_out.weight", EMBD, inner)


def make_embedding_model(path: Path) -> Path:
    """Write a BERT, which llama.cpp loads but which cannot write a word."""
    writer = _Writer(path, "bert", 0)
    writer.shape(1, HEADS, 512)
    writer.gguf.add_layer_norm_eps(1e-12)
    writer.gguf.add_causal_attention(False)
    writer.gguf.add_pooling_type(gguf.PoolingType.MEAN)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"▁{chr(code)}" for code in range(97, 123))]
    writer.gguf.add_tokenizer_model("bert")
    writer.gguf.add_token_list(tokens)
    writer.gguf.add_token_types([gguf.TokenType.CONTROL] * 5 + [gguf.TokenType.NORMAL] * 26)
    writer.gguf.add_token_type_count(2)
    writer.gguf.add_pad_token_id(0)
    writer.gguf.add_unk_token_id(1)
    writer.gguf.add_bos_token_id(2)
    writer.gguf.add_sep_token_id(3)
    writer.gguf.add_mask_token_id(4)
    writer.random("token_embd.weight", len(tokens), EMBD)
    writer.random("position_embd.weight", 512, EMBD)
    writer.random("token_types.weight", 2, EMBD)
    for norm in ("token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"):
        writer.ones(norm + ".weight", EMBD)
        writer.zeros(norm + ".bias", EMBD)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        writer.random(f"blk.0.{name}.weight", EMBD, EMBD)
        writer.zeros(f"blk.0.{name}.bias", EMBD)
    writer.random("blk.0.ffn_up.weight", FEED_FORWARD, EMBD)
    writer.zeros("blk.0.ffn_up.bias", FEED_FORWARD)
    writer.random("blk.0.ffn_down.weight", EMBD, FEED_FORWARD)
    writer.zeros("blk.0.ffn_down.bias", EMBD)
    writer.close()
    return path


def make_unknown_architecture(path: Path) -> Path:
    """Write a sound GGUF of an architecture that llama.cpp has never heard of."""
    writer = _Writer(path, "emberlight", 0)
    writer.shape(1, KV_HEADS, 512)
    writer.tokens(CHATML)
    writer.random("token_embd.weight", VOCABULARY_SIZE, EMBD)
    writer.close()
    return path


def make_without_vocabulary(path: Path) -> Path:
    """Write a model that llama.cpp loads and whose tokenising would end the process."""
    return make(Kind.FULL, path, with_vocabulary=False)


def make_truncated(source: Path, path: Path, kept: float = 0.5) -> Path:
    """Write the first part of `source`, as a broken download leaves it; `kept` is the share of its bytes."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    return path


def make_not_a_gguf(path: Path) -> Path:
    """Write a text file with a model's ending."""
    path.write_text("This is not a model.\n" * 100, encoding="utf-8")
    return path
