"""Scores of a session and of a folder: kept, read again, judged by the plan's rule on held-out recognizers alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from colors import COLORS, color_recognizer, plain
from PIL import Image

from capture.session import Session, read_session
from pipeline.recognizers import Recognizer
from pipeline.report.run import analyse_session
from pipeline.scoring.run import plan_rule, score_folder, score_session
from pipeline.scoring.score import Answer
from pipeline.scoring.sources import list_folder
from pipeline.scoring.views import ViewOrder
from pipeline.statistics import Judgement


def judge_session(session: Session, answers: Iterable[Answer]) -> Judgement | None:
    return analyse_session(session, answers).judgement


SIGNS = ("general-caution", "stop", "yield")


@pytest.fixture
def session(captured: Path, tmp_path: Path) -> Session:
    return read_session(shutil.copytree(captured, tmp_path / "session", ignore=shutil.ignore_patterns("derived")))


@pytest.fixture
def bench(tmp_path: Path) -> list[Recognizer]:
    """Two that take color for class."""
    models = tmp_path / "models"
    return [
        color_recognizer(models, "near", labels=SIGNS),
        color_recognizer(models, "far", labels=SIGNS, held_out=True),
    ]


def quiet(_: int) -> None:
    return


# Kept


def test_scores_are_kept_beside_the_session_and_read_again(session: Session, bench: list[Recognizer]):
    first = score_session(session, bench, "cpu", quiet)
    assert first.files == len(session.frames)
    assert len(first.answers) == 2 * first.files
    assert first.path.parent == session.folder / "derived"
    assert {path.parent for path in first.answers.paths} == {first.path}
    told: list[int] = []
    assert score_session(session, bench, "cpu", told.append) == first
    assert not told, "nothing is computed twice"


def test_each_recognizer_has_a_file_of_its_own(session: Session, bench: list[Recognizer], tmp_path: Path):
    both = score_session(session, bench, "cpu", quiet).answers.paths
    (one,) = score_session(session, bench[:1], "cpu", quiet).answers.paths
    (other,) = score_session(session, [color_recognizer(tmp_path / "again", "near")], "cpu", quiet).answers.paths
    # The last has the same name and bytes as the first but other labels: what it says is something else.
    assert (one in both, other in both) == (True, False)
    assert {answer.model for answer in score_session(session, bench[1:], "cpu", quiet).answers} == {"far"}


def test_scores_that_were_cut_off_are_gone_on_with(session: Session, bench: list[Recognizer]):
    first = score_session(session, bench, "cpu", quiet)
    for path in first.answers.paths:
        whole = path.read_bytes()
        for damaged in (b"", whole[:-40], whole[: len(whole) // 2], whole + whole[-200:], b"{}\n" + whole):
            path.write_bytes(damaged)
            assert score_session(session, bench, "cpu", quiet) == first
            assert path.read_bytes() == whole


def test_other_views_have_rows_and_files_of_their_own(session: Session, bench: list[Recognizer]):
    natural = score_session(session, bench, "cpu", quiet)
    views = ViewOrder(("natural", "object"), jitter=2, seed=3)
    several = score_session(session, bench, "cpu", quiet, views=views)
    assert several.path != natural.path
    assert len(several.answers) == 4 * len(natural.answers)
    assert {(each.view, each.repeat) for each in several.answers} == set(views.shown)
    assert [row for row in several.rows if row.view == "natural"] == list(natural.rows)
    assert sum(row.n for row in several.rows if row.view == "object") == len(natural.answers)
    assert judge_session(session, several.answers) == judge_session(session, natural.answers)


def test_a_folder_s_answers_are_kept_where_asked(bench: list[Recognizer], tmp_path: Path):
    for label, color in zip(SIGNS, COLORS.values(), strict=True):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        Image.fromarray(plain(color)).save(tmp_path / "pictures" / label / "one.png")
    folder = list_folder(tmp_path / "pictures", class_from_folder=True, label=None)
    unkept = score_folder(folder, bench, "cpu", None, quiet)
    kept = score_folder(folder, bench, "cpu", tmp_path / "out", quiet)
    assert (unkept.path, kept.path) == (None, tmp_path / "out" / "scores.jsonl")
    assert kept.path.read_bytes() == b"".join(path.read_bytes() for path in kept.answers.paths)
    assert len(kept.path.read_text().splitlines()) == len(kept.answers) == 2 * len(SIGNS)
    assert [row.correct for row in kept.rows] == [3, 3]
    assert (kept.rows, kept.files, len(unkept.answers)) == (unkept.rows, unkept.files, 0)


# Judged


def answers(arm: str, right: Sequence[bool], *, held_out: bool = True, model: str = "cct") -> list[Answer]:
    """One answer for each condition."""
    return [
        Answer(f"{i}", arm, f"condition {i}", model, held_out, "scored", truth="x", predicted="x", correct=correct)
        for i, correct in enumerate(right)
    ]


YES, NO = [True] * 12, [False] * 12


def test_the_rule_is_the_plan_s(session: Session):
    rule = plan_rule(session.plan)
    assert (rule.arm, rule.baseline) == ("general-caution", "bare")
    assert (rule.alpha, rule.min_effect_points) == (session.plan.alpha, session.plan.min_effect_points)


@pytest.mark.parametrize(
    ("patch", "bare", "verdict"),
    [
        (YES, NO, "PASS"),
        (NO, YES, "FAIL"),
        (YES, YES, "INCONCLUSIVE"),  # not to see a difference is not to know that there is none
        ([True, False] * 6, [False, True] * 6, "INCONCLUSIVE"),
        (YES[:1], NO[:1], "INCONCLUSIVE"),
        (YES, [], "INCONCLUSIVE"),
    ],
)
def test_the_verdict_compares_the_patch_with_bare(session: Session, patch: list[bool], bare: list[bool], verdict: str):
    given = answers("general-caution", patch) + answers("bare", bare)
    assert judge_session(session, given).verdict == verdict


def test_surrogates_and_other_arms_have_no_say(session: Session):
    held_out = answers("general-caution", YES) + answers("bare", NO)
    others = answers("general-caution", NO, held_out=False, model="vgg") + answers(
        "bare", YES, held_out=False, model="vgg"
    )
    controls = answers("blank", YES) + answers("wrong-class", NO)
    assert judge_session(session, held_out + others + controls) == judge_session(session, held_out)
    assert judge_session(session, others).verdict == "INCONCLUSIVE"


def test_what_was_not_scored_is_no_wrong_answer(session: Session):
    given = answers("general-caution", YES) + answers("bare", NO)
    unscored = [
        replace(each, status="missed", correct=None, predicted=None) for each in answers("general-caution", YES)
    ]
    assert judge_session(session, given + unscored) == judge_session(session, given)


def test_more_recognizers_make_no_more_conditions(session: Session):
    """All answers to one shot belong together: a second recognizer that says the same makes nothing surer."""
    one = answers("general-caution", YES[:6] + NO[:2]) + answers("bare", NO[:6] + YES[:2])
    two = one + [replace(each, model="mobilenetv2") for each in one]
    assert judge_session(session, two).effect == judge_session(session, one).effect


def test_without_a_plan_there_is_no_verdict(session: Session):
    assert judge_session(replace(session, plan=None), answers("bare", YES)) is None
