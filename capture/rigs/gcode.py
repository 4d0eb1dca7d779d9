"""A slide or turntable that is moved by G-code over a serial line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from calibration.errors import RigGone
from calibration.sheet import Sheet
from capture.plan import Shot
from capture.rigs.axes import Axis, OutOfReach, targets_of
from capture.rigs.base import Ended, Failed, Prepared, Settled
from capture.rigs.grbl import Grbl, Patience
from capture.rigs.serial_line import SerialLine
from capture.rigs.waiting import StopAsked, Waiting


@dataclass(frozen=True, slots=True)
class Machine:
    """What stands at the end of the line. ``axes`` by letter; ``feed``: units a minute, None: the controller's own.

    ``home``: whether it has limit switches to find itself by. ``settle_s``: what still swings after a move.
    ``recoveries``: how often in a shot it is reset and homed again after a fault, by itself.
    """

    port: str
    axes: Mapping[str, Axis]
    baud: int = 115_200
    home: bool = True
    feed: float | None = None
    settle_s: float = 0.5
    recoveries: int = 0
    patience: Patience = field(default_factory=Patience)


class GcodeRig:
    """Moves the axes of a GRBL controller to where a shot wants them, and believes only what it reads back.

    A context manager: whoever leaves while something moves, by whatever way, stops it.
    """

    def __init__(self, machine: Machine, waiting: Waiting) -> None:
        """Open the line; :class:`RigGone` when nobody is there. Nothing moves yet."""
        self._machine = machine
        self._waiting = waiting
        self._line = SerialLine(machine.port, machine.baud)
        self._grbl = Grbl(self._line, machine.patience, waiting)
        self._ready = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop what moves and give the line back; safe to call twice."""
        try:
            self._stop()
        finally:
            self._line.close()

    def prepare(self, shot: Shot, sheet: Sheet) -> Prepared:
        """Move, read back, let it settle. :class:`Failed` beyond the soft limits, before anything moves."""
        try:
            targets = targets_of(self._machine.axes, shot)
        except OutOfReach as error:
            return Failed(str(error))
        try:
            return self._judged(targets, self._go(targets, self._machine.recoveries))
        except StopAsked as stopped:
            self._stop()
            return Ended(stopped.reason)

    def _go(self, targets: Mapping[str, float], recoveries: int) -> Mapping[str, float]:
        """Where the axes are after the move; after a fault it is tried again as often as that is allowed."""
        try:
            return self._moved(targets)
        except RigGone as error:
            self._stop()
            self._ready = False
            if recoveries:
                return self._go(targets, recoveries - 1)
            raise RigGone(error.message, hint=error.hint, where=self._machine.port) from error

    def _moved(self, targets: Mapping[str, float]) -> Mapping[str, float]:
        if not self._ready:
            self._grbl.wake()
            if self._machine.home:
                self._grbl.home()
            self._ready = True
        reached = self._grbl.move(targets, self._machine.feed)
        self._waiting.rest(self._machine.settle_s)
        return reached

    def _judged(self, targets: Mapping[str, float], reached: Mapping[str, float]) -> Prepared:
        misses = list(self._misses(targets, reached))
        if misses:
            return Failed("the rig missed: " + "; ".join(misses))
        return Settled({axis.follows: axis.reached(reached[letter]) for letter, axis in self._machine.axes.items()})

    def _misses(self, targets: Mapping[str, float], reached: Mapping[str, float]) -> Iterator[str]:
        for letter, want in targets.items():
            axis = self._machine.axes[letter]
            if not abs(reached[letter] - want) <= axis.tolerance:
                yield f"axis {letter} is at {reached[letter]:g}, asked for {want:g} within {axis.tolerance:g}"

    def _stop(self) -> None:
        """Emergency stop where something may move; a line that is gone takes nothing any more."""
        if self._grbl.moving:
            self._ready = False
            with suppress(RigGone):
                self._grbl.halt()
