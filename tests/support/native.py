"""The real llama.cpp in this process, as little of it as a test of model files needs."""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import llama_cpp

LOG: list[str] = []
"""What llama.cpp has logged since it was last cleared."""


@llama_cpp.llama_log_callback
def _log(level: int, text: bytes, user_data: ctypes.c_void_p) -> None:
    """Keep a piece of llama.cpp's log; the function lives as long as the process, as llama.cpp demands."""
    LOG.append(text.decode("utf-8", errors="replace"))


class NativeModel:
    """A loaded model with a context of two sequences, made as Ember's engine makes it."""

    def __init__(self, model: llama_cpp.llama_model_p, n_ctx: int, flash_attention: bool) -> None:
        self._model = model
        self.vocab = llama_cpp.llama_model_get_vocab(model)
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = n_ctx
        parameters.n_batch = parameters.n_ubatch = 512
        parameters.n_seq_max = 2
        parameters.kv_unified = True
        parameters.swa_full = False
        parameters.flash_attn_type = 1 if flash_attention else 0
        self.context = llama_cpp.llama_init_from_model(model, parameters)
        assert self.context, "".join(LOG[-5:])

    def tokenize(self, text: str, *, parse_special: bool) -> list[int]:
        """Return the ids of a text."""
        raw = text.encode()
        ids = (llama_cpp.llama_token * (len(raw) + 8))()
        count = llama_cpp.llama_tokenize(self.vocab, raw, len(raw), ids, len(ids), False, parse_special)
        assert count >= 0
        return list(ids[:count])

    def piece(self, token: int) -> bytes:
        """Return the bytes of a token."""
        buffer = ctypes.create_string_buffer(64)
        size = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, True)
        return buffer.raw[:size]

    def is_end(self, token: int) -> bool:
        """Return whether a token ends the reply."""
        return bool(llama_cpp.llama_vocab_is_eog(self.vocab, token))

    def decode(self, tokens: Sequence[int]) -> int:
        """Work on tokens at the end of sequence 0 and return llama.cpp's return code."""
        ids = (llama_cpp.llama_token * len(tokens))(*tokens)
        return int(llama_cpp.llama_decode(self.context, llama_cpp.llama_batch_get_one(ids, len(tokens))))

    def generate(self, prompt: Sequence[int], count: int) -> list[int]:
        """Return up to `count` tokens of a reply, sampled with a fixed seed, the end token included."""
        chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_temp(0.8))
        llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_dist(1))
        reply: list[int] = []
        try:
            assert self.decode(prompt) == 0
            while len(reply) < count:
                reply.append(llama_cpp.llama_sampler_sample(chain, self.context, -1))
                if self.is_end(reply[-1]):
                    break
                assert self.decode(reply[-1:]) == 0
        finally:
            llama_cpp.llama_sampler_free(chain)
        return reply


@contextmanager
def loaded(path: Path, n_ctx: int = 1024, *, flash_attention: bool = False) -> Iterator[NativeModel]:
    """Load a model file, and free it and its context afterwards; LOG then holds this load's log."""
    LOG.clear()
    llama_cpp.llama_log_set(_log, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    model = load(path)
    assert model, "".join(LOG[-5:])
    native = NativeModel(model, n_ctx, flash_attention)
    try:
        yield native
    finally:
        llama_cpp.llama_free(native.context)
        llama_cpp.llama_model_free(model)


def load(path: Path) -> llama_cpp.llama_model_p | None:
    """Load a model file on the CPU; None where llama.cpp refuses it."""
    llama_cpp.llama_log_set(_log, ctypes.c_void_p(0))
    parameters = llama_cpp.llama_model_default_params()
    parameters.n_gpu_layers = 0
    return llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
