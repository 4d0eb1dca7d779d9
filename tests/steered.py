"""A capture in a thread, whose scene a person arranges who answers over its control; served over HTTP where asked."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sessions import SHEETS, StagedTestCamera, again, begin, plan

from capture.capture_state import CaptureState
from capture.check import check_session
from capture.control import Control
from capture.live.preview import Preview
from capture.live.server import Address, listening, serving
from capture.rigs.base import RigsInTurn, StagedRig
from capture.rigs.operator import OperatorRig
from capture.runner import run_capture
from capture.session import read_session
from capture.stop import never

PLAN = plan(4)
ENOUGH_S = 60


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + ENOUGH_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


class Steered:
    def __init__(self, root: Path, *, hold: bool = False, camera=None, resume: Path | None = None, **more) -> None:
        self.control, self.preview = Control(hold=hold), Preview()
        self.camera = camera or StagedTestCamera()
        self.stop = self.control.heeding(more.pop("signals", never))
        self.more = more
        self.writer = again(resume) if resume else begin(root, PLAN)
        self.outcome = None
        self.thread = threading.Thread(target=self.run)

    def ask(self, question: str) -> str:
        while (answer := self.control.answer()) is None:
            if self.stop():
                return "q"
            time.sleep(0.002)
        return answer

    def run(self) -> None:
        rig = RigsInTurn(OperatorRig(self.control.heard(self.ask)), StagedRig(self.camera))
        with self.writer:
            self.outcome = run_capture(
                plan=PLAN,
                sheets=SHEETS,
                camera=self.camera,
                rig=rig,
                session=self.writer,
                stop=self.stop,
                control=self.control,
                check=self.preview.show,
                **self.more,
            )

    def asked_for(self, shot: int | None) -> None:
        """Wait until the person is asked for that shot."""
        until(lambda: (state := self.state()).phase == "asking" and (state.shot.index if state.shot else None) == shot)

    def state(self) -> CaptureState:
        return self.control.state()

    def take(self, *shots: int) -> None:
        for shot in shots:
            self.asked_for(shot)
            self.control.ready(shot)

    def events(self, *kinds: type) -> list:
        return [event for event in read_session(self.writer.folder).events() if isinstance(event, kinds)]


@contextmanager
def steered(root: Path, **more) -> Iterator[Steered]:
    capture = Steered(root, **more)
    capture.thread.start()
    try:
        yield capture
        capture.thread.join(ENOUGH_S)
        assert not capture.thread.is_alive()
    finally:
        if capture.thread.is_alive():
            capture.control.stop()
        capture.thread.join(ENOUGH_S)
    check = check_session(capture.writer.folder)
    assert (check.whole, check.orphans) == (True, ())


@dataclass(frozen=True)
class Client:
    """Talks to a server over a socket of its own for each request."""

    url: str

    def request(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers, body; ``body`` as JSON unless it is bytes. Headers with ``_`` for ``-``."""
        where = urlsplit(self.url)
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=ENOUGH_S)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        kind = {} if method == "GET" else {"Content-Type": "application/json"}
        sent = kind | {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def get(self, name: str) -> dict:
        status, _, body = self.request("GET", f"/api/v1/{name}")
        assert status == 200, body
        return json.loads(body)

    def post(self, verb: str, body: object = None) -> dict:
        status, _, answer = self.request("POST", f"/api/v1/{verb}", body or {})
        assert status == 200, answer
        return json.loads(answer)


@contextmanager
def served(control: Control, preview: Preview, host: str = "127.0.0.1") -> Iterator[Client]:
    """A server on a free port."""
    with listening(Address(host, 0)) as at, serving(at, control, preview):
        yield Client(at.url)
