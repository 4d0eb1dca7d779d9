"""Samples of the EOT chain to look at: pictures as a recognizer gets them, and what was drawn for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from patches.draws import Draws, draw
from patches.eot import boxes, make_scene, render
from patches.patch import PatchGeometry
from patches.spec import TransformSpec

Pixels = NDArray[np.uint8]
AT_ONCE = 16
"""Pictures that are rendered together, so that memory does not grow with their number."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture ``(S, S, 3)`` uint8 RGB of the chain, and the main values that were drawn for it.

    ``seen_px``: side of the picture in pixels of the camera, whatever it was resized to.
    """

    pixels: Pixels
    seen_px: float
    distance_mm: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    light_gain: float
    light_warmth: float
    haze: float
    shadow: float
    defocus_px: float
    motion_px: float
    read_noise: float


def sample_chain(
    texture: Pixels | None,
    artworks: Sequence[Pixels],
    geometry: PatchGeometry,
    spec: TransformSpec,
    *,
    count: int,
    side_px: int,
    seed: int,
) -> list[Sample]:
    """``count`` pictures of a texture ``(n, n, 3)`` uint8 RGB, None for the bare target, around ``artworks``.

    The same seed gives the same pictures.
    """
    scene = make_scene(artworks, geometry, side_px, color=spec.print_color)
    ink = None if texture is None else torch.from_numpy(texture.copy()).permute(2, 0, 1).float() / 255
    generator = torch.Generator().manual_seed(seed)
    found: list[Sample] = []
    while len(found) < count:
        draws = draw(spec, AT_ONCE, texels=geometry.texels, crop_px=side_px, generator=generator)
        with torch.no_grad():
            images = render(ink, scene, draws)
        levels = (images.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
        found += [_sample(levels[i], draws, i, geometry.outer_mm) for i in range(AT_ONCE)]
    return found[:count]


def _sample(pixels: Pixels, draws: Draws, i: int, outer_mm: float) -> Sample:
    views, lights, sensors = draws.views, draws.lights, draws.sensors
    return Sample(
        pixels=pixels,
        seen_px=float(boxes(views, outer_mm)[1][i].mean()),
        distance_mm=float(views.distance_mm[i]),
        yaw_deg=float(views.yaw_deg[i]),
        pitch_deg=float(views.pitch_deg[i]),
        roll_deg=float(views.roll_deg[i]),
        light_gain=float(lights.gain[i]),
        light_warmth=float(lights.warmth[i]),
        haze=float(lights.haze[i]),
        shadow=float(lights.shadow[i]),
        defocus_px=float(sensors.defocus_px[i]),
        motion_px=float(sensors.motion_px[i].norm()),
        read_noise=float(sensors.read[i]),
    )
