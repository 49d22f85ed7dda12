"""A loaded model: its weights and vocabulary, and the sentences for files that are none."""

import ctypes
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llama_cpp

from app.core.errors import EmberError
from app.core.gguf_header import GgufHeader, parse
from app.engine.library import log
from app.engine.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

OUT_OF_MEMORY = ("out of memory", "failed to allocate", "cannot allocate memory", "bad_alloc")
"""What llama.cpp says of a load for which there is no memory, in small letters."""

DeviceList = Any
"""A ctypes array of ggml's devices, with a null at the end (`Ggml.pointers`)."""


def read_header(path: Path) -> GgufHeader:
    """The header of a model file.

    Raises EmberError for a file that is missing, unreadable, cut off, or no model to chat with.
    """
    try:
        if not stat.S_ISREG(kind := path.stat().st_mode) and not stat.S_ISDIR(kind):
            raise EmberError(f"{path.name} is not a file. Choose a .gguf file.", "not_gguf")  # opening a pipe waits
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size

            def read(offset: int, length: int) -> bytes:
                file.seek(offset)
                return file.read(length)

            header = parse(read, size)
    except FileNotFoundError as error:
        raise EmberError(f"There is no file {path}. Choose another model.", "no_file") from error
    except IsADirectoryError as error:
        raise EmberError(f"{path} is a folder, not a model file. Choose a .gguf file.", "not_gguf") from error
    except OSError as error:
        raise EmberError(f"{path.name} cannot be read: {error.strerror}.", "unreadable") from error
    refuse_unchattable(path, header)
    return header


def refuse_unchattable(path: Path, header: GgufHeader) -> None:
    """Raise EmberError for a file that is a part of a model or a model for something else."""
    kind = header.general_type
    if kind in ("adapter", "mmproj", "imatrix") or header.architecture == "clip":
        what = {"adapter": "an adapter (LoRA)", "imatrix": "a matrix for quantising"}.get(kind, "a vision part")
        raise EmberError(f"{path.name} is {what} that belongs to a model, not a model. Choose the model's file.", kind)
    if header.is_embedding_model:
        raise EmberError(f"{path.name} is a model for embeddings, which cannot chat. Choose another model.", "no_chat")


def refuse_unloadable(path: Path) -> None:
    """Raise EmberError for a file that llama.cpp would refuse by its header or vocabulary; reads no weights.

    For use while another model is loaded, so that it is not freed for one that cannot be used.
    """
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = True
    log.lines.clear()
    pointer = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
    if not pointer:
        raise _refusal(path)
    try:
        Vocabulary.require(pointer)
    finally:
        llama_cpp.llama_model_free(pointer)


def model_parameters(gpu_layers: int, devices: DeviceList | None, *, use_mmap: bool) -> Any:
    """How a model is loaded, a llama_model_params; `devices` are the GPUs to use, None all of them.

    How the layers are split over several is left to llama.cpp, which goes by their free memory.
    """
    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = gpu_layers
    if devices is not None:
        params.devices = ctypes.cast(devices, ctypes.c_void_p)
    params.load_mode = llama_cpp.LLAMA_LOAD_MODE_AUTO if use_mmap else llama_cpp.LLAMA_LOAD_MODE_NONE
    return params


class Model:
    """The weights of one GGUF file in llama.cpp; freed by `close`."""

    def __init__(
        self,
        path: Path,
        gpu_layers: int,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
        *,
        devices: DeviceList | None = None,
        use_mmap: bool = True,
    ) -> None:
        """Load the weights onto these GPUs and the CPU, calling `progress` with 0.0 … 1.0.

        Raises EmberError: cancelled, or a file that llama.cpp refuses.
        """
        self.path = path

        def on_progress(fraction: float, _user: object) -> bool:
            progress(fraction)
            return not cancelled()

        callback = llama_cpp.llama_progress_callback(on_progress)
        params = model_parameters(gpu_layers, devices, use_mmap=use_mmap)
        params.progress_callback = callback
        log.lines.clear()
        self.pointer = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
        if not self.pointer:
            if cancelled():
                raise EmberError(f"Loading {path.name} was cancelled.", "cancelled")
            raise _refusal(path)
        try:
            if not llama_cpp.llama_model_has_decoder(self.pointer):
                raise EmberError(f"{path.name} cannot write text. Choose another model.", "no_chat")
            self.vocabulary = Vocabulary(self.pointer)
        except EmberError:
            self.close()
            raise
        self.buffers = log.buffer_sizes()

    def close(self) -> None:
        """Free the weights."""
        if self.pointer:
            llama_cpp.llama_model_free(self.pointer)
            self.pointer = None

    @property
    def description(self) -> str:
        """llama.cpp's own, such as `llama 135M Q4_1`."""
        buffer = ctypes.create_string_buffer(256)
        llama_cpp.llama_model_desc(self.pointer, buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace")

    @property
    def chat_template(self) -> str | None:
        """The source of the model's chat template, if it brings one."""
        source = llama_cpp.llama_model_chat_template(self.pointer, None)
        return source.decode("utf-8", "replace") if source else None

    @property
    def context_trained(self) -> int:
        """Tokens; 0 where the file says nothing that could be."""
        return max(0, int(llama_cpp.llama_model_n_ctx_train(self.pointer)))

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return int(llama_cpp.llama_model_n_layer(self.pointer))

    @property
    def parameters(self) -> int:
        """How many weights there are."""
        return int(llama_cpp.llama_model_n_params(self.pointer))

    @property
    def window(self) -> int:
        """The sliding window in tokens; 0 for none."""
        return int(llama_cpp.llama_model_n_swa(self.pointer))

    @property
    def is_hybrid(self) -> bool:
        """Attention and recurrent layers."""
        return bool(llama_cpp.llama_model_is_hybrid(self.pointer))

    @property
    def is_recurrent(self) -> bool:
        """Recurrent layers only."""
        return bool(llama_cpp.llama_model_is_recurrent(self.pointer))


def _refusal(path: Path) -> EmberError:
    """Why llama.cpp would not load the file, from its log."""
    lines = log.errors()
    text = " ".join(lines)
    logger.error("%s was refused: %s", path, text)
    if "unknown model architecture" in text:
        name = text.split("unknown model architecture: ")[-1].split()[0].strip("'\"")
        return EmberError(
            f"This version of Ember does not know the architecture “{name[:60]}” of {path.name}. Choose another model.",
            "unknown_architecture",
        )
    if any(words in text.lower() for words in OUT_OF_MEMORY):
        return EmberError(
            f"There is not enough memory for {path.name}. Close other programs, or choose a smaller model.",
            "out_of_memory",
        )
    reason = next((line.split("error loading model: ", 1)[1] for line in lines if "error loading model: " in line), "")
    detail = f" llama.cpp says: {reason[:200]}." if reason else ""
    return EmberError(
        f"{path.name} cannot be loaded; the file may be damaged.{detail} Fetch it again or choose another.",
        "damaged",
    )
