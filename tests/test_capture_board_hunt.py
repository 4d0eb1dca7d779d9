"""A board before a live camera: what is kept, what the operator is told, when it ends."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from board_views import BOARD, CAMERA, many_views

from calibration.board import BoardSighting
from calibration.errors import BadImage
from capture.board_hunt import Hint, hunt_views
from capture.frame import Clock, Frame
from capture.stop import StopRequest

GOOD = list(many_views(30, 1).values())
NOTHING = BoardSighting((), np.empty((0, 2)), np.empty((0, 2)), CAMERA.width, CAMERA.height)


@dataclass
class Stage:
    """A camera and a board in one: the number in a picture says what it shows; None is a picture that is damaged."""

    shown: list[BoardSighting | None]
    read_so_far: int = 0
    hints: list[Hint] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)

    def read(self) -> Frame:
        number = self.read_so_far
        self.read_so_far += 1
        if self.shown[number % len(self.shown)] is None:
            raise BadImage("a picture is damaged")
        return Frame(
            np.full((2, 2, 3), number % len(self.shown), np.uint8), 0, 0, settings={"focus": 7, "gain": number}
        )

    def find(self, pixels: np.ndarray) -> BoardSighting:
        return self.shown[int(pixels[0, 0, 0])] or NOTHING

    def keep(self, number: int, frame: Frame) -> str:
        self.kept.append(int(frame.pixels[0, 0, 0]))
        return f"{number:03d}.png"

    def hunt(self, **more: object):
        given = {"most": 15, "seconds": 60.0, "clock": Clock()} | more
        return hunt_views(self, self, keep=self.keep, tell=self.hints.append, **given)


class Ticking(Clock):
    """A second goes by with every look at it."""

    def __init__(self) -> None:
        object.__setattr__(self, "ticks", iter(range(10_000)))

    def mono_ns(self) -> int:
        return next(self.ticks) * 1_000_000_000


class FiniteStage(Stage):
    """The same from disk: there is an end."""

    @property
    def remaining(self) -> int:
        return len(self.shown) - self.read_so_far


def test_a_view_counts_when_the_board_was_still():
    hunt = Stage([view for view in GOOD for _ in range(2)]).hunt()
    assert 15 <= len(hunt.views) <= 30
    assert not hunt.interrupted
    assert set(map(tuple, map(dict.items, hunt.modes.values()))) == {(("focus", 7),)}


def test_what_the_operator_is_told():
    stage = Stage([NOTHING, GOOD[0], GOOD[0], GOOD[0], None, *[view for view in GOOD for _ in range(2)]])
    stage.hunt()
    reasons = [hint.reason for hint in stage.hints]
    assert "0 corners" in reasons[0]
    assert reasons[1:3] == ["hold it still", ""]
    assert "shows the board where 000.png does" in reasons[3]
    assert reasons[4] == "a picture is damaged"
    assert stage.hints[2].missing
    assert not stage.hints[-1].missing, "it ends when nothing is missing"


def test_it_goes_on_while_something_is_missing_but_not_for_ever():
    level = many_views(20, 3, tilt_deg=1)
    stage = Stage([view for view in level.values() for _ in range(2)])
    hunt = stage.hunt(clock=Ticking(), seconds=45.0)
    assert len(hunt.views) == 20
    assert [what for what in stage.hints[-1].missing if "farther away" in what]


def test_a_camera_that_was_refocused_is_told():
    stage = FiniteStage(GOOD[:4])
    taken = stage.read

    def read() -> Frame:
        frame = taken()
        return replace(frame, settings={"focus": 9 if stage.read_so_far == 3 else 7})

    stage.read = read
    assert len(stage.hunt().views) == 3
    assert stage.hints[2].reason == "focus is 9, it was 7"


def test_pictures_on_disk_need_not_stand_still():
    stage = FiniteStage(GOOD[:9])
    assert len(stage.hunt().views) == 9


@pytest.mark.parametrize("after", [0, 3])
def test_an_interruption_keeps_what_there_is(after):
    stage = Stage([view for view in GOOD for _ in range(2)])
    hunt = stage.hunt(stop=lambda: StopRequest("SIGINT") if len(stage.kept) >= after else None)
    assert hunt.interrupted
    assert len(hunt.views) == len(stage.kept) == after


def test_it_looks_for_a_real_board():
    black = Frame(np.zeros((48, 64, 3), np.uint8), 0, 0)
    stage = FiniteStage([GOOD[0]] * 3)
    stage.read = lambda: (setattr(stage, "read_so_far", stage.read_so_far + 1), black)[1]
    hunt = hunt_views(stage, BOARD, keep=stage.keep, tell=stage.hints.append, clock=Clock(), most=8, seconds=5)
    assert hunt.views == {}
    assert len(stage.hints) == 3
