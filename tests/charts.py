"""Color charts before the simulated camera, and what their colors really look like there."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calibration.color import encoded, linear
from calibration.files import write_bytes
from calibration.sheet import Sheet
from capture.cameras.sim_print import PRINTERS
from capture.plan import Condition
from patches.chart import ChartOrder, chart_pdf, lay_out_chart
from pipeline.bench.color import photograph_chart


def make_chart(folder: Path) -> Sheet:
    """The default chart, its PDF in ``folder``."""
    chart = lay_out_chart(ChartOrder())
    write_bytes(folder / chart.pdf, chart_pdf(chart))
    return chart


def photograph(folder: Path, sheet: Sheet, printer: str = "lab", light: str = "day", **view: float) -> np.ndarray:
    """``(720, 1280, 3)`` uint8 RGB of a sheet printed by ``printer``; the camera is near enough to fill the picture."""
    condition = Condition(light=light, **({"distance_mm": 480.0, "yaw_deg": 8.0} | view))
    return photograph_chart(folder, sheet, printer, condition)


def looks(printer: str, asked: np.ndarray, white: np.ndarray) -> np.ndarray:
    """``(N, 3)`` sRGB that colors ``(N, 3)`` in [0, 1] are seen as where paper sends the light ``white`` ``(3,)``."""
    both = np.vstack([asked, np.ones(3)]).astype(np.float32)
    seen = linear(np.clip(PRINTERS[printer](both[None], 1.0)[0].astype(float), 0, 1))
    return encoded(seen[:-1] * white / seen[-1])
