"""What saved state depends on: everything that changes a key or a value, as one digest, the root of all chains.

Left out, because they change rounding only (KV_STATE): batch sizes, threads, placement on devices, context size.
"""

import dataclasses
import hashlib
import json
import logging
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import llama_cpp

from app.core.gguf_header import GgufHeader
from app.core.shards import shard_names, shard_of
from app.engine.context import Context
from app.engine.state import Layouts
from app.protocol.parts import MemoryMode

logger = logging.getLogger(__name__)

FORMAT = 1
"""Counts up when chunks are cut or filled in another way, so that older ones are not found."""
BLOCK = 8 * 1024 * 1024
REMEMBERED = 500
"""Files whose digest is remembered; the oldest are forgotten."""
HASHES = "model_hashes.json"
SETTINGS = (
    *("rope_scaling_type", "rope_freq_base", "rope_freq_scale", "yarn_ext_factor", "yarn_attn_factor"),
    *("yarn_beta_fast", "yarn_beta_slow", "yarn_orig_ctx"),
)
"""Fields of llama_context_params that change rotations; Ember leaves them to the model."""


def fingerprint(
    commit: str, header: GgufHeader, context: Context, mode: MemoryMode, layouts: Layouts
) -> Callable[[str], bytes]:
    """From the digest of a model's files: the root (32 bytes) under which its state in this context is kept.

    `mode` and `layouts` are how it is kept.
    """
    defaults = llama_cpp.llama_context_default_params()
    parts = {
        "format": FORMAT,
        "commit": commit,
        "mode": mode,
        "layouts": dataclasses.asdict(layouts),
        "rotation": [repr(getattr(defaults, name)) for name in SETTINGS],
        "unrotated": os.environ.get("LLAMA_ATTN_ROT_DISABLE", ""),
        "long factors": _long_factors(header, context.size),
    }
    if mode == "opaque":  # what is not taken apart has no layouts that would tell
        made = context.settings
        parts["made"] = [made.type_k, made.type_v, made.flash_attention, made.window_in_full]
    return lambda model: hashlib.sha256(json.dumps({**parts, "model": model}, sort_keys=True).encode()).digest()


def _long_factors(header: GgufHeader, n_ctx: int) -> bool:
    """Whether the model's factors for long contexts are taken (`get_rope_factors` in llama-model.cpp)."""
    if not any(tensor.name.startswith("rope_factors_long") for tensor in header.tensors):
        return False
    trained = header.number("rope.scaling.original_context_length") or header.context_length or 0
    return n_ctx > trained


class Root:
    """The fingerprint of a model in its context, known as soon as the model's file is hashed."""

    def __init__(self) -> None:
        """Not known yet."""
        self._known = threading.Event()
        self._value: bytes | None = None
        self.turned: bytes | None = None
        """What it would be with flash attention the other way."""

    def set(self, value: bytes | None, turned: bytes | None = None) -> None:
        """Make it known; None: there will be none."""
        self._value, self.turned = value, turned
        self._known.set()

    @property
    def is_known(self) -> bool:
        """Whether the model's file is hashed, or cannot be."""
        return self._known.is_set()

    def wait(self, seconds: float | None = None) -> bytes | None:
        """The fingerprint; None where there is none, or not within that time."""
        self._known.wait(seconds)
        return self._value


class ModelHashes:
    """The sha256 of model files, remembered by what the system says of each file."""

    def __init__(self, folder: Path) -> None:
        """Remember in `folder`, which may not exist yet."""
        self._path = folder / HASHES
        self._known: dict[str, str] | None = None
        self._lock = threading.Lock()

    def known(self, files: tuple[Path, ...]) -> str | None:
        """The digest of a model's files if they were hashed before and have not changed since; raises OSError."""
        with self._lock:
            return self._load().get(_identity(files))

    def compute(self, files: tuple[Path, ...]) -> str | None:
        """Read the files through and remember; None if they changed meanwhile. Raises OSError."""
        before = _identity(files)
        digest = hashlib.sha256()
        for path in files:
            with path.open("rb", buffering=0) as file:
                while block := file.read(BLOCK):
                    digest.update(block)
        if _identity(files) != before:
            return None
        with self._lock:
            known = self._load()
            known[before] = digest.hexdigest()
            self._save(dict(list(known.items())[-REMEMBERED:]))
        return digest.hexdigest()

    def _load(self) -> dict[str, str]:
        if self._known is None:
            self._known = {}
            try:
                read = json.loads(self._path.read_bytes())
            except FileNotFoundError:
                pass
            except (OSError, ValueError, RecursionError) as error:
                logger.warning("The digests of models are forgotten: %s", error)
            else:
                if isinstance(read, dict):
                    self._known = {k: v for k, v in read.items() if isinstance(v, str) and len(v) == 64}
        return self._known

    def _save(self, known: dict[str, str]) -> None:
        self._known = known
        try:
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".hashes-")
            with os.fdopen(handle, "w") as file:
                json.dump(known, file)
            Path(name).replace(self._path)
        except OSError as error:  # then it is computed again the next time
            logger.warning("The digests of models cannot be kept: %s", error)


def _identity(files: tuple[Path, ...]) -> str:
    """What changes when a file is replaced or written to: its place on the disk, size and times."""
    stats = [path.stat() for path in files]
    return ";".join(f"{s.st_dev}.{s.st_ino}.{s.st_size}.{s.st_mtime_ns}.{s.st_ctime_ns}" for s in stats)


def model_files(path: Path, header: GgufHeader) -> tuple[Path, ...]:
    """The files of a model: one, or all parts of a split one (`name-00001-of-00003.gguf`)."""
    count = header.split_count or 1
    shard = shard_of(path.name)
    if count <= 1 or shard is None or (shard.number, shard.count) != (1, count):
        return (path,)
    return tuple(path.with_name(name) for name in shard_names(shard.stem, count))
