"""What all tests share."""

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from tests.support.cores import keep_to_own_cores
from tests.support.fixtures import starter_model, tiny_model  # noqa: F401

keep_to_own_cores()
