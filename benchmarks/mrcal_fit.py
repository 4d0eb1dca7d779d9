"""Calibrations by mrcal (mrcal.secretsauce.net), for ``dpcam bench camera``: lines of JSON in, lines of JSON out.

Runs in an environment of its own, which needs mrcal and nothing of dpcam. Seeded and solved in the order of mrcal's own
``mrcal-calibrate-cameras``, with its outlier rejection and regularization, without the bending of the board. Asked:
``spacing``, ``across``, ``down`` (corners of the board), ``size`` (of the pictures), ``views`` (each the ids of its
corners and their pixels), and the ``pixels`` and ``distance`` at which the uncertainty is wanted. Answered: ``values``
(fx, fy, cx, cy, k1, k2, p1, p2, k3), ``sd_px`` (in the worst direction, at worst), ``ms`` (processor time).
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import mrcal
import numpy as np

MODEL = "LENSMODEL_OPENCV5"


def solve(question: dict[str, Any]) -> tuple[mrcal.cameramodel, np.ndarray]:
    """The camera and its nine values."""
    views, across, down = question["views"], question["across"], question["down"]
    observations = np.full((len(views), down * across, 3), -1.0)
    for observation, (ids, pixels) in zip(observations, views, strict=True):
        observation[ids, :2], observation[ids, 2] = pixels, 1.0
    observations = observations.reshape(len(views), down, across, 3)
    frames = np.column_stack([np.arange(len(views)), np.zeros(len(views))]).astype(np.int32)
    sizes = np.array([question["size"]], dtype=np.int32)
    intrinsics, cameras, boards = mrcal.seed_stereographic(
        sizes, question["size"][0], frames, observations, question["spacing"]
    )
    inputs = {
        "intrinsics": intrinsics,
        "rt_cam_ref": cameras,
        "rt_ref_frame": boards,
        "observations_board": observations,
        "indices_frame_camintrinsics_camextrinsics": np.column_stack([frames, np.full(len(views), -1)]).astype(
            np.int32
        ),
        "lensmodel": "LENSMODEL_STEREOGRAPHIC",
        "imagersizes": sizes,
        "calibration_object_spacing": question["spacing"],
        "do_optimize_intrinsics_core": False,
        "do_optimize_intrinsics_distortions": False,
        "do_optimize_calobject_warp": False,
        "do_apply_outlier_rejection": False,
        "do_apply_regularization": False,
    }
    mrcal.optimize(**inputs)
    mrcal.optimize(**inputs | {"do_optimize_intrinsics_core": True})
    inputs |= {
        "lensmodel": MODEL,
        "intrinsics": np.column_stack([inputs["intrinsics"], np.full((1, 5), 1e-7)]),
        "do_optimize_intrinsics_core": True,
        "do_optimize_intrinsics_distortions": True,
        "do_optimize_extrinsics": True,
        "do_optimize_frames": True,
        "do_apply_outlier_rejection": True,
        "do_apply_regularization": True,
        "calobject_warp": None,
        "points": None,
        "observations_point": None,
        "indices_point_camintrinsics_camextrinsics": None,
    }
    mrcal.optimize(**inputs)
    return mrcal.cameramodel(optimization_inputs=inputs, icam_intrinsics=0), inputs["intrinsics"][0]


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """One calibration."""
    began = time.process_time()
    model, values = solve(question)
    ms = 1000 * (time.process_time() - began)
    rays = mrcal.unproject(np.array(question["pixels"]), MODEL, values, normalize=True)
    sd = mrcal.projection_uncertainty(question["distance"] * rays, model, what="worstdirection-stdev")
    return {"values": values.tolist(), "sd_px": float(np.max(sd)), "ms": ms}


def main() -> None:
    """Answer until nobody asks any more. What mrcal prints goes to stderr."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
