"""Two sets of answers to the same session, held against each other: identical, or how far apart, and where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import zip_longest

from pipeline.scoring.score import Answer, Line

_KEY = ("model", "sample", "view", "repeat", "noise", "severity")
_NUMBERS = tuple(each.name for each in fields(Line) if "float | None" in str(each.type))
_TOP = "top"
# Why an answer failed is said in the words of the runtime, which may change with its version.
_WORDS = tuple(each.name for each in fields(Line) if each.name not in {*_KEY, *_NUMBERS, _TOP, "reason"})
_SHOWN = 5

Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """``compared``: answers that are on both sides. ``max_difference``: the largest between two of their numbers.

    ``largest`` names where that is, empty when there is none. ``changed``: answers that say something else (status,
    predicted label, ...) or are on one side only; ``changes`` are the first of them in words.
    """

    compared: int
    max_difference: float
    largest: str
    changed: int
    changes: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Whether every answer is the same to the last digit."""
        return self.changed == 0 and self.max_difference == 0

    def within(self, tolerance: float) -> bool:
        """Whether all answers say the same, with numbers no farther apart than ``tolerance``."""
        return self.changed == 0 and self.max_difference <= tolerance


def compare(packed: Iterable[Answer], again: Iterable[Answer]) -> Comparison:
    """Compare answers by what they answer; in the same order on both sides, nothing is held in memory."""
    sums = _Sums()
    for pair in zip_longest(packed, again):
        sums.take(*pair)
    return sums.result()


def name_of(answer: Answer) -> str:
    """What an answer answers, in words."""
    shown = "" if (answer.view, answer.repeat) == ("natural", 0) else f", {answer.view} {answer.repeat}"
    noised = "" if answer.noise == "none" else f", {answer.noise} {answer.severity}"
    return f"sample {answer.sample} by {answer.model}{shown}{noised}"


class _Sums:
    """What the comparison has found so far. Answers wait for their counterpart, if that does not come with them."""

    def __init__(self) -> None:
        self.waiting: tuple[dict[Key, Answer], dict[Key, Answer]] = ({}, {})
        self.compared = 0
        self.largest: tuple[float, str] = (0.0, "")
        self.changed = 0
        self.changes: list[str] = []

    def take(self, packed: Answer | None, again: Answer | None) -> None:
        """One answer of each side, not necessarily to the same."""
        if packed is not None and again is not None and _key(packed) == _key(again):
            self._pair(packed, again)
            return
        self._wait(packed, 0)
        self._wait(again, 1)

    def _wait(self, answer: Answer | None, side: int) -> None:
        if answer is None:
            return
        other = self.waiting[1 - side].pop(_key(answer), None)
        if other is not None:
            self._pair(*((answer, other) if side == 0 else (other, answer)))
        elif _key(answer) in self.waiting[side]:
            self._change(f"{name_of(answer)} is answered twice")
        else:
            self.waiting[side][_key(answer)] = answer

    def _pair(self, packed: Answer, again: Answer) -> None:
        self.compared += 1
        for name in _WORDS:
            was, now = getattr(packed, name), getattr(again, name)
            if was != now:
                self._change(f"{name_of(packed)}: {name} is {now!r}, packed is {was!r}")
                return
        differences = [_difference(getattr(packed, name), getattr(again, name)) for name in _NUMBERS]
        if None in differences:
            self._change(f"{name_of(packed)} has other numbers than were packed")
            return
        most = max(*(each for each in differences if each is not None), _top_difference(packed.top, again.top))
        if most > self.largest[0]:
            self.largest = (most, name_of(packed))

    def _change(self, words: str) -> None:
        self.changed += 1
        if len(self.changes) < _SHOWN:
            self.changes.append(words)

    def result(self) -> Comparison:
        """All of it; what still waits is on one side only."""
        for side, words in enumerate(("is in the pack, and not scored again", "is scored, and not in the pack")):
            for answer in self.waiting[side].values():
                self._change(f"{name_of(answer)} {words}")
        return Comparison(self.compared, *self.largest, self.changed, tuple(self.changes))


def _key(answer: Answer) -> Key:
    return tuple(getattr(answer, name) for name in _KEY)


def _difference(was: float | None, now: float | None) -> float | None:
    """None when only one side has a number."""
    if was is None or now is None:
        return 0.0 if was is now else None
    return abs(was - now)


def _top_difference(was: tuple[tuple[str, float], ...], now: tuple[tuple[str, float], ...]) -> float:
    """The largest difference between the likeliest labels' probabilities.

    A label that only one side names is on the other at most as likely as the least likely there: ties change places.
    """
    sides = dict(was), dict(now)
    least = [min(side.values(), default=0.0) for side in sides]
    both = {label: (sides[0].get(label, least[0]), sides[1].get(label, least[1])) for label in {**sides[0], **sides[1]}}
    return max((abs(a - b) for a, b in both.values()), default=0.0)
