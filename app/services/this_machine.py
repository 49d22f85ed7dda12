"""The machine that models are held against where no engine decides: its memory now, and the GPUs an engine told of."""

from collections.abc import Mapping

from app.core.offload import CPU, Machine, Room
from app.protocol.answers import Statistics


def this_machine(statistics: Statistics | None = None, given_back: Mapping[str, int] | None = None) -> Machine:
    """The computer's memory, and the GPUs of an engine's statistics; without them the memory alone.

    `given_back` says by device what the loaded model would free, which counts as free.
    """
    import psutil  # 10 ms that a start with a model does without

    back = given_back or {}
    memory = psutil.virtual_memory()
    devices = statistics.devices if statistics is not None else ()
    gpus = [device for device in devices if device.kind == "gpu"]
    gpus = gpus or [device for device in devices if device.kind == "integrated"]
    return Machine(
        Room(CPU, memory.available + back.get(CPU, 0), memory.total, is_unified=True),
        tuple(Room(gpu.name, gpu.free_bytes + back.get(gpu.name, 0), gpu.total_bytes, gpu.is_unified) for gpu in gpus),
    )
