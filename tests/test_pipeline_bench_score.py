"""The bench of scoring: what it measures is what it says, in a small run."""

from __future__ import annotations

from pipeline.bench.score import Effort, bench_score, score_result


def test_a_small_run_says_all_that_scripts_rely_on():
    told: list[float] = []
    effort = Effort(pictures=32, turns=1, long=320)
    speed = bench_score(effort, workers=2, seed=1, progress=lambda share, text: told.append(share))
    result = score_result(speed)
    data = result.data
    assert 0 < data["ratio_to_ideal"] < 2
    assert data["images_per_s"] > 0
    assert 0 < data["again_share"] < data["added_share"] < 1
    assert (data["pictures"], data["workers"], len(data["recognizers"])) == (32, 2, 6)
    assert len(data["long"]["ms"]) == len(data["long"]["rss_mb"]) == 10
    assert all(value > 0 for value in data["long"]["ms"])
    assert told == [0.5]
    assert result.exit_code == 0
