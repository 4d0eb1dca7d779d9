"""The one chain from patch to recognizer: print, stick, see, light, optics and sensor, crop.

Batched and differentiable in the texture, without a loop over samples. All layers (patch, target, what is behind and
around them) are looked up through *one* homography of a pinhole camera, at :data:`OVERSAMPLING` times the crop's
resolution and in linear light; the sensor then integrates each of its pixels exactly, so that nothing aliases however
far away the patch is, and the crop is resized to the recognizer's input from the few pixels that the sensor gave.

Convention: patch coordinates are mm from the patch's center, x right, y down, otherwise as
:mod:`calibration.geometry` has it. Light is the square of the encoded value (gamma 2 for sRGB's 2.2, for speed).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from calibration.errors import BadInput
from calibration.geometry import centered_box
from patches.draws import Draws, Lights, Prints, Sensors, Views
from patches.patch import PatchGeometry
from patches.resample import apply_rows, linear_rows, pixel_rows, shrink

OVERSAMPLING = 2
MARGIN = 1 / 16
"""Rendered beyond the crop on each side, in shares of it, so that blur finds something there."""

MOTION_TAPS = 2
SHADOW_SOFTNESS = 0.15


@dataclass(frozen=True, slots=True)
class Scene:
    """What a batch has in common: the patch's geometry, the crop's side, and the target's pictures.

    ``artworks`` ``(K, 4, A, A)`` premultiplied linear light; ``sides_mm`` ``(K,)`` the width of each whole square.
    ``areas`` ``(2, F, F)``: the share of each fine pixel, in a frontal view, that the patch covers, and that the patch
    or its window does; None for a square frame, which needs no map.
    """

    geometry: PatchGeometry
    crop_px: int
    artworks: Tensor
    sides_mm: Tensor
    areas: Tensor | None = None

    @property
    def fine_px(self) -> int:
        """Side of the finely rendered picture, margins included."""
        return OVERSAMPLING * self.crop_px + 2 * self.margin_px

    @property
    def margin_px(self) -> int:
        """Fine pixels beyond the crop on each side."""
        return round(OVERSAMPLING * self.crop_px * MARGIN)

    def to(self, device: torch.device | str) -> Scene:
        """The same on another device."""
        areas = None if self.areas is None else self.areas.to(device)
        return replace(self, artworks=self.artworks.to(device), sides_mm=self.sides_mm.to(device), areas=areas)


def make_scene(
    artworks: Sequence[NDArray[np.uint8]],
    geometry: PatchGeometry,
    crop_px: int,
    dtype: torch.dtype = torch.float32,
) -> Scene:
    """A scene from the target's pictures, ``(H, W, 4)`` uint8 RGBA, transparent beyond its outline, as wide as it."""
    if not artworks:
        raise BadInput("the target has no picture; training needs at least one")
    for artwork in artworks:
        if artwork.ndim != 3 or artwork.shape[2] != 4 or artwork.dtype != np.uint8 or not artwork.size:
            raise BadInput(f"artwork is (H, W, 4) uint8 RGBA, got {artwork.shape} {artwork.dtype}")
    layers = [_artwork_layer(artwork, OVERSAMPLING * crop_px, dtype) for artwork in artworks]
    sides = [geometry.target_mm * max(each.shape[:2]) / each.shape[1] for each in artworks]
    areas = area_maps(geometry, OVERSAMPLING * crop_px, dtype)
    return Scene(geometry, crop_px, torch.cat(layers), torch.tensor(sides, dtype=dtype), areas)


def area_maps(geometry: PatchGeometry, size: int, dtype: torch.dtype) -> Tensor | None:
    """``(2, size, size)`` over the square around the frame: covered by the patch; by the patch or within its window."""
    if geometry.sticker is None:
        return None
    square = centered_box(np.zeros(2), geometry.outer_mm, geometry.outer_mm)
    parts = (geometry.sticker.printed, geometry.sticker.window)
    covered, opened = (torch.from_numpy(part.coverage(square, size, size)).to(dtype) for part in parts)
    return torch.stack([covered, (covered + opened).clamp(max=1)])


def _artwork_layer(artwork: NDArray[np.uint8], size: int, dtype: torch.dtype) -> Tensor:
    """``(H, W, 4)`` uint8 → ``(1, 4, size, size)``, centered in a square, averaged in linear premultiplied light."""
    side = max(artwork.shape[:2])
    square = np.zeros((side, side, 4), np.uint8)
    top, left = (side - artwork.shape[0]) // 2, (side - artwork.shape[1]) // 2
    square[top : top + artwork.shape[0], left : left + artwork.shape[1]] = artwork
    encoded = torch.from_numpy(square).permute(2, 0, 1)[None].to(dtype) / 255
    layer = torch.cat([encoded[:, :3].square() * encoded[:, 3:], encoded[:, 3:]], dim=1)
    return shrink(layer, size, size)


def render(texture: Tensor | None, scene: Scene, draws: Draws) -> Tensor:
    """``texture`` ``(3, n, n)`` in [0, 1], None for no patch at all → crops ``(B, 3, crop_px, crop_px)`` in [0, 1]."""
    grid_mm, scale = look(scene, draws.views)
    light = compose(texture, scene, draws, grid_mm)
    light = illuminate(light, draws.lights)
    return expose(light, scene, draws.sensors, scale)


def rotations(views: Views) -> Tensor:
    """``(B, 3, 3)``: :func:`calibration.geometry.rotation_from_view`, batched."""
    yaw, pitch, roll = (torch.deg2rad(angle) for angle in (views.yaw_deg, views.pitch_deg, views.roll_deg))
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    about_y = _matrices(yaw.cos(), zero, -yaw.sin(), zero, one, zero, yaw.sin(), zero, yaw.cos())
    about_x = _matrices(one, zero, zero, zero, pitch.cos(), -pitch.sin(), zero, pitch.sin(), pitch.cos())
    about_z = _matrices(roll.cos(), -roll.sin(), zero, roll.sin(), roll.cos(), zero, zero, zero, one)
    return about_z @ about_x @ about_y


def _matrices(*entries: Tensor) -> Tensor:
    return torch.stack(entries, dim=-1).reshape(-1, 3, 3)


def homographies(views: Views) -> Tensor:
    """``(B, 3, 3)`` patch mm → sensor pixels from the optical axis, which meets the patch's center."""
    rotation = rotations(views)
    translation = functional.pad(views.distance_mm[:, None], (2, 0))
    camera = torch.ones_like(translation)
    camera[:, :2] = views.focal_px[:, None]
    return camera[:, :, None] * torch.cat([rotation[:, :, :2], translation[:, :, None]], dim=2)


def boxes(views: Views, outer_mm: float) -> tuple[Tensor, Tensor]:
    """The detector's box in sensor pixels: top-left corner and size, ``(B, 2)`` each."""
    half = outer_mm / 2
    corners = torch.tensor([[-half, -half, 1], [half, -half, 1], [half, half, 1], [-half, half, 1]])
    seen = homographies(views) @ corners.to(views.zoom).T
    seen = seen[:, :2] / seen[:, 2:]
    low, high = seen.amin(dim=2), seen.amax(dim=2)
    size = (high - low) * views.zoom[:, None]
    return (low + high) / 2 + views.shift * size - size / 2, size


def look(scene: Scene, views: Views) -> tuple[Tensor, Tensor]:
    """The point of the patch's plane ``(B, N, N, 2)``, mm, at each fine pixel; the crop's sensor pixels ``(B, 2)``."""
    corner, size = boxes(views, scene.geometry.outer_mm)
    count, inside = scene.fine_px, scene.fine_px - 2 * scene.margin_px
    share = (torch.arange(count, dtype=size.dtype, device=size.device) + 0.5 - scene.margin_px) / inside
    x = (corner[:, :1] + size[:, :1] * share)[:, None, :].expand(-1, count, -1)
    y = (corner[:, 1:] + size[:, 1:] * share)[:, :, None].expand(-1, -1, count)
    pixels = torch.stack([x, y, torch.ones_like(x)], dim=1).flatten(2)
    plane = torch.linalg.inv(homographies(views)) @ pixels
    points = (plane[:, :2] / plane[:, 2:]).reshape(-1, 2, count, count)
    return points.permute(0, 2, 3, 1), size


def compose(texture: Tensor | None, scene: Scene, draws: Draws, grid_mm: Tensor) -> Tensor:
    """Linear light ``(B, 3, N, N)`` of patch over target over ground, all looked up at ``grid_mm``.

    Beyond a patch that is not square the surroundings begin at its own edge.
    """
    areas = None if texture is None else scene.areas
    ring, outside = _square_areas(scene, grid_mm) if areas is None else _mapped_areas(areas, scene, grid_mm)
    light = _behind(draws.grounds, outside)
    target = _target(scene, draws, grid_mm)
    light = target[:, :3] + (1 - target[:, 3:]) * light
    if texture is None:
        return light
    printed = printed_light(texture, draws.prints)
    patch = functional.grid_sample(
        printed, grid_mm * (2 / scene.geometry.outer_mm), padding_mode="border", align_corners=False
    )
    return light + ring * (patch - light)


def _square_areas(scene: Scene, grid_mm: Tensor) -> tuple[Tensor, Tensor]:
    """``(B, 1, N, N)`` each: the share of each fine pixel in a square frame, and beyond it."""
    radius = grid_mm.abs().amax(dim=3)[:, None]
    pixel_mm = scene.geometry.outer_mm / (OVERSAMPLING * scene.crop_px)
    outside = ((radius - scene.geometry.outer_mm / 2) / pixel_mm + 0.5).clamp(0, 1)
    ring = ((radius - scene.geometry.inner_mm / 2) / pixel_mm + 0.5).clamp(0, 1) * (1 - outside)
    return ring, outside


def _mapped_areas(areas: Tensor, scene: Scene, grid_mm: Tensor) -> tuple[Tensor, Tensor]:
    """The same for a frame of any shape. The map is as fine as the view, so nothing is skipped between its pixels."""
    maps = areas.expand(len(grid_mm), -1, -1, -1)
    found = functional.grid_sample(
        maps, grid_mm * (2 / scene.geometry.outer_mm), padding_mode="zeros", align_corners=False
    )
    return found[:, :1], 1 - found[:, 1:]


def _behind(grounds: Tensor, outside: Tensor) -> Tensor:
    size = outside.shape[-1]
    both = functional.interpolate(grounds, size=(size, size), mode="bilinear", align_corners=False)
    return both[:, :3] + outside * (both[:, 3:] - both[:, :3])


def _target(scene: Scene, draws: Draws, grid_mm: Tensor) -> Tensor:
    """The target ``(B, 4, N, N)``, off its place by the placement error."""
    angle = torch.deg2rad(draws.prints.place_deg)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=-1).reshape(-1, 1, 2, 2)
    placed = (grid_mm - draws.prints.place_mm[:, None, None]) @ turn
    chosen = (draws.artwork * len(scene.artworks)).long()
    scale = (2 / scene.sides_mm)[chosen][:, None, None, None]
    layers = scene.artworks[chosen] * _column(draws.presence)
    return functional.grid_sample(layers, placed * scale, padding_mode="zeros", align_corners=False)


def printed_light(texture: Tensor, prints: Prints) -> Tensor:
    """Linear light ``(B, 3, n, n)`` of ``(3, n, n)`` on paper: quadratic tone curve, less saturation, black, white."""
    tone = _column(prints.dot_gain)
    ink = texture[None] + prints.ink
    ink = ink - tone * ink * (1 - ink)
    gray = ink.mean(dim=1, keepdim=True)
    ink = gray + _column(prints.saturation) * (ink - gray)
    black, white = _column(prints.black), _column(prints.white)
    return (black + (white - black) * ink).clamp(0, 1).square()


def _column(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def illuminate(light: Tensor, lights: Lights) -> Tensor:
    """Gain, color temperature, gradient, shadow, haze on ``(B, 3, N, N)``."""
    axis = torch.linspace(-1, 1, light.shape[-1], dtype=light.dtype, device=light.device)
    x, y = axis[None, None, None, :], axis[None, None, :, None]
    slope = 1 + _column(lights.gradient[:, 0]) * x + _column(lights.gradient[:, 1]) * y
    across = _column(lights.shadow_angle.cos()) * x + _column(lights.shadow_angle.sin()) * y
    dark = torch.sigmoid((across - _column(lights.shadow_offset)) / SHADOW_SOFTNESS)
    field = slope.clamp(min=0) * (1 - _column(lights.shadow) * dark)
    color = torch.stack([1 + lights.warmth, torch.ones_like(lights.warmth), 1 - lights.warmth], dim=1)
    direct = (color * (lights.gain * (1 - lights.haze))[:, None])[:, :, None, None]
    return light * field * direct + _column(lights.haze * lights.airlight * lights.gain)


def expose(light: Tensor, scene: Scene, sensors: Sensors, crop_sensor_px: Tensor) -> Tensor:
    """Blur, integrate on the sensor's pixels, add noise, encode, resize the crop: ``(B, 3, crop_px, crop_px)``."""
    seen = crop_sensor_px.clamp(max=scene.crop_px)
    phase = sensors.phase * (crop_sensor_px < scene.crop_px)
    share = seen / crop_sensor_px
    pixels = _integrate(light, scene, sensors, share, seen, phase)
    averaged = share.prod(dim=1).sqrt()
    variance = _column(sensors.shot) * pixels.detach().clamp(min=0) + _column(sensors.read.square())
    pixels = (pixels + _column(averaged) * variance.sqrt() * sensors.noise).clamp(0, 1)
    positions = (torch.arange(scene.crop_px, dtype=seen.dtype, device=seen.device) + 0.5) / scene.crop_px
    rows = linear_rows(positions * seen[:, :, None] + phase[:, :, None], scene.crop_px + 1)
    # The small term keeps the slope finite in black.
    return apply_rows(rows[:, 1][:, None], rows[:, 0][:, None], (pixels + 1e-6).sqrt())


def _integrate(light: Tensor, scene: Scene, sensors: Sensors, share: Tensor, seen: Tensor, phase: Tensor) -> Tensor:
    """Light on the sensor's grid ``(B, 3, S, S)``. Motion is the mean of a few shifted exposures.

    ``share`` ``(B, 2)``: side of a real sensor pixel in pixels of this grid, 1 unless the sensor is finer.
    """
    size = scene.crop_px + 1
    fine = (OVERSAMPLING * scene.crop_px) / seen
    index = torch.arange(size + 1, dtype=seen.dtype, device=seen.device)
    taps = (torch.arange(MOTION_TAPS, dtype=seen.dtype, device=seen.device) + 0.5) / MOTION_TAPS - 0.5
    shift = sensors.motion_px[:, :, None] * share[:, :, None] * taps
    edges = (index - phase[:, :, None, None] + shift[:, :, :, None]) * fine[:, :, None, None] + scene.margin_px
    # What a few exposures lack of a box's variance is left to the blur.
    between = sensors.motion_px.square() / (12 * MOTION_TAPS**2)
    sigma = (sensors.defocus_px[:, None].square() + between).sqrt() * share * fine
    sigma = sigma[:, :, None].expand(-1, -1, MOTION_TAPS)
    rows = pixel_rows(edges, scene.fine_px, sigma)
    # All shifts at once: rows on top of each other, then the shifts' pictures side by side.
    tall = rows[:, 1].flatten(1, 2)[:, None] @ light
    wide = tall.reshape(*tall.shape[:2], MOTION_TAPS, size, -1).transpose(2, 3).flatten(3)
    both: Tensor = wide @ rows[:, 0].transpose(2, 3).flatten(1, 2)[:, None]
    return both / MOTION_TAPS
