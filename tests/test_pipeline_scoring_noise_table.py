"""The table of noises: rates by severity, means over corruptions, arms against bare in pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from pipeline.scoring.noise_table import NoiseGain, NoiseRate, NoiseTable, noise_table
from pipeline.scoring.score import Answer
from pipeline.statistics import by_cell, clustered_rate, paired_effect

CELLS = tuple(f"cell {number}" for number in range(8))
MODELS = (("vgg", False), ("resnet", False), ("cct", True))
NOISES = (("none", 0), *product(("fog", "contrast"), (1, 3, 5)), ("pgd10", 2), ("pgd10", 8), ("sticker", 255))
HARM = {"none": 0.1, "fog": 0.1, "contrast": 0.15, "pgd10": 0.1, "sticker": 0.9}


def answers(arms: tuple[str, ...] = ("bare", "patch"), bursts: int = 1, seed: int = 0) -> list[Answer]:
    """Wrong the more often the more severe; the patch saves some."""
    return list(_answers(arms, bursts, np.random.default_rng(seed)))


def _answers(arms: tuple[str, ...], bursts: int, dice: np.random.Generator) -> Iterator[Answer]:
    for number, (cell, arm, _) in enumerate(product(CELLS, arms, range(bursts))):
        for (model, held_out), (noise, severity) in product(MODELS, NOISES):
            harm = HARM[noise] * min(severity + 1, 8) * (0.5 if arm == "patch" else 1)
            correct = bool(dice.random() > harm)
            yield Answer(
                f"{number:06d}",
                arm,
                cell,
                model,
                held_out,
                "scored",
                truth="stop",
                correct=correct,
                cluster=f"{cell} {arm}",
                noise=noise,
                severity=severity,
            )


def rate(table: NoiseTable, *words: object) -> NoiseRate:
    (found,) = (each for each in table.rates if (each.arm, each.model, each.noise, each.severity) == words)
    return found


def gain(table: NoiseTable, arm: str, model: str | None, held_out: bool, noise: str, *severities: int) -> NoiseGain:
    (found,) = (
        each
        for each in table.gains
        if (each.arm, each.model, each.held_out, each.noise, each.severities)
        == (arm, model, held_out, noise, severities)
    )
    return found


def test_a_rate_counts_one_point_with_cells_as_clusters():
    given = answers(bursts=3)
    table = noise_table(given)
    judged = [each for each in given if (each.arm, each.model, each.noise, each.severity) == ("bare", "cct", "fog", 3)]
    cells = by_cell([(each.cell, bool(each.correct)) for each in judged])
    sums, counts = ([of(each) for each in cells.values()] for of in (sum, len))
    found = rate(table, "bare", "cct", "fog", 3)
    assert found.rate == clustered_rate(np.array(sums, float), np.array(counts, float))
    assert found.rate.n == len(judged) == 3 * len(CELLS)
    assert found.held_out


def test_there_is_a_rate_for_each_point_and_side():
    table = noise_table(answers())
    assert len(table.rates) == len({replace(each, rate=None) for each in table.rates})
    # Two arms; three recognizers and two sides; each noise, and both corruptions together at three severities.
    assert len(table.rates) == 2 * 5 * (len(NOISES) + 3)
    assert table.noises == ("corruptions", "fog", "contrast", "pgd10", "sticker")
    both = {each.held_out: each.rate.n for each in table.rates if each.model is None and each.noise == "corruptions"}
    assert both == {False: 2 * 2 * len(CELLS), True: 2 * len(CELLS)}


def test_a_curve_begins_without_noise_and_goes_by_severity():
    table = noise_table(answers())
    assert [each.severity for each in table.curve("bare", "fog", held_out=True)] == [0, 1, 3, 5]
    assert [each.severity for each in table.curve("patch", "pgd10", held_out=False, model="vgg")] == [0, 2, 8]
    curve = table.curve("bare", "corruptions", held_out=False)
    assert [each.noise for each in curve] == ["none", "corruptions", "corruptions", "corruptions"]
    assert curve[0].rate.rate > curve[-1].rate.rate
    assert table.curve("bare", "snow", held_out=True)[1:] == ()
    assert table.curve("nobody", "fog", held_out=True) == ()


@pytest.mark.parametrize("model", [None, "vgg"])
@pytest.mark.parametrize(
    ("noise", "kinds", "severities"),
    [
        ("none", {"none"}, (0,)),
        ("fog", {"fog"}, (3, 5)),
        ("corruptions", {"fog", "contrast"}, (3, 5)),
        ("pgd10", {"pgd10"}, (8,)),
    ],
)
def test_a_gain_is_the_paired_effect_over_cells(
    model: str | None, noise: str, kinds: set[str], severities: tuple[int, ...]
):
    given = answers(bursts=2)
    found = gain(noise_table(given, seed=3, alpha=0.1), "patch", model, False, noise, *severities)
    chosen = [
        each
        for each in given
        if not each.held_out and model in (None, each.model) and each.noise in kinds and each.severity in severities
    ]
    cells = {
        arm: by_cell([(each.cell, bool(each.correct)) for each in chosen if each.arm == arm])
        for arm in ("patch", "bare")
    }
    expected = paired_effect(cells["patch"], cells["bare"], seed=3, alpha=0.1)
    assert found.effect.cells == expected.cells == len(CELLS)
    for name in ("points", "low", "high", "p_value"):
        assert getattr(found.effect, name) == pytest.approx(getattr(expected, name), abs=1e-9)
    assert found.effect.points == pytest.approx(100 * (found.rate - found.baseline_rate))


def test_sides_are_never_mixed_and_the_baseline_gains_nothing():
    table = noise_table(answers(("bare", "patch", "blank")))
    assert {each.arm for each in table.gains} == {"patch", "blank"}
    assert {(each.model, each.held_out) for each in table.gains} == {(None, False), (None, True), *MODELS}


def test_only_what_both_arms_have_answers_to_is_compared():
    given = answers()
    # The far cells are too small for contrast on the patch alone: what bare says to it there is no news of the patch.
    gone = [
        replace(each, status="not-applicable", correct=None)
        if each.arm == "patch" and each.noise == "contrast" and each.cell in CELLS[:4]
        else each
        for each in given
    ]
    without = [each for each in given if each.noise != "contrast" or each.cell not in CELLS[:4] or each.correct is None]
    assert gain(noise_table(gone), "patch", None, True, "corruptions", 3, 5) == gain(
        noise_table(without), "patch", None, True, "corruptions", 3, 5
    )
    assert rate(noise_table(gone), "patch", "cct", "contrast", 3).rate.n == len(CELLS) - 4


def test_without_the_usual_severities_the_mean_takes_those_there_are():
    mild = [each for each in answers() if each.noise in ("none", "fog", "contrast") and each.severity < 3]
    table = noise_table(mild)
    assert table.severities == (1,)
    assert gain(table, "patch", None, True, "corruptions", 1)
    assert noise_table(answers()).severities == (3, 5)


def test_other_views_jitters_and_what_was_not_judged_have_no_say():
    given = answers()
    others = [replace(each, view="rectified", correct=False) for each in given]
    jitters = [replace(each, repeat=1, correct=False) for each in given]
    unjudged = [replace(each, status="failed", correct=None) for each in given]
    assert noise_table(given + others + jitters + unjudged) == noise_table(given)
    assert noise_table(others, view="rectified").rates[0].rate.correct == 0


@pytest.mark.parametrize("cells", [1, 2])
def test_few_cells_say_little(cells: int):
    few = [each for each in answers() if each.cell in CELLS[:cells]]
    found = gain(noise_table(few), "patch", None, True, "fog", 3, 5)
    assert found.effect.cells == cells
    assert found.effect.p_value >= 0.5


def test_nothing_is_an_empty_table():
    assert noise_table([]) == NoiseTable("bare", (), (), ())
    only_patch = noise_table([each for each in answers() if each.arm == "patch"])
    assert only_patch.gains == ()
    assert only_patch.rates


def test_the_order_of_answers_does_not_matter():
    given = answers()
    assert noise_table(given[::-1]) == noise_table(given)
