"""The scores of a session as lines: those that are kept, computed where they are not. What a pack holds and checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pydantic import TypeAdapter, ValidationError

from calibration.errors import BadEvidence
from calibration.files import first_problem
from capture.session import Session
from pipeline.evidence.names import SCORES
from pipeline.recognizers import Provider, Recognizer
from pipeline.score import Answer
from pipeline.scoring import score_session

_ANSWER = TypeAdapter(Answer)


def kept_scores(
    session: Session, recognizers: Sequence[Recognizer], provider: Provider, progress: Callable[[int], None]
) -> Iterable[Answer]:
    """All answers of these recognizers to the session, always in the same order; may be gone through twice."""
    return score_session(session, recognizers, provider, progress).answers


def as_line(answer: Answer) -> bytes:
    """One answer as a line of JSON."""
    return _ANSWER.dump_json(answer) + b"\n"


def from_lines(lines: Iterable[bytes]) -> Iterable[Answer]:
    """The answers that lines say; :class:`BadEvidence` names the line that is none."""
    for number, line in enumerate(lines, 1):
        try:
            yield _ANSWER.validate_json(line)
        except ValidationError as error:
            where = f"{SCORES}, line {number}"
            raise BadEvidence(f"{where}: {first_problem(error)}", where=where) from error
