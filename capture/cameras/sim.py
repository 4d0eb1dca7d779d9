"""The simulated lab: a camera that renders a sheet under a plan, with exact ground truth.

It plays the physics of DESIGN's chain from paper to pixels, and shares nothing with the training code: what it sees
is the PDF that the printer would get. A camera like any other, and its own rig (:class:`StagedCamera`).

A frame depends on the camera's options, the sheet's id, the condition, the repeat, and how many frames were read of
this shot, and on nothing else: other orders and resumed runs give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from calibration.camera import CameraModel
from calibration.errors import BadImage, BadInput
from calibration.geometry import Array, Pose, View, pose_from_view
from calibration.sheet import Sheet
from capture.cameras.glimpse import Glimpses
from capture.cameras.sim_optics import (
    Blur,
    Eye,
    Floats,
    Pixels,
    PlaneView,
    Sensor,
    blurred,
    compose,
    noise_levels,
    shaded,
)
from capture.cameras.sim_options import SimOptions, parse_sim_uri
from capture.cameras.sim_paper import PlaneTexture, build_plane
from capture.cameras.sim_scenery import (
    Field,
    Light,
    background_picture,
    board_texture,
    falloff_field,
    light_field,
    light_named,
)
from capture.frame import Clock, Frame
from capture.plan import Condition, Shot

__all__ = ["EXTRA", "SimCamera", "SimOptions", "ground_truth", "parse_sim_uri"]

EXTRA = {"defocus_px": (0, 40), "motion_px": (0, 80), "motion_deg": (-360, 360)}
"""What the simulated rig understands in ``Condition.extra``: radius of the blur disk, length and angle of a streak."""

SHEETS_KEPT = 12
"""Rasterized sheets in memory, 20 to 40 MB each; a plan of more arms rasterizes again, half a second a time."""

ROOM = 0.25
"""The background is larger than the frame by this share, and shifted by as much from shot to shot."""

NEAREST_MM = 5.0


@dataclass(frozen=True, slots=True)
class _Scene:
    """A staged shot before the sensor: light and noise spread in levels, what the frame will say of it."""

    key: str
    light: Floats
    sigma: Floats
    settings: Mapping[str, str | int | float]
    truth: Mapping[str, Any] | None


class SimCamera:
    """The camera of the simulated lab; the PDFs of the staged sheets lie in ``sheet_folder``."""

    def __init__(self, options: SimOptions, sheet_folder: Path, clock: Clock | None = None) -> None:
        self._options = options
        self._folder = sheet_folder
        self._clock = clock or Clock()
        self._model = options.camera_model()
        self._eye = Eye(self._model)
        self._falloff = falloff_field(options.width, options.height, self._model.fx)
        size = int(options.height * (1 + ROOM)), int(options.width * (1 + ROOM))
        self._background = background_picture(*size, options.clutter, self._generator("background"))
        self._sensor = Sensor(options.width, options.height, options.noise, self._generator("sensor"))
        self._planes: OrderedDict[str, PlaneTexture] = OrderedDict()
        self._boards: dict[tuple[int, int, float], Pixels] = {}
        self._scene: _Scene | None = None
        self._bare: _Scene | None = None
        self._reads = self._peeks = 0
        self._glimpses = Glimpses(self._peek, "simulated camera")

    @property
    def identity(self) -> str:
        """Its URI, with what differs from the defaults."""
        return self._options.uri

    @property
    def model(self) -> CameraModel:
        """Its exact intrinsics."""
        return self._model

    def __enter__(self) -> SimCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget the scene and the rasterized sheets."""
        self._glimpses.close()
        self._planes.clear()
        self._boards.clear()
        self._scene = self._bare = None

    def stage(self, shot: Shot, sheet: Sheet | None) -> None:
        """Put ``sheet`` before the camera under the shot's condition; None leaves the place empty.

        :class:`BadInput` for a light or an ``extra`` that the simulator does not know, a sheet without its PDF, and a
        condition under which the sheet would reach through the camera.
        """
        self._scene = self._staged(shot.condition, shot.repeat, sheet)
        self._reads = 0

    def show_to(self, viewer: Callable[[Frame], None], wanted: Callable[[], bool]) -> None:
        """Let ``viewer`` see the staged scene, while ``wanted``; what is read is the same with and without."""
        self._glimpses.show_to(viewer, wanted)

    def read(self) -> Frame:
        """The next frame of the staged shot, the bare background before any; noise differs from read to read."""
        frame = self._exposed("read", self._reads)
        self._reads += 1
        return frame

    def _peek(self) -> Frame:
        """In the thread of the viewer: staged scenes never change, there is only another one."""
        self._peeks += 1
        return self._exposed("peek", self._peeks)

    def _exposed(self, *key: object) -> Frame:
        scene = self._scene or self._bare_scene()
        pixels = self._sensor.expose(scene.light, scene.sigma, self._generator(scene.key, *key))
        encoded = b""
        if self._options.jpeg:
            pixels, encoded = _as_jpeg(pixels, self._options.jpeg)
        return Frame(
            pixels=pixels,
            t_mono_ns=self._clock.mono_ns(),
            t_wall_ns=self._clock.wall_ns(),
            encoded=encoded,
            suffix=".jpg" if encoded else ".png",
            settings=scene.settings,
            truth=scene.truth,
        )

    def _bare_scene(self) -> _Scene:
        # Not kept as the staged one: a viewer may ask for it while a shot is being staged.
        self._bare = self._bare or self._staged(Condition(distance_mm=1000), 0, None)
        return self._bare

    def _generator(self, *key: object) -> np.random.Generator:
        """A generator that depends on the camera's seed and ``key`` only."""
        digest = hashlib.sha256("|".join(map(str, (self._options.seed, *key))).encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:16], "big"))

    def _staged(self, condition: Condition, repeat: int, sheet: Sheet | None) -> _Scene:
        light = light_named(condition.light)
        key = f"{sheet.id if sheet else ''}|{condition.model_dump_json()}|{repeat}"
        blur = _blur(condition, self._generator(key, "blur"))
        frame = self._surroundings(light, self._generator(key, "surroundings"))
        middle, size_px = np.array([self._model.cx, self._model.cy]), float(self._model.height)
        plane = truth = None
        if sheet is not None:
            view, pose = self._placed(condition, sheet, self._generator(key, "rig"))
            plane = self._eye.look(self._plane(sheet), pose)
            truth = ground_truth(sheet, pose, view, self._model)
            middle = self._model.project(pose.to_camera(sheet.target.box.center_mm[None]))[0]
            size_px = self._model.fx * max(sheet.width_mm, sheet.height_mm) / view.distance_mm
        field = light_field(light, self._falloff, middle, size_px, self._generator(key, "light"))
        if plane is not None:
            compose(frame, _under(field, plane, frame))
        lit = _lit(blurred(frame, blur), field)
        sigma = noise_levels(lit, light.sensor_gain)
        return _Scene(key, lit, sigma, _settings(condition.light, light, blur), truth)

    def _surroundings(self, light: Light, rng: np.random.Generator) -> Pixels:
        height, width = self._model.height, self._model.width
        room = np.array(self._background.shape[:2]) - [height, width]
        top, left = rng.integers(0, room + 1)
        view = self._background[top : top + height, left : left + width]
        return np.asarray(cv2.convertScaleAbs(view, alpha=light.background), dtype=np.uint8)

    def _placed(self, condition: Condition, sheet: Sheet, rng: np.random.Generator) -> tuple[View, Pose]:
        """Where the sheet really is: a rig is right within 1 % and half a degree, and aims beside the middle."""
        rig = self._options.rig
        distance, yaw, pitch, roll = rng.uniform(-1, 1, 4) * rig
        off_axis = rng.uniform(-0.03, 0.03, 2) * rig * self._model.height / self._model.fx
        view = View(
            condition.distance_mm * (1 + 0.01 * distance),
            condition.yaw_deg + 0.5 * yaw,
            condition.pitch_deg + 0.5 * pitch,
            condition.roll_deg + 0.5 * roll,
        )
        pose = pose_from_view(view, sheet.target.box.center_mm, np.array([*off_axis, 1.0]))
        if pose.to_camera(_reach_mm(sheet))[:, 2].min() < NEAREST_MM:
            raise BadInput(
                f"at distance_mm={condition.distance_mm:g}, yaw_deg={condition.yaw_deg:g}, "
                f"pitch_deg={condition.pitch_deg:g} the sheet {sheet.id} reaches through the simulated camera",
                hint="take a larger distance or a smaller angle",
            )
        return view, pose

    def _plane(self, sheet: Sheet) -> PlaneTexture:
        """The sheet's texture; the last few are kept."""
        key = sheet.model_dump_json()
        if key not in self._planes:
            density = float(np.clip(self._model.fx / 150, 4, 12))
            ink, printer = self._options.ink, self._options.printer
            self._planes[key] = build_plane(sheet, self._folder, self._board, density, ink, printer)
            while len(self._planes) > SHEETS_KEPT:
                self._planes.popitem(last=False)
        self._planes.move_to_end(key)
        return self._planes[key]

    def _board(self, height: int, width: int, texels_per_mm: float) -> Pixels:
        """The lab has one board; sheets of one size share its picture, which the caller may draw on."""
        key = (height, width, texels_per_mm)
        if key not in self._boards:
            self._boards = {key: board_texture(height, width, texels_per_mm, self._generator("board"))}
        return self._boards[key].copy()


def _reach_mm(sheet: Sheet) -> Array:
    """``(4, 2)`` corners a little beyond the board."""
    center = np.array([sheet.width_mm, sheet.height_mm]) / 2
    return np.asarray(center + (sheet.outline_mm() - center) * 1.4, dtype=np.float64)


def _blur(condition: Condition, rng: np.random.Generator) -> Blur:
    """Sharpness from ``condition.extra``; a good lens otherwise."""
    extra = {key: _extra_value(key, value) for key, value in condition.extra.items()}
    lens, turn = rng.uniform(0.4, 0.6), rng.uniform(0, 180)
    return Blur(lens, extra.get("defocus_px", 0.0), extra.get("motion_px", 0.0), extra.get("motion_deg", turn))


def _extra_value(key: str, value: float | str) -> float:
    if key not in EXTRA:
        raise BadInput(f"the simulated camera cannot set extra {key!r}; it knows {', '.join(EXTRA)}")
    low, high = EXTRA[key]
    if isinstance(value, str) or not low <= value <= high:
        raise BadInput(f"extra {key} is {value!r}; the simulated camera takes {low:g} to {high:g}")
    return float(value)


def _under(field: Field, plane: PlaneView, frame: Pixels) -> PlaneView:
    """The plane with the shadow and the reflection that fall on it, where the light has any."""
    if not field.on_plane:
        return plane
    size = (frame.shape[1], frame.shape[0])
    return shaded(plane, *(np.asarray(cv2.resize(part, size), np.float32) for part in (field.shade, field.shine)))


def _lit(frame: Pixels, field: Field) -> Floats:
    """``frame`` under ``field``, as float levels."""
    factor = cv2.resize(field.factor, (frame.shape[1], frame.shape[0]))
    return np.asarray(cv2.multiply(frame, factor, dtype=cv2.CV_32F), dtype=np.float32) + np.float32(field.veil)


def _settings(name: str, light: Light, blur: Blur) -> dict[str, str | int | float]:
    """What the camera reports."""
    return {
        "simulated": True,
        "light": name,
        "exposure_ms": light.exposure_ms,
        "gain": light.sensor_gain,
        "defocus_px": blur.defocus_px,
        "motion_px": blur.motion_px,
    }


def _as_jpeg(pixels: Pixels, quality: int) -> tuple[Pixels, bytes]:
    """Pixels after JPEG, and the JPEG."""
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR) if ok else None
    if decoded is None:
        raise BadImage(f"a frame of {pixels.shape[1]} x {pixels.shape[0]} cannot be stored as JPEG")
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8), data.tobytes()


def ground_truth(sheet: Sheet, pose: Pose, view: View, model: CameraModel) -> dict[str, Any]:
    """Where everything is, exactly, as a JSON object.

    ``H_image_sheet`` is that of the ideal pinhole, without distortion; ``frame_corners_px`` and ``tag_corners_px`` are
    pixels as seen, with distortion, in the order top-left, top-right, bottom-right, bottom-left of the sheet.
    """
    tags = {tag: model.project(pose.to_camera(corners)) for tag, corners in sheet.tag_corners_mm().items()}
    sides = [np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1).min() for corners in tags.values()]
    return {
        "sheet": sheet.id,
        "H_image_sheet": pose.homography(model.matrix).tolist(),
        "rotation": pose.rotation.tolist(),
        "translation_mm": pose.translation_mm.tolist(),
        "camera": model.model_dump(mode="json"),
        "view": asdict(view),
        "frame_corners_px": model.project(pose.to_camera(sheet.frame.corners_mm)).tolist(),
        "tag_corners_px": {str(tag): corners.tolist() for tag, corners in tags.items()},
        "tags_min_side_px": float(min(sides)),
    }
