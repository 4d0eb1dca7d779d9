"""Numerical noise: measured where there is an answer, and said where there is none."""

from __future__ import annotations

from pathlib import Path

from colors import BLACK, COLORS, color_recognizer, plain

from pipeline.recognizers import load_recognizers, zoo_folder
from pipeline.scoring.numerical import measure_noise, some_crops
from pipeline.scoring.score import Sample, Shown

CROPS = [plain(color, 8 + i, 9) for i, color in enumerate(COLORS.values())] * 3


def test_the_same_again_is_the_same_and_other_batches_nearly_so():
    (found,) = measure_noise(CROPS, load_recognizers([zoo_folder()])[:1], "cpu")
    assert (found.crops, found.repeat, found.provider, found.changed, found.reason) == (9, 0.0, None, 0, "")
    assert found.largest == max(found.batch, found.threads)
    assert found.largest < 1e-4


def test_what_cannot_be_measured_says_why(tmp_path: Path):
    recognizer = color_recognizer(tmp_path, "colors")
    (nan,) = measure_noise([*CROPS, plain(BLACK)], [recognizer], "cpu")
    assert ("NaN" in nan.reason, nan.changed, nan.largest) == (True, None, None)
    (none,) = measure_noise([], [recognizer], "cpu")
    assert none.reason == "no picture shows anything"
    recognizer.onnx.unlink()
    (gone,) = measure_noise(CROPS, [recognizer], "cpu")
    assert "cannot read" in gone.reason


def test_crops_are_the_first_that_show_something():
    crops = [("missed", "no tag"), CROPS[0], CROPS[1], CROPS[2]]
    samples = [
        Sample(str(i), "", "bare", None, "", "", lambda c=c: [Shown("natural", 0, c)]) for i, c in enumerate(crops)
    ]
    assert [crop.shape for crop in some_crops(samples, 2)] == [CROPS[0].shape, CROPS[1].shape]
