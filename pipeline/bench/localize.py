"""The bench of localization: speed of tracking, accuracy, false sheets; as tables and as JSON."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from calibration.errors import MissingFile
from calibration.files import write_text
from pipeline.bench.camera_tables import as_markdown
from pipeline.bench.localize_accuracy import KINDS, SIZES, Empties, Errors, Sighting, look_at_empty, sight
from pipeline.bench.localize_speed import TrackingSpeed, track_speed
from pipeline.bench.sim import stage_lab
from pipeline.patch_bench.datasets import data_places, find_data
from pipeline.result import Result, Table
from pipeline.zoo.photos import PhotoSet, find_photos

Progress = Callable[[float, str], None]

MOVING_SIZES = ((1920, 1080), (3840, 2160))
YAWS_DEG = ((0, 30), (30, 50), (50, 90))
LIMITS = (
    "limits: 4 times as fast at 1080p and 8 times at 2160p, median corner error at most half of one tag's,"
    " no false sheet, tracking within 0.1 px of the whole frame"
)
SPEED_HEADS = (
    "frame",
    "frames",
    "tracked",
    "tracking ms",
    "detector ms",
    "detector decimated ms",
    "speedup",
    "to decimated",
    "sustained",
    "apart px, worst",
)
ACCURACY_HEADS = (
    "frames",
    "count",
    "found %",
    "by one tag",
    "corner px, median",
    "one tag",
    "corner px, 95 %",
    "one tag",
    "angle deg, median",
    "one tag",
    "distance %, median",
    "one tag",
)
EMPTY_HEADS = ("frames without a sheet", "count", "sheets found", "frames with one of its tags")


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured: frames of a moving sheet at each size, frames with a sheet, frames without one.

    ``sizes`` are those of the frames with a sheet, ``moving_sizes`` of those with a moving one.
    """

    moving: int
    frames: int
    empty: int
    sizes: tuple[tuple[int, int], ...] = SIZES
    moving_sizes: tuple[tuple[int, int], ...] = MOVING_SIZES


FULL = Effort(moving=60, frames=2000, empty=5000)
QUICK = Effort(moving=3, frames=6, empty=8, sizes=SIZES[:1])


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Frames of one sort. Rates of detection; errors are medians (and 95th percentiles) over what both ways found."""

    frames: str
    count: int
    found: float
    baseline_found: float
    corner_error_px: float | None
    baseline_corner_error_px: float | None
    corner_error_p95_px: float | None
    baseline_corner_error_p95_px: float | None
    angle_error_deg: float | None
    baseline_angle_error_deg: float | None
    distance_error_percent: float | None
    baseline_distance_error_percent: float | None


def bench_localize(
    effort: Effort, *, photos: PhotoSet | None, out: Path | None, seed: int, progress: Progress
) -> Result:
    """Measure all; ``out`` gets the tables as Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        lab = stage_lab(Path(folder), *SIZES[0], seed)
        speeds = [track_speed(lab, *size, effort.moving, seed, progress) for size in effort.moving_sizes]
        seen = sight(lab, effort.sizes, effort.frames, seed, progress)
        empties = look_at_empty(lab, effort.empty, photos, seed, progress)
    result = _result(effort, seed, speeds, accuracies(seen), empties)
    if out:
        write_text(out, as_markdown(result.tables))
    return result


def find_photographs(named: Path | None, data_folder: str | None, where: Path) -> PhotoSet | None:
    """Those that are named, which must be there; else those in the folders of :func:`data_places`, or None."""
    try:
        return find_photos(find_data("gtsrb", named, data_places(data_folder, where)))
    except MissingFile:
        if named:
            raise
        return None


def accuracies(seen: Sequence[Sighting]) -> list[Accuracy]:
    """All frames first, then those of each size: all of them, by kind, by yaw."""
    groups = {"all": list(seen)}
    for width in sorted({each.width for each in seen}):
        mine = [each for each in seen if each.width == width]
        groups[f"{width} px wide"] = mine
        groups |= {f"{width}, {kind}": [each for each in mine if each.kind == kind] for kind in KINDS}
        for low, high in YAWS_DEG:
            groups[f"{width}, yaw {low} to {high} deg"] = [each for each in mine if low <= each.yaw_deg < high]
    return [_accuracy(name, group) for name, group in groups.items() if group]


def _accuracy(name: str, seen: Sequence[Sighting]) -> Accuracy:
    both = [(each.ours, each.bare) for each in seen if each.ours and each.bare]
    ours, bare = [pair[0] for pair in both], [pair[1] for pair in both]
    return Accuracy(
        frames=name,
        count=len(seen),
        found=float(np.mean([each.ours is not None for each in seen])),
        baseline_found=float(np.mean([each.bare is not None for each in seen])),
        corner_error_px=_quantile(ours, "corner_px"),
        baseline_corner_error_px=_quantile(bare, "corner_px"),
        corner_error_p95_px=_quantile(ours, "corner_px", 0.95),
        baseline_corner_error_p95_px=_quantile(bare, "corner_px", 0.95),
        angle_error_deg=_quantile(ours, "angle_deg"),
        baseline_angle_error_deg=_quantile(bare, "angle_deg"),
        distance_error_percent=_quantile(ours, "distance_percent"),
        baseline_distance_error_percent=_quantile(bare, "distance_percent"),
    )


def _quantile(errors: Sequence[Errors], name: str, share: float = 0.5) -> float | None:
    return float(np.quantile([getattr(each, name) for each in errors], share)) if errors else None


def _result(
    effort: Effort,
    seed: int,
    speeds: Sequence[TrackingSpeed],
    found: Sequence[Accuracy],
    empties: Sequence[Empties],
) -> Result:
    whole = found[0]
    data = {
        "frames": effort.frames,
        "empty": effort.empty,
        "moving": effort.moving,
        "seed": seed,
        **{f"speedup_{speed.height}p": speed.speedup for speed in speeds},
        "corner_error_px": whole.corner_error_px,
        "baseline_corner_error_px": whole.baseline_corner_error_px,
        "found": whole.found,
        "baseline_found": whole.baseline_found,
        "false_sheets": sum(each.sheets for each in empties),
        "speed": [_finite(asdict(speed)) for speed in speeds],
        "accuracy": [asdict(each) for each in found],
        "without_a_sheet": [asdict(each) for each in empties],
    }
    tables = [
        Table("A moving sheet, tracked, beside the bare detector", SPEED_HEADS, tuple(map(_speed_row, speeds))),
        Table("Simulated frames, beside the bare detector by one tag", ACCURACY_HEADS, tuple(map(_row, found))),
        Table("What is taken for a sheet", EMPTY_HEADS, tuple(_empty_row(each) for each in empties)),
    ]
    return Result(data=data, tables=tables, lines=[LIMITS])


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {key: value if np.isfinite(value) else None for key, value in values.items()}


def _speed_row(speed: TrackingSpeed) -> tuple[str, ...]:
    times = (f"{ms:.1f}" for ms in (speed.tracking_ms, speed.bare_ms, speed.decimated_ms))
    ratios = (f"{ratio:.1f} x" for ratio in (speed.speedup, speed.speedup_decimated, speed.sustained))
    counts = str(speed.frames), str(speed.tracked)
    return (f"{speed.width}x{speed.height}", *counts, *times, *ratios, f"{speed.apart_px:.4f}")


def _row(found: Accuracy) -> tuple[str, ...]:
    name, count, ours, bare, *errors = asdict(found).values()
    return (name, str(count), f"{100 * ours:.1f}", f"{100 * bare:.1f}", *map(_cell, errors))


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _empty_row(empties: Empties) -> tuple[str, ...]:
    return (empties.kind, str(empties.frames), str(empties.sheets), str(empties.tags))
