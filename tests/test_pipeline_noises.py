"""Corruptions: the published constants, seen from outside; the same picture for the same seed, whatever is beside."""

from __future__ import annotations

import colorsys
import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from scipy import ndimage

from calibration.errors import BadInput, BadUsage
from pipeline.noises import CORRUPTIONS, SEVERITIES, TABLES, Table, corrupt, table_for
from pipeline.noises.blur import follow, gaussian, smear, zoomed
from pipeline.noises.constants import (
    BRIGHTNESS,
    CONTRAST,
    DEFOCUS_BLUR,
    FOG,
    FROST,
    GAUSSIAN_NOISE,
    IMPULSE_NOISE,
    JPEG_COMPRESSION,
    PIXELATE,
    SHOT_NOISE,
    SNOW,
    ZOOM_BLUR,
    Motion,
)
from pipeline.noises.corrupt import KINDS
from pipeline.noises.texture import plasma

WITHOUT_CHANCE = {"defocus-blur", "zoom-blur", "brightness", "contrast", "pixelate", "jpeg-compression"}
DIPS = {
    ("cifar", "glass-blur"): {2, 3, 5},
    ("cifar", "motion-blur"): {4},
    ("cifar", "frost"): {4, 5},
    ("cifar", "elastic-transform"): {2, 3, 4, 5},
    ("imagenet", "glass-blur"): {2, 4},
    ("imagenet", "snow"): {3},
    ("imagenet", "frost"): {4, 5},
    ("imagenet", "fog"): {4},
    ("imagenet", "elastic-transform"): {3},
}
"""Published severities that change pixels no more than the one before: they trade one kind of harm for another."""

SIZES = {"cifar": 48, "imagenet": 224}
all_levels = pytest.mark.parametrize(("table", "severity"), [(t, s) for t in TABLES for s in SEVERITIES])


def textured(count: int, height: int, width: int, seed: int = 5) -> np.ndarray:
    """Pictures ``(count, height, width, 3)`` with structure of all sizes, in color."""
    rng = np.random.default_rng(seed)
    octaves = [
        ndimage.zoom(rng.normal(size=(count, 4 << k, 4 << k, 3)), (1, height / (4 << k), width / (4 << k), 1), order=1)
        for k in range(4)
    ]
    return np.clip(128 + 40 * sum(octaves), 0, 255).astype(np.uint8)


def flat(level: int, side: int = 128) -> np.ndarray:
    return np.full((1, side, side, 3), level, np.uint8)


# What holds for all of them


def test_there_are_the_fifteen_published_types():
    assert len(CORRUPTIONS) == len(set(CORRUPTIONS)) == 15
    assert all(len(getattr(kind.levels, table)) == len(SEVERITIES) for kind in KINDS for table in TABLES)


@pytest.mark.parametrize("shape", [(2, 32, 32), (2, 48, 48), (1, 224, 224), (1, 40, 64), (1, 150, 101), (0, 48, 48)])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_shape_and_type_stay_and_the_picture_changes(name: str, shape: tuple[int, int, int]):
    images = textured(*shape)
    before = images.copy()
    for severity in SEVERITIES:
        seen = corrupt(images, name, severity, seed=1)
        assert seen.shape == images.shape
        assert seen.dtype == np.uint8
        assert (images == before).all()
        assert not shape[0] or (seen != images).any()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_seed_decides(name: str):
    images = textured(2, 48, 48)
    seen = corrupt(images, name, 3, seed=7)
    assert (seen == corrupt(images, name, 3, seed=7)).all()
    assert (seen == corrupt(images, name, 3, seed=8)).all() == (name in WITHOUT_CHANCE)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_picture_does_not_depend_on_those_beside_it(name: str):
    images = textured(4, 48, 48)
    whole = corrupt(images, name, 4, seed=3)
    assert (whole[2:] == corrupt(images[2:], name, 4, seed=3, first=2)).all()
    others = np.concatenate([images[:1], 255 - images[1:]])
    assert (whole[:1] == corrupt(others, name, 4, seed=3)[:1]).all()


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - WITHOUT_CHANCE))
def test_equal_pictures_of_a_batch_meet_different_noise(name: str):
    seen = corrupt(np.repeat(textured(1, 48, 48), 2, axis=0), name, 5, seed=3)
    assert (seen[0] != seen[1]).any()


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("table", TABLES)
def test_more_severe_is_further_from_the_clean_picture(table: Table, name: str, photographs: dict[str, np.ndarray]):
    assert steps_back(photographs[table], table, name) <= DIPS.get((table, name), set())


def steps_back(images: np.ndarray, table: Table, name: str) -> set[int]:
    """Severities whose mean difference to the clean pictures is not above that of the one before."""
    seen = [corrupt(images, name, severity, seed=2, table=table) for severity in SEVERITIES]
    far = [np.abs(each.astype(float) - images).mean() for each in seen]
    return {severity for severity, before, here in zip(SEVERITIES[1:], far, far[1:], strict=False) if here <= before}


@pytest.fixture(scope="module")
def photographs(photos: Path) -> dict[str, np.ndarray]:
    """Real photographs in the size that each table is for."""
    with zipfile.ZipFile(photos) as archive:
        names = [name for name in archive.namelist() if name.endswith("_00028.png")]
        pictures = [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names[:: len(names) // 40]]
    return {
        table: np.stack([np.asarray(picture.resize((side, side))) for picture in pictures[: 12 if side > 96 else 40]])
        for table, side in SIZES.items()
    }


# Whose constants


@pytest.mark.parametrize(
    ("height", "width", "table"),
    [(32, 32, "cifar"), (96, 96, "cifar"), (96, 400, "cifar"), (97, 97, "imagenet"), (224, 224, "imagenet")],
)
def test_small_pictures_get_the_constants_for_small_pictures(height: int, width: int, table: Table):
    assert table_for(height, width) == table
    images = textured(1, height, width)
    assert (corrupt(images, "contrast", 3, seed=0) == corrupt(images, "contrast", 3, seed=0, table=table)).all()
    assert (corrupt(images, "contrast", 3, seed=0, table=other(table)) != corrupt(images, "contrast", 3, seed=0)).any()


def other(table: Table) -> Table:
    return "cifar" if table == "imagenet" else "imagenet"


def test_the_document_has_the_constants():
    rows = re.findall(r"^\| `([\w-]+)` \| (\w+) \| (.*) \|$", (ROOT / "docs" / "noises.md").read_text(), re.MULTILINE)
    held = [(kind.name, table, row_of(getattr(kind.levels, table))) for kind in KINDS for table in TABLES]
    assert rows == held


def row_of(levels: tuple) -> str:
    return " · ".join(
        f"({' '.join(f'{x:.4g}' for x in level)})" if isinstance(level, tuple) else f"{level:.4g}" for level in levels
    )


# The constants, seen on plain pictures


@all_levels
def test_gaussian_noise_has_its_deviation(table: Table, severity: int):
    off = corrupt(flat(128), "gaussian-noise", severity, seed=1, table=table).astype(float) - 128
    # The median, because the strongest noise is cut at black and white.
    assert np.median(np.abs(off)) / 255 / 0.6745 == pytest.approx(GAUSSIAN_NOISE.at(table, severity), rel=0.05)


@all_levels
def test_shot_noise_counts_photons(table: Table, severity: int):
    photons = SHOT_NOISE.at(table, severity)
    seen = corrupt(flat(51), "shot-noise", severity, seed=1, table=table)
    assert seen.mean() == pytest.approx(51, rel=0.02)
    counts = np.unique(seen) / 255 * photons
    assert np.abs(counts - np.rint(counts)).max() <= 0.51 * photons / 255
    # Bytes are a grid that photons do not fit: 500 of them are half a level each.
    assert (seen / 255).var() == pytest.approx(0.2 / photons, rel=0.06)


@all_levels
def test_impulse_noise_hits_its_share_half_black_half_white(table: Table, severity: int):
    seen = corrupt(flat(100, 512), "impulse-noise", severity, seed=1, table=table)
    assert set(np.unique(seen)) == {0, 100, 255}
    assert (seen != 100).mean() == pytest.approx(IMPULSE_NOISE.at(table, severity), rel=0.1)
    assert (seen == 255).sum() == pytest.approx((seen == 0).sum(), rel=0.2)


@all_levels
def test_defocus_spreads_a_point_over_its_disk(table: Table, severity: int):
    radius = DEFOCUS_BLUR.at(table, severity).radius_px
    point = np.zeros((1, 65, 65, 3), np.uint8)
    point[0, 32, 32] = 255
    seen = corrupt(point, "defocus-blur", severity, seed=1, table=table)[0, :, :, 0]
    assert (seen[32] > seen.max() / 2).sum() == 2 * int(radius) + 1
    rows, columns = np.nonzero(seen > seen.max() / 2)
    assert np.hypot(rows - 32, columns - 32).max() <= radius


def test_glass_blur_copies_as_a_loop_over_pixels_does():
    rng = np.random.default_rng(4)
    height, width, reach = 11, 14, 2
    indices = np.arange(height * width).reshape(height, width)
    here = indices[reach + 1 : height - reach + 1, reach + 1 : width - reach + 1].ravel()
    for _ in range(50):
        down, right = rng.integers(-reach, reach, size=(2, here.size))
        there = here + down * width + right
        looped = indices.ravel().copy()
        for target, source in sorted(zip(here, there, strict=True), reverse=True):
            looped[target] = looped[source]
        assert (follow(here, there, indices.size) == looped).all()


@pytest.mark.parametrize("sigma_px", [0.05, 0.25, 0.4, 0.7, 1.5])
def test_the_glass_is_blurred_as_published(sigma_px: float):
    picture = (textured(1, 40, 50)[0] / 255).astype(np.float32)
    expected = ndimage.gaussian_filter(picture, (sigma_px, sigma_px, 0), mode="nearest", truncate=4)
    assert np.abs(gaussian(picture, sigma_px) - expected).max() < 1e-5


@pytest.mark.parametrize(
    ("angle_deg", "step"), [(0, (0, 1)), (45, (0.5**0.5, 0.5**0.5)), (-45, (-(0.5**0.5), 0.5**0.5)), (-90, (-1, 0))]
)
def test_motion_smears_half_a_gaussian_along_its_line(angle_deg: float, step: tuple[float, float]):
    """A pixel takes the light of those ahead of it, so that a point leaves its trail behind it."""
    point = np.zeros((81, 81), np.float32)
    point[40, 40] = 1
    constants = Motion(10, 3)
    trail = np.exp(-(np.arange(21) ** 2) / (2 * constants.sigma_px**2))
    expected = np.zeros_like(point)
    places = np.ceil(np.outer(np.arange(21), step) - 0.5).astype(int)
    np.add.at(expected, (40 - places[:, 0], 40 - places[:, 1]), trail / trail.sum())
    assert np.abs(smear(point, constants, angle_deg) - expected).max() < 1e-5


@pytest.mark.parametrize("side", [32, 48, 224])
@pytest.mark.parametrize("factor", [1.0, 1.01, 1.11, 1.25, 2.5, 4.5])
def test_zoom_is_that_of_scipy(side: int, factor: float):
    picture = (textured(1, side, side)[0] / 255).astype(np.float32)
    crop = int(np.ceil(side / factor))
    top = (side - crop) // 2
    large = ndimage.zoom(picture[top : top + crop, top : top + crop], (factor, factor, 1), order=1)
    trim = (large.shape[0] - side) // 2
    expected = large[trim : trim + side, trim : trim + side]
    assert np.abs(zoomed(picture, factor) - expected).max() < np.abs(np.diff(picture, axis=0)).max() / 32


@all_levels
def test_zoom_blur_averages_all_its_zooms(table: Table, severity: int):
    constants = ZOOM_BLUR.at(table, severity)
    factors = np.arange(1, constants.stop, constants.step)
    images = textured(1, 64, 64)
    picture = (images[0] / 255).astype(np.float32)
    expected = np.mean([picture, *(zoomed(picture, factor) for factor in factors)], axis=0)
    seen = corrupt(images, "zoom-blur", severity, seed=1, table=table)[0]
    assert np.abs(seen - expected * 255).max() <= 0.51


@all_levels
def test_snow_keeps_its_share_of_the_picture(table: Table, severity: int):
    kept = SNOW.at(table, severity).kept
    darker, lighter = (corrupt(flat(level), "snow", severity, seed=1, table=table).astype(float) for level in (0, 40))
    gained = (lighter - darker)[lighter < 255]
    assert np.median(gained) == pytest.approx(40 * (kept + 1.5 * (1 - kept)), abs=1)


@all_levels
def test_frost_keeps_its_share_of_the_picture(table: Table, severity: int):
    kept = FROST.at(table, severity).picture
    darker, lighter = (corrupt(flat(level), "frost", severity, seed=1, table=table).astype(float) for level in (0, 40))
    assert (lighter - darker)[lighter < 255] == pytest.approx(40 * kept, abs=1.01)
    assert darker.std() > 3


@all_levels
def test_fog_reaches_from_its_thickness_to_the_brightest_value(table: Table, severity: int):
    thickness = FOG.at(table, severity).thickness
    seen = corrupt(flat(200), "fog", severity, seed=1, table=table)
    value = 200 / 255
    assert seen.max() == 200
    assert seen.min() == pytest.approx(255 * value**2 / (value + thickness), abs=1)


def test_plasma_is_rougher_when_it_decays_less():
    def roughness(decay: float) -> float:
        return float(np.mean([np.abs(np.diff(plasma(64, decay, np.random.default_rng(s)))).mean() for s in range(5)]))

    assert roughness(3) < roughness(2) < roughness(1.4)


@all_levels
def test_brightness_is_added_to_the_value(table: Table, severity: int):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (1, 16, 16, 3), np.uint8)
    images[0, 0, :4] = [[0, 0, 0], [255, 255, 255], [255, 0, 0], [1, 1, 1]]
    amount = BRIGHTNESS.at(table, severity)
    expected = []
    for red, green, blue in images.reshape(-1, 3) / 255:
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        expected.append(colorsys.hsv_to_rgb(hue, saturation, min(value + amount, 1)))
    seen = corrupt(images, "brightness", severity, seed=1, table=table)
    assert np.abs(seen.reshape(-1, 3) - 255 * np.array(expected)).max() <= 0.51


@all_levels
def test_contrast_leaves_its_share(table: Table, severity: int):
    images = textured(1, 64, 64)
    seen = corrupt(images, "contrast", severity, seed=1, table=table)
    assert seen.mean(axis=(1, 2)) == pytest.approx(images.mean(axis=(1, 2)), abs=0.5)
    assert seen.std(axis=(1, 2)) / images.std(axis=(1, 2)) == pytest.approx(CONTRAST.at(table, severity), abs=0.03)


@all_levels
def test_elastic_moves_things_and_makes_none(table: Table, severity: int):
    assert (corrupt(flat(90), "elastic-transform", severity, seed=1, table=table) == 90).all()


def test_elastic_moves_by_a_share_of_the_picture():
    def moved(side: int) -> float:
        """How far pixels come from elsewhere in x, in shares of the side: severity 1 is an affine map alone."""
        ramp = np.linspace(0, 255, side).round().astype(np.uint8)
        images = np.broadcast_to(ramp[None, None, :, None], (30, side, side, 3))
        seen = corrupt(np.ascontiguousarray(images), "elastic-transform", 1, seed=1, table="cifar")
        inside = slice(side // 4, -side // 4)
        return float((seen.astype(float) - images)[:, inside, inside].std() / 255)

    assert moved(96) == pytest.approx(moved(32), rel=0.2)


@all_levels
def test_pixelate_has_its_number_of_blocks(table: Table, severity: int):
    ramp = np.arange(0, 240, 5, dtype=np.uint8)
    images = np.ascontiguousarray(np.broadcast_to(ramp[None, None, :, None], (1, 32, 48, 3)))
    seen = corrupt(images, "pixelate", severity, seed=1, table=table)
    assert len(np.unique(seen[0, 0, :, 0])) == int(48 * PIXELATE.at(table, severity))


@all_levels
def test_jpeg_has_its_quality(table: Table, severity: int):
    images = textured(1, 64, 48)
    stream = io.BytesIO()
    Image.fromarray(images[0]).save(stream, "JPEG", quality=JPEG_COMPRESSION.at(table, severity))
    expected = np.asarray(Image.open(stream))
    assert (corrupt(images, "jpeg-compression", severity, seed=1, table=table)[0] == expected).all()


# What is refused


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("gausian-noise", 1), "gausian-noise", "'gaussian-noise'"),
        (("gaussian_noise", 1), "gaussian_noise", "'gaussian-noise'"),
        (("Frost", 1), "Frost", "'frost'"),
        (("", 1), "no noise ''", "did you mean"),
        (("fog", 0), "severity 0: a whole number from 1 to 5", ""),
        (("fog", 6), "severity 6: a whole number from 1 to 5", ""),
        (("fog", 2.5), "severity 2.5: a whole number from 1 to 5", ""),
        (("fog", 2.0), "severity 2.0: a whole number from 1 to 5", ""),
        (("fog", "3"), "severity '3': a whole number from 1 to 5", ""),
    ],
)
def test_wrong_words_are_refused(words: tuple, message: str, hint: str):
    with pytest.raises(BadUsage, match=re.escape(message)) as caught:
        corrupt(textured(1, 32, 32), *words, seed=0)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("keywords", "message"),
    [({"seed": -1}, "seed -1"), ({"seed": 0, "first": -2}, "first -2"), ({"seed": 0, "table": "gtsrb"}, "'gtsrb'")],
)
def test_wrong_numbers_are_refused(keywords: dict, message: str):
    with pytest.raises(BadUsage, match=message):
        corrupt(textured(1, 32, 32), "fog", 1, **keywords)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 32, 32, 3), np.float32), "float32"),
        (np.zeros((32, 32, 3), np.uint8), r"\(32, 32, 3\)"),
        (np.zeros((1, 32, 32, 4), np.uint8), r"\(1, 32, 32, 4\)"),
        (np.zeros((1, 3, 32, 32), np.uint8), r"\(1, 3, 32, 32\)"),
        (np.zeros((1, 15, 32, 3), np.uint8), "the pictures: at least 16 x 16 px are expected, got 32 x 15"),
        (np.zeros((1, 32, 15, 3), np.uint8), "got 15 x 32"),
    ],
)
def test_wrong_pictures_are_refused(images: np.ndarray, message: str):
    with pytest.raises(BadInput, match=message):
        corrupt(images, "fog", 1, seed=0)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("table", TABLES)
def test_black_and_white_and_the_smallest_pictures_are_fine(name: str, level: int, table: Table):
    for severity in SEVERITIES:
        assert corrupt(flat(level, 16), name, severity, seed=1, table=table).shape == (1, 16, 16, 3)
