"""What a model takes of each device, as commands print it: stable names, bytes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from app.core.errors import EmberError
from app.protocol.answers import Statistics
from app.protocol.messages import Response
from app.protocol.parts import Device, MemoryPlan, ModelInfo
from app.protocol.requests import GetStatistics
from app.services.engine_client import EngineClient
from app.services.model_library import display_name

Report = dict[str, Any]
CPU_KINDS = ("cpu", "accelerator")


def report_memory(engine: EngineClient, told: Callable[[Report], None], failed: Callable[[EmberError], None]) -> None:
    """Ask the engine what its model takes; one of the two is called, once."""
    model = engine.model
    if model is None:
        failed(EmberError("No model is loaded in Ember's window; open one there, or give --model FILE.", "no_model"))
        return

    def answered(answer: Response) -> None:
        if isinstance(answer, Statistics):
            told(memory_of(model, answer, engine.plan))
        else:
            failed(EmberError("The engine did not answer; try again in a moment.", "engine_died"))

    engine.send(GetStatistics(id=engine.new_id()), answered)


def memory_of(model: ModelInfo, statistics: Statistics, plan: MemoryPlan | None) -> Report:
    """What a loaded model takes, beside what was estimated of it where that is known."""
    devices = {device.name: device for device in statistics.devices}
    estimated = {part.device: part for part in plan.devices} if plan is not None else {}
    parts = []
    for memory in statistics.memory:
        device = devices.get(memory.device)
        estimate = estimated.get(memory.device)
        parts.append(
            {
                "device": memory.device,
                "kind": device.kind if device is not None else "cpu",
                "weights_bytes": memory.weights,
                "kv_bytes": memory.kv_reserved,
                "kv_used_bytes": memory.kv_used,
                "compute_bytes": memory.compute,
                "bytes": memory.weights + memory.kv_reserved + memory.compute,
                "process_bytes": device.process_bytes if device is not None else None,  # where the driver says it
                "estimated_bytes": None if estimate is None else estimate.weights + estimate.kv + estimate.compute,
                **_room(device, statistics),
            }
        )
    return {
        "model": display_name(model.path, model.name),
        "file": model.path,
        "context": statistics.context_size,
        "context_used": statistics.context_used,
        "gpu_layers": model.gpu_layers,
        "layers": model.layers,
        "process_bytes": statistics.rss,
        "estimated_process_bytes": sum(part.total for part in estimated.values() if part.device == "CPU") or None,
        "devices": parts,
    }


def _room(device: Device | None, statistics: Statistics) -> Report:
    """The bytes of a device that are free now, and all of them."""
    if device is None or device.kind in CPU_KINDS:  # ggml says of the CPU only how much there is
        return {"free_bytes": statistics.ram_available, "total_bytes": statistics.ram_total}
    return {"free_bytes": device.free_bytes, "total_bytes": device.total_bytes}


def describe_device(device: Device, ram: Mapping[str, int]) -> Report:
    """A device as `devices` lists it; `ram` has the computer's free and total bytes."""
    is_cpu = device.kind in CPU_KINDS
    return {
        "name": device.name,
        "description": device.description,
        "kind": device.kind,
        "backend": device.backend,
        "unified": device.is_unified,
        "free_bytes": ram["free_bytes"] if is_cpu else device.free_bytes,
        "total_bytes": ram["total_bytes"] if is_cpu else device.total_bytes,
    }


def describe_plan(file: Path, plan: MemoryPlan) -> Report:
    """An estimate as `estimate` prints it."""
    return {
        "file": str(file),
        "verdict": plan.verdict,
        "sentence": plan.sentence,
        "context": plan.context,
        "gpu_layers": plan.gpu_layers,
        "layers": plan.layers,
        "measured_by_llama_cpp": plan.is_dry_run,
        "devices": [
            {
                "device": part.device,
                "weights_bytes": part.weights,
                "kv_bytes": part.kv,
                "compute_bytes": part.compute,
                "other_bytes": part.other,
                "bytes": part.total,
                "free_bytes": part.free_bytes,
                "total_bytes": part.total_bytes,
            }
            for part in plan.devices
        ],
        "offers": [
            {
                "label": offer.label,
                "context": offer.options.context,
                "gpu_layers": offer.options.gpu_layers,
                "kv_type": offer.options.kv_type,
                "kv_on_gpu": offer.options.kv_on_gpu,
            }
            for offer in plan.offers
        ],
    }
