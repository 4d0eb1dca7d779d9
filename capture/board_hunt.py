"""A board before a live camera: views that are still and new, each kept, until the set is good."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from calibration.board import Board, BoardSighting
from calibration.calibrate import moved_px, why_useless
from calibration.coverage import coverage_of
from calibration.errors import BadImage
from capture.binding import mode_of
from capture.cameras.base import Camera, FiniteCamera
from capture.frame import Clock, Frame
from capture.stop import StopFlag, never

STILL_SHARE = 0.002
"""A board that moved by more of the picture's width from one picture to the next was not still."""

Setting = str | int | float


@dataclass(frozen=True, slots=True)
class Hint:
    """What the operator is told after a picture: the views kept so far, why this one was not, what to show next."""

    views: Mapping[str, BoardSighting]
    reason: str
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hunt:
    """The views that were kept, by the names of their pictures, and the settings of each."""

    views: dict[str, BoardSighting]
    modes: dict[str, dict[str, Setting]]
    interrupted: bool


def hunt_views(
    camera: Camera,
    board: Board,
    *,
    keep: Callable[[int, Frame], str],
    tell: Callable[[Hint], None],
    clock: Clock,
    most: int,
    seconds: float,
    stop: StopFlag = never,
) -> Hunt:
    """Watch the camera until the views are complete and at least ``most``, or for so many seconds.

    ``keep`` stores a picture (number, frame) and gives its name. A live camera's picture counts when the board stands
    where it stood in the picture before; pictures on disk count as they are.
    """
    hunt = _Hunt(board, keep, needs_still=not isinstance(camera, FiniteCamera))
    end_ns = clock.mono_ns() + round(seconds * 1e9)
    while clock.mono_ns() < end_ns and not (isinstance(camera, FiniteCamera) and camera.remaining == 0):
        if stop():
            return Hunt(hunt.views, hunt.modes, interrupted=True)
        hunt.look(camera, tell)
        if len(hunt.views) >= most and not hunt.missing:
            break
    return Hunt(hunt.views, hunt.modes, interrupted=False)


class _Hunt:
    def __init__(self, board: Board, keep: Callable[[int, Frame], str], *, needs_still: bool) -> None:
        self.board = board
        self.keep = keep
        self.needs_still = needs_still
        self.views: dict[str, BoardSighting] = {}
        self.modes: dict[str, dict[str, Setting]] = {}
        self.missing: tuple[str, ...] = ("the board",)
        self.before: BoardSighting | None = None

    def look(self, camera: Camera, tell: Callable[[Hint], None]) -> None:
        """Take one picture, keep it or say why not."""
        try:
            frame = camera.read()
        except BadImage as error:
            tell(Hint(self.views, error.message, self.missing))
            return
        sighting = self.board.find(frame.pixels)
        reason = why_useless(sighting, self.views) or self._moving(sighting) or self._changed(frame)
        self.before = sighting
        if not reason:
            self._take(frame, sighting)
        tell(Hint(self.views, reason, self.missing))

    def _moving(self, sighting: BoardSighting) -> str:
        if not self.needs_still:
            return ""
        still = self.before is not None and moved_px(sighting, self.before) <= STILL_SHARE * sighting.width
        return "" if still else "hold it still"

    def _changed(self, frame: Frame) -> str:
        """Whether the camera was changed since the first view that was kept: by hand, or by its autofocus."""
        first = next(iter(self.modes.values()), {})
        mode = mode_of(frame.settings)
        changed = [name for name in first if name in mode and mode[name] != first[name]]
        return "; ".join(f"{name} is {mode[name]}, it was {first[name]}" for name in changed)

    def _take(self, frame: Frame, sighting: BoardSighting) -> None:
        name = self.keep(len(self.views), frame)
        self.views[name] = sighting
        self.modes[name] = mode_of(frame.settings)
        self.missing = coverage_of(list(self.views.values()), sighting.width, sighting.height).missing
