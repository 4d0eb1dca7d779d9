"""Trials of the proof of print: sheets printed at known scales, photographed by the simulator, measured blind.

Each trial draws anew what nobody knows exactly: where the photographer stands (1 to 2 m away, once from the left,
once from the right, once from above or below), what another printer did to the board, how well that was measured
(0.1 mm), how flat the ground is, and how well the camera is calibrated.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from calibration.board import Board
from calibration.camera import CameraModel
from calibration.errors import BadInput
from calibration.geometry import Array, Pose, View, pose_from_view
from calibration.print_fit import Estimate
from calibration.sheet import Sheet
from capture.cameras.sim_options import SimOptions
from capture.cameras.sim_paper import PlaneTexture
from capture.cameras.sim_shop import Placed, PrintShop, printed_by
from capture.photograph import Photograph
from patches.board_pdf import board_origin_mm, board_pdf, page_size_mm
from pipeline.lab import create_lab, open_lab
from pipeline.paper.placing import Placement
from pipeline.paper.printing import make_named_sheet
from pipeline.paper.sighting import Ground, middle_mm
from pipeline.paper.verifying import PrintProof, ProofOrder, prove_photographs
from pipeline.result import Result

PRINTS = ((1.0, 1.0), (0.985, 0.985), (0.96, 0.96), (1.0, 0.99))
"""Scales in x and y that the sheet is printed at."""

CAMERA = SimOptions(name="photographer", width=2016, height=1512, fov_deg=45.0)
PAPER = "A4"
CALIBRATION_SD, CENTER_SD_PX = 0.0015, 1.0
MEASURED_SD_MM = 0.1
BOARD_PRINT_SD, BOARD_SKEW_SD_DEG = 0.005, 0.05
OFF_SD_MM, LEAN_SD_DEG = 0.3, 0.15
QUICK = 8
LIMIT, ASKED_ERROR = 0.01, 0.002
LOOKED_AT_MM = np.array([110.0, 0.0])
"""From the middle of the sheet: between sheet and board."""


@dataclass(frozen=True, slots=True)
class TrialScene:
    """What the trials photograph: a sheet and a board, as textures, and the simulated camera."""

    shop: PrintShop
    sheet: Sheet
    folder: Path
    board: Board
    sheet_texture: PlaneTexture
    board_texture: PlaneTexture


@dataclass(frozen=True, slots=True)
class Trial:
    """What one trial printed, and what was measured."""

    scale_x: float
    scale_y: float
    measured_x: Estimate
    measured_y: Estimate
    skew_deg: Estimate
    placement_mm: float | None
    verdict: str

    @property
    def errors(self) -> Array:
        """``(2,)`` what was measured over what is, less 1."""
        return np.array([self.measured_x.value / self.scale_x, self.measured_y.value / self.scale_y]) - 1

    @property
    def covered(self) -> tuple[bool, bool]:
        """Whether each interval holds the truth."""
        pairs = ((self.measured_x, self.scale_x), (self.measured_y, self.scale_y))
        return tuple(found.low <= true <= found.high for found, true in pairs)  # type: ignore[return-value]


def run_trials(count: int, seed: int, *, calibrated: bool, progress: Callable[[float, str], None]) -> list[Trial]:
    """``count`` trials, the prints in turn."""
    with tempfile.TemporaryDirectory() as folder:
        scene = trial_scene(Path(folder))
        trials = []
        for number in range(count):
            trials.append(run_trial(scene, PRINTS[number % len(PRINTS)], (seed, number), calibrated=calibrated))
            progress((number + 1) / count, f"{number + 1} of {count}")
    return trials


def trial_scene(folder: Path) -> TrialScene:
    """A fresh lab's sheet and the default board, on paper."""
    create_lab(folder, seed=1)
    lab, board, page = open_lab(folder, environ={}, user_file=None), Board(), folder / "board.pdf"
    sheet = make_named_sheet(lab, "stop", None, write=True).sheet
    page.write_bytes(board_pdf(board, PAPER))
    shop = PrintShop(CAMERA)
    return TrialScene(
        shop, sheet, lab.sheets, board, shop.sheet(sheet, lab.sheets), shop.page(page, *page_size_mm(board, PAPER))
    )


def run_trial(scene: TrialScene, scales: tuple[float, float], key: Sequence[int], *, calibrated: bool = True) -> Trial:
    """Print, photograph three times, measure."""
    rng = np.random.default_rng(key)
    photographs, ground = photograph_print(scene, scales, rng)
    camera = _calibrated(scene.shop.model, rng) if calibrated else None
    order = ProofOrder(scene.sheet, scene.folder, (), camera, ground, None, LIMIT)
    proof = prove_photographs(photographs, order)
    if not isinstance(proof, PrintProof):
        raise proof[0]
    fit = proof.fit
    if fit.scale_x is None or fit.scale_y is None:
        raise BadInput("no scale was measured, though there was a board")
    placed = proof.placement.mm.value if isinstance(proof.placement, Placement) else None
    return Trial(*scales, fit.scale_x, fit.scale_y, fit.skew_deg, placed, proof.verdict.word)


def photograph_print(
    scene: TrialScene, scales: tuple[float, float], rng: np.random.Generator
) -> tuple[list[Photograph], Ground]:
    """Three photographs of the sheet printed at ``scales`` beside a board, and the board's size as measured."""
    printed = printed_by(scales[0], scales[1], 0.0, middle_mm(scene.sheet))
    board_scales = rng.normal(1, BOARD_PRINT_SD, 2)
    corner = np.array(board_origin_mm(scene.board, PAPER))
    board = printed_by(float(board_scales[0]), float(board_scales[1]), rng.normal(0, BOARD_SKEW_SD_DEG), corner)
    beside = _beside(rng)
    photographs = []
    for number, view in enumerate(_views(rng)):
        pose = pose_from_view(view, LOOKED_AT_MM, np.array([*rng.uniform(-0.04, 0.04, 2), 1.0]))
        placed = (Placed(scene.sheet_texture, printed, pose), Placed(scene.board_texture, board, _after(beside, pose)))
        pixels = scene.shop.photograph(placed, int(rng.integers(2**31)))
        photographs.append(Photograph(f"photograph {number + 1}", str(number), pixels))
    size = np.array([scene.board.width_mm, scene.board.height_mm]) * board_scales + rng.normal(0, MEASURED_SD_MM, 2)
    return photographs, Ground(scene.board, float(size[0]), float(size[1]), MEASURED_SD_MM)


def _views(rng: np.random.Generator) -> list[View]:
    """From the left, from the right, from above or below."""
    sides = ((-1, 0.3), (1, 0.3), (0.2, rng.choice([-1.0, 1.0])))
    return [
        View(
            distance_mm=rng.uniform(1000, 2000),
            yaw_deg=yaw * rng.uniform(10, 35),
            pitch_deg=pitch * rng.uniform(10, 35),
            roll_deg=rng.uniform(-8, 8),
        )
        for yaw, pitch in sides
    ]


def _beside(rng: np.random.Generator) -> Pose:
    """Where the board is on the sheet's plane, about."""
    lean = [*rng.normal(0, LEAN_SD_DEG, 2), rng.uniform(-5, 5)]
    turn = Rotation.from_euler("xyz", lean, degrees=True).as_matrix()
    return Pose(turn, np.array([130.0, rng.uniform(-120, -60), rng.normal(0, OFF_SD_MM)]))


def _after(inner: Pose, outer: Pose) -> Pose:
    """First ``inner``, then ``outer``."""
    return Pose(outer.rotation @ inner.rotation, outer.rotation @ inner.translation_mm + outer.translation_mm)


def _calibrated(model: CameraModel, rng: np.random.Generator) -> CameraModel:
    """What a calibration would have found."""
    focal, aspect = math.exp(rng.normal(0, CALIBRATION_SD)), math.exp(rng.normal(0, CALIBRATION_SD / 10))
    right, down = rng.normal(0, CENTER_SD_PX, 2)
    moved = {"fx": model.fx * focal, "fy": model.fy * focal * aspect, "cx": model.cx + right, "cy": model.cy + down}
    return model.model_copy(update={**moved, "source": "calibrated"})


def trials_result(trials: Sequence[Trial], *, calibrated: bool) -> Result:
    """The answer of the command."""
    rows = [_row([trial for trial in trials if (trial.scale_x, trial.scale_y) == scales]) for scales in PRINTS]
    errors = np.abs([trial.errors for trial in trials])
    right_x, right_y, right = (int(hits.sum()) for hits in _hits(trials))
    within, median, largest = int((errors.max(axis=1) <= ASKED_ERROR).sum()), float(np.median(errors)), errors.max()
    data = {
        "trials": len(trials),
        "calibrated": calibrated,
        "covered_x": right_x,
        "covered_y": right_y,
        "covered_both": right,
        "within": within,
        "median_error": median,
        "max_error": float(largest),
        "interval": float(np.median([trial.measured_x.high - trial.measured_x.low for trial in trials]) / 2),
        "rows": [row for row in rows if row["trials"]],
    }
    line = (
        f"{len(trials)} prints, three photographs each: {within} measured within {100 * ASKED_ERROR:g} %, error "
        f"{100 * median:.3f} % in the median, {100 * largest:.3f} % at most; the truth lies in the interval of x "
        f"{right_x} times, of y {right_y} times, of both {right} times"
    )
    return Result(data=data, lines=[line])


def _hits(trials: Sequence[Trial]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which intervals hold the truth: of x, of y, both."""
    in_x, in_y = np.array([trial.covered for trial in trials]).T
    return in_x, in_y, np.logical_and(in_x, in_y)


def _row(trials: Sequence[Trial]) -> dict[str, Any]:
    if not trials:
        return {"trials": 0}
    errors = np.array([trial.errors for trial in trials])
    return {
        "scale_x": trials[0].scale_x,
        "scale_y": trials[0].scale_y,
        "trials": len(trials),
        "covered_x": int(_hits(trials)[0].sum()),
        "covered_y": int(_hits(trials)[1].sum()),
        "mean_error": [float(error) for error in errors.mean(axis=0)],
        "max_error": float(np.abs(errors).max()),
        "verdicts": dict(Counter(trial.verdict for trial in trials)),
    }
