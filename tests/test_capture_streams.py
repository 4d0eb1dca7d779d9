"""Real streams on loopback: what arrives is what was sent, it is never stale, and a dead stream is noticed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from servers import Stream, encode_jpeg, mjpeg_stream, rtsp_missing, rtsp_stream

from calibration.errors import CameraGone
from capture.cameras.live import Timing
from capture.cameras.open import open_camera
from capture.frame import Clock

FPS = 15
BITS = 6
TIMING = Timing(open_s=5, read_s=1.5, reconnect_s=1.0)


def numbered(number: int, width: int = 320, height: int = 240) -> np.ndarray:
    """A picture that says its number in black and white fields over a gray ramp."""
    ramp = np.linspace(60, 200, width, dtype=np.uint8)
    picture = np.repeat(np.broadcast_to(ramp, (height, width))[..., None], 3, axis=2).copy()
    for bit in range(BITS):
        picture[40:100, 20 + 48 * bit : 60 + 48 * bit] = 255 * (number >> bit & 1)
    picture[140:220, 20:140] = (220, 40, 30)
    return picture


def number_of(pixels: np.ndarray) -> int:
    return sum(int(pixels[70, 40 + 48 * bit].mean() > 127) << bit for bit in range(BITS))


FRAMES = [numbered(i) for i in range(1 << BITS)]


def rtsp() -> ExitStack:
    if reason := rtsp_missing():
        pytest.skip(reason)
    return rtsp_stream(FRAMES, FPS)


STREAMS = {
    "rtsp": rtsp,
    "mjpeg": lambda: mjpeg_stream(FRAMES, FPS),
    "mjpeg-without-lengths": lambda: mjpeg_stream(FRAMES, FPS, lengths=False),
}


@pytest.fixture(params=STREAMS)
def stream(request) -> Iterator[Stream]:
    with STREAMS[request.param]() as running:
        yield running


def opened(url: str, timing: Timing = TIMING):
    return open_camera(url, sheet_folder=Path(), clock=Clock(), timing=timing)


def test_pictures_are_fresh_and_as_sent(stream: Stream) -> None:
    delays = []
    with opened(stream.url) as camera:
        for pause_s in (0, 0.7, 0, 0.4, 0):
            time.sleep(pause_s)
            called = time.monotonic_ns()
            frame = camera.read()
            last = stream.last_sent_before(called)
            later = (number_of(frame.pixels) - last) % len(FRAMES)
            delays.append(later)
            assert frame.t_mono_ns >= called
            assert np.abs(frame.pixels.astype(int) - FRAMES[number_of(frame.pixels)]).mean() < 4
            red = frame.pixels[180, 80].astype(int)
            assert np.abs(red - (220, 40, 30)).max() < 25
    # Sent after the call, and soon: a queue of old ones would show as a large number, modulo.
    assert all(1 <= later <= 12 for later in delays), delays


def test_a_stream_that_dies_is_a_camera_that_is_gone(stream: Stream) -> None:
    with opened(stream.url) as camera:
        camera.read()
        stream.kill()
        begin = time.monotonic()
        with pytest.raises(CameraGone, match=r"last good one came \d+\.\d s ago"):
            read_on(camera)
        waited = time.monotonic() - begin
    assert waited < TIMING.read_s + TIMING.reconnect_s + 2


def read_on(camera) -> None:
    for _ in range(100):
        camera.read()


def test_mjpeg_keeps_the_bytes_of_the_camera_and_its_time_stamp() -> None:
    with mjpeg_stream(FRAMES, FPS) as stream, opened(stream.url) as camera:
        frame = camera.read()
    assert frame.suffix == ".jpg"
    assert frame.encoded == encode_jpeg(FRAMES[number_of(frame.pixels)])
    assert abs(float(frame.settings["x-timestamp"]) - frame.t_wall_ns / 1e9) < 1


def test_a_broken_connection_is_opened_again() -> None:
    with mjpeg_stream(FRAMES, FPS) as first:
        port = int(first.url.rsplit(":", 1)[1].strip("/"))
        camera = opened(first.url, Timing(read_s=5, reconnect_s=10))
        camera.read()
    with camera, mjpeg_stream(FRAMES, FPS, port=port):
        assert number_of(camera.read().pixels) < len(FRAMES)


@pytest.mark.parametrize(("path", "message"), [("page", "sends text/html, not multipart"), ("nothing", "answers 404")])
def test_an_address_that_is_no_stream_says_what_it_is(path: str, message: str) -> None:
    with mjpeg_stream(FRAMES, FPS) as stream, pytest.raises(CameraGone, match=message):
        opened(stream.url + path)


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_nobody_there_and_no_password_shown(scheme: str) -> None:
    with pytest.raises(CameraGone) as caught:
        opened(f"{scheme}://me:hush@127.0.0.1:9/live?token=hush&channel=1")
    assert "hush" not in str(caught.value)
    assert "127.0.0.1:9/live?token=***&channel=1" in str(caught.value)
