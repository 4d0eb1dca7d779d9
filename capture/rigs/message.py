"""What a rig outside of dpcam is asked, and what it answers: one JSON object each, over a pipe or over HTTP."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from calibration.errors import RigGone
from calibration.files import Document, first_problem
from calibration.sheet import Sheet
from capture.plan import Condition, Shot
from capture.rigs.base import Ended, Failed, Prepared, Settled

LONGEST_ANSWER = 2**16
"""Bytes; an answer is a line or two."""

Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class RigRequest(Document):
    """Arrange this: ``sheet`` (its id) of the ``arm``, under the condition; units stand in its names."""

    format: Literal["dpcam.rig-request"] = "dpcam.rig-request"
    version: Literal[1] = 1
    shot: int
    arm: str
    sheet: str
    repeat: int
    condition: Condition


class RigAnswer(Document):
    """``failed``: this shot only, ``ended``: no more shots now. ``reached``: what the rig measured, named as asked."""

    status: Literal["settled", "failed", "ended"]
    reason: str = Field(default="", max_length=2000)
    reached: dict[str, Finite | str] = Field(default_factory=dict)


def request_for(shot: Shot, sheet: Sheet) -> bytes:
    """The request as one line of JSON."""
    condition = shot.condition
    request = RigRequest(shot=shot.index, arm=shot.arm, sheet=sheet.id, repeat=shot.repeat, condition=condition)
    return request.model_dump_json().encode() + b"\n"


def understood(answer: bytes, who: str) -> Prepared:
    """What the answer means; :class:`RigGone` for anything but one JSON object as :class:`RigAnswer` has it."""
    if len(answer) > LONGEST_ANSWER:
        raise RigGone(f"{who} answers more than {LONGEST_ANSWER} bytes; one JSON object is expected")
    if not answer.strip():
        raise RigGone(f"{who} answers nothing; one JSON object is expected")
    try:
        meant = RigAnswer.model_validate(json.loads(answer))
    except ValidationError as error:
        raise RigGone(f"{who} answers what is no answer of a rig: {first_problem(error)}") from error
    except (ValueError, RecursionError) as error:
        raise RigGone(f"{who} answers what is not JSON: {shown(answer)}") from error
    return _prepared(meant, who)


def _prepared(meant: RigAnswer, who: str) -> Prepared:
    if meant.status == "settled":
        return Settled(meant.reached)
    reason = meant.reason or f"{who} says no more"
    return Failed(reason) if meant.status == "failed" else Ended(reason)


def shown(said: bytes) -> str:
    """The beginning of what a rig said, as text for a message."""
    text = repr(said[:120].decode("utf-8", "backslashreplace"))
    return text if len(said) <= 120 else f"{text}..."
