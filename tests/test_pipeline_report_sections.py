"""The sections of the statistics and of the twin: what they say, and that every form can show them."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from reports import TARGET, answers_to, large

from pipeline.report.analysis import analyse
from pipeline.report.content import ReportInput, Section
from pipeline.report.findings import find
from pipeline.report.forms import write_form
from pipeline.report.page import render
from pipeline.report.statistics_section import statistics_section
from pipeline.report.twin_section import twin_section
from pipeline.statistics import Rule
from pipeline.statistics.slopes import Setting
from pipeline.twin.ladder import RUNGS, Change, Ladder, LeftOut, Level, Measures, Step, Twins

ARMS, MODELS = ("bare", "label", TARGET), {"cct": True, "mobilenetv2": True, "vgg": False}


@pytest.fixture(scope="module")
def made() -> ReportInput:
    return large(300, ARMS, MODELS)


@pytest.fixture(scope="module")
def statistics(made: ReportInput) -> Section:
    settings = {view.condition: Setting.of(view.distance_mm or 0, view.yaw_deg or 0, 0) for view in made.shots}
    rule = Rule(TARGET, "bare", alpha=0.05, min_effect_points=0.0)
    return statistics_section(analyse(answers_to(made.shots, MODELS), rule, seed=1, settings=settings))


@pytest.fixture(scope="module")
def twin() -> Section:
    levels = tuple(Level(rung, 90.0 - 5 * i, 95.0 - 5 * i) for i, rung in enumerate(RUNGS))
    step = Step("geometry", Change(-5.0, -7.5, -2.5), Change(-5.0))
    ladders = tuple(
        Ladder(name, held, 4, Level("screen", 40.0, 45.0), levels, (step,) * 6, (step,), step, step, None)
        for name, held in ((None, True), ("<i>cct", True), ("vgg", False))
    )
    measures = Measures(**{field.name: 1.5 for field in fields(Measures)} | {"delta_e": 5.5, "colors": 24})
    return twin_section(Twins(TARGET, ("bare",), "light", (), measures, ladders, (), (LeftOut("vgg", "no <label>"),)))


def test_statistics_say_what_was_compared_and_how(statistics: Section) -> None:
    kept, gains, conditions, repeats, slopes, levels = statistics.tables
    assert [row[:3] for row in gains.rows] == [
        (arm, model, kind)
        for arm in ("label", TARGET)
        for model, kind in (("cct", "held out"), ("mobilenetv2", "held out"), ("vgg", "surrogate"))
    ]
    assert gains.columns[3:6] == ("Difference", "p", "p (Holm)")
    assert [row[0] for row in kept.rows] == ["label", TARGET]
    assert 0 < len(conditions.rows) <= 40
    assert {row[0] for row in repeats.rows} == set(ARMS)
    assert [row[0] for row in slopes.rows] == ["distance", "angle"]
    assert len(levels.rows) == 8
    assert any("Minimum detectable effect" in words for words in statistics.words)


def test_nothing_to_analyse_gives_a_section_all_the_same() -> None:
    section = statistics_section(analyse([], None, seed=1))
    assert section.tables == ()
    assert "0 judged answers" in section.words[0]


def test_every_form_shows_both(made: ReportInput, statistics: Section, twin: Section, tmp_path: Path) -> None:
    whole = replace(made, answers=list(made.answers), statistics=statistics, twin=twin)
    page = render(find(whole))
    assert "Twin gap" in page
    assert 'src="data:image/png;base64,' in page
    assert "−5.0 (−7.5 to −2.5)" in page
    assert "&lt;i&gt;cct" in page
    assert "<i>" not in page
    for form in ("json", "markdown", "pdf"):
        assert write_form(whole, tmp_path / form, form) > 0
    held = json.loads((tmp_path / "json").read_text())
    assert held["statistics"]["judgement"]["verdict"] in {"PASS", "FAIL", "INCONCLUSIVE"}
    assert held["twin"]["measures"]["delta_e"] == 5.5
    assert "the digital twin" not in " ".join(held["not_asked"])
    assert "Minimum detectable effect" in (tmp_path / "markdown").read_text()
