"""Scoring: every picture is answered once by every recognizer, and missed, wrong, failed are never mixed up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from colors import BLACK, COLORS, color_recognizer, plain

from calibration.files import sha256_bytes
from pipeline.scoring.answering import Answerer, softmax
from pipeline.scoring.engine import CHUNK, score
from pipeline.scoring.score import Answer, Crop, Sample, Shown, Status, summarize, true_label
from pipeline.statistics import rate_of


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> list[Answerer]:
    folder = tmp_path_factory.mktemp("colors")
    recognizers = [color_recognizer(folder, "near"), color_recognizer(folder, "far", held_out=True)]
    return [Answerer(each, "cpu") for each in recognizers]


def sample(name: str, color: tuple[int, int, int], truth: str | None, arm: str = "bare") -> Sample:
    return pictured(name, lambda: plain(color), truth, arm)


def pictured(name: str, crop: Callable[[], Crop], truth: str | None, arm: str = "bare") -> Sample:
    """A picture that is shown once, as it is."""
    return Sample(name, sha256_bytes(name.encode()), arm, truth, "cell", name, lambda: [Shown("natural", 0, crop())])


def without(name: str, status: Status, reason: str) -> Sample:
    """A picture that there is nothing to see in."""
    return pictured(name, lambda: (status, reason), "red")


EVERY_KIND = [
    sample("right", COLORS["red"], "red"),
    sample("wrong", COLORS["blue"], "red"),
    sample("by-number", COLORS["green"], "1"),
    sample("nothing-known", COLORS["green"], None),
    sample("other-class", COLORS["green"], "yeti"),
    sample("no-answer", BLACK, "red"),
    without("out-of-sight", "missed", "no tag of a known sheet"),
    without("torn", "failed", "torn cannot be decoded"),
]


def answers(samples: list[Sample], bench: list[Answerer]) -> list[Answer]:
    return list(score(samples, bench, lambda _: None))


def test_each_kind_of_sample_has_its_own_status(bench: list[Answerer]):
    found = {each.sample: each for each in answers(EVERY_KIND, bench[:1])}
    assert {name: (each.status, each.predicted, each.correct) for name, each in found.items()} == {
        "right": ("scored", "red", True),
        "wrong": ("scored", "blue", False),
        "by-number": ("scored", "green", True),
        "nothing-known": ("scored", "green", None),
        "other-class": ("not-applicable", None, None),
        "no-answer": ("failed", None, None),
        "out-of-sight": ("missed", None, None),
        "torn": ("failed", None, None),
    }
    assert found["by-number"].truth == "green"
    assert found["out-of-sight"].reason == "no tag of a known sheet"
    assert found["torn"].reason == "torn cannot be decoded"
    assert "'yeti' is none of the 3 labels" in found["other-class"].reason
    assert "NaN" in found["no-answer"].reason
    assert all(each.reason == "" for each in found.values() if each.status == "scored")


def test_one_bad_answer_costs_one_sample_of_its_batch(bench: list[Answerer]):
    samples = [sample(f"{i}", BLACK if i == 7 else COLORS["red"], "red") for i in range(20)]
    assert Counter(each.status for each in answers(samples, bench)) == {"scored": 38, "failed": 2}


def test_every_sample_meets_every_recognizer_once_whatever_the_batch(bench: list[Answerer]):
    colors = list(COLORS)
    samples = [sample(f"{i}", COLORS[colors[i % 3]], colors[i % 3]) for i in range(2 * CHUNK + 2)]
    told: list[int] = []
    found = list(score(samples, bench, told.append))
    assert Counter((each.sample, each.model) for each in found) == Counter(
        (each.name, one.recognizer.name) for each in samples for one in bench
    )
    assert all(each.correct for each in found)
    assert [each.sample for each in found if each.model == "near"] == [each.name for each in samples]
    assert told == [CHUNK, 2 * CHUNK, 2 * CHUNK + 2]


def test_pictures_are_loaded_once_and_not_before_they_are_needed(bench: list[Answerer]):
    loaded: list[int] = []

    def counted(number: int) -> Sample:
        def crop() -> np.ndarray:
            loaded.append(number)
            return plain(COLORS["red"])

        return pictured(str(number), crop, "red")

    running = score((counted(i) for i in range(9 * CHUNK)), bench, lambda _: None)
    next(running)
    assert max(loaded) < 4 * CHUNK
    assert len(list(running)) == 2 * 9 * CHUNK - 1
    assert sorted(loaded) == list(range(9 * CHUNK))


def test_nothing_to_score_is_no_answer(bench: list[Answerer]):
    assert answers([], bench) == []
    assert answers(EVERY_KIND, []) == []
    assert summarize([]) == []


def test_rows_count_each_status_apart_and_rates_stand_on_what_was_judged(bench: list[Answerer]):
    rows = summarize(answers([*EVERY_KIND, sample("more", COLORS["red"], "red", arm="blank")], bench))
    assert [(row.arm, row.held_out, row.model) for row in rows] == [
        ("bare", False, "near"),
        ("bare", True, "far"),
        ("blank", False, "near"),
        ("blank", True, "far"),
    ]
    row = rows[0]
    assert (row.n, row.scored, row.missed, row.not_applicable, row.failed) == (8, 4, 1, 1, 2)
    interval = rate_of([("here", name, right) for name, right in (("a", True), ("b", True), ("c", False))])
    assert (row.correct, row.rate, row.low, row.high) == (2, 2 / 3, interval.low, interval.high)
    assert all(row.n == row.scored + row.missed + row.not_applicable + row.failed for row in rows)


def test_without_any_truth_there_is_no_rate_not_a_rate_of_zero(bench: list[Answerer]):
    (row,) = summarize(answers([sample("who knows", COLORS["red"], None)], bench[:1]))
    assert (row.scored, row.correct, row.rate, row.low, row.high) == (1, None, None, None, None)


@pytest.mark.parametrize(
    ("folder", "label"),
    [
        ("stop", "stop"),
        ("0", "yield"),
        ("01", "stop"),
        ("1", "stop"),
        ("2", "7"),
        ("7", "7"),
        ("3", None),
        ("-1", None),
        ("Stop", None),
        ("", None),
        ("²", None),
    ],
)
def test_a_class_folder_is_a_label_or_its_number(folder: str, label: str | None):
    assert true_label(folder, ["yield", "stop", "7"]) == label


def test_probabilities_add_up_and_are_left_alone_where_they_are_given():
    logits = np.array([[1000.0, 999.0, 0.0], [-5.0, -5.0, -5.0]], np.float32)
    shares = softmax(logits, "logits")
    assert np.allclose(shares.sum(axis=1), 1)
    assert np.allclose(shares[0, 0] / shares[0, 1], np.e, rtol=1e-4)
    assert (softmax(shares, "probabilities") == shares).all()


def test_the_order_of_recognizers_changes_no_answer(bench: list[Answerer]):
    key = lambda each: (each.sample, each.model)  # noqa: E731
    there, back = (sorted(answers(EVERY_KIND, order), key=key) for order in (bench, bench[::-1]))
    assert there == back


def test_a_recognizer_of_a_real_size_gets_pictures_of_any_size(tmp_path: Path):
    answerer = Answerer(color_recognizer(tmp_path, "any"), "cpu")
    shapes = [(1, 1), (3, 300), (500, 2), (64, 64)]
    samples = [pictured(str(shape), lambda s=shape: plain(COLORS["blue"], *s), "blue") for shape in shapes]
    assert all(each.correct for each in answers(samples, [answerer]))
