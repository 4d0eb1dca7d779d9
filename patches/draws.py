"""The dice of the EOT chain: every random number of a batch, drawn from a :class:`TransformSpec`.

A batch of draws is a value: rendering it twice gives the same pictures, so that a validation batch can be kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from patches.resample import apply_rows, linear_rows
from patches.spec import TransformSpec

OCTAVES = (3, 8, 24)
"""Cells per side of the noise that backgrounds are made of."""

GROUND_PX = 27


@dataclass(frozen=True, slots=True)
class Views:
    """Where the camera is, ``(B,)`` each, and the detector's box: ``shift`` ``(B, 2)`` and ``zoom`` ``(B,)``."""

    distance_mm: Tensor
    focal_px: Tensor
    yaw_deg: Tensor
    pitch_deg: Tensor
    roll_deg: Tensor
    shift: Tensor
    zoom: Tensor


@dataclass(frozen=True, slots=True)
class Prints:
    """Tone response ``(B,)`` each, ``ink`` ``(B, 3, n, n)``, and how the target sits: ``place_mm`` ``(B, 2)``."""

    black: Tensor
    white: Tensor
    dot_gain: Tensor
    saturation: Tensor
    ink: Tensor
    place_mm: Tensor
    place_deg: Tensor


@dataclass(frozen=True, slots=True)
class Lights:
    """Light on the scene: ``gain``, ``warmth``, ``haze``, ``airlight``, ``shadow`` ``(B,)``; ``gradient`` ``(B, 2)``.

    The shadow's border is the line ``x cos(a) + y sin(a) = offset`` in a picture from -1 to 1.
    """

    gain: Tensor
    warmth: Tensor
    gradient: Tensor
    shadow: Tensor
    shadow_angle: Tensor
    shadow_offset: Tensor
    haze: Tensor
    airlight: Tensor


@dataclass(frozen=True, slots=True)
class Sensors:
    """Blur in sensor pixels, the grid's ``phase`` ``(B, 2)``, noise levels ``(B,)``, ``noise`` ``(B, 3, S, S)``."""

    defocus_px: Tensor
    motion_px: Tensor
    phase: Tensor
    shot: Tensor
    read: Tensor
    noise: Tensor


@dataclass(frozen=True, slots=True)
class Draws:
    """All that is random in a batch. ``artwork`` ``(B,)`` in [0, 1) chooses the target's picture, ``presence`` ``(B,)``
    says how much of it is there: 1 is all.

    ``grounds`` ``(B, 6, g, g)``: linear light behind the target (first three) and around the patch.
    """

    views: Views
    prints: Prints
    lights: Lights
    sensors: Sensors
    artwork: Tensor
    presence: Tensor
    grounds: Tensor

    def part(self, chosen: slice) -> Draws:
        """A part of the batch."""
        return changed(self, lambda each: each[chosen])

    def to(self, device: torch.device | str) -> Draws:
        """The same on another device."""
        return changed(self, lambda each: each.to(device))


Parts = TypeVar("Parts", "Draws", "Views", "Prints", "Lights", "Sensors")


def changed(parts: Parts, change: Callable[[Tensor], Tensor]) -> Parts:
    """``change`` applied to every tensor of ``parts``, however deep."""
    found = {each.name: getattr(parts, each.name) for each in fields(parts)}
    new: dict[str, Any] = {
        name: change(value) if isinstance(value, Tensor) else changed(value, change) for name, value in found.items()
    }
    return replace(parts, **new)


class Dice:
    """Uniform and normal tensors with ``batch`` rows from one generator, on its device."""

    def __init__(self, generator: torch.Generator, batch: int, dtype: torch.dtype) -> None:
        self.generator, self.batch, self.dtype = generator, batch, dtype

    def normal(self, *shape: int) -> Tensor:
        """``(B, *shape)`` standard normal."""
        size = (self.batch, *shape)
        return torch.randn(size, generator=self.generator, dtype=self.dtype, device=self.generator.device)

    def uniform(self, span: tuple[float, float], *shape: int) -> Tensor:
        """``(B, *shape)`` uniform in ``span``."""
        size = (self.batch, *shape)
        share = torch.rand(size, generator=self.generator, dtype=self.dtype, device=self.generator.device)
        return span[0] + (span[1] - span[0]) * share

    def log_uniform(self, span: tuple[float, float]) -> Tensor:
        """``(B,)`` with uniform logarithm."""
        return self.uniform((math.log(span[0]), math.log(span[1]))).exp()


def draw(
    spec: TransformSpec,
    batch: int,
    *,
    texels: int,
    crop_px: int,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> Draws:
    """Draw a batch for textures of ``texels`` a side, seen in crops of ``crop_px``."""
    dice = Dice(generator, batch, dtype)
    return Draws(
        views=_views(spec, dice),
        prints=_prints(spec, dice, texels),
        lights=_lights(spec, dice),
        sensors=_sensors(spec, dice, crop_px),
        artwork=dice.uniform((0, 1)),
        presence=torch.ones(batch, dtype=dtype, device=generator.device),
        grounds=_grounds(spec, dice),
    )


def _views(spec: TransformSpec, dice: Dice) -> Views:
    return Views(
        distance_mm=dice.log_uniform(spec.distance_mm),
        focal_px=dice.log_uniform(spec.focal_px),
        yaw_deg=dice.uniform(spec.yaw_deg),
        pitch_deg=dice.uniform(spec.pitch_deg),
        roll_deg=dice.uniform(spec.roll_deg),
        shift=dice.uniform(spec.crop_shift, 2),
        zoom=dice.uniform(spec.crop_zoom),
    )


def _prints(spec: TransformSpec, dice: Dice, texels: int) -> Prints:
    level = dice.uniform(spec.ink_noise)[:, None, None, None]
    return Prints(
        black=dice.uniform(spec.print_black),
        white=dice.uniform(spec.print_white),
        dot_gain=dice.uniform(spec.print_dot_gain),
        saturation=dice.uniform(spec.print_saturation),
        ink=level * dice.normal(3, texels, texels),
        place_mm=dice.uniform(spec.place_mm, 2),
        place_deg=dice.uniform(spec.place_deg),
    )


def _lights(spec: TransformSpec, dice: Dice) -> Lights:
    turn = dice.uniform((0, 2 * math.pi))
    slope = dice.uniform(spec.light_gradient)
    return Lights(
        gain=dice.log_uniform(spec.light_gain),
        warmth=dice.uniform(spec.light_warmth),
        gradient=torch.stack([slope * turn.cos(), slope * turn.sin()], dim=1),
        shadow=dice.uniform(spec.shadow),
        shadow_angle=dice.uniform((0, 2 * math.pi)),
        shadow_offset=dice.uniform((-1, 1)),
        haze=dice.uniform(spec.haze),
        airlight=dice.uniform((0.3, 0.9)),
    )


def _sensors(spec: TransformSpec, dice: Dice, crop_px: int) -> Sensors:
    turn, length = dice.uniform((0, math.pi)), dice.uniform(spec.motion_px)
    return Sensors(
        defocus_px=dice.uniform(spec.defocus_px),
        motion_px=torch.stack([length * turn.cos(), length * turn.sin()], dim=1),
        phase=dice.uniform((0, 1), 2),
        shot=dice.uniform(spec.shot_noise),
        read=dice.uniform(spec.read_noise),
        noise=dice.normal(3, crop_px + 1, crop_px + 1),
    )


def _grounds(spec: TransformSpec, dice: Dice) -> Tensor:
    """Random colors, near gray as often as not, plus noise of three sizes; in linear light."""
    gray = dice.uniform((0.05, 1), 2, 1, 1, 1)
    tint = dice.uniform((-0.5, 0.5), 2, 3, 1, 1) * dice.uniform((0, 1), 2, 1, 1, 1)
    strength = dice.uniform(spec.clutter, 2, 1, 1, 1)
    texture = torch.stack([_upsampled(dice.normal(2, 3, cells, cells)) for cells in OCTAVES]).sum(dim=0)
    ground: Tensor = (gray + tint + strength * texture / len(OCTAVES) ** 0.5).clamp(0, 1).square()
    return ground.reshape(dice.batch, 6, GROUND_PX, GROUND_PX)


def _upsampled(noise: Tensor) -> Tensor:
    cells = noise.shape[-1]
    positions = (torch.arange(GROUND_PX, dtype=noise.dtype, device=noise.device) + 0.5) * cells / GROUND_PX
    rows = linear_rows(positions, cells)
    return apply_rows(rows, rows, noise)
