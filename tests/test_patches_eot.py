"""The EOT chain against closed forms: projection, gradients, anti-aliasing, identity, determinism."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from calibration.errors import BadInput
from calibration.geometry import View, apply_homography, pose_from_view, rotation_from_view
from patches.artwork import artwork
from patches.draws import draw
from patches.eot import OVERSAMPLING, boxes, compose, homographies, look, make_scene, render, rotations
from patches.frames import FrameOrder, frame_geometry
from patches.patch import PatchGeometry
from patches.resample import area_rows, linear_rows, pixel_rows, shrink
from patches.spec import TransformSpec

RING = PatchGeometry(target_mm=100, inner_mm=104, outer_mm=160, texel_mm=10)
NOTHING = TransformSpec.identity()

torch.set_num_threads(1)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def disc(size: int = 96) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    picture = np.zeros((size, size, 4), np.uint8)
    picture[np.hypot(x, y) < size / 2] = (200, 40, 30, 255)
    picture[size // 8 : size // 3, size // 2 - size // 16 : size // 2 + size // 16] = (10, 10, 10, 255)
    return picture


def views(count: int = 12, **ranges):
    spec = TransformSpec(yaw_deg=(-70, 70), pitch_deg=(-60, 60), roll_deg=(-170, 170), **ranges)
    return draw(spec, count, texels=16, crop_px=24, generator=seeded(3), dtype=torch.float64)


def ideal(texture: torch.Tensor | None, crop_px: int, spec: TransformSpec = NOTHING, seed: int = 0, count: int = 1):
    texels = RING.texels if texture is None else texture.shape[-1]
    scene = make_scene([disc()], RING, crop_px)
    return render(texture, scene, draw(spec, count, texels=texels, crop_px=crop_px, generator=seeded(seed)))


def test_rotations_are_those_of_calibration():
    drawn = views().views
    for i, found in enumerate(rotations(drawn)):
        view = View(1.0, drawn.yaw_deg[i].item(), drawn.pitch_deg[i].item(), drawn.roll_deg[i].item())
        np.testing.assert_allclose(found.numpy(), rotation_from_view(view), atol=1e-12)


def test_homographies_are_closed_form_projections():
    drawn = views().views
    points = np.array([[0.0, 0.0], [80, -80], [-37, 11], [80, 80]])
    for i, found in enumerate(homographies(drawn)):
        view = View(*(each[i].item() for each in (drawn.distance_mm, drawn.yaw_deg, drawn.pitch_deg, drawn.roll_deg)))
        focal = drawn.focal_px[i].item()
        expected = pose_from_view(view, np.zeros(2)).homography(np.diag([focal, focal, 1.0]))
        np.testing.assert_allclose(
            apply_homography(found.numpy(), points), apply_homography(expected, points), atol=1e-9
        )


def test_the_crop_is_the_bounding_box_of_the_patch():
    drawn = views(crop_shift=(0, 0), crop_zoom=(1, 1))
    corner, size = boxes(drawn.views, RING.outer_mm)
    half = RING.outer_mm / 2
    outline = np.array([[-half, -half], [half, -half], [half, half], [-half, half]])
    for i, found in enumerate(homographies(drawn.views)):
        seen = apply_homography(found.numpy(), outline)
        np.testing.assert_allclose(corner[i], seen.min(axis=0), atol=1e-9)
        np.testing.assert_allclose(size[i], np.ptp(seen, axis=0), atol=1e-9)


def test_looked_up_points_project_back_to_their_pixels():
    drawn = views()
    scene = make_scene([disc()], RING, 24, torch.float64)
    grid, size = look(scene, drawn.views)
    corner, _ = boxes(drawn.views, RING.outer_mm)
    row, column = 5, 17
    fine = OVERSAMPLING * 24
    share = (torch.tensor([column, row], dtype=torch.float64) + 0.5 - scene.margin_px) / fine
    for i, found in enumerate(homographies(drawn.views)):
        seen = apply_homography(found.numpy(), grid[i, row, column][None].numpy())[0]
        np.testing.assert_allclose(seen, (corner[i] + share * size[i]).numpy(), atol=1e-6)


def test_identity_gives_the_texture_itself():
    """Texels are squares of even color. Compared in linear light: in black, rounding is all that is seen of it."""
    texture = torch.rand(1, 3, 16, 16, generator=seeded(1))
    expected = texture[0].repeat_interleave(4, 1).repeat_interleave(4, 2)
    found = ideal(texture[0], 64)[0]
    for edge in (np.s_[:, :10, :], np.s_[:, -10:, :], np.s_[:, :, :10], np.s_[:, :, -10:]):
        np.testing.assert_allclose(found[edge].square(), expected[edge].square(), atol=1e-3)


def test_identity_shows_the_target_in_its_window():
    found = (ideal(torch.ones(3, 16, 16), 64)[0] * 255).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found[32, 32], (200, 40, 30), atol=1)
    np.testing.assert_allclose(found[3, 3], 255, atol=1)


def test_without_a_patch_the_surroundings_reach_the_target():
    bare = ideal(None, 64)[0]
    np.testing.assert_allclose((bare[:, 32, 32] * 255).numpy(), (200, 40, 30), atol=1)
    np.testing.assert_allclose(bare[:, 1, 1], bare[:, 60, 60], atol=0.01)


def test_gradients_are_those_of_finite_differences():
    spec = TransformSpec(print_black=(0.1, 0.2), ink_noise=(0, 0), haze=(0.05, 0.1), light_gain=(0.5, 0.6))
    spec = spec.model_copy(update={"distance_mm": (6000.0, 9000.0), "shot_noise": (0.0, 0.0)})
    scene = make_scene([disc(32)], RING, 6, torch.float64)
    drawn = draw(spec, 2, texels=5, crop_px=6, generator=seeded(5), dtype=torch.float64)
    texture = (0.3 + 0.4 * torch.rand(3, 5, 5, generator=seeded(2), dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda ink: render(ink, scene, drawn), (texture,), eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("distance_mm", [3000.0, 8000.0, 20_000.0])
def test_a_far_patch_does_not_alias(distance_mm):
    """A fine checkerboard far away is the gray of its mean light, wherever it lies on the sensor's grid."""
    checker = torch.from_numpy(np.indices((80, 80)).sum(axis=0) % 2).float().expand(3, -1, -1)
    spec = NOTHING.model_copy(update={"distance_mm": (distance_mm, distance_mm), "focal_px": (1100.0, 1100.0)})
    scene = make_scene([disc()], PatchGeometry(target_mm=20, inner_mm=20, outer_mm=160, texel_mm=2), 48)
    found = render(checker, scene, draw(spec, 6, texels=80, crop_px=48, generator=seeded(0)))
    np.testing.assert_allclose(found[:, :, 9:39, 8:12], 0.5**0.5, atol=0.02)


def test_a_far_patch_is_blurred_to_the_pixels_it_covers():
    texture = (torch.arange(16) // 2 % 2).float().expand(3, 16, -1)

    def contrast(distance_mm: float) -> float:
        spec = NOTHING.model_copy(update={"distance_mm": (distance_mm,) * 2, "focal_px": (1100.0, 1100.0)})
        return ideal(texture, 48, spec, count=8)[:, :, 2:8].std(dim=-1).mean().item()

    near, middle, far = contrast(1000.0), contrast(12_000.0), contrast(40_000.0)
    assert near > 1.2 * middle > 1.2 * 1.2 * far


def test_same_seed_same_pictures_other_seed_others():
    texture = torch.rand(3, 16, 16, generator=seeded(1))
    first, again, other = (ideal(texture, 24, TransformSpec(), seed, 5) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert torch.isfinite(first).all()
    assert first.min() >= 0
    assert first.max() <= 1.001


# Frames that are not square


def toothed(size: int = 64) -> np.ndarray:
    """A mask: a ring of twelve teeth, and a bar across the target."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    radius, angle = np.hypot(x, y) * 2 / size, np.arctan2(y, x)
    teeth = (radius < 0.98) & (radius > 0.75) & (np.cos(12 * angle) > -0.5)
    return np.where(teeth | ((np.abs(x) < 0.05 * size) & (np.abs(y) < 0.2 * size)), 255, 0).astype(np.uint8)


FRAMES = {
    "square": FrameOrder(thickness_mm=20),
    "circle": FrameOrder("outline"),
    "triangle": FrameOrder("outline", polygon=((0.5, 0), (1, 1), (0, 1))),
    "strips": FrameOrder("strips"),
    "mask": FrameOrder("mask", mask=toothed()),
}
CLEAR = np.zeros((8, 8, 4), np.uint8)


def framed(name: str, texel_mm: float = 4.0) -> PatchGeometry:
    return frame_geometry(artwork("speed-limit-50"), 100.0, replace(FRAMES[name], texel_mm=texel_mm))


def seen_cover(geometry: PatchGeometry, crop_px: int, spec: TransformSpec, count: int = 1) -> torch.Tensor:
    """Share of each fine pixel that the patch covers: how much white ink differs from black ink there."""
    scene = make_scene([CLEAR], geometry, crop_px)
    drawn = draw(spec, count, texels=geometry.texels, crop_px=crop_px, generator=seeded(4))
    grid, _ = look(scene, drawn.views)
    size = geometry.texels
    black, white = (compose(torch.full((3, size, size), ink), scene, drawn, grid) for ink in (0.0, 1.0))
    cover = (white - black)[:, 0]
    return cover[:, scene.margin_px : -scene.margin_px, scene.margin_px : -scene.margin_px]


@pytest.mark.parametrize("crop_px", [24, 48, 112])
@pytest.mark.parametrize("name", FRAMES)
def test_the_patch_covers_its_share_of_the_picture(name: str, crop_px: int):
    geometry = framed(name)
    cover = seen_cover(geometry, crop_px, NOTHING)
    assert cover.mean().item() == pytest.approx(geometry.share, rel=0.01)
    # Edges are soft, and only they are.
    assert ((cover > 0.02) & (cover < 0.98)).float().mean() < 40 / crop_px


@pytest.mark.parametrize("name", FRAMES)
def test_a_turned_frame_is_where_its_projection_is(name: str):
    """The ring's center of mass and area, through a homography, against the points of the ring's own polygons."""
    geometry = framed(name)
    spec = NOTHING.model_copy(update={"yaw_deg": (40.0,) * 2, "roll_deg": (25.0,) * 2, "focal_px": (1100.0,) * 2})
    spec = spec.model_copy(update={"distance_mm": (900.0,) * 2})
    cover = seen_cover(geometry, 64, spec)[0].numpy()
    views = draw(spec, 1, texels=2, crop_px=8, generator=seeded(0)).views
    corner, size = (each[0].numpy() for each in boxes(views, geometry.outer_mm))
    count = 800
    ring = geometry.model_copy(update={"texel_mm": geometry.outer_mm / count}).ring()
    y, x = np.nonzero(ring)
    points = (np.column_stack([x, y]) + 0.5) / count * geometry.outer_mm - geometry.outer_mm / 2
    seen = (apply_homography(homographies(views)[0].double().numpy(), points) - corner) / size * cover.shape[0]
    drawn = np.histogram2d(seen[:, 1], seen[:, 0], cover.shape, [[0, cover.shape[0]], [0, cover.shape[1]]])[0]
    assert cover[drawn == 0].mean() < 0.02
    assert cover[drawn > 0.9 * np.median(drawn[drawn > 0])].mean() > 0.97


@pytest.mark.parametrize("name", ["circle", "strips", "mask"])
def test_gradients_through_any_frame_are_those_of_finite_differences(name: str):
    spec = TransformSpec(ink_noise=(0, 0), shot_noise=(0.0, 0.0), print_black=(0.1, 0.2), haze=(0.05, 0.1))
    geometry = framed(name).model_copy(update={"texel_mm": framed(name).outer_mm / 6})
    scene = make_scene([disc(32)], geometry, 6, torch.float64)
    drawn = draw(spec, 2, texels=6, crop_px=6, generator=seeded(5), dtype=torch.float64)
    texture = (0.3 + 0.4 * torch.rand(3, 6, 6, generator=seeded(2), dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda ink: render(ink, scene, drawn), (texture,), eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("name", ["circle", "triangle", "strips", "mask"])
def test_texels_beyond_the_frame_get_no_gradient(name: str):
    geometry = framed(name)
    scene = make_scene([disc()], geometry, 48)
    texture = torch.rand(3, geometry.texels, geometry.texels, generator=seeded(1)).requires_grad_()
    drawn = draw(NOTHING, 1, texels=geometry.texels, crop_px=48, generator=seeded(0))
    render(texture, scene, drawn).sum().backward()
    near = cv2.dilate(geometry.ring().astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    slope = texture.grad.abs().sum(dim=0).numpy()
    assert slope[~near].max() == 0
    inner = cv2.erode(geometry.ring().astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert inner.any()
    assert slope[inner].min() > 0


@pytest.mark.parametrize("distance_mm", [20_000.0, 40_000.0])
@pytest.mark.parametrize("name", FRAMES)
def test_a_far_frame_does_not_alias(name: str, distance_mm: float):
    """Texels finer than the sensor's pixels look like their mean light, wherever they lie on its grid."""
    geometry = framed(name, texel_mm=2.0)
    spec = NOTHING.model_copy(update={"distance_mm": (distance_mm,) * 2, "focal_px": (1100.0,) * 2})
    scene = make_scene([CLEAR], geometry, 48)
    drawn = draw(spec, 8, texels=geometry.texels, crop_px=48, generator=seeded(0))
    checker = torch.from_numpy(np.indices((geometry.texels,) * 2).sum(axis=0) % 2).float().expand(3, -1, -1)
    fine, even = (render(texture, scene, drawn) for texture in (checker, torch.full_like(checker, 0.5**0.5)))
    assert (even - render(torch.zeros_like(checker), scene, drawn)).abs().max() > 0.1
    np.testing.assert_allclose(fine, even, atol=0.025)


def test_around_a_frame_are_its_surroundings_and_in_its_window_what_is_behind():
    geometry = framed("circle")
    scene = make_scene([CLEAR], geometry, 48)
    drawn = draw(NOTHING, 1, texels=geometry.texels, crop_px=48, generator=seeded(0))
    grounds = torch.zeros_like(drawn.grounds)
    grounds[:, 3:] = 1
    found = render(torch.full((3, geometry.texels, geometry.texels), 0.5), scene, replace(drawn, grounds=grounds))[0, 0]
    np.testing.assert_allclose(found[[0, 0, -1, -1], [0, -1, 0, -1]], 1, atol=0.01)
    np.testing.assert_allclose(found[24, [24, 1]], [0, 0.5], atol=0.01)


STEPS = {
    "print_black": (0.3, 0.3),
    "print_white": (0.5, 0.5),
    "print_dot_gain": (0.6, 0.6),
    "print_saturation": (0.1, 0.1),
    "ink_noise": (0.2, 0.2),
    "place_mm": (8.0, 8.0),
    "place_deg": (40.0, 40.0),
    "distance_mm": (200_000.0, 200_000.0),
    "yaw_deg": (60.0, 60.0),
    "pitch_deg": (60.0, 60.0),
    "roll_deg": (30.0, 30.0),
    "light_gain": (0.3, 0.3),
    "light_warmth": (0.4, 0.4),
    "light_gradient": (0.6, 0.6),
    "shadow": (0.9, 0.9),
    "haze": (0.5, 0.5),
    "defocus_px": (20.0, 20.0),
    "motion_px": (20.0, 20.0),
    "shot_noise": (0.1, 0.1),
    "read_noise": (0.9, 0.9),
    "crop_shift": (0.2, 0.2),
    "crop_zoom": (1.5, 1.5),
    "clutter": (0.9, 0.9),
}


@pytest.mark.parametrize("step", STEPS)
def test_every_step_of_the_spec_does_something(step):
    """Seen by a coarse sensor, so that blur and noise show."""
    plain = NOTHING.model_copy(update={"distance_mm": (20_000.0,) * 2, "focal_px": (6000.0,) * 2})
    texture = torch.rand(3, 16, 16, generator=seeded(1))
    moved = plain.model_copy(update={step: STEPS[step]})
    assert (ideal(texture, 48, moved) - ideal(texture, 48, plain)).abs().mean() > 0.004


def test_yaw_puts_the_right_edge_farther_away():
    spec = NOTHING.model_copy(update={"yaw_deg": (40.0,) * 2, "focal_px": (1100.0,) * 2})
    found = homographies(draw(spec, 1, texels=2, crop_px=8, generator=seeded(0)).views)[0].numpy()
    left, right = apply_homography(found, np.array([[-80.0, -80], [-80, 80], [80, -80], [80, 80]])).reshape(2, 2, 2)
    assert np.ptp(left[:, 1]) > 1.1 * np.ptp(right[:, 1])


def test_tall_artwork_is_as_wide_as_the_target():
    tall = np.full((96, 48, 4), 255, np.uint8)
    ring = PatchGeometry(target_mm=60, inner_mm=150, outer_mm=160, texel_mm=10)
    scene = make_scene([tall], ring, 64)
    found = render(torch.zeros(3, 16, 16), scene, draw(NOTHING, 1, texels=16, crop_px=64, generator=seeded(0)))[0, 0]
    white = found > 0.99
    assert abs(white.any(dim=0).sum().item() - 24) <= 1
    assert abs(white.any(dim=1).sum().item() - 48) <= 1


@pytest.mark.parametrize(
    "artworks",
    [[], [np.zeros((8, 8, 3), np.uint8)], [np.zeros((8, 8, 4), np.float32)], [np.zeros((0, 0, 4), np.uint8)]],
)
def test_bad_artwork_is_refused(artworks):
    with pytest.raises(BadInput):
        make_scene(artworks, RING, 24)


@pytest.mark.parametrize(("before", "after"), [(96, 48), (100, 48), (61, 13), (50, 49)])
def test_shrinking_is_opencvs_area(before, after):
    picture = np.random.default_rng(1).random((before, before, 3), dtype=np.float32)
    found = shrink(torch.from_numpy(picture).permute(2, 0, 1)[None], after, after)[0].permute(1, 2, 0)
    np.testing.assert_allclose(found, cv2.resize(picture, (after, after), interpolation=cv2.INTER_AREA), atol=1e-5)


def test_pixels_without_blur_are_areas_and_blur_keeps_the_light():
    edges = torch.linspace(0, 60, 14, dtype=torch.float64)
    np.testing.assert_allclose(
        pixel_rows(edges, 60, torch.zeros((), dtype=torch.float64)), area_rows(60, 13, torch.float64), atol=2e-3
    )
    blurred = pixel_rows(edges, 60, torch.tensor(3.0, dtype=torch.float64))
    np.testing.assert_allclose(blurred.sum(dim=1), 1, atol=1e-9)
    spread = blurred[6] @ (torch.arange(60) + 0.5 - 30.0).double().square()
    assert spread.item() == pytest.approx(3.0**2 + (60 / 13) ** 2 / 12, abs=0.15)


def test_linear_rows_interpolate_between_centers():
    np.testing.assert_allclose(
        linear_rows(torch.tensor([0.0, 0.5, 1.0, 2.25, 9.0]), 3),
        [[1, 0, 0], [1, 0, 0], [0.5, 0.5, 0], [0, 0.25, 0.75], [0, 0, 1]],
    )
