"""Cores of its own for each process of tests, where several run at once."""

import os


def keep_to_own_cores() -> None:
    """Let this process, and the engines it starts, have a share of the cores that no other process of tests has.

    llama.cpp's threads wait for each other in a loop: two engines with as many threads as there are cores would
    spend their time on that. An engine takes as many threads as it may use cores. Only Linux has such shares.
    """
    worker, count = os.environ.get("PYTEST_XDIST_WORKER", ""), os.environ.get("PYTEST_XDIST_WORKER_COUNT", "")
    if not worker or not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    share = cores[int(worker.removeprefix("gw")) :: int(count)]
    if share:
        os.sched_setaffinity(0, share)
