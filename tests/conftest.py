"""What all tests share."""

import gc
import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["DBUS_SESSION_BUS_ADDRESS"] = "disabled:"  # nothing is asked of the desktop

from app.services.collecting import collect_if_due
from tests.support.cores import keep_to_own_cores
from tests.support.fixtures import starter_model, tiny_model  # noqa: F401

keep_to_own_cores()
gc.disable()


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect garbage on the main thread only, as the window does: no worker destroys the Qt objects of a test."""
    yield
    collect_if_due()
