"""The GPU that the tests in this folder run on."""

import pytest

from app.protocol.parts import Device
from tests.support.engine import Engine


@pytest.fixture(scope="session")
def gpu() -> Device:
    """The first GPU that the engine lists; without one the tests fail, for they were asked for."""
    with Engine() as engine:
        devices = engine.hello.devices
    found = next((device for device in devices if device.kind in ("gpu", "integrated")), None)
    if found is None:
        pytest.fail(f"llama.cpp sees no GPU here, only {[d.name for d in devices]}; `make test-gpu` sets one up.")
    return found
