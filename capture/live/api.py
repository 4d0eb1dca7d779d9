"""The control API: what :class:`capture.control.Control` offers, over HTTP, with its OpenAPI document."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from importlib import resources
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from calibration.errors import BadUsage, NotNow
from capture.control import Control
from capture.coverage import Coverage
from capture.live.answers import ForShot, Nothing, Problem, Reason, Refusal, Remark, ShotReason, Status, refused
from capture.live.guard import HEADERS, Guard
from capture.live.preview import Preview
from capture.live.streams import BOUNDARY, events, pictures, status

PREFIX = "/api/v1"
PATIENCE_S = 3.0
WORDS = {404: "there is nothing at this address", 405: "this address does not take that method"}
EventNumber = Annotated[int | None, Query(ge=-1, le=2**31 - 1, description="Number of an event in the journal.")]
Token = Annotated[str, Query(description="The token, when one is asked for; the Authorization header does as well.")]


def live_app(control: Control, preview: Preview, token: str) -> ASGIApp:
    """The page at ``/`` and the API below ``/api/v1``; ``token`` is empty on loopback."""
    page = resources.files("capture.live").joinpath("page.html").read_text(encoding="utf-8")
    app = FastAPI(
        title="dpcam capture",
        version="1",
        description="Watch and steer a running capture.",
        docs_url=None,
        redoc_url=None,
    )
    _refuse_in_one_line(app)
    _add_reading(app, control, preview)
    _add_steering(app, control, preview)

    @app.get("/", include_in_schema=False)
    def live_page() -> HTMLResponse:
        return HTMLResponse(page)

    return Guard(app, token, _headers(page))


def _headers(page: str) -> dict[str, str]:
    """The page's own script and style are known by their hashes; nothing else runs."""
    hashes = {tag: _hash(re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[0]) for tag in ("script", "style")}
    return {name: value.format(**hashes) if "{" in value else value for name, value in HEADERS.items()}


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {number: {"model": Problem} for number in (401, 403, *statuses)}


def _sends(kind: str, *statuses: int) -> dict[str, Any]:
    """What a route answers that sends no JSON, but for its refusals."""
    return {"responses": {200: {"content": {kind: {}}}, **_problems(*statuses)}, "tags": ["watch"]}


def _add_reading(app: FastAPI, control: Control, preview: Preview) -> None:
    read: dict[str, Any] = {"responses": _problems(422), "tags": ["watch"]}

    @app.get(f"{PREFIX}/state", **read)
    def state(token: Token = "") -> Status:
        """Where the capture stands, what it takes now, and what was last seen."""
        return status(control, preview)

    @app.get(f"{PREFIX}/coverage", **read)
    def coverage(token: Token = "") -> Coverage:
        """The grid of the plan: conditions by arms, with what is done, missing or failed."""
        return control.coverage()

    @app.get(f"{PREFIX}/events", response_class=Response, **_sends("text/event-stream", 422))
    def event_stream(request: Request, after: EventNumber = None, token: Token = "") -> Response:
        """Server-sent events: `status` at every change, `journal` for each line of the session's journal."""
        last = request.headers.get("last-event-id", "")
        since = int(last) if last.isdecimal() and len(last) < 10 else after
        return StreamingResponse(events(control, preview, since), media_type="text/event-stream")

    @app.get(f"{PREFIX}/preview.jpg", response_class=Response, **_sends("image/jpeg", 409, 422))
    def picture(token: Token = "") -> Response:
        """The newest picture, with the localization drawn in."""
        found = preview.newer(0, PATIENCE_S)
        if found is None:
            raise NotNow("the camera has given no picture yet")
        return Response(found.jpeg, media_type="image/jpeg")

    @app.get(f"{PREFIX}/preview.mjpeg", response_class=Response, **_sends("multipart/x-mixed-replace", 422))
    def picture_stream(token: Token = "") -> Response:
        """Pictures as they come, with the localization drawn in."""
        return StreamingResponse(
            pictures(control, preview), media_type=f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        )


def _add_steering(app: FastAPI, control: Control, preview: Preview) -> None:
    def steer(name: str) -> Callable[[Callable[..., Status]], Callable[..., Status]]:
        return app.post(f"{PREFIX}/{name}", responses=_problems(400, 409, 411, 413, 415, 422), tags=["steer"])

    @steer("ready")
    def ready(body: ForShot | None = None, token: Token = "") -> Status:
        """The scene stands: take the shot."""
        control.ready((body or ForShot()).shot)
        return status(control, preview)

    @steer("pause")
    def pause(body: Reason | None = None, token: Token = "") -> Status:
        """Arrange and take nothing more until resumed."""
        control.pause((body or Reason()).reason)
        return status(control, preview)

    @steer("resume")
    def resume(body: Nothing | None = None, token: Token = "") -> Status:
        """Go on after a pause."""
        control.resume()
        return status(control, preview)

    @steer("retake")
    def retake(body: ShotReason | None = None, token: Token = "") -> Status:
        """Take a shot again, the last one unless it is named."""
        asked = body or ShotReason()
        control.retake(asked.shot, asked.reason)
        return status(control, preview)

    @steer("skip")
    def skip(body: ShotReason | None = None, token: Token = "") -> Status:
        """Give the shot in hand up, on record."""
        asked = body or ShotReason()
        control.skip(asked.shot, asked.reason)
        return status(control, preview)

    @steer("stop")
    def stop(body: Reason | None = None, token: Token = "") -> Status:
        """End after the shot in hand; the session can be resumed."""
        control.stop((body or Reason()).reason)
        return status(control, preview)

    @steer("note")
    def note(body: Remark, token: Token = "") -> Status:
        """Put a remark on record."""
        control.note(body.text)
        return status(control, preview)


def _refuse_in_one_line(app: FastAPI) -> None:
    """Every refusal has the same form."""

    @app.exception_handler(NotNow)
    async def not_now(_: Request, error: NotNow) -> JSONResponse:
        return refused(Refusal(409, error.code, error.message, error.hint))

    @app.exception_handler(BadUsage)
    async def bad_usage(_: Request, error: BadUsage) -> JSONResponse:
        return refused(Refusal(422, error.code, error.message, error.hint))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return refused(Refusal(422, "usage", f"{where}: {first['msg']}"))

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        message = WORDS.get(error.status_code, str(error.detail))
        answer = refused(Refusal(error.status_code, "usage", message))
        answer.headers.update(error.headers or {})
        return answer
