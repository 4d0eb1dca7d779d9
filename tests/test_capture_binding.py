"""A calibration holds for one camera, one resolution, one focus, one zoom: what else is there is refused by name."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calibration.camera import CameraModel
from calibration.errors import BadInput
from calibration.files import write_document
from capture.binding import common_mode, mode_of, refuse_other_camera, refuse_other_mode
from capture.cameras.replay import FolderCamera
from capture.frame import Clock, Frame
from capture.picture import reported_settings
from capture.stop import never
from pipeline.sessions.capturing import CaptureOrder, capture

MODEL = CameraModel(
    camera="v4l2:/dev/video0",
    width=64,
    height=48,
    fx=70,
    fy=70,
    cx=31.5,
    cy=23.5,
    lens="k1",
    settings={"focus": 30.0, "autofocus": 0.0},
)


class Live:
    """A camera that only says what it is."""

    def __init__(self, identity: str) -> None:
        self.identity = identity


def frame(width: int = 64, height: int = 48, **settings: object) -> Frame:
    return Frame(np.zeros((height, width, 3), np.uint8), 0, 0, settings=settings)


def jpeg(**tags: object) -> bytes:
    """A gray picture whose EXIF note says these things."""
    exif = Image.Exif()
    numbers = {"make": 271, "model": 272, "orientation": 274, "focal": 37386, "zoom": 41988, "lens": 42036}
    for name, value in tags.items():
        place = exif if numbers[name] < 30000 else exif.get_ifd(0x8769)
        place[numbers[name]] = value
    stream = io.BytesIO()
    Image.new("RGB", (64, 48), (90, 90, 90)).save(stream, "JPEG", exif=exif)
    return stream.getvalue()


@pytest.mark.parametrize(
    "found",
    [frame(focus=30.0, autofocus=0.0, exposure=3), frame(focus=30.0), frame()],
    ids=["the same", "says less", "says nothing"],
)
def test_the_mode_that_was_calibrated_is_taken(found):
    refuse_other_mode(MODEL, found)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (frame(focus=45.0), "focus is 45.0, calibrated at 30.0"),
        (frame(focus=30.0, autofocus=1.0), "autofocus is 1.0, calibrated at 0.0"),
        (frame(width=128, height=96), "size is 128x96, calibrated at 64x48"),
        (frame(width=48, height=64, focus=1.0), "size is 48x64, calibrated at 64x48; focus is 1.0"),
    ],
)
def test_another_mode_is_refused(found, words):
    with pytest.raises(BadInput, match=words) as refusal:
        refuse_other_mode(MODEL, found)
    assert refusal.value.hint


def test_another_camera_is_refused():
    refuse_other_camera(MODEL, Live("v4l2:/dev/video0"), "0")
    refuse_other_camera(MODEL, Live("v4l2:/dev/v4l/by-id/x"), "v4l2:/dev/video0")
    with pytest.raises(BadInput, match="is for v4l2:/dev/video0, this camera is rtsp:"):
        refuse_other_camera(MODEL, Live("rtsp://10.0.0.1/a"), "rtsp://10.0.0.1/a")


def test_pictures_on_disk_and_files_of_old_are_bound_to_no_name(tmp_path: Path):
    refuse_other_camera(MODEL, FolderCamera("folder:/x", [], Clock()), "x")
    refuse_other_camera(MODEL.model_copy(update={"lens": None}), Live("rtsp://10.0.0.1/a"), "a")


def test_settings_that_differ_within_a_set_are_named():
    assert common_mode({"a": {"zoom": 2.0}, "b": {}, "c": {"zoom": 2.0, "focus": 1.0}}) == {"zoom": 2.0, "focus": 1.0}
    with pytest.raises(BadInput, match=r"zoom is 2.0 in a and 3.0 in b"):
        common_mode({"a": {"zoom": 2.0}, "b": {"zoom": 3.0}})


def test_what_a_picture_says_of_its_camera():
    data = jpeg(make="Acme", model="A 1", orientation=6, focal=4.25, zoom=1.0, lens="Acme 4 mm")
    said = reported_settings(data)
    assert said == {
        "body": "Acme A 1",
        "lens": "Acme 4 mm",
        "focal_length_mm": 4.25,
        "digital_zoom": 1.0,
        "orientation": 6,
    }
    assert mode_of(said) == said
    assert reported_settings(jpeg()) == {}
    assert reported_settings(jpeg(orientation=1)) == {"orientation": 1}
    assert reported_settings(b"no picture") == reported_settings(data[:40]) == {}


@pytest.mark.parametrize(
    ("tags", "words"),
    [({"focal": 8.0}, "focal_length_mm is 8.0, calibrated at 4.25"), ({"orientation": 3}, "orientation is 3")],
    ids=["zoomed", "upside down"],
)
def test_a_session_of_pictures_taken_otherwise_is_refused_before_it_begins(tmp_path: Path, tags, words):
    upright = mode_of(reported_settings(jpeg(focal=4.25, orientation=1)))
    model = MODEL.model_copy(update={"settings": upright})
    write_document(tmp_path / "camera.json", model)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").write_bytes(jpeg(**tags))
    with pytest.raises(BadInput, match=words):
        capture(order(tmp_path), ask=lambda _: "", stop=never, progress=lambda _: None)
    assert not (tmp_path / "sessions").exists()


def test_a_session_ends_where_the_mode_changes(tmp_path: Path):
    write_document(tmp_path / "camera.json", MODEL.model_copy(update={"settings": {"focal_length_mm": 4.25}}))
    (tmp_path / "pictures").mkdir()
    for name, focal in (("a", 4.25), ("b", 8.0)):
        (tmp_path / "pictures" / f"{name}.jpg").write_bytes(jpeg(focal=focal))
    with pytest.raises(BadInput, match=r"focal_length_mm is 8.0"):
        capture(order(tmp_path), ask=lambda _: "", stop=never, progress=lambda _: None)
    (session,) = (tmp_path / "sessions").iterdir()
    kinds = [line.split('"kind":"')[1].split('"')[0] for line in (session / "events.jsonl").read_text().splitlines()]
    assert kinds == ["start", "frame", "error"]


def order(folder: Path) -> CaptureOrder:
    return CaptureOrder(
        uri=f"folder:{folder / 'pictures'}",
        sessions=folder / "sessions",
        sheets=(),
        plan=None,
        calibration=folder / "camera.json",
    )
