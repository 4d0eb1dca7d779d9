"""The bench of calibrations: what it measures is what it says; mrcal only where it is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from calibration.board import Board
from calibration.errors import MissingFile, NotReady
from pipeline.bench.camera import BOARDS, TRUTH, bench_camera, judge, make_scene, noise_floor_px
from pipeline.bench.camera_peers import Fitted, by_opencv

MRCAL = os.environ.get("MRCAL_PYTHON", "")


def bench(**more: object):
    given = {"trials": 2, "boards": list(BOARDS)[:1], "mrcal": None, "photographs": None, "out": None, "seed": 0}
    return bench_camera(**(given | more), progress=lambda share, text: None)


def test_two_trials_in_one_table(tmp_path: Path):
    result = bench(out=tmp_path / "results.md")
    ours, theirs = result.data["synthetic"]
    assert (ours["tool"], theirs["tool"]) == ("dpcam", "OpenCV")
    for found in (ours, theirs):
        assert found["focal_error_worst"] < 0.004
        assert found["held_out_worst"] < 1.1
    assert 0.3 < ours["projection_error_by_stated"] < 2.5
    assert theirs["projection_error_by_stated"] is None
    assert (tmp_path / "results.md").read_text().count("\n| 10x7 squares of 25 mm") == 3
    near, *_, far = result.data["corners_found"]["10x7 squares of 25 mm"].values()
    assert near == Board().corners > far, "its markers are lost first"
    again = bench().data["synthetic"][0]
    assert again["focal_error_worst"] == pytest.approx(ours["focal_error_worst"]), "by the seed alone"


def test_the_true_camera_is_without_fault():
    scene, fresh = make_scene(Board(), 1), make_scene(Board(), 2).views
    trial = judge(scene, fresh, Fitted(TRUTH, 0.0))
    assert trial.focal_error == 0
    assert trial.held_out == pytest.approx(1, abs=0.05), "the noise floor is what the truth leaves"
    assert noise_floor_px(fresh) == pytest.approx(0.2 * np.sqrt(2) * np.sqrt(1 - 6 / 108), rel=0.02)


def test_a_wrong_camera_is_found_out():
    scene, fresh = make_scene(Board(), 1), make_scene(Board(), 2).views
    wrong = TRUTH.model_copy(update={"distortion": (0.0,) * 5})
    assert judge(scene, fresh, Fitted(wrong, 0.0)).held_out > 2
    assert by_opencv(scene.views).model.distortion[0] == pytest.approx(-0.21, abs=0.02)


def test_mrcal_that_is_not_there(tmp_path: Path):
    with pytest.raises(MissingFile, match="nowhere"):
        bench(mrcal=tmp_path / "nowhere")
    with pytest.raises(NotReady, match="mrcal did not run"):
        bench(mrcal=Path(sys.executable))


@pytest.mark.skipif(not MRCAL, reason="MRCAL_PYTHON names no Python that has mrcal")
def test_mrcal_states_the_same_uncertainty():
    result = bench(mrcal=Path(MRCAL))
    ours, _, mrcal = result.data["synthetic"]
    assert mrcal["stated_px"] == pytest.approx(ours["stated_px"], rel=0.15)
    assert mrcal["focal_error_worst"] < 0.004
