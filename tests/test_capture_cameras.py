"""Cameras without a device: addresses, folders of pictures, video files."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from calibration.errors import BadImage, BadUsage, CameraGone, MissingFile
from capture.cameras.base import FiniteCamera
from capture.cameras.open import open_camera, safe_address
from capture.frame import Clock
from capture.picture import decode_picture, encode_png

CLOCK = Clock()


def opened(uri: str | Path):
    return open_camera(str(uri), sheet_folder=Path(), clock=CLOCK)


def flat(level: int, width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def half_red(width: int = 64, height: int = 48) -> np.ndarray:
    picture = flat(0, width, height)
    picture[:, : width // 2] = (250, 10, 10)
    return picture


def as_bytes(pixels: np.ndarray, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("uri", "error", "words"),
    [
        ("", BadUsage, "accepted: sim:"),
        ("usb:0", BadUsage, "'usb:0' is of no known kind; accepted: sim:"),
        ("gopher://me:hush@host/", BadUsage, "'gopher://host/' is of no known kind"),
        ("rtsp://", BadUsage, "not the address of a stream, such as rtsp://"),
        ("http://host:port/", BadUsage, "not the address of a stream"),
        ("http://[::1", BadUsage, "not the address of a stream"),
        ("nowhere/at/all", MissingFile, "there is no camera, file or folder 'nowhere/at/all'"),
        ("folder:nowhere", MissingFile, "'nowhere'"),
        ("video:nowhere.mp4", MissingFile, "nowhere.mp4"),
        ("/dev/video97", CameraGone, "there is no camera at /dev/video97; found:"),
        ("v4l2:/dev/v4l/by-id/usb-none", CameraGone, "there is no camera at /dev/v4l/by-id/usb-none"),
        ("97", CameraGone, "/dev/video97"),
        ("/dev/null", CameraGone, "/dev/null cannot be opened as a camera"),
    ],
)
def test_a_wrong_address_is_refused_in_words(uri: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        opened(uri)
    assert words in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("rtsp://admin:12@3@10.0.0.5:554/ch1#x", "rtsp://10.0.0.5:554/ch1"),
        ("http://h/cgi?channel=2&user=a&pwd=b&subtype=0", "http://h/cgi?channel=2&user=***&pwd=***&subtype=0"),
        ("rtsp://h/user=admin_password=x_y_channel=1.sdp", "rtsp://h/user=***_password=***_channel=1.sdp"),
        ("/dev/video0", "/dev/video0"),
    ],
)
def test_a_shown_address_keeps_no_secret(uri: str, shown: str) -> None:
    assert safe_address(uri) == shown


def test_a_folder_gives_every_picture_once_by_name_with_its_own_bytes(tmp_path: Path) -> None:
    files = {
        "b.PNG": as_bytes(flat(20), "PNG"),
        "a.jpg": as_bytes(flat(10), "JPEG"),
        "c.jpeg": as_bytes(flat(30), "JPEG", quality=50),
        "d.bmp": as_bytes(flat(40), "BMP"),
        "notes.txt": b"no picture",
        ".hidden.png": as_bytes(flat(0), "PNG"),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with opened(tmp_path) as camera:
        assert isinstance(camera, FiniteCamera)
        assert camera.remaining == 4
        frames = [camera.read() for _ in range(4)]
        assert camera.remaining == 0
        with pytest.raises(CameraGone, match="no more pictures"):
            camera.read()
    assert [frame.settings["file"] for frame in frames] == ["a.jpg", "b.PNG", "c.jpeg", "d.bmp"]
    assert [int(frame.pixels.mean()) for frame in frames] == [10, 20, 30, 40]
    kept = [(frame.encoded, frame.suffix) for frame in frames]
    assert kept == [
        (files["a.jpg"], ".jpg"),
        (files["b.PNG"], ".png"),
        (files["c.jpeg"], ".jpg"),
        (b"", ".png"),
    ]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(("orientation", "red_side"), [(1, "left"), (3, "right"), (6, "top"), (8, "bottom")])
def test_orientation_is_applied_to_the_pixels(kind: str, orientation: int, red_side: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode_picture(as_bytes(half_red(), kind, exif=exif), "a picture")
    height, width = pixels.shape[:2]
    assert (height > width) == (red_side in ("top", "bottom"))
    at = {"left": (height // 2, 5), "right": (height // 2, -5), "top": (5, width // 2), "bottom": (-5, width // 2)}
    sides = {side: bool(pixels[place][0] > 128) for side, place in at.items() if side in at}
    assert sides[red_side]
    assert decode_picture(as_bytes(half_red(), kind), "a picture").shape == (48, 64, 3)


def test_damaged_pictures_are_refused_in_their_turn(tmp_path: Path) -> None:
    whole = as_bytes(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8), "JPEG")
    (tmp_path / "0.jpg").write_bytes(whole)
    (tmp_path / "1.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "2.png").write_bytes(b"")
    (tmp_path / "3.png").write_bytes(b"<html>")
    (tmp_path / "4.png").write_bytes(whole)
    camera = opened(f"folder:{tmp_path}")
    camera.read()
    for name in ("1.jpg", "2.png", "3.png"):
        with pytest.raises(BadImage, match=name):
            camera.read()
    last = camera.read()
    assert (last.encoded, last.suffix) == (whole, ".jpg"), "the kind is what the bytes say, not the name"


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.full((4, 4), 7, np.uint8), 7),
        (np.full((4, 4), 0x1234, np.uint16), 0x12),
        (np.full((4, 4, 4), 9, np.uint8), 9),
    ],
)
def test_gray_deep_and_transparent_pictures_become_rgb(pixels: np.ndarray, expected: int) -> None:
    decoded = decode_picture(as_bytes(pixels, "PNG"), "a picture")
    assert (decoded == np.full((4, 4, 3), expected)).all()
    assert decoded.dtype == np.uint8


def test_png_is_lossless() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (33, 57, 3), dtype=np.uint8)
    assert (decode_picture(encode_png(pixels), "a picture") == pixels).all()


def test_an_empty_folder_is_a_missing_input(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"no picture in .* end in \.bmp"):
        opened(tmp_path)


def video(path: Path, code: str, levels: list[int]) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 25, (64, 48))
    for level in levels:
        writer.write(flat(level))
    writer.release()
    return path


LEVELS = list(range(10, 250, 6))


@pytest.mark.parametrize(("name", "code"), [("v.avi", "MJPG"), ("v.mkv", "FFV1"), ("v.mp4", "mp4v")])
def test_a_video_gives_every_picture_once_in_order(tmp_path: Path, name: str, code: str) -> None:
    before = dict(os.environ)
    with opened(video(tmp_path / name, code, LEVELS)) as camera:
        frames = []
        while camera.remaining != 0:
            frames.append(camera.read())
        with pytest.raises(CameraGone, match="no more pictures"):
            camera.read()
    seen = [frame.pixels.mean() for frame in frames]
    assert len(seen) == len(LEVELS)
    assert np.abs(np.array(seen) - LEVELS).max() < 5
    assert frames[10].settings["file_ms"] == pytest.approx(400, abs=1)
    assert frames[0].encoded == b""
    assert dict(os.environ) == before


def test_a_video_that_is_cut_off_says_so_once(tmp_path: Path) -> None:
    path = video(tmp_path / "v.avi", "MJPG", LEVELS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    camera = opened(path)
    count, complaints = 0, []
    while camera.remaining != 0:
        try:
            camera.read()
            count += 1
        except BadImage as error:
            complaints.append(str(error))
    assert 0 < count < len(LEVELS)
    assert [f"declares {len(LEVELS)} pictures and gives {count}" in text for text in complaints] == [True]


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"not a video at all" * 100)
    with pytest.raises(BadImage, match="is not a video"):
        opened(tmp_path / "v.mp4")


OPEN_ALL = """
import sys, pathlib
from calibration.errors import DpcamError
from capture.cameras.open import open_camera
from capture.frame import Clock
for uri in sys.argv[1:]:
    try:
        open_camera(uri, sheet_folder=pathlib.Path(), clock=Clock()).read()
    except DpcamError as error:
        print(error.code)
"""


def test_the_libraries_below_write_nothing_to_stderr(tmp_path: Path) -> None:
    """In a process of its own: FFmpeg takes its level once, and another test may have been first."""
    cut = video(tmp_path / "cut.avi", "MJPG", LEVELS)
    cut.write_bytes(cut.read_bytes()[:9000])
    (tmp_path / "junk.mp4").write_bytes(b"not a video at all" * 100)
    uris = [cut, tmp_path / "junk.mp4", "/dev/null", "97", "rtsp://127.0.0.1:9/x", "http://127.0.0.1:9/x"]
    done = subprocess.run([sys.executable, "-c", OPEN_ALL, *map(str, uris)], capture_output=True, text=True)
    assert done.stdout.split() == ["image", *["camera"] * 4]
    assert done.stderr == ""


def test_one_picture_is_a_folder_of_one(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(as_bytes(flat(5), "PNG"))
    camera = opened(tmp_path / "a.png")
    assert camera.remaining == 1
    assert camera.read().pixels.mean() == 5


def test_the_simulator_opens_by_its_address(tmp_path: Path) -> None:
    with open_camera("sim:", sheet_folder=tmp_path, clock=CLOCK) as camera:
        assert not isinstance(camera, FiniteCamera)
        assert camera.model is not None
