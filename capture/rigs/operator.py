"""A person arranges the scene."""

from __future__ import annotations

from collections.abc import Callable

from calibration.errors import NotReady
from calibration.sheet import Sheet
from capture.plan import Shot
from capture.rigs.base import Again, Ended, Failed, Prepared, Settled, in_words

LINE = "━" * 60
KEYS = "Enter: it stands    s: skip    r: the one before again    q: stop"


class OperatorRig:
    """Says what to arrange and waits for the word. ``ask`` shows a text of several lines and returns the answer."""

    def __init__(self, ask: Callable[[str], str], shots: int | None = None) -> None:
        self._ask = ask
        self._of = f" of {shots}" if shots else ""

    def prepare(self, shot: Shot, sheet: Sheet) -> Prepared:
        """Enter: it stands, ``s``: skip this shot, ``r``: the shot before again, ``q``: stop here.

        Anything else: the question again.

        :class:`NotReady` when nobody answers (the input has ended).
        """
        try:
            answer = self._ask(self._question(shot, sheet)).strip().lower()
        except EOFError as error:
            raise NotReady(
                f"nobody answers for shot {shot.index}: the input has ended", hint="run it in a terminal"
            ) from error
        return self._meant(answer) or self.prepare(shot, sheet)

    def _question(self, shot: Shot, sheet: Sheet) -> str:
        """Few words, each thing on a line of its own: it is read from where the scene is."""
        where = "\n    ".join(in_words(shot.condition).upper().split(", "))
        what = f"shot {shot.index}{self._of}: {shot.arm} (sheet {sheet.id})"
        return f"\n{LINE}\n  {what}\n\n    {where}\n{LINE}\n  [{KEYS}] "

    @staticmethod
    def _meant(answer: str) -> Prepared | None:
        known: dict[str, Prepared] = {
            "": Settled(),
            "s": Failed("skipped by the operator"),
            "r": Again(),
            "q": Ended("operator"),
        }
        return known.get(answer)
