"""What a person wants to know of a model file before loading it, worked out from its header."""

import re
from dataclasses import dataclass, replace
from typing import Final, Literal

from app.core.architectures import KNOWN_ARCHITECTURES
from app.core.context_budget import DEFAULT_LIMIT, SMALLEST_CONTEXT
from app.core.gguf_header import GgufHeader
from app.core.load_decision import context_options
from app.core.load_options import LoadOptions
from app.core.memory_estimate import cell_bytes, estimate

ModelKind = Literal["model", "adapter", "mmproj", "imatrix", "embedding", "reranking", "unknown_architecture"]

RANKING: Final = 4
"""LLAMA_POOLING_TYPE_RANK in llama.h."""
_REASONING = re.compile(r"<think>|\bthinking\b|enable_thinking|reasoning_content|<\|channel\|>analysis")
_TOOLS = re.compile(r"\btools\b")


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model by its header; sizes in bytes."""

    kind: ModelKind
    name: str
    """The name its makers gave it; empty where the file has none."""
    architecture: str
    parameters: int
    quantisation: str
    context: int
    """Tokens it was trained for; 0 where the file does not say."""
    has_template: bool
    can_reason: bool
    """Whether its template speaks of thinking."""
    can_use_tools: bool
    weights: int
    """The tensors of all its files."""
    beside_weights: int
    """Estimated: what a context of Ember's default size takes."""
    beside_weights_least: int
    """Estimated: what the smallest useful context takes."""


def whole_header(headers: tuple[GgufHeader, ...]) -> GgufHeader:
    """Return the header of a model in several files: the first one's metadata, the tensors of all."""
    return replace(headers[0], tensors=sum((header.tensors for header in headers[1:]), headers[0].tensors))


def facts_of(header: GgufHeader) -> ModelFacts:
    """Return what the header of a whole model says; raises GgufError for figures that make no sense."""
    kind = _kind(header)
    template = header.chat_template or ""
    chats = kind == "model"
    return ModelFacts(
        kind=kind,
        name=(header.name or "").strip(),
        architecture=header.architecture or "",
        parameters=header.parameter_count,
        quantisation=header.quantisation or "",
        context=header.context_length or 0,
        has_template=bool(template) or header.has_oversized_chat_template,
        can_reason=_REASONING.search(template) is not None,
        can_use_tools=_TOOLS.search(template) is not None,
        weights=header.tensor_bytes,
        beside_weights=_beside_weights(header, DEFAULT_LIMIT) if chats else 0,
        beside_weights_least=_beside_weights(header, SMALLEST_CONTEXT) if chats else 0,
    )


def _kind(header: GgufHeader) -> ModelKind:
    """What the file is for; whatever llama.cpp cannot load as a model to chat with is not a "model"."""
    match header.general_type:
        case "adapter":
            return "adapter"
        case "mmproj":
            return "mmproj"
        case "imatrix":
            return "imatrix"
    if header.number("pooling_type") == RANKING:
        return "reranking"
    if header.is_embedding_model:
        return "embedding"
    return "model" if header.architecture in KNOWN_ARCHITECTURES else "unknown_architecture"


def _beside_weights(header: GgufHeader, tokens: int) -> int:
    """What a context of at most `tokens` takes with the options that nobody has changed."""
    context = min(header.context_length or tokens, tokens)
    options = context_options(LoadOptions(), None, on_gpu=False)
    memory = estimate(header, context, options)
    return memory.kv + memory.compute + cell_bytes(header, context)


def unusable_because(facts: ModelFacts) -> str:
    """Return why a file is nothing to chat with, as a sentence; empty for a model."""
    match facts.kind:
        case "model":
            return ""
        case "adapter":
            return "This is an adapter (LoRA) that belongs to a model, not a model of its own."
        case "mmproj":
            return "This is the part of a model that sees or hears (mmproj), not a model of its own."
        case "imatrix":
            return "This is a matrix for quantising models, not a model."
        case "embedding":
            return "This model turns text into numbers for searching (embeddings); it cannot chat."
        case "reranking":
            return "This model sorts search results (reranking); it cannot chat."
        case "unknown_architecture":
            return (
                f"The llama.cpp in this Ember does not know the architecture “{facts.architecture}”; a newer Ember may."
            )
