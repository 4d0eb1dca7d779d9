"""What the control API takes and answers, beside the state and the coverage."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field
from starlette.responses import JSONResponse

from calibration.files import Document
from capture.capture_state import CaptureState
from capture.live.preview import Sight

ShotNumber = Field(default=None, ge=0, le=2**31 - 1, description="Number of the shot in the plan.")
LINE = 2000


class Reason(Document):
    """Why; goes on record."""

    reason: str = Field(default="", max_length=LINE)


class ForShot(Document):
    """Which shot is meant: refused when another one is in hand."""

    shot: int | None = ShotNumber


class ShotReason(Document):
    """Which shot is meant, and why."""

    shot: int | None = ShotNumber
    reason: str = Field(default="", max_length=LINE)


class Remark(Document):
    """A remark that goes on record."""

    text: str = Field(min_length=1, max_length=LINE)


class Nothing(Document):
    """An empty object."""


class Status(Document):
    """Where the capture stands, and what was last seen in the preview."""

    capture: CaptureState
    sight: Sight | None


class ErrorBody(Document):
    """As in the answers of the program; ``hint`` may be empty."""

    code: str
    message: str
    hint: str = ""


class Problem(Document):
    """Why a request was refused."""

    error: ErrorBody


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status of HTTP, and why in one line."""

    status: int
    code: str
    message: str
    hint: str = ""


def refused(refusal: Refusal) -> JSONResponse:
    """The answer to a request that is refused."""
    problem = Problem(error=ErrorBody(code=refusal.code, message=refusal.message, hint=refusal.hint))
    return JSONResponse(problem.model_dump(mode="json"), refusal.status)
