"""llama.cpp's own decode loop and nothing else, in a process of its own: the yardstick for the engine's loop.

Reads a model's path, context, batch, threads, GPU layers, flash attention (0 or 1) and the file with the prompt from
its arguments; for every line with a number of tokens on stdin it decodes that many and writes one line of JSON: the
tokens a second after the first one, and how many tokens the prompt has.
"""

import ctypes
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import llama_cpp


class BareLoop:
    """A model with a context as llama.cpp makes it by itself, and a greedy sampler."""

    def __init__(self, path: str, context: int, batch: int, threads: int, gpu_layers: int, flash: int) -> None:
        llama_cpp.llama_backend_init()
        model = llama_cpp.llama_model_default_params()
        model.n_gpu_layers = gpu_layers
        self.model = llama_cpp.llama_model_load_from_file(os.fsencode(path), model)
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = context
        parameters.n_batch = parameters.n_ubatch = batch
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.flash_attn_type = flash
        self.batch = batch
        self.context = llama_cpp.llama_init_from_model(self.model, parameters)
        assert self.context
        self.sampler = llama_cpp.llama_sampler_init_greedy()

    def tokenize(self, text: str) -> list[int]:
        """Return the ids of a text whose control tokens are meant."""
        raw = text.encode()
        ids = (llama_cpp.llama_token * (len(raw) + 8))()
        vocabulary = llama_cpp.llama_model_get_vocab(self.model)
        count = llama_cpp.llama_tokenize(vocabulary, raw, len(raw), ids, len(ids), False, True)
        return list(ids[:count])

    def run(self, prompt: Sequence[int], count: int) -> float:
        """Read the prompt, then decode `count` tokens; tokens a second after the first one."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)
        for start in range(0, len(prompt), self.batch):
            piece = prompt[start : start + self.batch]
            ids = (llama_cpp.llama_token * len(piece))(*piece)
            assert llama_cpp.llama_decode(self.context, llama_cpp.llama_batch_get_one(ids, len(piece))) == 0
        one = (llama_cpp.llama_token * 1)()
        batch = llama_cpp.llama_batch_get_one(one, 1)
        decode, sample = llama_cpp.llama_decode, llama_cpp.llama_sampler_sample
        one[0] = sample(self.sampler, self.context, -1)
        started = perf_counter()
        for _ in range(count - 1):
            decode(self.context, batch)
            one[0] = sample(self.sampler, self.context, -1)
        return (count - 1) / (perf_counter() - started)


@llama_cpp.llama_log_callback
def _silent(_level: int, _text: bytes, _user_data: ctypes.c_void_p) -> None:
    """Take llama.cpp's log and drop it."""


def main(arguments: Sequence[str]) -> None:
    """Serve lines on stdin until it ends."""
    llama_cpp.llama_log_set(_silent, ctypes.c_void_p(0))
    path, context, batch, threads, gpu_layers, flash, prompt_file = arguments
    loop = BareLoop(path, int(context), int(batch), int(threads), int(gpu_layers), int(flash))
    prompt = loop.tokenize(Path(prompt_file).read_text(encoding="utf-8"))
    for line in sys.stdin:
        print(json.dumps({"speed": loop.run(prompt, int(line)), "prompt": len(prompt)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
