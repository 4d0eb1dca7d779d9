"""The bench of localization: what it measures is what it says, on small frames."""

from __future__ import annotations

import json

import numpy as np
import pytest

from calibration.errors import MissingFile
from pipeline.bench.localize import Effort, accuracies, bench_localize, find_photographs
from pipeline.bench.localize_accuracy import KINDS, Errors, Sighting, look_at_empty
from pipeline.bench.localize_speed import ROUND, moving
from pipeline.bench.sim import stage_lab

SMALL = Effort(moving=2, frames=6, empty=4, sizes=((640, 360),), moving_sizes=((640, 360), (960, 540)))


def quiet(share: float, text: str) -> None:
    assert 0 < share <= 1


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench") / "tables.md"
    return bench_localize(SMALL, photos=None, out=out, seed=2, progress=quiet), out.read_text()


def test_the_keys_are_there_and_plain_json(found):
    data = json.loads(json.dumps(found[0].data, allow_nan=False))
    assert {"speedup_360p", "speedup_540p", "corner_error_px", "baseline_corner_error_px"} <= set(data)
    assert (data["moving"], data["frames"], data["empty"]) == (2, 6, 4)
    assert data["false_sheets"] == 0
    assert data["corner_error_px"] < data["baseline_corner_error_px"]


def test_tracking_is_what_the_whole_frame_says(found):
    for speed in found[0].data["speed"]:
        assert speed["frames"] == 2
        assert speed["apart_px"] < 0.1


def test_every_kind_of_frame_has_its_row(found):
    names = [row["frames"] for row in found[0].data["accuracy"]]
    assert names[:2] == ["all", "640 px wide"]
    assert {f"640, {kind}" for kind in KINDS} <= set(names)
    assert [row["kind"] for row in found[0].data["without_a_sheet"]] == [
        "simulated, no sheet",
        "simulated, another sheet",
    ]


def test_the_tables_are_written(found):
    assert all(f"**{table.title}**" in found[1] for table in found[0].tables)


def sighting(ours: float | None, bare: float | None, kind: str = "plain") -> Sighting:
    errors = [None if px is None else Errors(px, px / 10, px / 100) for px in (ours, bare)]
    return Sighting(640, kind, 12.0, *errors)


def test_errors_are_compared_on_the_frames_that_both_found():
    seen = [sighting(0.1, 1), sighting(0.3, 3), sighting(None, 50), sighting(70, None), sighting(None, None, "noise")]
    whole = accuracies(seen)[0]
    assert (whole.count, whole.found, whole.baseline_found) == (5, 0.6, 0.6)
    assert whole.corner_error_px == pytest.approx(0.2)
    assert whole.baseline_corner_error_px == pytest.approx(2)
    assert whole.baseline_angle_error_deg == pytest.approx(0.2)
    noise = next(each for each in accuracies(seen) if each.frames == "640, noise")
    assert (noise.found, noise.corner_error_px) == (0, None)


def test_the_moving_sheet_goes_round_smoothly():
    views = np.array([[at.distance_mm, at.yaw_deg, at.roll_deg] for at in map(moving, range(2 * ROUND))])
    assert np.abs(np.diff(views, axis=0)).max(axis=0) == pytest.approx([41.8, 9.4, 1.05], rel=0.05)
    assert np.allclose(views[:ROUND], views[ROUND:])


def test_photographs_are_looked_for_and_those_named_must_be_there(tmp_path):
    assert find_photographs(None, str(tmp_path), tmp_path) is None
    with pytest.raises(MissingFile, match="gtsrb"):
        find_photographs(tmp_path / "none.zip", str(tmp_path), tmp_path)


def test_enlarged_photographs_are_no_sheets(photos, tmp_path):
    stage = stage_lab(tmp_path, 640, 360, 2)
    rows = look_at_empty(stage, 4, find_photographs(photos, None, tmp_path), 2, quiet)
    assert [(row.kind, row.frames, row.sheets) for row in rows] == [
        ("simulated, no sheet", 1, 0),
        ("simulated, another sheet", 1, 0),
        ("photographs, enlarged", 2, 0),
    ]
