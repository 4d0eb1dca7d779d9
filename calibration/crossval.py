"""Two calibrations of one camera, compared: where do they disagree, after the turn that makes them agree best?

Intrinsics alone cannot be compared: another principal point is the same camera turned a little, which any pose takes
up. So rays are compared, as mrcal does for its projection difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from calibration.board import BoardSighting
from calibration.camera import CameraModel
from calibration.coverage import seen_pixels
from calibration.errors import BadInput
from calibration.geometry import Array
from calibration.lens import Lens, fit_lens, held_out_px


@dataclass(frozen=True, slots=True)
class Crossval:
    """Two sets of views, each fitted by itself, compared where the boards were seen.

    ``rms_px``, ``worst_px``: how far a pixel of the one is from where the other has it. ``held_out_px``: reprojection
    RMS of the views of each set under the camera of the other, poses solved for.
    """

    rms_px: float
    worst_px: float
    held_out_px: float


def crossvalidate(one: Sequence[BoardSighting], other: Sequence[BoardSighting], lens: Lens) -> Crossval:
    """Fit ``lens`` to both sets and compare; :class:`BadInput` when their pictures differ in size or do not fit."""
    sizes = [(views[0].width, views[0].height) for views in (one, other)]
    if sizes[0] != sizes[1]:
        listed = " and ".join(f"{width}x{height}" for width, height in sizes)
        raise BadInput(f"the two sets of pictures have different sizes: {listed}")
    first, second = fit_lens(one, lens).model(""), fit_lens(other, lens).model("")
    apart = disagreement_px(first, second, seen_pixels([*one, *other]))
    held_out = [held_out_px(first, other), held_out_px(second, one)]
    return Crossval(float(np.sqrt(np.mean(apart**2))), float(apart.max()), float(np.sqrt(np.mean(np.square(held_out)))))


def disagreement_px(one: CameraModel, other: CameraModel, pixels: Array) -> Array:
    """``(N, 2)`` pixels of ``one`` → ``(N,)`` distance to where ``other`` has the same rays, after the best turn.

    :class:`BadInput` when one of them has no rays there.
    """
    rays, others = one.rays(pixels), other.rays(pixels)
    if not np.isfinite([rays, others]).all():
        raise BadInput("one of two calibrations sees nothing in a part of the picture: they cannot be compared")
    turn, _ = Rotation.align_vectors(others, rays)
    return np.asarray(np.linalg.norm(other.project(turn.apply(rays)) - pixels, axis=1), dtype=np.float64)
