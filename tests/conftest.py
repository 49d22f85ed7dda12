"""What all tests share."""

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from tests.support.fixtures import starter_model, tiny_model  # noqa: F401
