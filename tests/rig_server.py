"""A rig behind HTTP on loopback, for tests: every path answers in its own way, ``/prepare`` as it should."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class RigServer:
    """``asked``: the requests so far, ``answers`` of which are answered. ``lies``: shot → by how much it is missed.

    ``before`` is called with the number of each shot before it is prepared.
    """

    url: str = ""
    asked: list[dict] = field(default_factory=list)
    authorization: list[str | None] = field(default_factory=list)
    lies: dict[int, float] = field(default_factory=dict)
    answers: int = 1000
    before: Callable[[int], object] = lambda shot: None
    over: threading.Event = field(default_factory=threading.Event)

    def answer(self, request: dict) -> dict:
        self.asked.append(request)
        self.before(request["shot"])
        distance = request["condition"]["distance_mm"] + self.lies.get(request["shot"], 0.0)
        return {"status": "settled", "reached": {"distance_mm": distance, "lamp_c": 41.5}}


OTHER = {
    "/garbage": (200, {}, b"<html>welcome</html>"),
    "/nothing": (200, {}, b""),
    "/much": (200, {}, b"x" * 100_000),
    "/busy": (503, {}, b"motor is hot"),
    "/moved": (307, {"Location": "http://user:secret@127.0.0.1:9/prepare"}, b""),
    "/short": (200, {"Content-Length": "500"}, b'{"status"'),
}


def _handler(rig: RigServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            rig.authorization.append(self.headers["Authorization"])
            if self.path == "/hang":
                rig.over.wait(30)
                return
            if len(rig.asked) >= rig.answers:
                self.path = "/busy"
            status, headers, body = OTHER.get(self.path, (200, {}, b""))
            if self.path == "/prepare":
                body = json.dumps(rig.answer(request)).encode()
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    return Handler


@contextmanager
def rig_server() -> Iterator[RigServer]:
    """A server that is up."""
    rig = RigServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(rig))
    server.daemon_threads = False
    server.handle_error = lambda *_: None
    rig.url = f"http://127.0.0.1:{server.server_address[1]}"
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    serving.start()
    try:
        yield rig
    finally:
        rig.over.set()
        server.shutdown()
        server.server_close()
        serving.join()
