"""llama.cpp's sampler chain, made from settings."""

import secrets
from collections.abc import Sequence

import llama_cpp

from app.core.sampling import SamplerSettings


class Sampler:
    """A sampler chain: penalties, top-k, top-p, min-p, temperature, and the draw (llama.cpp's own order)."""

    def __init__(self, settings: SamplerSettings, vocabulary_size: int) -> None:
        """Build the chain; without a seed a new one is drawn."""
        self._chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        self.seed = settings.seed if settings.seed is not None else secrets.randbits(32)
        self._remembers = settings.penalty_last_n
        penalised = settings.repeat_penalty != 1 or settings.presence_penalty or settings.frequency_penalty
        if penalised and settings.penalty_last_n:
            self._add(
                llama_cpp.llama_sampler_init_penalties(
                    vocabulary_size,
                    settings.penalty_last_n,
                    settings.repeat_penalty,
                    settings.frequency_penalty,
                    settings.presence_penalty,
                )
            )
        if settings.temperature == 0:
            self._add(llama_cpp.llama_sampler_init_greedy())
            return
        if settings.top_k:
            self._add(llama_cpp.llama_sampler_init_top_k(settings.top_k))
        if settings.top_p < 1:
            self._add(llama_cpp.llama_sampler_init_top_p(settings.top_p, 1))
        if settings.min_p > 0:
            self._add(llama_cpp.llama_sampler_init_min_p(settings.min_p, 1))
        self._add(llama_cpp.llama_sampler_init_temp(settings.temperature))
        self._add(llama_cpp.llama_sampler_init_dist(self.seed))

    def _add(self, sampler: int) -> None:
        llama_cpp.llama_sampler_chain_add(self._chain, sampler)

    def remember(self, prompt: Sequence[int]) -> None:
        """Let the penalties see the end of the prompt."""
        if self._remembers:
            for token in prompt[-self._remembers :]:
                llama_cpp.llama_sampler_accept(self._chain, token)

    def draw(self, context: int) -> int:
        """The next token, from the logits of the last decoded one; the chain takes note of it."""
        return int(llama_cpp.llama_sampler_sample(self._chain, context, -1))

    def close(self) -> None:
        """Free the chain."""
        llama_cpp.llama_sampler_free(self._chain)
