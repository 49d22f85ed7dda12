"""What is kept for each model file in the settings, and what of it holds for a load; read by commands too."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import msgspec

from app.core.load_options import Calibration, LoadOptions
from app.core.units import format_amount, format_bytes, format_count
from app.protocol.answers import Hello
from app.storage.settings import SettingsStore

KEY: Final = "models.settings."
"""What the keys of settings begin with; the file's path follows."""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """What is stored for one model file."""

    options: LoadOptions = field(default_factory=LoadOptions)
    calibrations: dict[str, Calibration] = field(default_factory=dict)
    """By circumstances: devices, llama.cpp's commit, the file's size and time, the type of keys and values."""
    learnt: dict[str, int] = field(default_factory=dict)
    """By device: bytes that the last load took beyond its estimate."""
    given_up: tuple[str, ...] = ()
    """Circumstances under which the engine ended while it measured: never again by itself."""


@dataclass(frozen=True, slots=True)
class OwnSettings:
    """What a model's file is loaded with."""

    options: LoadOptions
    calibration: Calibration | None = None
    learnt: dict[str, int] = field(default_factory=dict)


def stored_model(settings: SettingsStore, path: Path) -> StoredModel:
    """Return what is stored for a model's file; nothing, where nothing is."""
    return settings.get(settings_key(path), StoredModel, StoredModel())


def settings_key(path: Path) -> str:
    """Return the key of what is stored for a model's file."""
    name = str(path.absolute())
    return KEY + name.encode("utf-8", "backslashreplace").decode("utf-8")  # a file's name need not be text


def own_settings(stored: StoredModel, hello: Hello | None, path: Path, options: LoadOptions) -> OwnSettings:
    """Return what a model's file is loaded with where `options` are chosen, on the machine that `hello` tells of."""
    now = circumstances(hello, path, options)
    return OwnSettings(options, stored.calibrations.get(now) if now is not None else None, stored.learnt)


def circumstances(hello: Hello | None, path: Path, options: LoadOptions) -> str | None:
    """Return what a measurement of a model's file holds for, by the engine's greeting; None while that is not known."""
    if hello is None:
        return None
    try:
        file = path.stat()
    except OSError:
        return None
    wanted = options.devices
    gpus = [device for device in hello.devices if device.kind in ("gpu", "integrated")]
    used = [gpu for gpu in gpus if options.gpu_layers != 0 and (wanted is None or gpu.name in wanted)]
    devices = [f"{device.name} {device.description}" for device in hello.devices if device not in gpus]
    devices += [f"{gpu.name} {gpu.description} {options.gpu_layers} {options.kv_on_gpu}" for gpu in used]
    parts = (*devices, hello.llama_commit, f"{file.st_size} {file.st_mtime_ns}", options.kv_type)
    return " | ".join(parts)


# --- in words ---------------------------------------------------------------------------------------------------------


def own_words(own: OwnSettings, given: frozenset[str] = frozenset()) -> str:
    """Return a sentence about what was taken from the settings, empty for nothing; `given` names other options."""
    parts = [*_option_words(own.options, given), *_measured_words(own), *_learnt_words(own)]
    return f"With this model's own settings: {'; '.join(parts)}." if parts else ""


def own_report(own: OwnSettings, given: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the same as a command prints it: stable names, only what differs from what holds for every model."""
    plain = LoadOptions()
    changed = {
        each.name: value
        for each in fields(LoadOptions)
        if each.name not in given and (value := getattr(own.options, each.name)) != getattr(plain, each.name)
    }
    best = own.calibration.best if own.calibration is not None else None
    return {"options": changed, "measured": msgspec.to_builtins(best), "learnt_bytes": own.learnt}


def _option_words(options: LoadOptions, given: frozenset[str]) -> Iterator[str]:
    """What the person chose and no flag says otherwise."""
    plain = LoadOptions()
    layers, devices = options.gpu_layers, options.devices
    said = {
        "context": f"a context of {format_count(options.context or 0)} tokens",
        "gpu_layers": f"{format_amount(layers, 'layer')} on the GPU" if layers else "no layer on a GPU",
        "devices": f"only {', '.join(devices)}" if devices else "no GPU",
        "kv_on_gpu": "keys and values off the GPU",
        "kv_type": f"keys and values as {options.kv_type}",
        "flash_attention": f"flash attention {options.flash_attention}",
        "threads": format_amount(options.threads or 0, "thread"),
        "batch": f"slices of {format_count(options.batch or 0)} tokens",
        "use_mmap": "the file read instead of mapped",
        "window_in_full": "windows kept in full",
    }
    for name, words in said.items():
        if name not in given and getattr(options, name) != getattr(plain, name):
            yield words


def _measured_words(own: OwnSettings) -> Iterator[str]:
    """What was measured of the rest."""
    if own.calibration is None:
        return
    best, options = own.calibration.best, own.options
    parts = []
    if options.flash_attention == "auto" and options.kv_type == "f16":
        parts.append(f"flash attention {'on' if best.flash_attention else 'off'}")
    if options.threads is None:
        parts.append(format_amount(best.threads, "thread"))
    if options.batch is None:
        parts.append(f"slices of {format_count(best.batch)} tokens")
    if parts:
        yield f"measured here: {', '.join(parts)}"


def _learnt_words(own: OwnSettings) -> Iterator[str]:
    """What the last load took beyond its estimate."""
    sizes = [
        f"{format_bytes(abs(size))} {'more' if size > 0 else 'less'} on {device}" for device, size in own.learnt.items()
    ]
    if sizes:
        yield f"the last load took {' and '.join(sizes)} than was estimated"
