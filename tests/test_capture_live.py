"""The control API over a real socket: steering, streams, and everything that is refused."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from servers import encode_jpeg
from servers.shaky import shaky_stream
from sessions import frame
from steered import Client, served, steered

from calibration.errors import BadUsage, NotReady
from calibration.files import read_document
from calibration.sheet import Sheet
from capture.cameras.open import open_camera
from capture.control import Control
from capture.frame import Clock
from capture.live.preview import Preview
from capture.live.server import Address, listening, parse_address
from capture.localize import Localization, localize
from capture.picture import decode_picture


@pytest.fixture(scope="module")
def idle() -> Iterator[Client]:
    """A server whose capture has not begun."""
    with served(Control(), Preview()) as client:
        yield client


def problem(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, str]:
    status, headers, body = answer
    assert headers["content-type"] == "application/json"
    error = json.loads(body)["error"]
    assert set(error) == {"code", "message", "hint"}
    assert "\n" not in error["message"]
    return status, error["message"]


def test_a_plan_is_taken_over_http(tmp_path: Path):
    with steered(tmp_path, hold=True) as capture, served(capture.control, capture.preview) as client:
        for shot in range(4):
            capture.asked_for(shot)
            assert client.get("state")["capture"]["shot"]["index"] == shot
            client.post("skip" if shot == 2 else "ready", {"shot": shot})
        capture.asked_for(None)
        client.post("note", {"text": "über alles \N{SMILING FACE WITH SUNGLASSES}"})
        client.post("retake", {"shot": 2})
        capture.asked_for(2)
        states = {
            one["shot"]: one["outcome"]
            for row in client.get("coverage")["rows"]
            for cell in row["cells"]
            for one in cell["shots"]
        }
        assert states == {0: "done", 1: "done", 2: "missing", 3: "done"}
        client.post("pause", {"reason": "coffee"})
        assert problem(client.request("POST", "/api/v1/ready", {}))[0] == 409
        client.post("resume")
        client.post("ready")
        capture.asked_for(None)
        client.post("ready")
        capture.thread.join()
    assert (capture.outcome.frames, capture.outcome.complete) == (4, True)


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "expected", "words"),
    [
        ("GET", "/api/v1/state", None, {"Host": "evil.example:8765"}, 403, "the host 'evil.example:8765' is not known"),
        ("GET", "/", None, {"Host": "evil.example"}, 403, "it is 127.0.0.1 or localhost"),
        ("GET", "/api/v1/state", None, {"Host": "[::1"}, 403, "is not known here"),
        ("POST", "/api/v1/stop", {}, {"Origin": "http://evil.example"}, 403, "may not steer this capture"),
        ("POST", "/api/v1/stop", {}, {"Origin": "null"}, 403, "'null'"),
        (
            "POST",
            "/api/v1/stop",
            b"a=b",
            {"Content_Type": "application/x-www-form-urlencoded"},
            415,
            "application/json",
        ),
        ("POST", "/api/v1/stop", b"{}", {"Content_Type": "text/plain"}, 415, "'text/plain'"),
        ("POST", "/api/v1/stop", b"{", {}, 422, "body"),
        ("POST", "/api/v1/stop", b"\xff\xfe", {}, 422, "JSON"),
        ("POST", "/api/v1/stop", b"[" * 60_000, {}, 400, "parsing"),
        ("POST", "/api/v1/note", {"text": ""}, {}, 422, "body.text"),
        ("POST", "/api/v1/note", {"text": "x" * 2001}, {}, 422, "at most 2000"),
        ("POST", "/api/v1/note", {"text": "\ud800"}, {}, 422, "body.text"),
        ("POST", "/api/v1/note", {"txt": "x"}, {}, 422, "body"),
        ("POST", "/api/v1/skip", {"shot": "one"}, {}, 422, "body.shot"),
        ("POST", "/api/v1/skip", {"shot": -1}, {}, 422, "body.shot"),
        ("POST", "/api/v1/skip", {"shot": 10**30}, {}, 422, "body.shot"),
        ("POST", "/api/v1/skip", [], {}, 422, "body"),
        ("POST", "/api/v1/stop", b"x" * 70_000, {}, 413, "at most 65536"),
        ("POST", "/api/v1/stop", b"{}", {"Content_Length": "-3"}, 400, None),
        ("GET", "/api/v1/events?after=x", None, {}, 422, "query.after"),
        ("GET", "/api/v1/nothing", None, {}, 404, "nothing at this address"),
        ("GET", "/api/v1/stop", None, {}, 405, "does not take that method"),
        ("DELETE", "/api/v1/state", None, {}, 405, "does not take that method"),
        ("POST", "/api/v1/pause", {}, {}, 409, "it takes nothing now"),
    ],
)
def test_what_is_refused(idle: Client, method, path, body, headers, expected: int, words: str | None):
    answer = idle.request(method, path, body, **headers)
    if words is None:
        assert answer[0] == expected
    else:
        status, message = problem(answer)
        assert (status, words in message) == (expected, True), message


def test_a_browser_is_told_to_trust_nothing_else(idle: Client):
    _, headers, body = idle.request("GET", "/", Host="localhost:1234")
    assert headers["content-type"] == "text/html; charset=utf-8"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers
    for outside in (b"http://", b"https://", b"innerHTML", b" style=", b" onclick="):
        assert outside not in body


def test_off_loopback_a_token_is_asked_for():
    with served(Control(), Preview(), "0.0.0.0") as shown:
        token = parse_qs(urlsplit(shown.url).query)["token"][0]
        client = Client(f"http://127.0.0.1:{urlsplit(shown.url).port}")
        assert len(token) >= 20
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {token}"}):
            assert problem(client.request("GET", "/api/v1/state", **headers))[0] == 401
        assert problem(client.request("GET", "/api/v1/state?token=%ff"))[0] == 401
        assert problem(client.request("POST", "/api/v1/stop", {}))[0] == 401
        assert client.request("GET", "/")[0] == 200
        assert client.request("GET", f"/api/v1/state?token={token}", Host="camera-pc:1")[0] == 200
        assert client.request("GET", "/api/v1/state", Authorization=f"Bearer {token}")[0] == 200
        assert client.request("POST", f"/api/v1/pause?token={token}", {})[0] == 409


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9000", Address("127.0.0.1", 9000)),
        (":0", Address("127.0.0.1", 0)),
        ("0.0.0.0:80", Address("0.0.0.0", 80)),
        ("rig-pc", Address("rig-pc", 8765)),
        ("[::1]:81", Address("::1", 81)),
        ("[::]", Address("::", 8765)),
    ],
)
def test_addresses(text: str, address: Address):
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["rig:x", "rig:99999", "::1:80", "a:b:c"])
def test_what_is_no_address(text: str):
    with pytest.raises(BadUsage, match="HOST:PORT is accepted"):
        parse_address(text)


@pytest.mark.parametrize(("host", "words"), [("127.0.0.1", "in use"), ("host.invalid", "cannot listen")])
def test_an_address_that_cannot_be_had(host: str, words: str):
    with listening(Address("127.0.0.1", 0)) as taken:
        port = taken.socket.getsockname()[1]
        with pytest.raises(NotReady, match=words), listening(Address(host, port)):
            pass


def read_events(client: Client, path: str, into: list[tuple[str, dict]], **headers: str) -> None:
    """The whole stream, to its end."""
    _, got, body = client.request("GET", path, **headers)
    assert got["content-type"].startswith("text/event-stream")
    for block in body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            into.append((fields["event"], json.loads(fields["data"])))


def test_events_are_the_journal_and_the_state(tmp_path: Path):
    first, second = [], []
    with steered(tmp_path) as capture, served(capture.control, capture.preview) as client:
        capture.asked_for(0)
        listening_one = threading.Thread(target=read_events, args=(client, "/api/v1/events", first))
        listening_one.start()
        time.sleep(0.3)
        capture.take(0, 1)
        capture.asked_for(2)
        listening_two = threading.Thread(
            target=read_events, args=(client, "/api/v1/events", second), kwargs={"Last_Event_ID": "0"}
        )
        listening_two.start()
        capture.take(2, 3)
        capture.thread.join()
    listening_one.join()
    listening_two.join()
    for events in (first, second):
        journal = [event for kind, event in events if kind == "journal"]
        assert [(event["n"], event["kind"]) for event in journal] == [*((n, "frame") for n in range(1, 5)), (5, "stop")]
        states = [event["capture"] for kind, event in events if kind == "status"]
        assert (states[-1]["phase"], states[-1]["end"]) == ("over", "complete")
        assert [state["revision"] for state in states] == sorted(state["revision"] for state in states)


def test_a_viewer_who_reads_nothing_holds_nobody_up(tmp_path: Path):
    with steered(tmp_path) as capture, served(capture.control, capture.preview) as client:
        where = urlsplit(client.url)
        lazy = [socket.create_connection((where.hostname, where.port)) for _ in range(8)]
        for each, path in zip(lazy, ["preview.mjpeg", "events"] * 4, strict=True):
            each.sendall(f"GET /api/v1/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        noise = np.random.default_rng(0).integers(0, 255, (540, 960, 3), dtype=np.uint8)
        for number in range(40):
            capture.preview.show(frame(number).__class__(noise, number * 10**9, 0))
            time.sleep(0.01)
        capture.take(0, 1, 2, 3)
        capture.thread.join()
        begin = time.monotonic()
    assert time.monotonic() - begin < 6
    for each in lazy:
        each.close()


def scene(sheet: Sheet, folder: Path) -> np.ndarray:
    """The sheet as the simulated camera sees it."""
    from capture.plan import Condition, Shot

    camera = open_camera("sim:?width=1920&height=1080", sheet_folder=folder, clock=Clock())
    camera.stage(Shot(index=0, arm=sheet.arm, sheet=sheet.id, condition=Condition(distance_mm=1200)), sheet)
    return camera.read().pixels


def test_a_live_camera_is_seen_at_ten_pictures_a_second_with_the_sheet_outlined(small_lab: Path):
    path = next((small_lab / "sheets").glob("bare*.json"))
    sheet = read_document(path, Sheet)
    still = scene(sheet, path.parent)
    found: list[Localization] = []

    def locate(pixels: np.ndarray) -> Localization:
        found.append(localize(pixels, [sheet]))
        return found[-1]

    moving = []
    for number in range(7):
        still[:20, : 20 + number] = 255
        moving.append(encode_jpeg(still))
    preview = Preview()
    control = Control()
    with (
        shaky_stream(lambda _: still, fps=30) as stream,
        open_camera(stream.url, sheet_folder=Path(), clock=Clock()) as camera,
    ):
        stream.jpeg = lambda: moving[stream.number % 7]
        camera.show_to(preview.show, preview.wanted)
        preview.locate_with(locate)
        with served(control, preview) as client:
            where = urlsplit(client.url)
            with socket.create_connection((where.hostname, where.port)) as viewer:
                viewer.sendall(b"GET /api/v1/preview.mjpeg HTTP/1.1\r\nHost: localhost\r\n\r\n")
                data, begin = b"", None
                while data.count(b"X-Number") < 40:
                    data += viewer.recv(1 << 16)
                    if begin is None and b"X-Number" in data:
                        begin, arrived = time.monotonic(), camera.arrived
                seconds = time.monotonic() - begin
            sight = client.get("state")["sight"]
            status, headers, jpeg = client.request("GET", "/api/v1/preview.jpg")
    # A machine that is too busy to send 30 pictures a second cannot show what the preview does with them.
    came = (camera.arrived - arrived) / seconds
    assert 39 / seconds >= min(10, came / 3), f"{39 / seconds:.1f} of {came:.1f} a second"
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    assert (sight["found"], sight["arm"], sight["tags"]) == (True, "bare", len(sheet.tags))
    shown = decode_picture(jpeg, "preview").astype(int)
    corner = np.round((found[-1].to_image(sheet.frame.corners_mm)[:2].mean(axis=0) + 0.5) / 2 - 0.5).astype(int)
    beside = shown[corner[1] - 1 : corner[1] + 2, corner[0] - 3 : corner[0] + 4].mean(axis=(0, 1))
    assert beside[1] > beside[0] + 40, beside
