"""What it costs, at every moment: context, memory and saved state, with Clear cache beside them."""

from app.gui.gauges.figures import (
    ClearFigures,
    ContextFigures,
    MemoryFigures,
    MemoryKind,
    ReuseFigures,
    SavedFigures,
)
from app.gui.gauges.gauge import Gauge
from app.gui.gauges.reading import Reading, Segment
from app.gui.gauges.strip import GaugeStrip

__all__ = [
    "ClearFigures",
    "ContextFigures",
    "Gauge",
    "GaugeStrip",
    "MemoryFigures",
    "MemoryKind",
    "Reading",
    "ReuseFigures",
    "SavedFigures",
    "Segment",
]
