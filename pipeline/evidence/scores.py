"""The scores of a session as lines: those that are kept, computed where they are not. What a pack holds and checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from calibration.errors import BadEvidence
from calibration.files import first_problem
from capture.session import Session
from pipeline.evidence.manifest import ScoringOrder
from pipeline.evidence.names import SCORES
from pipeline.recognizers import Recognizer
from pipeline.scoring.run import score_session
from pipeline.scoring.score import Answer, Line, Noise

if TYPE_CHECKING:
    from pipeline.scoring.views import ViewOrder

# What is kept are lines, answers with the hash of their picture.
_LINE: TypeAdapter[Any] = TypeAdapter(Line)


def kept_scores(
    session: Session, recognizers: Sequence[Recognizer], order: ScoringOrder, progress: Callable[[int], None]
) -> Sequence[Answer]:
    """All answers of these recognizers to the session, always in the same order."""
    views, noises = _views(order), _noises(order)
    return score_session(session, recognizers, order.provider, progress, views=views, noises=noises).answers


def _views(order: ScoringOrder) -> ViewOrder | None:
    if not order.shows_more:
        return None
    from pipeline.scoring.views import ViewOrder

    return ViewOrder(tuple(order.views), order.jitter, order.seed)


def _noises(order: ScoringOrder) -> Sequence[Noise]:
    """Their networks and tables are loaded where there are any."""
    if not order.noises:
        return ()
    from pipeline.scoring.noised import noises_named

    return noises_named(order.noises, order.severities, seed=order.seed, place=order.noise_at)


def as_line(answer: Answer) -> bytes:
    """One answer as a line of JSON."""
    return _LINE.dump_json(answer) + b"\n"


def from_lines(lines: Iterable[bytes]) -> Iterator[Line]:
    """The answers that lines say; :class:`BadEvidence` names the line that is none."""
    for number, line in enumerate(lines, 1):
        try:
            yield _LINE.validate_json(line)
        except ValidationError as error:
            where = f"{SCORES}, line {number}"
            raise BadEvidence(f"{where}: {first_problem(error)}", where=where) from error
