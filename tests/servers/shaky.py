"""A motion JPEG camera that misbehaves on demand: cut off, stalled, frozen, torn, resized, late.

    with shaky_stream(picture) as stream:
        stream.trouble = "frozen"

``picture(number)`` gives the ``(H, W, 3)`` uint8 RGB picture of that number; numbers count on at ``fps``, whatever is
wrong with what is sent.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from servers import encode_jpeg


@dataclass
class ShakyStream:
    """``trouble``: empty, ``cut`` (hangs up, and on every caller), ``stalled``, ``frozen``, ``torn``, ``scratched``."""

    url: str
    picture: Callable[[int], np.ndarray]
    fps: float
    trouble: str = ""
    lengths: bool = True
    born: float = field(default_factory=time.monotonic)
    calls: int = 0
    frozen: bytes = b""

    @property
    def number(self) -> int:
        """The number of the picture that the scene shows now."""
        return int((time.monotonic() - self.born) * self.fps)

    def jpeg(self) -> bytes:
        """What is sent now."""
        if self.trouble == "frozen" and self.frozen:
            return self.frozen
        self.frozen = jpeg = encode_jpeg(self.picture(self.number))
        if self.trouble == "torn":
            return jpeg[: len(jpeg) // 2]
        if self.trouble == "scratched":
            half = len(jpeg) // 2
            return jpeg[:half] + b"\xff\x99" * 20 + jpeg[half + 40 :]
        return jpeg

    def once(self, trouble: str, seconds: float) -> None:
        """Be in trouble for some seconds, then not any more."""
        self.trouble = trouble
        threading.Timer(seconds, lambda: setattr(self, "trouble", "")).start()


class _Handler(BaseHTTPRequestHandler):
    stream: ShakyStream

    def do_GET(self) -> None:
        stream = self.stream
        stream.calls += 1
        if stream.trouble == "cut":
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        with suppress(OSError):
            while stream.trouble not in ("cut", "over"):
                if stream.trouble != "stalled":
                    self._send(stream.jpeg())
                time.sleep(1 / stream.fps)

    def _send(self, jpeg: bytes) -> None:
        length = f"Content-Length: {len(jpeg)}\r\n" if self.stream.lengths else ""
        self.wfile.write(f"--frame\r\nContent-Type: image/jpeg\r\n{length}\r\n".encode() + jpeg + b"\r\n")

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def shaky_stream(picture: Callable[[int], np.ndarray], fps: float = 20, **more: object) -> Iterator[ShakyStream]:
    """Serve at a free port of the loopback until the end of the block."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False
    stream = ShakyStream(f"http://127.0.0.1:{server.server_address[1]}/", picture, fps, **more)
    handler.stream = stream
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    try:
        yield stream
    finally:
        stream.trouble = "over"
        server.shutdown()
        server.server_close()
        serving.join()
