"""From the engine's statistics to the memory gauge: what each device holds, and for whom."""

from collections import Counter
from dataclasses import dataclass

from app.gui.gauges.figures import MemoryFigures, MemoryKind
from app.protocol.answers import Statistics
from app.protocol.parts import Device, DeviceMemory


@dataclass(frozen=True, slots=True)
class _Pool:
    """Memory that is one, whichever devices use it; bytes."""

    label: str
    kind: MemoryKind
    total: int
    taken: int
    ours: tuple[DeviceMemory, ...]
    mapped_weights: bool
    """Weights that are mapped files, which the system counts as available."""
    process: int | None = None
    """What the driver says that the engine has of it, its own needs included; None where it says nothing."""

    def figures(self) -> MemoryFigures:
        """The parts, which make up the total."""
        weights, kv_used = sum(each.weights for each in self.ours), sum(each.kv_used for each in self.ours)
        kv_reserved, compute = sum(each.kv_reserved for each in self.ours), sum(each.compute for each in self.ours)
        ours = weights + kv_reserved + compute
        process = max(0, self.process - ours) if self.process is not None else 0
        ours += process
        seen = ours - weights if self.mapped_weights else ours
        other = min(max(0, self.taken - seen), max(0, self.total - ours))
        free = max(0, self.total - ours - other)
        return MemoryFigures(
            self.label, self.kind, self.total, weights, kv_used, kv_reserved, compute, other, free, process
        )


def memory_figures(statistics: Statistics) -> tuple[MemoryFigures, ...]:
    """Each device that the model uses or that is a GPU: first the one with its weights, and a GPU before the CPU."""
    pools = sorted(_pools(statistics), key=lambda pool: _rank(pool, bool(statistics.memory)))
    return tuple(pool.figures() for pool in pools)


def _rank(pool: _Pool, is_loaded: bool) -> tuple[bool, bool, int]:
    weights = sum(each.weights for each in pool.ours)
    return (is_loaded and not weights, pool.kind == "cpu", -weights)


def _pools(statistics: Statistics) -> list[_Pool]:
    """The devices, those with unified memory as one with the computer's."""
    gpus = [device for device in statistics.devices if device.kind != "cpu"]
    own = [device for device in gpus if not device.is_unified]
    unified = [device for device in gpus if device.is_unified]
    on_own = {device.name for device in own}
    in_ram = tuple(each for each in statistics.memory if each.device not in on_own)
    same = Counter(device.description for device in own)
    pools = [
        _Pool(
            label=device.description if same[device.description] == 1 else f"{device.name} · {device.description}",
            kind=device.kind,
            total=device.total_bytes,
            taken=device.total_bytes - device.free_bytes,
            ours=tuple(each for each in statistics.memory if each.device == device.name),
            mapped_weights=False,
            process=device.process_bytes,
        )
        for device in own
    ]
    if in_ram or unified or not own:
        pools.append(_ram(statistics, unified, in_ram))
    return pools


def _ram(statistics: Statistics, unified: list[Device], ours: tuple[DeviceMemory, ...]) -> _Pool:
    label = f"this computer, shared with {unified[0].description}" if unified else _cpu(statistics)
    return _Pool(
        label=label,
        kind="integrated" if unified else "cpu",
        total=statistics.ram_total,
        taken=statistics.ram_total - statistics.ram_available,
        ours=ours,
        mapped_weights=True,
    )


def _cpu(statistics: Statistics) -> str:
    cpu = next((device for device in statistics.devices if device.kind == "cpu"), None)
    return (cpu.description or cpu.name) if cpu is not None else "this computer"
