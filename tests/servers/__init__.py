"""Real streams on loopback, fed by the test: RTSP with H.264, motion JPEG over HTTP.

    with rtsp_stream(frames, fps=15) as stream:      # or mjpeg_stream
        open_camera(stream.url, ...)

``frames`` are ``(H, W, 3)`` uint8 RGB of one size; they are sent at ``fps``, and begin again when they end.
"""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np

SERVER = Path(__file__).with_name("rtsp_server.py")
SYSTEM_PYTHON = "/usr/bin/python3"
PACKAGES = (
    "gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good "
    "gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly"
)
_PROBE = (
    "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0');"
    "from gi.repository import Gst, GstRtspServer; Gst.init(None);"
    "assert all(Gst.ElementFactory.find(name) for name in ('x264enc', 'rtph264pay', 'videoconvert'))"
)


@cache
def rtsp_missing() -> str:
    """Why no RTSP server can be started here, and what to install; empty when one can."""
    try:
        found = subprocess.run([SYSTEM_PYTHON, "-c", _PROBE], capture_output=True, timeout=60).returncode == 0
    except OSError:
        found = False
    return "" if found else f"no RTSP server for {SYSTEM_PYTHON}; on Debian: apt-get install {PACKAGES}"


@dataclass
class Stream:
    """A running stream. ``sent``: monotonic ns at which frame number ``i`` (counted on, not modulo) was handed over."""

    url: str
    kill: Callable[[], None]
    sent: list[int] = field(default_factory=list)

    def last_sent_before(self, mono_ns: int) -> int:
        """Number of the last frame handed over before that moment, -1 for none."""
        return int(np.searchsorted(np.array(self.sent), mono_ns)) - 1


def _send_forever(count: int, fps: float, stream: Stream, over: threading.Event, send: Callable[[int], None]) -> None:
    begin = time.monotonic()
    for number in itertools.count():
        if over.wait(max(0.0, begin + number / fps - time.monotonic())):
            return
        stream.sent.append(time.monotonic_ns())
        send(number % count)


@contextmanager
def rtsp_stream(frames: Sequence[np.ndarray], fps: int = 15) -> Iterator[Stream]:
    """H.264 over RTSP; needs what :func:`rtsp_missing` asks for. ``kill`` ends the server at once."""
    height, width = frames[0].shape[:2]
    server = subprocess.Popen(
        [SYSTEM_PYTHON, str(SERVER), *f"--fps {fps} --width {width} --height {height}".split()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert server.stdin
    assert server.stdout
    over = threading.Event()
    stream = Stream(server.stdout.readline().decode().strip(), server.kill)

    def send(number: int) -> None:
        try:
            server.stdin.write(frames[number].tobytes())
            server.stdin.flush()
        except OSError:
            over.set()

    feeder = threading.Thread(target=_send_forever, args=(len(frames), fps, stream, over, send))
    feeder.start()
    try:
        yield stream
    finally:
        over.set()
        server.kill()
        feeder.join()
        server.stdout.close()
        with suppress(BrokenPipeError):
            server.stdin.close()
        server.wait()


class _Pictures:
    """The newest JPEG, for however many clients wait for it."""

    def __init__(self, jpegs: list[bytes]) -> None:
        self.jpegs = jpegs
        self.number = -1
        self.over = threading.Event()
        self.news = threading.Condition()

    def send(self, number: int) -> None:
        with self.news:
            self.number = number
            self.news.notify_all()

    def next(self) -> bytes | None:
        with self.news:
            self.news.wait(1.0)
            return None if self.over.is_set() else self.jpegs[self.number]


def _handler(pictures: _Pictures, lengths: bool) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/page":
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                return
            if self.path != "/":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            try:
                while jpeg := pictures.next():
                    length = f"Content-Length: {len(jpeg)}\r\n" if lengths else ""
                    head = f"--frame\r\nContent-Type: image/jpeg\r\n{length}X-Timestamp: {time.time():.6f}\r\n\r\n"
                    self.wfile.write(head.encode() + jpeg + b"\r\n")
            except OSError:
                return

        def log_message(self, *_: object) -> None:
            return

    return Handler


@contextmanager
def mjpeg_stream(
    frames: Sequence[np.ndarray], fps: float = 15, *, lengths: bool = True, port: int = 0
) -> Iterator[Stream]:
    """Motion JPEG at ``http://127.0.0.1:PORT/``; ``/page`` is a web page. ``kill`` ends all connections at once.

    ``lengths``: whether each part says its length.
    """
    pictures = _Pictures([encode_jpeg(frame) for frame in frames])
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(pictures, lengths))
    server.daemon_threads = False
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})

    def kill() -> None:
        pictures.over.set()
        server.shutdown()
        server.server_close()

    stream = Stream(f"http://127.0.0.1:{server.server_address[1]}/", kill)
    feeder = threading.Thread(target=_send_forever, args=(len(frames), fps, stream, pictures.over, pictures.send))
    serving.start()
    feeder.start()
    try:
        yield stream
    finally:
        kill()
        feeder.join()
        serving.join()


def encode_jpeg(frame: np.ndarray) -> bytes:
    """``(H, W, 3)`` uint8 RGB → JPEG bytes of quality 95."""
    return cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
