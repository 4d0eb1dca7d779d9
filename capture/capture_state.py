"""Where a running capture stands, as those see it who watch and steer it."""

from __future__ import annotations

from typing import Literal

from calibration.files import Document
from capture.plan import Shot

Phase = Literal["starting", "arranging", "asking", "taking", "paused", "over"]
Verb = Literal["ready", "pause", "resume", "retake", "skip", "stop", "note"]


class Step(Document):
    """What the capture did last: a frame, a retry or a skip, with the reason; ``t_wall_ns`` says when."""

    kind: Literal["frame", "retry", "skip"]
    shot: Shot | None
    reason: str
    t_wall_ns: int


class CaptureState(Document):
    """Where a capture stands.

    ``phase``: ``arranging`` (a rig moves), ``asking`` (it waits for "ready"), ``taking``, ``paused``, ``over``.
    ``pausing`` and ``stopping``: that was asked for. ``shot`` is the one in hand and ``words`` its condition, part by
    part. ``done`` of ``total`` shots are over (None when unknown), ``skipped`` of them without a frame. ``can``: what
    may be asked now. ``end``: why it is over. ``revision`` grows with every change.
    """

    revision: int
    phase: Phase
    pausing: bool
    stopping: bool
    session: str
    camera: str
    shot: Shot | None
    words: tuple[str, ...]
    done: int
    total: int | None
    skipped: int
    last: Step | None
    can: tuple[Verb, ...]
    end: str
