"""The patch on disk: what is written is what is read, and what was changed is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from calibration.errors import BadConfig, BadImage, BadInput, MissingFile
from patches.artwork import artwork
from patches.frames import FrameOrder, frame_geometry
from patches.patch import CurvePoint, PatchDocument, PatchGeometry, Surrogate, read_patch, write_patch

GEOMETRY = PatchGeometry(target_mm=30, inner_mm=32, outer_mm=40, texel_mm=2)


CORNERS = ((-21.0, -21.0), (21.0, -21.0), (21.0, 21.0))
OUTSIDE = {"printed": {"loops_mm": (CORNERS,)}, "window": {"loops_mm": (CORNERS,)}}


def texture(size: int = 20) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (size, size, 3), dtype=np.uint8)


def document(name: str = "stop") -> PatchDocument:
    return PatchDocument(
        name=name,
        label="stop",
        method="ensemble",
        geometry=GEOMETRY,
        texture="",
        texture_sha256="",
        spec_sha256="0" * 64,
        seed=7,
        steps=3,
        surrogates=[Surrogate(name="vgg", sha256="1" * 64)],
        held_out=[Surrogate(name="cct", sha256="2" * 64)],
        versions={"numpy": "2"},
        curve=[CurvePoint(step=0, loss=1.5, surrogate_accuracy=0.5)],
    )


def test_round_trip(tmp_path: Path):
    path = write_patch(tmp_path, texture(), document())
    found, pixels = read_patch(path)
    assert np.array_equal(pixels, texture())
    assert found == document().model_copy(
        update={"texture": "stop.png", "texture_sha256": found.texture_sha256},
    )
    assert json.loads(path.read_bytes())["format"] == "dpcam.patch"


def test_png_is_clear_in_the_window(tmp_path: Path):
    write_patch(tmp_path, texture(), document())
    alpha = np.array(Image.open(tmp_path / "stop.png"))[..., 3]
    assert alpha[2:-2, 2:-2].max() == 0
    assert np.array_equal(alpha == 255, GEOMETRY.ring())


def test_a_frame_of_another_shape_is_written_and_read(tmp_path: Path):
    geometry = frame_geometry(artwork("yield"), 30, FrameOrder("outline"))
    pixels = texture(geometry.texels)
    path = write_patch(tmp_path, pixels, document().model_copy(update={"geometry": geometry}))
    found, read = read_patch(path)
    assert found.geometry == geometry
    assert np.array_equal(read, pixels)
    alpha = np.array(Image.open(tmp_path / "stop.png"))[..., 3]
    assert (alpha == 255).mean() == pytest.approx(geometry.share, rel=0.02)
    assert alpha[0, 0] == alpha[40, 40] == 0


def test_a_square_frame_is_written_as_ever():
    assert json.loads(GEOMETRY.model_dump_json()) == {"target_mm": 30, "inner_mm": 32, "outer_mm": 40, "texel_mm": 2}


def test_default_geometry():
    geometry = PatchGeometry()
    assert (geometry.target_mm, geometry.inner_mm, geometry.outer_mm, geometry.texels) == (120, 124, 160, 80)
    ring = geometry.ring()
    assert ring.sum() == 80**2 - 62**2
    assert ring[:9].all()
    assert not ring[9, 9:-9].any()
    assert np.array_equal(ring, ring[::-1].T)


@pytest.mark.parametrize("target_mm", [1.0, 73.5, 900.0])
def test_geometry_scales_with_the_target(target_mm: float):
    geometry = PatchGeometry.around(target_mm)
    assert geometry.texels == 80
    assert geometry.outer_mm == pytest.approx(target_mm * 160 / 120)
    assert np.array_equal(geometry.ring(), PatchGeometry().ring())


@pytest.mark.parametrize("target_mm", [0.0, -1.0, 5001.0, float("nan")])
def test_target_of_impossible_size(target_mm: float):
    with pytest.raises(BadInput, match="mm wide"):
        PatchGeometry.around(target_mm)


@pytest.mark.parametrize(
    "wrong",
    [
        {"inner_mm": 20},
        {"outer_mm": 32},
        {"texel_mm": 40},
        {"texel_mm": 0},
        {"outer_mm": -1},
        {"color": "red"},
        {"texel_mm": 0.001},
        {"sticker": OUTSIDE},
    ],
)
def test_geometry_must_nest(wrong: dict[str, float]):
    with pytest.raises(ValidationError):
        PatchGeometry(**{**GEOMETRY.model_dump(), **wrong})


def swap_texture(folder: Path) -> None:
    Image.fromarray(np.zeros((20, 20, 4), np.uint8)).save(folder / "stop.png")


def cut_texture(folder: Path) -> None:
    path = folder / "stop.png"
    path.write_bytes(path.read_bytes()[:-20])


def edit(folder: Path, **change: object) -> None:
    path = folder / "stop.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


DAMAGE = {
    "another texture": (swap_texture, BadImage, "sha256"),
    "half a texture": (cut_texture, BadImage, "sha256"),
    "no texture": (lambda folder: (folder / "stop.png").unlink(), MissingFile, "stop.png"),
    "no document": (lambda folder: (folder / "stop.json").unlink(), MissingFile, "stop.json"),
    "no JSON": (lambda folder: (folder / "stop.json").write_text("{"), BadConfig, "not JSON"),
    "another format": (lambda folder: edit(folder, format="dpcam.sheet"), BadConfig, "format"),
    "a later version": (lambda folder: edit(folder, version=2), BadConfig, "version"),
    "unknown key": (lambda folder: edit(folder, colour=1), BadConfig, "colour"),
    "texture elsewhere": (lambda folder: edit(folder, texture="../stop.png"), BadInput, "without folder"),
    "another size": (
        lambda folder: edit(folder, geometry={"target_mm": 30, "inner_mm": 32, "outer_mm": 40, "texel_mm": 1}),
        BadImage,
        "40x40",
    ),
}


@pytest.mark.parametrize(("damage", "error", "words"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named(tmp_path: Path, damage, error: type[Exception], words: str):
    path = write_patch(tmp_path, texture(), document())
    damage(tmp_path)
    with pytest.raises(error, match=words):
        read_patch(path)


@pytest.mark.parametrize("name", ["", "../stop", "a/b", ".hidden", "stop sign"])
def test_name_must_be_a_file_name(tmp_path: Path, name: str):
    with pytest.raises(BadInput, match="name for a patch"):
        write_patch(tmp_path, texture(), document(name))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong", [texture(21), texture()[..., 0], texture().astype(np.float32)], ids=["size", "gray", "float"]
)
def test_texture_must_fit_its_geometry(tmp_path: Path, wrong: np.ndarray):
    with pytest.raises(BadInput, match="20x20x3 uint8"):
        write_patch(tmp_path, wrong, document())
