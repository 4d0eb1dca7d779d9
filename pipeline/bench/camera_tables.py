"""What the bench of camera calibrations found, as tables and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from pipeline.bench.board_range import DISTANCES_MM
from pipeline.result import Result, Table

LIMITS = "limits: focal length within 0.2 %, held-out reprojection within 10 % of the noise floor"
HEADS = (
    "board",
    "tool",
    "focal error %, median",
    "95 %",
    "worst",
    "by stated",
    "held-out RMS by noise, median",
    "worst",
    "projection error by stated",
    "stated px",
    "ms",
)
REAL_HEADS = ("set", "tool", "fx px", "RMS px", "held-out halves px", "halves apart px")
RANGE_HEADS = ("board", *(f"{distance_mm / 1000:.1f} m" for distance_mm in DISTANCES_MM))


@dataclass(frozen=True, slots=True)
class Trial:
    """One calibration against the truth.

    ``focal_error``: the larger relative error of fx and fy. ``focal_z``: errors of both by their stated deviation.
    ``held_out``: held-out reprojection RMS by that of noise alone. ``projection_z``: errors of projections where
    patches appear by their stated covariance, 1 in the quadratic mean when that is true; ``sd_px``: at worst.
    """

    focal_error: float
    focal_z: float | None
    held_out: float
    projection_z: float | None
    sd_px: float | None
    lens: str
    ms: float


@dataclass(frozen=True, slots=True)
class Real:
    """A tool on photographs: all of them fitted; both halves fitted, compared, and each judged on the other."""

    focal_px: float
    rms_px: float
    held_out_px: float
    halves_apart_px: float


@dataclass(frozen=True, slots=True)
class Summary:
    """All trials of one tool on one board; quotients of errors by what was stated are quadratic means."""

    focal_error_median: float
    focal_error_p95: float
    focal_error_worst: float
    focal_error_by_stated: float | None
    held_out_median: float
    held_out_worst: float
    projection_error_by_stated: float | None
    stated_px: float | None
    ms: float
    lenses: dict[str, int]


def bench_result(
    synthetic: Mapping[tuple[str, str], Sequence[Trial]],
    real: Mapping[tuple[str, str], Real],
    ranges: Mapping[str, Sequence[int]],
    *,
    trials: int,
    seed: int,
) -> Result:
    """The answer of the command; the keys are (board, tool), (set of photographs, tool), and boards."""
    summaries = {key: summarize(found) for key, found in synthetic.items()}
    rows = tuple((*key, *_cells(found)) for key, found in summaries.items())
    tables = [Table(f"{trials} synthetic sets of views", HEADS, rows)]
    if real:
        tables.append(Table("Photographs of a chessboard", REAL_HEADS, tuple((*k, *_real(r)) for k, r in real.items())))
    found = tuple((board, *map(str, corners)) for board, corners in ranges.items())
    tables.append(Table("Corners found of a printed board that is turned by 25 degrees", RANGE_HEADS, found))
    data = {
        "trials": trials,
        "seed": seed,
        "synthetic": [{"board": board, "tool": tool, **asdict(found)} for (board, tool), found in summaries.items()],
        "photographs": [{"set": name, "tool": tool, **asdict(found)} for (name, tool), found in real.items()],
        "corners_found": {board: dict(zip(RANGE_HEADS[1:], corners, strict=True)) for board, corners in ranges.items()},
    }
    return Result(data=data, tables=tables, lines=[LIMITS])


def summarize(trials: Sequence[Trial]) -> Summary:
    """One tool on one board."""
    focal = np.array([trial.focal_error for trial in trials])
    held_out = np.array([trial.held_out for trial in trials])
    stated = [trial.sd_px for trial in trials if trial.sd_px is not None]
    lenses = [trial.lens for trial in trials]
    return Summary(
        focal_error_median=float(np.median(focal)),
        focal_error_p95=float(np.quantile(focal, 0.95)),
        focal_error_worst=float(focal.max()),
        focal_error_by_stated=_quadratic_mean([trial.focal_z for trial in trials]),
        held_out_median=float(np.median(held_out)),
        held_out_worst=float(held_out.max()),
        projection_error_by_stated=_quadratic_mean([trial.projection_z for trial in trials]),
        stated_px=math.fsum(stated) / len(stated) if stated else None,
        ms=float(np.median([trial.ms for trial in trials])),
        lenses={lens: lenses.count(lens) for lens in sorted(set(lenses))},
    )


def as_markdown(tables: Sequence[Table]) -> str:
    """Tables as they stand in a document."""
    return "\n".join(_markdown(table) for table in tables)


def _markdown(table: Table) -> str:
    lines = [table.columns, tuple("---" for _ in table.columns), *table.rows]
    return f"**{table.title}**\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(found: Summary) -> tuple[str, ...]:
    focal = (found.focal_error_median, found.focal_error_p95, found.focal_error_worst)
    rest = (
        found.focal_error_by_stated,
        found.held_out_median,
        found.held_out_worst,
        found.projection_error_by_stated,
        found.stated_px,
    )
    return (*(f"{100 * error:.3f}" for error in focal), *map(_cell, rest), f"{found.ms:.0f}")


def _real(found: Real) -> tuple[str, ...]:
    return (f"{found.focal_px:.2f}", *map(_cell, (found.rms_px, found.held_out_px, found.halves_apart_px)))


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _quadratic_mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.sqrt(np.mean(np.square(known)))) if known else None
