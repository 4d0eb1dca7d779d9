"""What happens to a patch between the printer and the recognizer, as data: the range of every step of the EOT chain.

EOT: expectation over transformation (Athalye et al., arXiv 1707.07397). No torch here: a spec is read, hashed and
shown without it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from calibration.color import ColorModel
from calibration.files import Document, sha256_bytes


def _within(low: float, high: float) -> AfterValidator:
    """A range must be ordered and lie within ``low`` to ``high``."""

    def check(span: tuple[float, float]) -> tuple[float, float]:
        if not low <= span[0] <= span[1] <= high:
            raise ValueError(f"a range is two numbers, the smaller first, within {low:g} to {high:g}")
        return span

    return AfterValidator(check)


Share = Annotated[tuple[float, float], _within(0, 1)]
Angle = Annotated[tuple[float, float], _within(-80, 80)]
Turn = Annotated[tuple[float, float], _within(-180, 180)]
Signed = Annotated[tuple[float, float], _within(-1, 1)]
Length = Annotated[tuple[float, float], _within(1, 1e6)]
Blur = Annotated[tuple[float, float], _within(0, 20)]
Offset = Annotated[tuple[float, float], _within(-1e3, 1e3)]
Gain = Annotated[tuple[float, float], _within(0.01, 10)]


class TransformSpec(Document):
    """Ranges ``(low, high)`` of every step, in the order in which light takes them.

    The default is an ordinary lab and somewhat worse: where every view is easy, nothing is learned. Values are drawn
    uniformly; distance, focal length and gain log-uniformly, so that each halving of the patch's size in the picture
    is as likely. Intensities are shares of full scale, in linear light from ``light_gain`` on.

    * ``print_color``: what printer and camera were measured to make of color; the printing ranges then say what varies
      about it.
    * ``print_black``, ``print_white``: what black and white come out as; ``print_dot_gain``: how much midtones darken;
      ``print_saturation``: share of the saturation that is kept; ``ink_noise``: sigma per texel.
    * ``place_mm``, ``place_deg``: offset (each axis) and turn of the target against the patch.
    * ``distance_mm``, ``yaw_deg``, ``pitch_deg``, ``roll_deg``: as in :class:`calibration.geometry.View`.
      ``focal_px``: the camera's focal length, which with the distance decides how many pixels the patch has.
    * ``light_gain``; ``light_warmth`` (red up, blue down when positive); ``light_gradient``: change from the center to
      the border; ``shadow``: depth of a shadow's soft half-plane; ``haze``: share of light that does not come from the
      scene.
    * ``defocus_px``: Gaussian sigma, ``motion_px``: length, in sensor pixels.
    * ``shot_noise``: variance per unit of signal; ``read_noise``: sigma.
    * ``crop_shift``, ``crop_zoom``: the detector's box against the patch's bounding box, shares of its side.
    * ``clutter``: strength of the texture in what surrounds the patch and lies behind the target.
    """

    format: Literal["dpcam.transform"] = "dpcam.transform"
    version: Literal[1] = 1
    print_color: ColorModel | None = None
    print_black: Share = (0.02, 0.12)
    print_white: Share = (0.82, 1.0)
    print_dot_gain: Share = (0.0, 0.25)
    print_saturation: Share = (0.65, 1.0)
    ink_noise: Share = (0.0, 0.03)
    place_mm: Offset = (-4.0, 4.0)
    place_deg: Turn = (-3.0, 3.0)
    distance_mm: Length = (500.0, 6000.0)
    focal_px: Length = (900.0, 1300.0)
    yaw_deg: Angle = (-50.0, 50.0)
    pitch_deg: Angle = (-25.0, 25.0)
    roll_deg: Turn = (-8.0, 8.0)
    light_gain: Gain = (0.1, 1.4)
    light_warmth: Signed = (-0.15, 0.15)
    light_gradient: Share = (0.0, 0.3)
    shadow: Share = (0.0, 0.5)
    haze: Share = (0.0, 0.5)
    defocus_px: Blur = (0.3, 2.0)
    motion_px: Blur = (0.0, 4.0)
    shot_noise: Share = (0.0, 0.004)
    read_noise: Share = (0.0, 0.04)
    crop_shift: Signed = (-0.05, 0.05)
    crop_zoom: Gain = (0.95, 1.1)
    clutter: Share = (0.0, 0.3)

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of all values."""
        return sha256_bytes(self.model_dump_json().encode())

    @classmethod
    def identity(cls) -> TransformSpec:
        """Nothing happens: a perfect print, seen frontally by a perfect camera with many pixels."""
        none = (0.0, 0.0)
        one = (1.0, 1.0)
        return cls(
            print_black=none,
            print_white=one,
            print_dot_gain=none,
            print_saturation=one,
            ink_noise=none,
            place_mm=none,
            place_deg=none,
            distance_mm=(500.0, 500.0),
            focal_px=(100_000.0, 100_000.0),
            yaw_deg=none,
            pitch_deg=none,
            roll_deg=none,
            light_gain=one,
            light_warmth=none,
            light_gradient=none,
            shadow=none,
            haze=none,
            defocus_px=none,
            motion_px=none,
            shot_noise=none,
            read_noise=none,
            crop_shift=none,
            crop_zoom=one,
            clutter=none,
        )
