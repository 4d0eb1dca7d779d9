"""A renderer for tests: paper through a pinhole camera by plain supersampling. Independent of the product's simulator.

Convention: pixel (0, 0) is the center of the top-left pixel; cell (i, j) of a page covers [j, j + 1] x [i, i + 1]
in units of ``1 / per_mm`` mm.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from calibration.board import Board
from calibration.camera import CameraModel
from calibration.geometry import Array, Box, Pose
from calibration.sheet import Sheet, Tag, Target
from calibration.tags import tag_bits

GROUND = 110


def sheet_with(tags: list[Tag], *, name: str = "sheet-1", arm: str = "patch", **more: object) -> Sheet:
    """A sheet 160 x 120 mm with the given tags and a 60 mm frame in its middle."""
    values = {
        "id": name,
        "arm": arm,
        "paper": "A5",
        "width_mm": 160.0,
        "height_mm": 120.0,
        "target": Target(label="stop", box=Box(x_mm=60, y_mm=40, width_mm=40, height_mm=40)),
        "frame": Box(x_mm=50, y_mm=30, width_mm=60, height_mm=60),
        "inner": Box(x_mm=60, y_mm=40, width_mm=40, height_mm=40),
        "window": Box(x_mm=60, y_mm=40, width_mm=40, height_mm=40),
        "tags": tags,
        "ruler": Box(x_mm=0, y_mm=115, width_mm=100, height_mm=3),
        "pdf": "sheet.pdf",
        **more,
    }
    return Sheet.model_validate(values)


def tag_at(number: int, x_mm: float, y_mm: float, side_mm: float = 24.0) -> Tag:
    """A tag whose black square begins at that point."""
    return Tag(id=number, square=Box(x_mm=x_mm, y_mm=y_mm, width_mm=side_mm, height_mm=side_mm))


def corner_tags(first: int = 0) -> list[Tag]:
    """Four tags near the corners of :func:`sheet_with`."""
    places = [(12, 8), (124, 8), (124, 84), (12, 84)]
    return [tag_at(first + i, x, y) for i, (x, y) in enumerate(places)]


def draw_sheet(sheet: Sheet, per_mm: int = 8) -> np.ndarray:
    """The page of a sheet, gray: white paper, its tags, a gray sticker."""
    page = np.full((round(sheet.height_mm * per_mm), round(sheet.width_mm * per_mm)), 255, np.uint8)
    _fill(page, sheet.frame, per_mm, 150)
    for tag in sheet.tags:
        cell = tag.square.width_mm / 8
        _paste_bits(page, tag_bits(tag.id), tag.square.x_mm - cell, tag.square.y_mm - cell, cell, per_mm)
    return page


def draw_board(board: Board, margin_mm: float = 10.0, per_mm: int = 8) -> np.ndarray:
    """The page of a board, gray, with its origin at ``(margin_mm, margin_mm)``."""
    shape = (board.height_mm + 2 * margin_mm, board.width_mm + 2 * margin_mm)
    page = np.full([round(side * per_mm) for side in shape], 255, np.uint8)
    for box in board.black_boxes():
        moved = Box(
            x_mm=box.x_mm + margin_mm, y_mm=box.y_mm + margin_mm, width_mm=box.width_mm, height_mm=box.height_mm
        )
        _fill(page, moved, per_mm, 0)
    return page


def see(
    page: np.ndarray,
    homography: Array,
    size: tuple[int, int],
    *,
    per_mm: int = 8,
    camera: CameraModel | None = None,
    oversample: int = 4,
    blur_px: float = 0.6,
) -> np.ndarray:
    """The page as a camera sees it, (h, w, 3) uint8: ``H_image_page`` in ideal px of ``camera``, size (w, h)."""
    width, height = size
    x, y = _sample_grid(width, height, oversample)
    if camera is not None:
        x, y = _undistorted(camera, size, x, y)
    back = np.linalg.inv(homography)
    depth = back[2, 0] * x + back[2, 1] * y + back[2, 2]
    page_x = (back[0, 0] * x + back[0, 1] * y + back[0, 2]) / depth * per_mm
    page_y = (back[1, 0] * x + back[1, 1] * y + back[1, 2]) / depth * per_mm
    inside = (depth > 0) & (page_x >= 0) & (page_y >= 0) & (page_x < page.shape[1]) & (page_y < page.shape[0])
    fine = np.full(x.shape, GROUND, np.float32)
    fine[inside] = page[page_y[inside].astype(int), page_x[inside].astype(int)]
    gray = fine.reshape(height, oversample, width, oversample).mean(axis=(1, 3))
    if blur_px:
        gray = cv2.GaussianBlur(gray, (0, 0), blur_px)
    return np.repeat(np.round(gray).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def ideal_homography(camera: CameraModel, pose: Pose, margin_mm: float = 0.0) -> Array:
    """``H_image_page`` of a page whose origin lies ``margin_mm`` left of and above the pose's origin."""
    shift = np.array([[1, 0, -margin_mm], [0, 1, -margin_mm], [0, 0, 1.0]])
    return np.asarray(pose.homography(camera.matrix) @ shift)


@lru_cache(maxsize=4)
def _sample_grid(width: int, height: int, oversample: int) -> tuple[np.ndarray, np.ndarray]:
    """Sample points in px, jittered within their cells: on a plain grid an upright edge would snap to the samples."""
    jitter = np.random.default_rng(7).random((2, height * oversample, width * oversample), np.float32)
    x = (np.arange(width * oversample, dtype=np.float32) + jitter[0]) / oversample - np.float32(0.5)
    y = (np.arange(height * oversample, dtype=np.float32)[:, None] + jitter[1]) / oversample - np.float32(0.5)
    return x, y


def _undistorted(camera: CameraModel, size: tuple[int, int], x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """Ideal pixels of the fine grid: exact at pixel centers, linear in between."""
    width, height = size
    grid = np.stack(np.meshgrid(np.arange(-1, width + 1), np.arange(-1, height + 1)), axis=-1).reshape(-1, 2)
    ideal = camera.undistort(grid.astype(np.float64)).reshape(height + 2, width + 2, 2).astype(np.float32)
    exact = cv2.remap(ideal, x + 1, y + 1, cv2.INTER_LINEAR)
    return exact[..., 0], exact[..., 1]


def _fill(page: np.ndarray, box: Box, per_mm: int, value: int) -> None:
    left, top = round(box.x_mm * per_mm), round(box.y_mm * per_mm)
    right, bottom = round((box.x_mm + box.width_mm) * per_mm), round((box.y_mm + box.height_mm) * per_mm)
    page[top:bottom, left:right] = value


def _paste_bits(page: np.ndarray, bits: np.ndarray, x_mm: float, y_mm: float, cell_mm: float, per_mm: int) -> None:
    for row, column in np.argwhere(np.ones_like(bits)):
        box = Box(x_mm=x_mm + column * cell_mm, y_mm=y_mm + row * cell_mm, width_mm=cell_mm, height_mm=cell_mm)
        _fill(page, box, per_mm, 255 if bits[row, column] else 0)
