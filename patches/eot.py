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
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from calibration.color import ColorModel
from calibration.errors import BadInput
from calibration.geometry import centered_box
from patches.color_table import ColorTable, seen_table
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
    or its window does; None for a square frame, which needs no map. ``color``: what is seen of each color of the
    texture, before all that is drawn; None: the color itself.
    """

    geometry: PatchGeometry
    crop_px: int
    artworks: Tensor
    sides_mm: Tensor
    areas: Tensor | None = None
    color: ColorTable | None = None

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
        color = None if self.color is None else self.color.to(device)
        artworks, sides = self.artworks.to(device), self.sides_mm.to(device)
        return replace(self, artworks=artworks, sides_mm=sides, areas=areas, color=color)


def make_scene(
    artworks: Sequence[NDArray[np.uint8]],
    geometry: PatchGeometry,
    crop_px: int,
    dtype: torch.dtype = torch.float32,
    color: ColorModel | None = None,
) -> Scene:
    """A scene from the target's pictures, ``(H, W, 4)`` uint8 RGBA, transparent beyond its outline, as wide as it.

    ``color``: the measured response of printer and camera, if there is one.
    """
    if not artworks:
        raise BadInput("the target has no picture; training needs at least one")
    for artwork in artworks:
        if artwork.ndim != 3 or artwork.shape[2] != 4 or artwork.dtype != np.uint8 or not artwork.size:
            raise BadInput(f"artwork is (H, W, 4) uint8 RGBA, got {artwork.shape} {artwork.dtype}")
    layers = [_artwork_layer(artwork, OVERSAMPLING * crop_px, dtype) for artwork in artworks]
    sides = [geometry.target_mm * max(each.shape[:2]) / each.shape[1] for each in artworks]
    areas = area_maps(geometry, OVERSAMPLING * crop_px, dtype)
    table = None if color is None else seen_table(color)
    return Scene(geometry, crop_px, torch.cat(layers), torch.tensor(sides, dtype=dtype), areas, table)


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
    light = compose(texture, scene, draws, grid_mm, draws.lights)
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
    return _boxes(homographies(views), views, outer_mm)


def _boxes(homography: Tensor, views: Views, outer_mm: float) -> tuple[Tensor, Tensor]:
    half = outer_mm / 2
    corners = torch.tensor([[-half, -half, 1], [half, -half, 1], [half, half, 1], [-half, half, 1]])
    seen = homography @ corners.to(views.zoom).T
    seen = seen[:, :2] / seen[:, 2:]
    low, high = seen.amin(dim=2), seen.amax(dim=2)
    size = (high - low) * views.zoom[:, None]
    return (low + high) / 2 + views.shift * size - size / 2, size


def look(scene: Scene, views: Views) -> tuple[Tensor, Tensor]:
    """The point of the patch's plane ``(B, N, N, 2)``, mm, at each fine pixel; the crop's sensor pixels ``(B, 2)``."""
    homography = homographies(views)
    corner, size = _boxes(homography, views, scene.geometry.outer_mm)
    count, inside = scene.fine_px, scene.fine_px - 2 * scene.margin_px
    share = (torch.arange(count, dtype=size.dtype, device=size.device) + 0.5 - scene.margin_px) / inside
    x, y = (corner[:, None] + size[:, None] * share[:, None]).unbind(dim=2)
    inverse = torch.linalg.inv(homography)[..., None]
    # What depends on the column, and what on the row: their sums are all points.
    columns, rows = inverse[:, :, 0] * x[:, None], inverse[:, :, 1] * y[:, None] + inverse[:, :, 2]
    plane = columns[:, :, None, :] + rows[:, :, :, None]
    points = plane[:, :2] / plane[:, 2:]
    return points.permute(0, 2, 3, 1), size


def compose(
    texture: Tensor | None, scene: Scene, draws: Draws, grid_mm: Tensor, lights: Lights | None = None
) -> Tensor:
    """Linear light ``(B, 3, N, N)`` of patch over target over ground, all looked up at ``grid_mm``, under ``lights``.

    Beyond a patch that is not square the surroundings begin at its own edge.
    """
    # Light adds up, so it may fall on the patch's share of each pixel and on the rest apart; only the patch is trained.
    with torch.no_grad():
        ring, light = _layers(texture is not None, scene, draws, grid_mm)
        if lights is not None:
            ring, light = illuminate(ring, light, lights)
    if texture is None:
        return light
    seen = texture if scene.color is None else scene.color.at(texture)
    printed = as_squares(printed_light(seen, draws.prints), scene)
    patch = functional.grid_sample(
        printed, grid_mm * (2 / scene.geometry.outer_mm), padding_mode="border", align_corners=False
    )
    return torch.addcmul(light, ring, patch)


def as_squares(printed: Tensor, scene: Scene) -> Tensor:
    """Texels that are as large as pixels of the crop are squares with sharp edges: each becomes several equal ones.

    Between the centers of finer ones it makes no difference how they are joined.
    """
    times = round(OVERSAMPLING * scene.crop_px / printed.shape[-1])
    return printed if times < 2 else functional.interpolate(printed, scale_factor=times, mode="nearest")


def _layers(framed: bool, scene: Scene, draws: Draws, grid_mm: Tensor) -> tuple[Tensor, Tensor]:
    """The patch's share of each fine pixel ``(B, 1, N, N)``, and the light of all else ``(B, 3, N, N)``."""
    areas = scene.areas if framed else None
    ring, outside = _square_areas(scene, grid_mm) if areas is None else _mapped_areas(areas, scene, grid_mm)
    light = _behind(draws.grounds, outside)
    target, presence = _target(scene, draws, grid_mm), _column(draws.presence)
    light.mul_(1 - presence * target[:, 3:]).addcmul_(target[:, :3], presence)
    return (ring, light.mul_(1 - ring)) if framed else (ring, light)


def _square_areas(scene: Scene, grid_mm: Tensor) -> tuple[Tensor, Tensor]:
    """``(B, 1, N, N)`` each: the share of each fine pixel in a square frame, and beyond it."""
    x, y = grid_mm.abs().unbind(dim=3)
    pixel_mm = scene.geometry.outer_mm / (OVERSAMPLING * scene.crop_px)
    radius = torch.maximum(x, y)[:, None].mul_(1 / pixel_mm)
    outside = (radius + (0.5 - scene.geometry.outer_mm / 2 / pixel_mm)).clamp_(0, 1)
    ring = (radius + (0.5 - scene.geometry.inner_mm / 2 / pixel_mm)).clamp_(0, 1).mul_(1 - outside)
    return ring, outside


def _mapped_areas(areas: Tensor, scene: Scene, grid_mm: Tensor) -> tuple[Tensor, Tensor]:
    """The same for a frame of any shape. The map is as fine as the view, so nothing is skipped between its pixels."""
    maps = areas.expand(len(grid_mm), -1, -1, -1)
    found = functional.grid_sample(
        maps, grid_mm * (2 / scene.geometry.outer_mm), padding_mode="zeros", align_corners=False
    )
    return found[:, :1], 1 - found[:, 1:]


def _behind(grounds: Tensor, outside: Tensor) -> Tensor:
    size, cells = outside.shape[-1], grounds.shape[-1]
    positions = (torch.arange(size, dtype=grounds.dtype, device=grounds.device) + 0.5) * (cells / size)
    rows = linear_rows(positions, cells)
    both = apply_rows(rows, rows, grounds)
    return torch.lerp(both[:, :3], both[:, 3:], outside)


def _target(scene: Scene, draws: Draws, grid_mm: Tensor) -> Tensor:
    """The target ``(B, 4, N, N)``, off its place by the placement error."""
    angle = torch.deg2rad(draws.prints.place_deg)
    chosen = (draws.artwork * len(scene.artworks)).long()
    scale = (2 / scene.sides_mm)[chosen][:, None, None]
    turn = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()], dim=-1).reshape(-1, 2, 2) * scale
    points = grid_mm.permute(0, 3, 1, 2)
    placed = torch.baddbmm(-(turn @ draws.prints.place_mm[:, :, None]), turn, points.flatten(2)).view_as(points)
    return functional.grid_sample(
        scene.artworks[chosen], placed.permute(0, 2, 3, 1), padding_mode="zeros", align_corners=False
    )


def printed_light(texture: Tensor, prints: Prints) -> Tensor:
    """Linear light ``(B, 3, n, n)`` of ``(3, n, n)`` on paper: quadratic tone curve, less saturation, black, white."""
    own, span = prints.saturation[:, None, None], (prints.white - prints.black)[:, None, None]
    even = torch.full((3, 3), 1 / 3, dtype=texture.dtype, device=texture.device)
    mixing = span * (even + own * (torch.eye(3).to(even) - even))
    gain, black = _column(prints.dot_gain), prints.black[:, None, None]
    printed: Tensor = _Print.apply(texture, prints.ink, gain, mixing, black)  # type: ignore[no-untyped-call]
    return printed


class _Print(torch.autograd.Function):
    """Printing with its derivative written down: a third of the passes over memory that autograd needs.

    The noisy ink ``a`` has the tone ``t = a - gain a (1 - a)``, the encoded value ``v = clamp(black + mixing t)`` and
    the light ``v v``.
    """

    @staticmethod
    def forward(ctx: Any, texture: Tensor, noise: Tensor, gain: Tensor, mixing: Tensor, black: Tensor) -> Tensor:
        ink = texture[None] + noise
        tone = (ink * gain).add_(1 - gain).mul_(ink)
        value = torch.baddbmm(black, mixing, tone.flatten(2)).clamp_(0, 1).view_as(ink)
        ctx.save_for_backward(ink, gain, mixing, value)
        return value.square()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        ink, gain, mixing, value = ctx.saved_tensors
        # Nothing passes where the value was clamped, as through a hard tanh.
        through = torch.ops.aten.hardtanh_backward(slope * value, value, 0, 1)
        found = (mixing.transpose(1, 2) @ through.flatten(2)).view_as(ink)
        return found.mul_((ink * (4 * gain)).add_(2 - 2 * gain)).sum(dim=0), None, None, None, None


def _column(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def illuminate(ring: Tensor, light: Tensor, lights: Lights) -> tuple[Tensor, Tensor]:
    """Gain, color temperature, gradient and shadow on the patch's share and on the rest of the light; haze on this.

    ``(B, 1, N, N)`` and ``(B, 3, N, N)`` → ``(B, 3, N, N)`` both.
    """
    axis = torch.linspace(-1, 1, light.shape[-1], dtype=light.dtype, device=light.device)
    x, y = axis[None, None, None, :], axis[None, None, :, None]
    slope = (1 + _column(lights.gradient[:, 0]) * x) + _column(lights.gradient[:, 1]) * y
    beyond = _column(lights.shadow_angle.cos()) * x - _column(lights.shadow_offset)
    across = beyond + _column(lights.shadow_angle.sin()) * y
    dark = across.mul_(1 / SHADOW_SOFTNESS).sigmoid_()
    field = slope.clamp_(min=0).mul_(dark.mul_(-_column(lights.shadow)).add_(1))
    color = torch.stack([1 + lights.warmth, torch.ones_like(lights.warmth), 1 - lights.warmth], dim=1)
    direct = field * (color * (lights.gain * (1 - lights.haze))[:, None])[:, :, None, None]
    haze = _column(lights.haze * lights.airlight * lights.gain)
    return ring * direct, torch.addcmul(haze, light, direct)


def expose(light: Tensor, scene: Scene, sensors: Sensors, crop_sensor_px: Tensor) -> Tensor:
    """Blur, integrate on the sensor's pixels, add noise, encode, resize the crop: ``(B, 3, crop_px, crop_px)``."""
    seen = crop_sensor_px.clamp(max=scene.crop_px)
    phase = sensors.phase * (crop_sensor_px < scene.crop_px)
    share = seen / crop_sensor_px
    pixels = _integrate(light, scene, sensors, share, seen, phase)
    with torch.no_grad():
        variance = torch.addcmul(_column(sensors.read.square()), _column(sensors.shot), pixels.clamp(min=0))
        noise = variance.sqrt_().mul_(sensors.noise.transpose(1, 2)).mul_(_column(share.prod(dim=1).sqrt()))
    positions = (torch.arange(scene.crop_px, dtype=seen.dtype, device=seen.device) + 0.5) / scene.crop_px
    rows = linear_rows(positions * seen[:, :, None] + phase[:, :, None], scene.crop_px + 1)
    # The small term keeps the slope finite in black.
    encoded = ((pixels + noise).clamp(0, 1) + 1e-6).sqrt()
    tall = (rows[:, 1] @ encoded.flatten(2)).view(-1, scene.crop_px * 3, scene.crop_px + 1)
    crops: Tensor = tall @ rows[:, 0].transpose(1, 2)
    return crops.view(-1, scene.crop_px, 3, scene.crop_px).transpose(1, 2).contiguous()


def _integrate(light: Tensor, scene: Scene, sensors: Sensors, share: Tensor, seen: Tensor, phase: Tensor) -> Tensor:
    """Light on the sensor's grid ``(B, S, 3, S)``, rows first. Motion is the mean of a few shifted exposures.

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
    # All shifts at once: their columns side by side, then all that goes into a row on top of each other.
    wide = light.flatten(1, 2) @ rows[:, 0].flatten(1, 2).transpose(1, 2)
    apart = wide.view(-1, 3, scene.fine_px, MOTION_TAPS, size)
    tall = apart.permute(0, 3, 2, 1, 4).flatten(1, 2).flatten(2)
    both: Tensor = (rows[:, 1] / MOTION_TAPS).transpose(1, 2).flatten(2) @ tall
    return both.view(-1, size, 3, size)
