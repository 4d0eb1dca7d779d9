"""One pass over all answers, which come as a stream: what a report needs of them is kept, they are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.scoring.score import Answer, Row, is_primary


@dataclass(frozen=True, slots=True)
class Said:
    """What a recognizer said to a picture whose truth is known. There are few of them: equal ones are one object."""

    model: str
    held_out: bool
    predicted: str
    correct: bool


@dataclass(slots=True)
class HeardShot:
    """What was said to one picture as it is: by whom, and the highest probability of a wrong answer."""

    arm: str
    cell: str
    said: list[Said] = field(default_factory=list)
    surest: float = 0.0


@dataclass(slots=True)
class Heard:
    """What all answers add up to; its size goes with the number of shots, not with that of answers to noises and views.

    ``shots``: by name, in the order of the answers. ``said``: (arm, what was said) → how often. Both are of the
    pictures as they are (natural view, no jitter, no noise). ``unscored``: (status, reason) → how often of these, and
    of all others.
    """

    answers: int = 0
    plain: int = 0
    shots: dict[str, HeardShot] = field(default_factory=dict)
    said: Counter[tuple[str, Said]] = field(default_factory=Counter)
    unscored: Counter[tuple[str, str]] = field(default_factory=Counter)
    unscored_otherwise: Counter[tuple[str, str]] = field(default_factory=Counter)
    _known: dict[tuple[str, bool, str | None, bool | None], Said] = field(default_factory=dict)

    def take(self, answer: Answer) -> None:
        """Add one answer."""
        self.answers += 1
        plain = is_primary(answer)
        self.plain += plain
        if answer.status != "scored":
            (self.unscored if plain else self.unscored_otherwise)[answer.status, answer.reason] += 1
        elif plain and answer.correct is not None:
            self._judged(answer)

    def _judged(self, answer: Answer) -> None:
        key = answer.model, answer.held_out, answer.predicted, answer.correct
        said = self._known.get(key)
        if said is None:
            said = Said(answer.model, answer.held_out, str(answer.predicted), bool(answer.correct))
            self._known[key] = said
        shot = self.shots.get(answer.sample)
        if shot is None:
            shot = self.shots[answer.sample] = HeardShot(answer.arm, answer.cell)
        shot.said.append(said)
        self.said[answer.arm, said] += 1
        if not answer.correct:
            shot.surest = max(shot.surest, answer.probability or 0.0)


def hear(answers: Iterable[Answer]) -> Heard:
    """Read the stream to its end."""
    heard = Heard()
    for answer in answers:
        heard.take(answer)
    return heard


def is_plain(row: Row) -> bool:
    """Whether it is about pictures as they are: the natural view, nothing put before the recognizer."""
    return (row.view, row.noise) == ("natural", "none")
