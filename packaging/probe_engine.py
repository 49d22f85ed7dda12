"""Decodes one token with the starter model, in a process of its own: `probe_engine.py MODEL.gguf`.

A llama.cpp compiled for another processor does not fail, it dies (SIGILL); this is where it may. The last
line printed is "gpu" or "cpu": what would compute. Exit status: 0 it works, 3 the library cannot be loaded,
4 it cannot use the model.
"""

import sys

BAD_LIBRARY = 3
BAD_MODEL = 4


def main(model_path: str) -> int:
    """Loads the library and the model and decodes one token; returns the exit status."""
    try:
        import llama_cpp
    except (ImportError, OSError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return BAD_LIBRARY
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(model_path.encode(), llama_cpp.llama_model_default_params())
    if not model:
        print(f"llama.cpp cannot load {model_path}", file=sys.stderr)
        return BAD_MODEL
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = 64
    params.n_batch = 64
    context = llama_cpp.llama_init_from_model(model, params)
    if not context:
        print("llama.cpp cannot make a context", file=sys.stderr)
        return BAD_MODEL
    token = (llama_cpp.llama_token * 1)(1)
    if llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(token, 1)) != 0:
        print("llama.cpp cannot decode a token", file=sys.stderr)
        return BAD_MODEL
    print("gpu" if llama_cpp.llama_supports_gpu_offload() else "cpu")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
