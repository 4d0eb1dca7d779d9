"""The whole experiment of a lab, step after step; each step resumes what it finds half done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from capture.session import read_session
from capture.stop import StopFlag, StopRequest
from pipeline.lab import Lab
from pipeline.paper.sheets import patch_path
from pipeline.planning.lab_plan import make_lab_plan
from pipeline.report.run import report_session
from pipeline.scoring.score import Row
from pipeline.sessions.capturing import capture
from pipeline.sessions.localizing import localize_session, summarize_errors
from pipeline.sessions.steps import capture_order
from pipeline.statistics import Judgement
from pipeline.training.order import Wish
from pipeline.training.run import train_patch_of

Say = Callable[[str], None]
Bar = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the experiment left: paths, rows, verdict. ``exit_code`` is not 0 when it was asked to stop."""

    lab: Path
    patches: tuple[Path, ...]
    session: Path | None
    report: Path | None
    rows: tuple[Row, ...]
    judgement: Judgement | None
    seconds: float
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Experiment:
    """Train, sheets, plan, capture, localize, score, report, in one lab."""

    lab: Lab
    retrain: bool

    def run(self, *, ask: Callable[[str], str], stop: StopFlag, say: Say, progress: Bar) -> Outcome:
        """Run all steps; a stop that is asked for ends after the step or shot in hand."""
        started = time.monotonic()
        patches = self._train(stop, say, progress)
        if request := stop():
            return self._stopped(patches, request, started)
        # Who has patches trained anew asks for another plan, too: other patches have other sheets.
        made = make_lab_plan(self.lab, write=True, replace="other" if self.retrain else "untaken")
        say(f"plan: {len(made.plan.shots)} shots of {len(made.plan.arms)} arms")
        order = capture_order(self.lab)
        captured = capture(
            order,
            ask=ask,
            stop=stop,
            progress=lambda step: progress(step.done / (step.total or 1), f"shot {step.done}"),
        )
        if captured.interrupted:
            return self._stopped(patches, captured.interrupted, started)
        say(f"captured {captured.frames} frames, {captured.skipped} skipped: {captured.session}")
        session = read_session(captured.session)
        _, found = localize_session(session, lambda done: progress(done / len(session.frames), "localizing"))
        errors = summarize_errors(found)
        count = sum(each.status == "found" for each in found)
        exactly = f", median corner error {errors.median:.2f} px" if errors.median is not None else ""
        say(f"localized {count} of {len(found)}{exactly}")
        done = report_session(session, self.lab.recognizers(), "cpu", None, lambda n: progress(0.0, f"scoring {n}"))
        return Outcome(
            lab=self.lab.folder,
            patches=patches,
            session=captured.session,
            report=done.path,
            rows=done.scores.rows,
            judgement=done.judgement,
            seconds=round(time.monotonic() - started, 1),
        )

    def _train(self, stop: StopFlag, say: Say, progress: Bar) -> tuple[Path, ...]:
        config = self.lab.config
        paths = []
        for label in dict.fromkeys((config.target.label, self.lab.wrong_class)):
            path = patch_path(self.lab, label)
            if (self.retrain or not path.is_file()) and not stop():
                say(f"training a patch for {label}")
                trained = train_patch_of(self.lab, Wish.of(label), progress=progress, stop=stop)
                path = trained.path
                if trained.warning:
                    say(f"{label}: training was ended after {trained.steps} steps: {trained.warning}")
            paths.append(path)
        return tuple(paths)

    def _stopped(self, patches: tuple[Path, ...], request: StopRequest, started: float) -> Outcome:
        seconds = round(time.monotonic() - started, 1)
        return Outcome(self.lab.folder, patches, None, None, (), None, seconds, request.exit_code)
