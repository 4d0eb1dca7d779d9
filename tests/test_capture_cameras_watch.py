"""A stream in trouble: nothing stale, frozen, torn or of another size is ever handed out, and all of it is said."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from servers import encode_jpeg
from servers.shaky import ShakyStream, shaky_stream

from calibration.errors import BadConfig, CameraGone
from capture.cameras.base import ReportingCamera
from capture.cameras.jpeg import jpeg_fault
from capture.cameras.live import LiveCamera
from capture.cameras.open import open_camera
from capture.cameras.settings import Ability
from capture.cameras.watch import LONGEST_PAUSE_S, BackOff, CameraEvent, Pace, Timing
from capture.frame import Clock, Frame

BITS = 12
SQUARE = 16
TIMING = Timing(open_s=3, read_s=1.0, reconnect_s=15)
HASTY = Timing(open_s=2, read_s=0.6, reconnect_s=1.0, torn_frames=5)
GOOD_TIME = r"the last good one came \d+\.\d s ago, at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


def numbered(number: int) -> np.ndarray:
    """A picture that says its number, with noise as of a sensor."""
    picture = np.random.default_rng(number).integers(110, 140, (64, SQUARE * BITS, 3), dtype=np.uint8)
    for bit in range(BITS):
        picture[16:48, SQUARE * bit : SQUARE * (bit + 1)] = 255 * (number >> bit & 1)
    return picture


def number_of(frame: Frame) -> int:
    return sum(int(frame.pixels[32, SQUARE * bit + SQUARE // 2].mean() > 127) << bit for bit in range(BITS))


def opened(stream: ShakyStream, timing: Timing = TIMING) -> LiveCamera:
    return open_camera(stream.url, sheet_folder=Path(), clock=Clock(), timing=timing)


def listening(camera: ReportingCamera) -> list[CameraEvent]:
    events: list[CameraEvent] = []
    camera.report_to(events.append)
    return events


def kinds(events: list[CameraEvent]) -> list[str]:
    return [event.kind for event in events]


def test_a_slow_reader_gets_the_scene_of_now():
    """The server stamps what its scene shows; whoever was busy for a while must not get what queued up meanwhile."""
    with shaky_stream(numbered, fps=30) as stream, opened(stream) as camera:
        for busy_s in (0, 0.5, 0, 1.2, 0.1):
            time.sleep(busy_s)
            called_at = stream.number
            frame = camera.read()
            assert called_at < number_of(frame) <= stream.number


@pytest.mark.parametrize(
    ("trouble", "seconds"),
    [("cut", 1), ("cut", 5), ("stalled", 1.5), ("stalled", 5), ("frozen", 2), ("torn", 1), ("scratched", 1)],
)
def test_a_stream_in_trouble_comes_back_by_itself(trouble: str, seconds: float):
    come_back_from(trouble, seconds)


@pytest.mark.slow
def test_streams_in_trouble_for_a_minute_come_back_by_themselves():
    """All at once, each from a server of its own: a minute is long enough."""
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(come_back_from, trouble, 60) for trouble in ("cut", "stalled", "frozen", "torn")]
        for each in waiting:
            each.result()


def come_back_from(trouble: str, seconds: float) -> None:
    with shaky_stream(numbered) as stream, opened(stream, Timing(open_s=3, read_s=1, reconnect_s=90)) as camera:
        events = listening(camera)
        camera.read()
        stream.once(trouble, seconds)
        time.sleep(0.2)
        called_at = stream.number
        first = camera.read()
        second = camera.read()
    assert called_at < number_of(first) < number_of(second)
    troubles = [event for event in events if event.kind not in ("late", "back")]
    expected = {"cut": "lost", "stalled": "lost", "scratched": "torn"}.get(trouble, trouble)
    assert expected in kinds(troubles)
    assert all(re.search(GOOD_TIME, event.text) for event in troubles), troubles
    if trouble == "cut":
        assert kinds(events)[-1] == "back"
        assert 1 <= stream.calls <= 6 + seconds / LONGEST_PAUSE_S, "pauses grow"


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("cut", "does not answer|broke off"),
        ("stalled", r"stalled: no picture within 0\.6 s"),
        ("frozen", "is frozen: the same picture came 1[56] times"),
        ("torn", "sent a damaged JPEG"),
        ("scratched", r"sent a damaged JPEG: byte \d+ is damaged"),
    ],
)
def test_trouble_that_stays_is_a_camera_that_is_gone(trouble: str, words: str):
    with shaky_stream(numbered) as stream, opened(stream, HASTY) as camera:
        events = listening(camera)
        camera.read()
        stream.trouble = trouble
        time.sleep(0.15)
        begin = time.monotonic()
        with pytest.raises(CameraGone, match=f"({words}).*; {GOOD_TIME}"):
            camera.read()
        assert time.monotonic() - begin < HASTY.read_s + HASTY.reconnect_s + LONGEST_PAUSE_S + 3
        with pytest.raises(CameraGone):
            camera.read()
    assert events


def test_a_frozen_picture_is_never_handed_out():
    """Not even the first: what stands still is known from two that arrive."""
    with shaky_stream(numbered) as stream, opened(stream, HASTY) as camera:
        camera.read()
        time.sleep(0.3)
        stream.trouble = "frozen"
        time.sleep(0.2)
        with pytest.raises(CameraGone, match="frozen"):
            camera.read()


def test_a_source_without_noise_may_stand_still():
    with shaky_stream(lambda _: numbered(7)) as stream, opened(stream, Timing(frozen_frames=0)) as camera:
        assert [number_of(camera.read()) for _ in range(2)] == [7, 7]


def test_a_torn_picture_is_passed_over_and_said():
    with shaky_stream(numbered) as stream, opened(stream, Timing(torn_frames=1000)) as camera:
        events = listening(camera)
        camera.read()
        stream.once("torn", 0.5)
        camera.read()
    assert set(kinds(events)) == {"torn"}
    assert events[0].text.startswith("torn picture: http://127.0.0.1:")


def test_torn_pictures_of_a_stream_without_lengths():
    with shaky_stream(numbered, lengths=False) as stream, opened(stream) as camera:
        events = listening(camera)
        camera.read()
        stream.once("torn", 0.6)
        time.sleep(0.1)
        called_at = stream.number
        assert number_of(camera.read()) > called_at
    assert "torn" in kinds(events)


def test_another_resolution_is_refused():
    big = threading.Event()

    def picture(number: int) -> np.ndarray:
        return np.kron(numbered(number), np.ones((2, 2, 1), np.uint8)) if big.is_set() else numbered(number)

    with shaky_stream(picture) as stream, opened(stream, HASTY) as camera:
        events = listening(camera)
        camera.read()
        big.set()
        time.sleep(0.15)
        with pytest.raises(CameraGone, match=r"sends 384x128 now, it was opened at 192x64.*last good"):
            camera.read()
    assert kinds(events)[0] == "resized"


def test_nobody_is_told_of_a_camera_that_nobody_waits_for():
    """It may go and come while the operator puts up a sheet; it need not be there until somebody reads."""
    with shaky_stream(numbered) as stream, opened(stream, HASTY) as camera:
        events = listening(camera)
        camera.read()
        stream.trouble = "cut"
        time.sleep(3 * HASTY.reconnect_s)
        stream.trouble = ""
        camera.read()
    assert kinds(events) == ["lost", "back"]


class Device:
    """A connection with settings, for what no device on this machine can show: gain in steps of 10, up to 100."""

    def __init__(self, pictures: Callable[[], np.ndarray]) -> None:
        self.pictures = pictures
        self.gain = 50
        self.grabs = 0
        self.after_change = 0

    def grab(self) -> None:
        time.sleep(0.005)
        self.grabs += 1
        self.after_change += 1
        if self.grabs % 1000 == 0:
            raise CameraGone("unplugged")

    def evidence(self) -> bytes:
        return bytes(str(self.grabs), "ascii")

    def frame(self, t_mono_ns: int, t_wall_ns: int) -> Frame:
        reported = {"gain": self.gain, "after_change": self.after_change}
        return Frame(self.pictures(), t_mono_ns, t_wall_ns, settings=reported)

    def close(self) -> None:
        return

    def abilities(self) -> tuple[Ability, ...]:
        return (Ability("gain", self.gain, low=0, high=100),)

    def set_value(self, name: str, value: str | int | float) -> None:
        assert name == "gain"
        self.gain = min(100, 10 * int(float(value) / 10))
        self.after_change = 0


def device_camera(**settings: int) -> tuple[LiveCamera, list[Device]]:
    devices: list[Device] = []

    def connect() -> Device:
        devices.append(Device(lambda: numbered(1)))
        return devices[-1]

    timing = Timing(read_s=2, reconnect_s=5, settle_frames=7, latency_s=0)
    return LiveCamera("test:device", connect, Clock(), timing, settings), devices


def test_settings_are_set_read_back_kept_with_the_frame_and_settle():
    camera, devices = device_camera(gain=70)
    with camera:
        first = camera.read()
        assert (first.settings["gain"], first.settings["asked_gain"]) == (70, 70)
        assert first.settings["after_change"] > TIMING.settle_frames
        camera.adjust({"gain": 20})
        second = camera.read()
        assert (second.settings["gain"], second.settings["asked_gain"]) == (20, 20)
        assert second.settings["after_change"] > 7
        assert [(ability.value, ability.accepted) for ability in camera.abilities()] == [(20, "0 to 100")]
        devices[0].grabs = 998
        again = camera.read()
        while len(devices) == 1:
            again = camera.read()
    assert again.settings["gain"] == 20, "it forgot, and was told again"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"gain": 75}, r"test:device does not take gain = 75, it has 70; accepted: 0 to 100"),
        ({"gian": 10}, r"test:device has no setting 'gian'; it has gain"),
    ],
)
def test_what_a_camera_does_not_take_is_refused_by_name(asked: dict[str, int], words: str):
    with pytest.raises(BadConfig, match=words):
        device_camera(**asked)
    camera, _ = device_camera()
    with camera:
        with pytest.raises(BadConfig, match=words):
            camera.adjust(asked)
        assert "asked_gain" not in camera.read().settings


def test_a_stream_takes_no_settings():
    with shaky_stream(numbered) as stream, pytest.raises(BadConfig, match="takes no settings from here, asked for: g"):
        open_camera(stream.url, sheet_folder=Path(), clock=Clock(), settings={"gain": 3})
    with pytest.raises(BadConfig, match="sim: takes no settings"):
        open_camera("sim:", sheet_folder=Path(), clock=Clock(), settings={"gain": 3})


def test_a_late_picture_is_one_that_takes_long_by_its_own_measure():
    pace = Pace(late_s=1.0)
    at_s = [0, 0.1, 0.2, 0.3, 2.0, 2.1]
    assert [pace.arrive(round(s * 1e9)) for s in at_s] == [0, 0, 0, 0, pytest.approx(1.7), 0]
    slow = Pace(late_s=1.0)
    assert [slow.arrive(round(2e9 * i)) for i in range(5)] == [0] * 5
    assert pace.arrived == 6


def test_pauses_double_up_to_a_limit():
    back_off = BackOff()
    assert [back_off.next_s() for _ in range(7)] == [0.25, 0.5, 1, 2, 4, 4, 4]
    back_off.reset()
    assert back_off.next_s() == 0.25


WHOLE = encode_jpeg(numbered(9))


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (WHOLE, ""),
        (WHOLE + b"\0\0\r\n", ""),
        (b"", "it does not begin like a JPEG"),
        (b"<html>", "it does not begin like a JPEG"),
        (WHOLE[:-2], "it ends early"),
        (WHOLE[: len(WHOLE) // 2], "it ends early"),
        (WHOLE[:30], "it ends early"),
        (b"\xff\xd8\xff\xd9", "it has no picture in it"),
        (WHOLE[:1000] + bytes(range(256)) + b"\xff\xc0" + WHOLE[1258:], "byte 1255 is damaged"),
        (WHOLE[:2] + b"\0" * 20 + WHOLE[22:], "byte 2 is damaged"),
    ],
)
def test_a_jpeg_hangs_together_or_not(data: bytes, fault: str):
    assert jpeg_fault(data) == fault


def test_damage_inside_a_stream_is_found_where_decoders_are_silent():
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(50):
        at = int(rng.integers(700, len(WHOLE) - 1100))
        junk = rng.integers(0, 256, 1000, dtype=np.uint8).tobytes()
        found += bool(jpeg_fault(WHOLE[:at] + junk + WHOLE[at + 1000 :]))
    assert found >= 45
