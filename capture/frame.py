"""One picture from a camera, with its clocks and the settings that the camera reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Frame:
    """A captured picture.

    ``pixels``: ``(H, W, 3)`` uint8 RGB. ``encoded``: the camera's own bytes when it sends compressed pictures
    (then these are stored, not a re-encoding), with ``suffix`` such as ``.jpg``; empty for raw pixels.
    ``t_mono_ns`` and ``t_wall_ns``: monotonic and wall clock when the picture arrived. ``settings``: what the camera
    reports. ``truth``: exact ground truth, from simulated cameras only, a JSON object.
    """

    pixels: NDArray[np.uint8]
    t_mono_ns: int
    t_wall_ns: int
    encoded: bytes = b""
    suffix: str = ".png"
    settings: Mapping[str, str | int | float] = field(default_factory=dict)
    truth: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """The two clocks of a session; a parameter, so that tests and simulations choose their own."""

    def mono_ns(self) -> int:
        """Monotonic nanoseconds."""
        import time

        return time.monotonic_ns()

    def wall_ns(self) -> int:
        """Nanoseconds since 1970, UTC."""
        import time

        return time.time_ns()
