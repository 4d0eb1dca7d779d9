"""Reports to look at: small ones by hand, and a session of thousands of shots, drawn by chance with a seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import cv2
import numpy as np

from pipeline.report.content import ReportInput, Section, ShotView, Skip
from pipeline.result import Table
from pipeline.scoring.score import Answer, Row, summarize
from pipeline.statistics import Effect, Judgement

TARGET = "speed-limit-50"
HOSTILE = "<script>alert('x')</script>\"'&{{7*7}}$\\frac$ -->\0\udcff 標識 \u202e\u200b"
FRAME = np.array([[20.0, 30.0], [100.0, 30.0], [100.0, 90.0], [20.0, 90.0]])
TAGS = (FRAME * 0.2, FRAME * 0.2 + 90)
PASS = Judgement("PASS", "The patch beats bare.", Effect(12.5, 3.25, 21.75, 0.0125, 18))

ARMS = ("bare", "blank", "flat", "noise", "label", "wrong-class", TARGET)
MODELS = {"cct": True, "mobilenetv2": True, "densenet": False, "resnet": False, "shufflenetv2": False, "vgg": False}
SAID = ("speed-limit-30", "speed-limit-80", "stop", "yield", "no-entry")
GAINS = {"bare": 0.0, "blank": -0.4, "flat": -0.1, "noise": -0.5, "label": 0.6, "wrong-class": -0.9, TARGET: 1.1}
"""What an arm does to the log odds of a right answer."""


def gradient() -> np.ndarray:
    """``(120, 160, 3)``."""
    x, y = np.meshgrid(np.arange(160), np.arange(120))
    return np.stack([x, y, np.full_like(x, 90)], axis=2).astype(np.uint8)


def shot(name: str, arm: str = TARGET, distance_mm: float | None = 700.0, **changes: object) -> ShotView:
    """A shot whose sheet was found."""
    view = ShotView(name, arm, distance_mm, -40.0, 0.0, "day", gradient, FRAME, TAGS, True)
    return replace(view, **changes)


def lost(name: str, arm: str = TARGET, **changes: object) -> ShotView:
    """A shot whose sheet was not found."""
    missing = {"frame_corners_px": None, "tag_corners_px": TAGS[:1], "found": False, "reason": "1 of 4 tags"}
    return shot(name, arm, **{**missing, **changes})


def answer(view: ShotView, model: str = "vgg", held_out: bool = True, said: str = TARGET) -> Answer:
    """What ``model`` said to a shot; nothing to a lost one."""
    about = (view.name, view.arm, "cell", model, held_out)
    if not view.found:
        return Answer(*about, "missed", view.reason, TARGET)
    return Answer(*about, "scored", "", TARGET, said, 0.9, said == TARGET)


def report(shots: list[ShotView] = [], answers: list[Answer] = [], **changes: object) -> ReportInput:  # noqa: B006
    """A report of these."""
    made = ReportInput(
        title="A session",
        target=TARGET,
        simulated=True,
        judgement=PASS,
        rule="more than 0 points",
        rows=rows_of(answers),
        answers=answers,
        shots=shots,
        skips=[],
        provenance=[("dpcam", "0.1.0")],
        command="dpcam report sessions/a --seed 1",
    )
    return replace(made, **changes)


def rows_of(answers: Iterable[Answer]) -> list[Row]:
    """A row for each arm, recognizer, view, noise and severity."""

    def kind(one: Answer | Row) -> tuple[str, str, int]:
        return one.view, one.noise, one.severity

    rows = []
    for (view, noise, severity), group in groupby(sorted(answers, key=kind), key=kind):
        rows += [replace(row, view=view, noise=noise, severity=severity) for row in summarize(group)]
    return rows


# A large session


def large(count: int, arms: Sequence[str] = ARMS, models: Mapping[str, bool] = MODELS) -> ReportInput:
    """``count`` shots of some arms, answered by some recognizers; the answers are a stream that can be read once."""
    shots = list(_shots(count, arms))
    return ReportInput(
        title=f"Session of {count} shots",
        target=TARGET,
        simulated=True,
        judgement=Judgement(
            "PASS",
            f"{TARGET} against bare on held-out recognizers: +14.2 points (95 % interval +11.8 to +16.6, p = 0.000, "
            "50 conditions); asked: more than 5 points.",
            Effect(14.2, 11.8, 16.6, 0.0005, 50),
        ),
        rule=f"PASS when {TARGET} beats bare on held-out recognizers by more than 5 points.",
        rows=rows_of(answers_to(shots, models)) + list(_noised_rows(arms, models)),
        answers=answers_to(shots, models),
        shots=shots,
        skips=[Skip(str(i), arms[i % len(arms)], "4000 mm, yaw 60°, day", "too blurred") for i in range(count // 100)],
        provenance=[
            ("dpcam", "0.1.0"),
            ("seed of the plan", "7"),
            *((f"recognizer {m}", "sha256 " + "0f" * 32) for m in models),
        ],
        command="dpcam report sessions/large --models cct,mobilenetv2 --provider cpu",
        planned=count + count // 100 + 12,
        statistics=Section(
            "statistics",
            "Statistics",
            ("Every comparison is paired over conditions; p-values are corrected by Holm's method.",),
            (
                Table(
                    "Against bare.",
                    ("Arm", "Recognizer", "Points", "p (Holm)"),
                    ((TARGET, "cct", "+14.2 (+11 to +17)", "0.001"),),
                ),
            ),
        ),
    )


def _shots(count: int, arms: Sequence[str]) -> Iterator[ShotView]:
    rng = np.random.default_rng(5)
    for i, found in enumerate(rng.random(count) < 0.985):
        distance = (800.0, 1200.0, 1800.0, 2600.0, 4000.0)[i // len(arms) % 5]
        yaw = (-60.0, -30.0, 0.0, 30.0, 60.0)[i // len(arms) // 5 % 5]
        if distance == 4000.0 and abs(yaw) == 60.0:
            yaw = 0.0
        make = shot if found else lost
        yield make(
            f"{i:06d}",
            arms[i % len(arms)],
            distance_mm=distance,
            yaw_deg=yaw,
            light=("day", "dusk")[i // len(arms) // 25 % 2],
            picture=scene,
        )


def answers_to(shots: Iterable[ShotView], models: Mapping[str, bool] = MODELS) -> Iterator[Answer]:
    """An answer of each to each shot: the farther and the more oblique, the more of them are wrong."""
    rng = np.random.default_rng(6)
    for view in shots:
        odds = 2.2 - 0.0006 * (view.distance_mm or 0) - 0.02 * abs(view.yaw_deg or 0) + GAINS[view.arm]
        right = rng.random(len(models)) < 1 / (1 + np.exp(-odds))
        other = rng.integers(0, len(SAID), len(models))
        for i, (model, held_out) in enumerate(models.items()):
            said = TARGET if right[i] else "stop" if view.arm == "wrong-class" else SAID[other[i]]
            yield replace(answer(view, model, held_out, said), cell=view.condition)


def _noised_rows(arms: Sequence[str], models: Mapping[str, bool]) -> Iterator[Row]:
    for noise in ("fog", "motion_blur", "jpeg_compression"):
        for severity in (1, 3, 5):
            for arm in arms:
                for model, held_out in models.items():
                    rate = 1 / (1 + np.exp(-1.8 + 0.5 * severity - GAINS[arm] + 0.1 * len(noise)))
                    yield _row(arm, model, held_out, float(rate), noise=noise, severity=severity)
    for view in ("untagged", "frame"):
        for arm in arms:
            yield _row(arm, "cct", True, 0.1 if view == "frame" else 0.8, view=view)


def _row(arm: str, model: str, held_out: bool, rate: float, **kind: object) -> Row:
    correct = round(400 * rate)
    made = Row(arm, model, held_out, 400, 400, 0, 0, 0, correct, correct / 400, rate - 0.04, rate + 0.04)
    return replace(made, **kind)


def scene() -> np.ndarray:
    """``(120, 160, 3)``: something to see."""
    pixels = gradient()
    cv2.circle(pixels, (60, 60), 26, (250, 250, 250), -1)
    cv2.circle(pixels, (60, 60), 26, (200, 20, 30), 5)
    return pixels
