"""Scores of a whole session or folder: kept as lines, gone on with where they end, counted as rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from calibration.errors import MissingFile
from calibration.files import in_file_name, make_folder, sha256_bytes, sha256_file
from capture.plan import Plan
from capture.session import Session
from pipeline.recognizers import Provider, Recognizer, runtime_version
from pipeline.scoring.answering import Answerer
from pipeline.scoring.engine import NATURAL, Limits, cores, fill
from pipeline.scoring.score import Noise, Row, Sample, merged
from pipeline.scoring.sources import Folder, session_samples
from pipeline.scoring.store import KeptAnswers, Page, join, locked
from pipeline.sessions.derived import derived_path
from pipeline.sessions.localizing import localize_session
from pipeline.statistics import Rule

if TYPE_CHECKING:
    from pipeline.scoring.views import ViewOrder

Progress = Callable[[int], None]
SCORES_FILE = "scores.jsonl"


@dataclass(frozen=True, slots=True)
class Scores:
    """How many pictures there were, the rows, and where the answers are kept (None: not kept).

    ``answers`` reads them from there, recognizer by recognizer; there are none where they were not kept. ``failures``:
    why answers failed, and how many, the most frequent reason first. ``runtime``: the version of onnxruntime.
    """

    files: int
    rows: tuple[Row, ...]
    path: Path | None
    answers: KeptAnswers
    failures: tuple[tuple[str, int], ...]
    provider: Provider
    runtime: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of the pictures: which recognizers, on what, through which noises; ``shown``: view and repeat."""

    recognizers: tuple[Recognizer, ...]
    provider: Provider
    shown: tuple[tuple[str, int], ...]
    noises: tuple[Noise, ...]
    limits: Limits

    def key(self, more: JsonValue) -> JsonValue:
        """All that an answer rests on, but for picture and recognizer."""
        noises: list[JsonValue] = [noise.key for noise in self.noises]
        return [runtime_version(), self.provider, [list(each) for each in self.shown], noises, more]


def score_session(
    session: Session,
    recognizers: Sequence[Recognizer],
    provider: Provider,
    progress: Progress,
    *,
    views: ViewOrder | None = None,
    noises: Sequence[Noise] = (),
    limits: Limits | None = None,
) -> Scores:
    """Score every frame of a session with every recognizer, beside the session; what is there is not asked again.

    ``views``: the natural one, unless others are asked for.
    """
    asked = _asked(recognizers, provider, views, noises, limits)
    samples = shown_samples(session, views, progress)
    folder = derived_path(session.folder, "scores", "", asked.key(["session", views.seed if views else 0]))
    return _keep(samples, asked, folder, folder, progress)


def shown_samples(session: Session, views: ViewOrder | None, progress: Progress) -> Iterator[Sample]:
    """The frames of a session, in the views that are asked for (None: the natural one); localized, if they were not."""
    _, localized = localize_session(session, progress)
    return session_samples(session, localized, views) if views else session_samples(session, localized)


def score_folder(
    folder: Folder,
    recognizers: Sequence[Recognizer],
    provider: Provider,
    out: Path | None,
    progress: Progress,
    *,
    noises: Sequence[Noise] = (),
    limits: Limits | None = None,
) -> Scores:
    """Score every picture of a folder with every recognizer; kept in ``out`` if it is given, in one file, too."""
    asked = _asked(recognizers, provider, None, noises, limits)
    if out is None:
        return _fill(folder.samples(), asked, [None] * len(recognizers), None, progress)
    kept = out / derived_path(out, "scores", "", asked.key(["images", folder.class_from_folder, folder.label])).name
    scores = _keep(folder.samples(), asked, kept, out / SCORES_FILE, progress)
    join(scores.answers.paths, out / SCORES_FILE)
    return scores


def _asked(
    recognizers: Sequence[Recognizer],
    provider: Provider,
    views: ViewOrder | None,
    noises: Sequence[Noise],
    limits: Limits | None,
) -> Asked:
    shown = views.shown if views else NATURAL
    return Asked(tuple(recognizers), provider, shown, tuple(noises), limits or Limits(workers=cores()))


def _keep(samples: Iterable[Sample], asked: Asked, folder: Path, path: Path, progress: Progress) -> Scores:
    """Fill the recognizers' files in ``folder``, which stay."""
    make_folder(folder)
    with locked(folder):
        return _fill(samples, asked, [folder / page_name(each) for each in asked.recognizers], path, progress)


def _fill(
    samples: Iterable[Sample], asked: Asked, paths: Sequence[Path | None], path: Path | None, progress: Progress
) -> Scores:
    with ExitStack() as stack:
        pages = []
        for recognizer, each in zip(asked.recognizers, paths, strict=True):
            pages.append(Page(Answerer(recognizer, asked.provider, asked.noises), asked.shown, each))
            stack.callback(pages[-1].close)
        files = fill(samples, pages, progress, shown=asked.shown, limits=asked.limits)
        for page in pages:
            page.finish()
    tally = merged(page.tally for page in pages)
    return Scores(
        files=files,
        rows=tuple(tally.rows),
        path=path,
        answers=KeptAnswers(tuple(each for each in paths if each)),
        failures=tuple(sorted(tally.failures.items(), key=lambda item: (-item[1], item[0]))),
        provider=asked.provider,
        runtime=runtime_version(),
    )


def page_name(recognizer: Recognizer) -> str:
    """The file of a recognizer's answers: its name, and a hash of its contract and of the model that is there."""
    try:
        model = sha256_file(recognizer.onnx)
    except MissingFile:
        model = "missing"
    text = json.dumps([recognizer.contract.model_dump(mode="json"), model], sort_keys=True)
    return f"{in_file_name(recognizer.name)}-{sha256_bytes(text.encode())[:12]}.jsonl"


def plan_rule(plan: Plan) -> Rule:
    """The rule that the plan states."""
    return Rule(plan.primary_arm, plan.baseline_arm, plan.alpha, plan.min_effect_points)
