"""What this process has of an NVIDIA GPU's memory, from the driver's own library (NVML)."""

import functools
import logging
import os

import pynvml

logger = logging.getLogger(__name__)


@functools.cache
def _is_there() -> bool:
    """Whether NVML can be used; asked once, when a GPU is first looked at."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        logger.info("NVML is not used: %s", error)
        return False
    return True


def process_bytes(device_id: str) -> int | None:
    """This process's bytes on the GPU of a PCI id such as 0000:01:00.0; None where NVML does not say."""
    if not device_id or not _is_there():
        return None
    try:
        handle = pynvml.nvmlDeviceGetHandleByPciBusId(device_id.encode())
        running = [
            *pynvml.nvmlDeviceGetComputeRunningProcesses(handle),
            *pynvml.nvmlDeviceGetGraphicsRunningProcesses(handle),
        ]
    except pynvml.NVMLError as error:
        logger.debug("NVML does not say what is in use on %s: %s", device_id, error)
        return None
    mine = [process.usedGpuMemory for process in running if process.pid == os.getpid()]
    known = [int(size) for size in mine if size is not None]
    return max(known) if known else None
