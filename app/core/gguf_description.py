"""What a GGUF file says about itself: metadata, tensor table, and the figures Ember asks for."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.core.ggml_types import FILE_TYPE_GUESSED, FILE_TYPES, GgmlType
from app.core.gguf_cursor import damaged

MAX_LAYERS: Final = 512
"""LLAMA_MAX_LAYERS in llama-hparams.h; llama.cpp ends its process when a file says more."""
MAX_SPLITS: Final = 2**16 - 1
"""llama.cpp keeps the number of a model's files in 16 bits."""
MAX_NUMBER: Final = 2**32 - 1
"""llama.cpp keeps every figure of a model in 32 bits."""

EMBEDDING_ARCHITECTURES: Final = frozenset(
    (
        *("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "jina-bert-v3"),
        *("eurobert", "gemma-embedding", "llama-embed", "t5encoder"),
    )
)
"""Models that turn text into a vector and cannot write (no memory in `llama_model::create_memory`)."""

_CHECKED_NUMBERS: Final = (
    *("context_length", "embedding_length", "vocab_size", "expert_count"),
    *("attention.key_length", "attention.value_length", "attention.sliding_window"),
)
_CHECKED_PER_LAYER: Final = (
    "attention.head_count",
    "attention.head_count_kv",
    "feed_forward_length",
    "expert_used_count",
)


@dataclass(frozen=True, slots=True)
class ArraySummary:
    """An array too long to keep: the type of its entries ("string", "float32") and their number."""

    type: str
    length: int


@dataclass(frozen=True, slots=True)
class TextSummary:
    """A text too long to keep: its length in bytes."""

    length: int


Scalar = int | float | bool | str
MetadataValue = Scalar | tuple[Scalar, ...] | ArraySummary | TextSummary
PerLayer = int | tuple[int, ...]
"""One figure for all layers, or one for each."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor: its shape (the row length first), its type, its place after `data_offset`, its bytes."""

    name: str
    shape: tuple[int, ...]
    type: GgmlType
    offset: int
    size: int
    elements: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """A checked GGUF header.

    The figures below come from the keys of the file's own architecture (`llama.context_length` and so on; see
    LLM_KV_NAMES in llama-arch.cpp) and are None where the file has none. A figure of the wrong type raises
    GgufError; `check` has looked at the usual ones when the header was parsed.
    """

    version: int
    metadata: Mapping[str, MetadataValue]
    tensors: tuple[TensorInfo, ...]
    alignment: int
    data_offset: int
    """Where in the file the tensors' data begins, in bytes."""

    # --- access to the metadata

    def text(self, key: str) -> str | None:
        """Return the text under a full key; a text too long to keep is None."""
        value = self.metadata.get(key)
        if value is None or isinstance(value, str | TextSummary):
            return value if isinstance(value, str) else None
        raise damaged(f"its entry {key} should be text and is not")

    def number(self, suffix: str) -> int | None:
        """Return a whole number under the architecture's key that ends in `suffix`."""
        value = self.metadata.get(f"{self.architecture}.{suffix}")
        return None if value is None else _whole_number(suffix, value)

    def per_layer(self, suffix: str) -> PerLayer | None:
        """Return a figure that may differ from layer to layer, then with one entry for each block."""
        value = self.metadata.get(f"{self.architecture}.{suffix}")
        if value is None:
            return None
        if not isinstance(value, tuple | ArraySummary):
            return _whole_number(suffix, value)
        layers = self.block_count
        length = len(value) if isinstance(value, tuple) else value.length
        if length != layers or isinstance(value, ArraySummary):
            raise damaged(f"it has {layers or 'no'} layers but lists {length} figures for {suffix}")
        return tuple(_whole_number(suffix, entry) for entry in value)

    def check(self) -> None:
        """Raise GgufError where one of the usual figures is missing its type or its bounds."""
        for key in ("general.architecture", "general.name", "general.type", "tokenizer.ggml.model"):
            self.text(key)
        blocks = self.block_count
        if blocks is not None and not 1 <= blocks <= MAX_LAYERS:
            raise damaged(f"it says that it has {blocks} layers, where 1 to {MAX_LAYERS} are possible")
        for suffix in _CHECKED_NUMBERS:
            self.number(suffix)
        for suffix in _CHECKED_PER_LAYER:
            self.per_layer(suffix)
        self.text("tokenizer.chat_template")
        self._plain("general.file_type")
        files = self.split_count
        if files is not None and files > MAX_SPLITS:
            raise damaged(f"it says that it is one of {files} files, where {MAX_SPLITS} are possible")

    def _plain(self, key: str) -> int | None:
        """Return a whole number under a full key."""
        value = self.metadata.get(key)
        return None if value is None else _whole_number(key, value)

    # --- what kind of file it is

    @property
    def architecture(self) -> str | None:
        """The name by which llama.cpp chooses the model's code, such as "llama" or "gemma3"."""
        return self.text("general.architecture")

    @property
    def name(self) -> str | None:
        """The name its makers gave it."""
        return self.text("general.name")

    @property
    def general_type(self) -> str:
        """What the file is: "model", "adapter" (a LoRA), "mmproj" (a model's eyes or ears), "imatrix", ..."""
        stated = self.text("general.type")
        if self.architecture == "clip":
            return "mmproj"
        if stated is None and "adapter.type" in self.metadata:
            return "adapter"
        return stated or "model"

    @property
    def split_count(self) -> int | None:
        """The number of files that make up the model, where it is split."""
        return self._plain("split.count")

    @property
    def is_embedding_model(self) -> bool:
        """Whether the model turns text into vectors instead of writing."""
        return self.architecture in EMBEDDING_ARCHITECTURES or bool(self.number("pooling_type"))

    # --- size

    @property
    def parameter_count(self) -> int:
        """The number of weights in this file's tensors."""
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def tensor_bytes(self) -> int:
        """The bytes of all tensors, without the padding between them."""
        return sum(tensor.size for tensor in self.tensors)

    @property
    def expected_size(self) -> int:
        """The bytes the whole file must have at least."""
        return self.data_offset + max((tensor.offset + tensor.size for tensor in self.tensors), default=0)

    @property
    def file_type(self) -> int | None:
        """The number of the quantisation (llama_ftype), where the file states it."""
        stated = self._plain("general.file_type")
        return None if stated is None else stated & ~FILE_TYPE_GUESSED

    @property
    def quantisation(self) -> str | None:
        """The quantisation's name, such as "Q4_K_M"; without a stated one the type that most bytes have."""
        stated = FILE_TYPES.get(self.file_type) if self.file_type is not None else None
        if stated or not self.tensors:
            return stated
        by_type: Counter[str] = Counter()
        for tensor in self.tensors:
            by_type[tensor.type.name] += tensor.size
        return by_type.most_common(1)[0][0]

    # --- shape

    @property
    def context_length(self) -> int | None:
        """The tokens of context it was trained for."""
        return self.number("context_length")

    @property
    def embedding_length(self) -> int | None:
        """The width of the model."""
        return self.number("embedding_length")

    @property
    def block_count(self) -> int | None:
        """The number of layers, those that only predict ahead (`nextn_predict_layers`) included."""
        return self.number("block_count")

    @property
    def head_count(self) -> PerLayer | None:
        """The attention heads of each layer."""
        return self.per_layer("attention.head_count")

    @property
    def head_count_kv(self) -> PerLayer | None:
        """The heads whose keys and values are kept (all by default); 0 marks a layer without attention."""
        stated = self.per_layer("attention.head_count_kv")
        return self.head_count if stated is None else stated

    @property
    def key_length(self) -> int | None:
        """The width of one key; defaults to the model's width over the first layer's heads."""
        stated = self.number("attention.key_length")
        return self._head_width() if stated is None else stated

    @property
    def value_length(self) -> int | None:
        """The width of one value; defaults as `key_length` does."""
        stated = self.number("attention.value_length")
        return self._head_width() if stated is None else stated

    def _head_width(self) -> int | None:
        """Return the default width of a head (`load_hparams` in llama-model.cpp)."""
        heads = self.head_count
        first = heads[0] if isinstance(heads, tuple) else heads
        return self.embedding_length // first if self.embedding_length and first else None

    @property
    def sliding_window(self) -> int | None:
        """The tokens a sliding-window layer looks back, where the file states it."""
        return self.number("attention.sliding_window")

    @property
    def expert_used_count(self) -> PerLayer | None:
        """The experts that work on a token."""
        return self.per_layer("expert_used_count")

    # --- language

    @property
    def vocabulary_size(self) -> int | None:
        """The number of tokens."""
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        if isinstance(tokens, ArraySummary):
            return tokens.length
        return len(tokens) if isinstance(tokens, tuple) else self.number("vocab_size")

    @property
    def chat_template(self) -> str | None:
        """The Jinja template for conversations; None where there is none or it is longer than 1 MiB."""
        return self.text("tokenizer.chat_template")

    @property
    def has_oversized_chat_template(self) -> bool:
        """Whether there is a template that was too long to keep, so that the person can be told."""
        return isinstance(self.metadata.get("tokenizer.chat_template"), TextSummary)


def _whole_number(what: str, value: MetadataValue) -> int:
    """Return a figure of 0 to 2^32 - 1, or raise GgufError."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_NUMBER:
        raise damaged(f"its figure for {what} is not a whole number that makes sense")
    return value
