"""The bench of color responses: both trainings are judged on the same views of what the printer makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from capture.cameras.sim_print import PRINTERS
from pipeline.bench.color import Effort, bench_color, color_result, photographed_response

BRIEF = Effort(("laser",), ("stop",), seeds=2, steps=3, draws=2)


def test_one_printer_in_one_table():
    told = []
    verdicts = bench_color(BRIEF, 0, lambda share, text: told.append(share))
    (found,) = color_result(verdicts, BRIEF).data["printers"]
    assert found["printer"] == "laser"
    assert found["delta_e_after"] < 2
    assert 0 < found["without"] < 1
    assert found["points"] == pytest.approx(100 * (found["measured"] - found["without"]))
    assert found["low"] <= found["points"] <= found["high"]
    assert told == [0.25, 0.5, 0.75, 1.0], "two seeds, with the response and without"


def test_the_response_is_the_printers(tmp_path):
    """What is photographed and fitted predicts colors of no chart as that printer makes them, up to the exposure."""
    response = photographed_response(tmp_path, "published")
    asked = np.random.default_rng(0).random((50, 3))
    true = PRINTERS["published"](asked[None].astype(np.float32), 1.0)[0]
    off = response.predict(asked) - true
    assert np.abs(off - off.mean(axis=0)).max() < 0.05
