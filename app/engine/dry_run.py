"""llama.cpp's dry run: what a model's context would take, asked of llama.cpp itself before any weight is read.

With `no_alloc` it makes model and context without their buffers and logs what those would be. Only `load_mode` NONE
works with that (KV_STATE: it asserts otherwise). The model takes as long as its vocabulary, 0.1 s for 49,000 tokens and
0.7 s for 262,000, a context 10 ms, so that the model is kept for the next question.
"""

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp
import psutil

from app.core.memory_estimate import MIB
from app.engine.context import ContextSettings, context_parameters
from app.engine.library import Ggml, device_of, log
from app.engine.model import model_parameters
from app.engine.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

_TOTAL_LINE = re.compile(r"^llama_(?:kv_cache|memory_recurrent)\S*: size =\s*([0-9.]+) MiB")


@dataclass(frozen=True, slots=True)
class DryFigures:
    """What llama.cpp says of a context; bytes."""

    kv: int
    """Keys, values and recurrent states, on all devices together."""
    compute: dict[str, int]
    """The buffers for computing and for what comes out, by device."""
    process: int
    """What the process itself needs for the model, most of it the vocabulary."""


class DryRun:
    """Asks llama.cpp; keeps the last model, without its weights, until `close`."""

    def __init__(self, ggml: Ggml) -> None:
        """Nothing is made yet."""
        self._ggml = ggml
        self._key: tuple[object, ...] | None = None
        self._model: Any = None
        self._process = 0

    def measure(
        self, path: Path, gpu_layers: int, devices: tuple[str, ...], settings: ContextSettings
    ) -> DryFigures | None:
        """Return llama.cpp's figures, or None where it refuses; why, is in the log.

        Raises EmberError for a vocabulary that cannot be used.
        """
        model = self._model_of(path, gpu_layers, devices)
        if model is None:
            return None
        log.lines.clear()
        context = llama_cpp.llama_init_from_model(model, context_parameters(settings))
        if not context:
            logger.warning("no dry run of a context: %s", " ".join(log.errors()))
            return None
        kv = sum(round(float(match[1]) * MIB) for match in map(_TOTAL_LINE.match, log.texts()) if match is not None)
        compute: dict[str, int] = {}
        for (buffer, what), size in log.buffer_sizes().items():
            if what in ("compute", "output"):
                compute[device_of(buffer)] = compute.get(device_of(buffer), 0) + size
        llama_cpp.llama_free(context)
        return DryFigures(kv, compute, self._process)

    def _model_of(self, path: Path, gpu_layers: int, devices: tuple[str, ...]) -> Any:
        stat = path.stat()
        key = (path, stat.st_size, stat.st_mtime_ns, gpu_layers, devices)
        if key == self._key:
            return self._model
        self.close()
        pointers = self._ggml.pointers(devices)  # llama.cpp reads the array while it loads
        params = model_parameters(gpu_layers, pointers, use_mmap=False)
        params.no_alloc = True
        log.lines.clear()
        before = psutil.Process().memory_info().rss
        pointer = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
        if not pointer:
            logger.warning("no dry run of %s: %s", path, " ".join(log.errors()))
            return None
        self._model = pointer
        Vocabulary.require(pointer)
        self._key = key
        self._process = max(0, psutil.Process().memory_info().rss - before)
        return pointer

    def close(self) -> None:
        """Let the model go."""
        if self._model is not None:
            llama_cpp.llama_model_free(self._model)
        self._model = self._key = None
