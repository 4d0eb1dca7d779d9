"""What a camera calibration holds for: one camera, one resolution, one focus, one zoom. All else is refused.

Only what both sides say is compared: a camera that does not report its focus cannot be held to it.
"""

from __future__ import annotations

from collections.abc import Mapping

from calibration.camera import CameraModel
from calibration.errors import BadInput
from capture.cameras.base import Camera, FiniteCamera
from capture.frame import Frame

Setting = str | int | float

GEOMETRY = ("focus", "autofocus", "zoom", "focal_length_mm", "digital_zoom", "lens", "body", "orientation")
"""Settings that say which camera it is, or where a ray falls on the picture."""

HINT = "set the camera as it was calibrated and keep it so (autofocus off), or calibrate it as it is"


def mode_of(settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """Those of a frame's settings that a calibration is bound to."""
    return {name: settings[name] for name in GEOMETRY if name in settings}


def common_mode(modes: Mapping[str, Mapping[str, Setting]]) -> dict[str, Setting]:
    """The one mode of all pictures (by name); :class:`BadInput` names two that differ."""
    found: dict[str, tuple[str, Setting]] = {}
    for picture, mode in modes.items():
        for name, value in mode.items():
            first, before = found.setdefault(name, (picture, value))
            if value != before:
                raise BadInput(
                    f"{name} is {before} in {first} and {value} in {picture}: one calibration is for one {name}",
                    hint="take all pictures with the same camera, focus and zoom, held the same way",
                )
    return {name: value for name, (_, value) in found.items()}


def refuse_other_camera(model: CameraModel, camera: Camera, address: str) -> None:
    """:class:`BadInput` when the calibration is another camera's than the one at ``address``.

    Pictures on disk do not tell which camera they are from, but for what their files say (:func:`refuse_other_mode`);
    files of the first dpcam, which do not name their lens, were bound to nothing.
    """
    if model.lens is None or isinstance(camera, FiniteCamera) or model.camera in (camera.identity, address):
        return
    raise BadInput(
        f"the camera calibration is for {model.camera}, this camera is {camera.identity}",
        hint="calibrate this camera: dpcam calibrate camera --live, or name it with --camera",
        where=camera.identity,
    )


def refuse_other_mode(model: CameraModel, frame: Frame) -> None:
    """:class:`BadInput` when the frame has another resolution, focus or zoom than the calibration."""
    height, width = frame.pixels.shape[:2]
    calibrated = {"size": f"{model.width}x{model.height}", **model.settings}
    found = {"size": f"{width}x{height}", **frame.settings}
    wrong = [
        f"{name} is {found[name]}, calibrated at {value}"
        for name, value in calibrated.items()
        if name in found and found[name] != value
    ]
    if wrong:
        raise BadInput(f"the camera calibration does not hold for this picture: {'; '.join(wrong)}", hint=HINT)
