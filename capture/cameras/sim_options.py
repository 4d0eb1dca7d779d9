"""What a ``sim:`` URI says: the simulated camera's size, lens, seed, and how much of each nuisance."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import parse_qsl

import numpy as np

from calibration.camera import CameraModel
from calibration.errors import BadUsage
from capture.cameras.sim_print import LAB_PRINTER, PRINTERS

SCHEME = "sim:"
RANGES: dict[str, tuple[float, float]] = {
    "width": (64, 8192),
    "height": (64, 8192),
    "fov_deg": (5, 120),
    "seed": (0, 2**32 - 1),
    "jpeg": (0, 100),
    "noise": (0, 20),
    "clutter": (0, 1),
    "ink": (0, 1),
    "rig": (0, 10),
    "k1": (-0.5, 0.5),
    "k2": (-0.5, 0.5),
    "p1": (-0.02, 0.02),
    "p2": (-0.02, 0.02),
}
KEYS = (*RANGES, "printer")


@dataclass(frozen=True, slots=True)
class SimOptions:
    """What a ``sim:`` URI says. Values out of :data:`RANGES` raise :class:`BadUsage`.

    ``fov_deg`` is horizontal; ``jpeg`` a quality, 0 for raw pixels; ``noise`` scales the sensor's noise, ``clutter``
    the background's contrast, ``ink`` the response of the ``printer``, ``rig`` the deviation of the rig from the asked
    condition.
    """

    name: str = "lab"
    width: int = 1280
    height: int = 720
    fov_deg: float = 60.0
    seed: int = 0
    jpeg: int = 0
    noise: float = 1.0
    clutter: float = 1.0
    ink: float = 1.0
    rig: float = 1.0
    k1: float = -0.08
    k2: float = 0.012
    p1: float = 0.0004
    p2: float = -0.0003
    printer: str = LAB_PRINTER

    def __post_init__(self) -> None:
        for key, (low, high) in RANGES.items():
            value = getattr(self, key)
            if not low <= value <= high:
                raise BadUsage(f"{SCHEME} {key} is {value!r}; it must be from {low:g} to {high:g}")
        if self.printer not in PRINTERS:
            raise BadUsage(f"{SCHEME} printer is {self.printer!r}; it must be one of {', '.join(PRINTERS)}")
        self._check_distortion()

    @property
    def uri(self) -> str:
        """The URI that gives these options: only what differs from the defaults."""
        said = [f"{f.name}={getattr(self, f.name)}" for f in fields(self) if self._differs(f.name)]
        return f"{SCHEME}{self.name}" + ("?" + "&".join(said) if said else "")

    def _differs(self, key: str) -> bool:
        return key in KEYS and getattr(self, key) != SimOptions.__dataclass_fields__[key].default

    def camera_model(self) -> CameraModel:
        """The intrinsics: principal point off the middle by a seeded 0.5 % or so, as in real cameras."""
        rng = np.random.default_rng([self.seed, 1])
        offset = rng.uniform(-0.006, 0.006, 2) * self.width
        focal = self.width / 2 / np.tan(np.radians(self.fov_deg) / 2)
        return CameraModel(
            camera=self.uri,
            width=self.width,
            height=self.height,
            fx=float(focal),
            fy=float(focal),
            cx=float((self.width - 1) / 2 + offset[0]),
            cy=float((self.height - 1) / 2 + offset[1]),
            distortion=(self.k1, self.k2, self.p1, self.p2, 0.0),
            source="factory",
        )

    def _check_distortion(self) -> None:
        """Beyond some radius a negative k1 folds the picture over; that radius must lie outside of the frame."""
        model = self.camera_model()
        edge = max(model.cx, model.cy, self.width - model.cx, self.height - model.cy)
        corner = np.hypot(edge, edge * self.height / self.width) * 1.05
        radius = np.linspace(0, 2.5 * corner / model.fx, 400)
        seen = radius * (1 + self.k1 * radius**2 + self.k2 * radius**4)
        reach = seen[: np.argmax(np.diff(seen) <= 0) + 1] if (np.diff(seen) <= 0).any() else seen
        if reach.max() * model.fx < corner:
            raise BadUsage(
                f"{SCHEME} k1 is {self.k1}, k2 {self.k2}: at fov_deg={self.fov_deg:g} this folds the picture over",
                hint="take a smaller fov_deg, or k1 and k2 nearer to 0",
            )


def parse_sim_uri(uri: str) -> SimOptions:
    """``sim:``, ``sim:NAME`` or ``sim:NAME?key=value&...`` → options; :class:`BadUsage` names key and value."""
    body, _, query = uri.removeprefix(SCHEME).partition("?")
    name = body.strip("/") or "lab"
    if not uri.startswith(SCHEME) or not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise BadUsage(f"{uri!r} is not a simulated camera", hint="write sim: or sim:NAME?width=1280&seed=7")
    pairs = parse_qsl(query, keep_blank_values=True)
    return SimOptions(name, **{key: _parsed(key, text) for key, text in pairs})


def _parsed(key: str, text: str) -> Any:
    if key not in KEYS:
        near = difflib.get_close_matches(key, KEYS, n=1)
        raise BadUsage(
            f"{SCHEME} knows no option {key!r}; it knows {', '.join(KEYS)}",
            hint=f"did you mean {near[0]!r}?" if near else "",
        )
    kind: type = type(SimOptions.__dataclass_fields__[key].default)
    try:
        return kind(text)
    except ValueError:
        word = "a whole number" if kind is int else "a number"
        raise BadUsage(f"{SCHEME} {key} is {text!r}; it must be {word}") from None
