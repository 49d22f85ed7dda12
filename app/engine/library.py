"""llama.cpp as a library: start-up, its log, its version and the devices that ggml lists."""

import ctypes
import logging
import os
import re
from collections import deque
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import llama_cpp

from app.engine.nvidia import process_bytes
from app.protocol.parts import Device, DeviceKind

logger = logging.getLogger("llama.cpp")

LOG_LEVELS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}
"""enum ggml_log_level of ggml.h (the table in llama-cpp-python's own logger has another order)."""
CONTINUATION = 5
KEPT_LINES = 400
"""How many of the latest log lines are kept for error messages and buffer sizes."""

LARGEST_TENSOR = 2**46
"""Bytes; a device that takes so much in one piece is said to have no limit."""

UNIFIED_BACKENDS = ("Metal", "MTL")
"""Backends whose GPUs work in the computer's own memory, though ggml lists them as GPUs."""

DEVICE_KINDS: dict[int, DeviceKind] = {0: "cpu", 1: "gpu", 2: "integrated", 3: "accelerator"}
"""enum ggml_backend_dev_type of ggml-backend.h."""

STDERR = 2
MOST_LAST_WORDS = 6
"""Lines of errors that are said again when ggml ends the process."""

_ABORT_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
"""ggml_abort_callback_t of ggml.h."""

_BUFFER_LINE = re.compile(r"^\S+:\s+(\S+)\s+(model|KV|RS|compute|output) buffer size\s*=\s*([0-9.]+) MiB")


class LogCapture:
    """Receives llama.cpp's log: into Python's logging, and the latest lines for later questions."""

    def __init__(self) -> None:
        """Start empty; `install` hangs it into llama.cpp."""
        self.lines: deque[tuple[int, str]] = deque(maxlen=KEPT_LINES)
        self._partial = ""
        self._level = logging.INFO
        self._callback = llama_cpp.llama_log_callback(self._receive)  # kept alive as long as llama.cpp may call it
        self._last_words = _ABORT_CALLBACK(self._say_why)

    def install(self) -> None:
        """Send llama.cpp's and ggml's log here, and have ggml say why on stderr when it ends the process."""
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))
        _function(_native("ggml-base"), "ggml_set_abort_callback", ctypes.c_void_p, _ABORT_CALLBACK)(self._last_words)

    def _say_why(self, message: bytes) -> None:
        """Write ggml's message behind the errors that came right before it, which alone name the cause on a GPU."""
        lines = reversed(tuple(self.lines))  # other threads still log
        errors = [line for _, line in takewhile(lambda told: told[0] >= logging.ERROR, lines)]
        text = "\n".join([*reversed(errors[:MOST_LAST_WORDS]), message.decode("utf-8", "replace"), ""])
        os.write(STDERR, text.encode("utf-8", "replace"))  # of the process, wherever Python's own goes

    def _receive(self, level: int, text: bytes, _user: object) -> None:
        """Join pieces into lines; called by llama.cpp, also from its own threads."""
        if level != CONTINUATION:
            self._level = LOG_LEVELS.get(level, logging.DEBUG)
        self._partial += text.decode("utf-8", "replace")
        *whole, self._partial = self._partial.split("\n")
        self._partial = self._partial[-4096:]
        for line in whole:
            if self._level > logging.DEBUG:
                self.lines.append((self._level, line))
            logger.log(self._level, "%s", line)

    def errors(self) -> list[str]:
        """The latest lines that llama.cpp marked as errors, oldest first."""
        return [line for level, line in self.lines if level >= logging.ERROR]

    def texts(self) -> list[str]:
        """The latest lines, oldest first."""
        return [line for _level, line in list(self.lines)]

    def buffer_sizes(self) -> dict[tuple[str, str], int]:
        """Bytes by (buffer name, what: model, KV, RS, compute or output), as logged since the last `lines.clear()`."""
        sizes: dict[tuple[str, str], int] = {}
        for line in self.texts():
            if (match := _BUFFER_LINE.match(line)) is not None:
                key = (match[1], match[2])
                sizes[key] = sizes.get(key, 0) + round(float(match[3]) * 1024 * 1024)
        return sizes


log = LogCapture()


def device_of(buffer: str) -> str:
    """The device that a buffer lies on, by the buffer's name; host buffers of a GPU build count to the CPU."""
    return "CPU" if buffer.startswith("CPU") or buffer.endswith("_Host") else buffer.split("_")[0]


def _native(name: str) -> ctypes.CDLL:
    """One of the libraries that llama-cpp-python carries; already loaded, so this only finds it."""
    folder = Path(llama_cpp.__file__).parent / "lib"
    for pattern in (f"lib{name}.so", f"lib{name}.dylib", f"{name}.dll", f"lib{name}.dll"):
        if (path := folder / pattern).exists():
            return ctypes.CDLL(str(path))
    raise OSError(f"llama-cpp-python carries no {name}")


def _function(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A function of `library` with its types set."""
    found = getattr(library, name)
    found.restype, found.argtypes = result, list(arguments)
    return found  # type: ignore[no-any-return]


class _Properties(ctypes.Structure):
    """struct ggml_backend_dev_props of ggml-backend.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("capabilities", ctypes.c_bool * 5),
    )


class _ContextParameters(ctypes.Structure):
    """struct ggml_init_params of ggml.h."""

    _fields_ = (("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool))


class Ggml:
    """The parts of ggml's backend interface that llama-cpp-python does not bind (ggml-backend.h)."""

    def __init__(self) -> None:
        """Bind; raises OSError or AttributeError where this build lacks them."""
        registry, base = _native("ggml"), _native("ggml-base")
        pointer, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_size_t)
        self._count = _function(registry, "ggml_backend_dev_count", ctypes.c_size_t)
        self._get = _function(registry, "ggml_backend_dev_get", pointer, ctypes.c_size_t)
        self._reg_count = _function(registry, "ggml_backend_reg_count", ctypes.c_size_t)
        self._reg_get = _function(registry, "ggml_backend_reg_get", pointer, ctypes.c_size_t)
        self._reg_name = _function(base, "ggml_backend_reg_name", text, pointer)
        self._name = _function(base, "ggml_backend_dev_name", text, pointer)
        self._description = _function(base, "ggml_backend_dev_description", text, pointer)
        self._memory = _function(base, "ggml_backend_dev_memory", None, pointer, size, size)
        self._properties = _function(base, "ggml_backend_dev_get_props", None, pointer, ctypes.POINTER(_Properties))
        self._registry = _function(base, "ggml_backend_dev_backend_reg", pointer, pointer)
        self._supports = _function(base, "ggml_backend_dev_supports_op", ctypes.c_bool, pointer, pointer)
        self._init = _function(base, "ggml_init", pointer, _ContextParameters)
        self._new_tensor = _function(base, "ggml_new_tensor_1d", pointer, pointer, ctypes.c_int, ctypes.c_int64)
        self._free = _function(base, "ggml_free", None, pointer)
        self._overhead = _function(base, "ggml_tensor_overhead", ctypes.c_size_t)
        self._limits: dict[str, int | None] = {}
        self._commit = _function(base, "ggml_commit", text)
        self._version = _function(base, "ggml_version", text)

    def devices(self, *, limits: bool = False) -> tuple[Device, ...]:
        """All devices, with their free and total bytes now; a GPU that two backends list is listed once.

        With `limits` GPUs are asked for their largest tensor, which a backend may have to be started for.
        """
        found, seen = [], set[bytes]()
        for index in range(self._count()):
            pointer = self._get(index)
            properties = _Properties()
            self._properties(pointer, ctypes.byref(properties))
            kind = DEVICE_KINDS.get(properties.type, "accelerator")
            if kind == "gpu" and properties.device_id:  # as llama.cpp does (llama_prepare_model_devices)
                if properties.device_id in seen:
                    continue
                seen.add(properties.device_id)
            found.append(self._described(pointer, properties, kind, limits=limits))
        return tuple(found)

    def _described(self, pointer: Any, properties: _Properties, kind: DeviceKind, *, limits: bool) -> Device:
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._memory(pointer, ctypes.byref(free), ctypes.byref(total))
        backend = _text(self._reg_name(self._registry(pointer)))
        is_gpu = kind in ("gpu", "integrated")
        return Device(
            name=_text(self._name(pointer)),
            description=_text(self._description(pointer)),
            kind=kind,
            free_bytes=free.value,
            total_bytes=total.value,
            backend=backend,
            is_unified=kind == "integrated" or backend in UNIFIED_BACKENDS,
            process_bytes=process_bytes(_text(properties.device_id or b"")) if is_gpu else None,
            largest_tensor=self._largest_tensor(pointer) if is_gpu and limits else None,
        )

    def _largest_tensor(self, device: Any) -> int | None:
        """The bytes that a device can work with in one piece, None without a limit; asked once.

        Vulkan's `get_max_size` is only the size of its blocks, so the device is asked as llama.cpp's scheduler does.
        """
        name = _text(self._name(device))
        if name not in self._limits:
            takes, refuses = 1, LARGEST_TENSOR
            if self._takes(device, refuses) or not self._takes(device, takes):
                self._limits[name] = None
                return None
            while refuses - takes > 1:
                middle = (takes + refuses) // 2
                takes, refuses = (middle, refuses) if self._takes(device, middle) else (takes, middle)
            self._limits[name] = takes
        return self._limits[name]

    def _takes(self, device: Any, size: int) -> bool:
        """Whether a device can work with a tensor of that many bytes; nothing is allocated for it."""
        context = self._init(_ContextParameters(self._overhead(), None, True))
        try:
            return bool(self._supports(device, self._new_tensor(context, llama_cpp.GGML_TYPE_I8, size)))
        finally:
            self._free(context)

    def pointers(self, names: Sequence[str]) -> "ctypes.Array[ctypes.c_void_p]":
        """The devices of these names, in their order, as llama.cpp takes a list of them: with a null at the end."""
        by_name = {_text(self._name(pointer)): pointer for pointer in map(self._get, range(self._count()))}
        return (ctypes.c_void_p * (len(names) + 1))(*(by_name[name] for name in names), None)

    def backends(self) -> tuple[str, ...]:
        """The names of the backends in this build, such as CPU, CUDA, Vulkan, Metal."""
        return tuple(self._reg_name(self._reg_get(i)).decode("utf-8", "replace") for i in range(self._reg_count()))

    def commit(self) -> str:
        """ggml's commit, or its version where the build names none."""
        return (self._commit() or self._version() or b"unknown").decode("ascii", "replace")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def start() -> Ggml:
    """Initialise llama.cpp for this process, with its log captured from the first line on."""
    log.install()
    llama_cpp.llama_backend_init()
    return Ggml()


def version() -> str:
    """llama-cpp-python's version."""
    return str(llama_cpp.__version__)
