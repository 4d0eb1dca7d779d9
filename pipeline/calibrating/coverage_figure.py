"""The coverage of a calibration as a picture: where the boards were in the image, and how they were tilted."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from calibration.board import BoardSighting
from calibration.confidence import Confidence
from calibration.coverage import CELL_CORNERS, TILT_DEG, Coverage

SETTINGS: Any = {"font.family": ["DejaVu Sans"], "font.size": 9.0, "text.parse_math": False}
EMPTY, BOARD, CORNER, LINE = "#f6c9c3", "#4878b0", "#1b3a5c", "#999999"
GRID = (33, 25)
FARTHEST_DEG = 60.0


def coverage_png(
    views: Sequence[BoardSighting],
    coverage: Coverage,
    confidence: Confidence | None = None,
    distance_mm: float = 1000.0,
) -> bytes:
    """A PNG. ``confidence``: with lines of equal uncertainty of projections at ``distance_mm``."""
    # Loaded only here: whoever calibrates nothing need not wait for it.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(SETTINGS):
        figure = Figure(figsize=(10, 4.6), dpi=100, layout="constrained")
        picture, tilts = figure.subplots(1, 2, width_ratios=(1.7, 1))
        _draw_picture(picture, views, coverage)
        if confidence is not None:
            _draw_uncertainty(picture, confidence, distance_mm)
        _draw_tilts(tilts, coverage)
        figure.suptitle(_title(coverage), wrap=True, fontsize=9)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _draw_picture(axes: Any, views: Sequence[BoardSighting], coverage: Coverage) -> None:
    width, height = views[0].width, views[0].height
    for row, column in np.argwhere(coverage.cells < CELL_CORNERS):
        low = (column * width / 3, row * height / 3)
        axes.add_patch(_box(low, width / 3, height / 3))
    for view in views:
        axes.plot(*view.corners_px.T, ".", ms=3, color=CORNER)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal")
    axes.set_title(f"corners of {len(views)} views span {coverage.share:.0%} of the picture; red: too few")


def _box(low: tuple[float, float], width: float, height: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(low, width, height, color=EMPTY, lw=0)


def _draw_uncertainty(axes: Any, confidence: Confidence, distance_mm: float) -> None:
    fit = confidence.fit
    x, y = np.meshgrid(np.linspace(0, fit.width - 1, GRID[0]), np.linspace(0, fit.height - 1, GRID[1]))
    sd = confidence.at_pixels(np.column_stack([x.ravel(), y.ravel()]), distance_mm).reshape(x.shape)
    levels = np.geomspace(np.nanmin(sd) * 1.05, np.nanmax(sd) * 0.95, 6)
    lines = axes.contour(x, y, sd, levels=np.sort(levels), colors=BOARD)
    axes.clabel(lines, fmt="%.2f px")
    axes.set_xlabel(f"lines: standard deviation of a projection at {distance_mm:g} mm")


def _draw_tilts(axes: Any, coverage: Coverage) -> None:
    right, bottom = coverage.tilts_deg.T
    axes.add_patch(_box((-TILT_DEG, -TILT_DEG), 2 * TILT_DEG, 2 * TILT_DEG))
    axes.plot(right, bottom, "o", ms=4, color=CORNER)
    axes.axhline(0, color=LINE, lw=0.5)
    axes.axvline(0, color=LINE, lw=0.5)
    axes.set(xlim=(-FARTHEST_DEG, FARTHEST_DEG), ylim=(FARTHEST_DEG, -FARTHEST_DEG), aspect="equal")
    axes.set(xlabel="left side farther - right side farther, degrees", ylabel="top farther - bottom farther, degrees")
    axes.set_title("tilts of the board; red: too level")


def _title(coverage: Coverage) -> str:
    return "missing: " + "; ".join(coverage.missing) if coverage.missing else "nothing is missing"
