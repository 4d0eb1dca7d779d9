"""Photographs from any camera: every mode, however it was held, and a clear word for what is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calibration.camera import CameraModel
from calibration.errors import BadImage, BadInput, MissingFile
from capture.photograph import read_photograph

SCENE = np.zeros((30, 40, 3), np.uint8)
SCENE[:10, :20] = 255
"""White top-left, as the sensor sees it."""

UPRIGHT = {1: 0, 3: 2, 6: -1, 8: 1}
"""EXIF orientation → quarter turns, counterclockwise, that a viewer makes."""

CAMERA = CameraModel(camera="known", width=40, height=30, fx=40, fy=40, cx=20, cy=15)


def saved(folder: Path, pixels: np.ndarray, mode: str = "RGB", name: str = "photo.png", **more: object) -> Path:
    path = folder / name
    Image.fromarray(pixels).convert(mode).save(path, **more)
    return path


def exif(orientation: int = 1, film_mm: int = 0) -> Image.Exif:
    written = Image.Exif()
    written[274] = orientation
    written.get_ifd(34665)[41989] = film_mm
    return written


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_turned_photograph_goes_back_to_the_sensor(tmp_path: Path, orientation: int):
    path = saved(tmp_path, SCENE, exif=exif(orientation))
    found = read_photograph(path)
    assert (found.pixels == np.rot90(SCENE, UPRIGHT[orientation])).all()
    assert (found.as_sensed.pixels == SCENE).all()
    assert (found.as_seen_by(CAMERA).pixels == SCENE).all()


def test_a_calibration_of_upright_pictures_fits_upright_pictures(tmp_path: Path):
    upright = CAMERA.model_copy(update={"width": 30, "height": 40})
    found = read_photograph(saved(tmp_path, SCENE, exif=exif(6)))
    assert (found.as_seen_by(upright).pixels == np.rot90(SCENE, -1)).all()


def test_a_photograph_of_another_size_is_refused_by_name(tmp_path: Path):
    small = CAMERA.model_copy(update={"width": 20, "height": 15})
    with pytest.raises(BadInput, match=r"photo\.png is 40x30, the camera calibration is for 20x15"):
        read_photograph(saved(tmp_path, SCENE)).as_seen_by(small)


@pytest.mark.parametrize(
    ("mode", "name"), [("CMYK", "p.jpg"), ("CMYK", "p.tif"), ("L", "p.png"), ("P", "p.png"), ("RGBA", "p.png")]
)
def test_every_mode_is_read(tmp_path: Path, mode: str, name: str):
    found = read_photograph(saved(tmp_path, SCENE, mode, name)).pixels
    assert found.shape == SCENE.shape
    assert found[:8, :18].min() > 200
    assert found[14:, 24:].max() < 60


def test_sixteen_bits_are_read(tmp_path: Path):
    path = tmp_path / "deep.png"
    Image.fromarray(SCENE[..., 0].astype(np.uint16) * 257).save(path)
    assert (read_photograph(path).pixels == SCENE).all()


def test_the_focal_length_is_taken_from_exif(tmp_path: Path):
    found = read_photograph(saved(tmp_path, SCENE, name="p.jpg", exif=exif(film_mm=26)))
    assert found.focal_px == pytest.approx(26 * 50 / 43.27)
    assert read_photograph(saved(tmp_path, SCENE)).focal_px is None


def test_what_is_no_photograph_is_refused(tmp_path: Path):
    whole = saved(tmp_path, SCENE).read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "words.jpg").write_text("no picture")
    for name in ("half.png", "words.jpg"):
        with pytest.raises(BadImage, match=name):
            read_photograph(tmp_path / name)
    with pytest.raises(MissingFile):
        read_photograph(tmp_path / "nowhere.png")
