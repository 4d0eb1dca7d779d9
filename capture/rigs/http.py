"""A rig behind an address: the request is posted, the answer comes back, as with a command."""

from __future__ import annotations

import base64
import http.client
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from calibration.errors import BadConfig, RigGone
from calibration.sheet import Sheet
from capture.cameras.open import safe_address
from capture.plan import Shot
from capture.rigs.base import Ended, Prepared
from capture.rigs.message import LONGEST_ANSWER, request_for, shown, understood
from capture.rigs.waiting import STEP_S, StopAsked, Waiting

WHERE = "rig.http"
_BROKEN = (OSError, http.client.HTTPException, ValueError)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    reason: str
    location: str
    body: bytes


class HttpRig:
    """Posts each request to ``url``, straight, never through a proxy; a user and password in it are sent as such.

    Where it is silent for ``timeout_s``, answers another status than 200 (redirects are not followed) or what is no
    answer, :class:`RigGone` ends the capture, which can be resumed. :class:`BadConfig` for what is no address.
    """

    def __init__(self, url: str, timeout_s: float, waiting: Waiting) -> None:
        self._parts = _checked(url)
        self._name = f"the rig at {safe_address(url)}"
        self._timeout_s = timeout_s
        self._waiting = waiting

    def prepare(self, shot: Shot, sheet: Sheet) -> Prepared:
        """Post this shot and wait for the answer."""
        try:
            answer = self._post(request_for(shot, sheet))
        except StopAsked as stopped:
            return Ended(stopped.reason)
        if answer.status != http.HTTPStatus.OK:
            raise RigGone(f"{self._name} answers {_status(answer)}", where=WHERE)
        return understood(answer.body, self._name)

    def _post(self, request: bytes) -> _Answer:
        """A thread of its own does the talking: it may hang where no request to stop is heard."""
        call = _Call(self._parts, self._timeout_s)
        talking = threading.Thread(target=call.run, args=(request,), daemon=True)
        talking.start()

        def over() -> bool | None:
            talking.join(STEP_S)
            return None if talking.is_alive() else True

        try:
            in_time = self._waiting.until(over, self._timeout_s)
        finally:
            call.hang_up()
        if call.answer and in_time:
            return call.answer
        raise self._silent(call.error if in_time else TimeoutError())

    def _silent(self, error: Exception | None) -> RigGone:
        if isinstance(error, TimeoutError):
            hint = "where it needs longer, raise rig.http.timeout_s"
            return RigGone(f"{self._name} did not answer within {self._timeout_s:g} s", hint=hint, where=WHERE)
        return RigGone(f"{self._name} does not answer: {error}", where=WHERE)


class _Call:
    """One request over a connection of its own; then there is an ``answer``, or an ``error``."""

    def __init__(self, parts: SplitResult, timeout_s: float) -> None:
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.answer: _Answer | None = None
        self.error: Exception | None = None
        self._connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = {"Content-Type": "application/json", "Accept": "application/json", **_who_asks(parts)}

    def run(self, request: bytes) -> None:
        """Ask, and keep what comes of it."""
        try:
            self._connection.request("POST", self._path, request, self._headers)
            with self._connection.getresponse() as response:
                self.answer = _read(response)
        except _BROKEN as error:
            self.error = error
        finally:
            self._connection.close()

    def hang_up(self) -> None:
        """End the connection, which wakes whoever reads from it; safe at any time."""
        if wire := self._connection.sock:
            with suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)


def _read(response: http.client.HTTPResponse) -> _Answer:
    body = response.read(LONGEST_ANSWER + 1)
    if response.length and len(body) <= LONGEST_ANSWER:
        raise http.client.IncompleteRead(body, response.length)
    return _Answer(response.status, response.reason, response.headers.get("Location", ""), body)


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound or not url.isascii() or any(char <= " " for char in url):
        raise BadConfig(
            f"rig.http.url {safe_address(url)!r} is no address such as http://192.0.2.7:8000/prepare",
            where="rig.http.url",
        )
    return parts


def _who_asks(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _status(answer: _Answer) -> str:
    said = f"{answer.status} {answer.reason}".strip()
    if answer.location:
        return f"{said} to {safe_address(answer.location)}; redirects are not followed"
    return f"{said}: {shown(answer.body)}" if answer.body.strip() else said
