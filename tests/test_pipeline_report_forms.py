"""The forms of a report: the same numbers in each, nothing that others wrote breaks any, answers are a stream."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pypdfium2
import pytest
from reports import ARMS, HOSTILE, TARGET, answer, answers_to, large, lost, report, rows_of, shot

from calibration.errors import NotReady
from pipeline.report.content import ReportInput, ShotView
from pipeline.report.findings import find
from pipeline.report.forms import COLUMNS, FORMS, SUFFIXES, form_of, write_form
from pipeline.report.hearing import hear
from pipeline.report.turning import turned
from pipeline.scoring.score import Answer


def planned(name: str, arm: str, said: str, cell: str = "700 mm") -> tuple[ShotView, Answer]:
    view = shot(name, arm)
    return view, replace(answer(view, said=said), cell=cell)


def hostile() -> ReportInput:
    views = [shot(HOSTILE, HOSTILE, light=HOSTILE), lost("b", "bare", reason=HOSTILE)]
    answers = [replace(answer(view, HOSTILE, True, HOSTILE), cell=HOSTILE) for view in views]
    facts = {"title": HOSTILE, "rule": HOSTILE, "command": HOSTILE, "provenance": [(HOSTILE, HOSTILE)]}
    return report(views, answers, planned=2, target=HOSTILE, **facts)


MODELS = {"cct": True, "vgg": False}


def only(arms: tuple[str, ...] = ARMS, held_out: tuple[bool, ...] = (True, False)) -> ReportInput:
    return large(60, arms, {name: kind for name, kind in MODELS.items() if kind in held_out})


def all_missed() -> ReportInput:
    views = [lost(f"{i}", arm) for i, arm in enumerate(ARMS)]
    return report(views, [answer(view) for view in views], planned=7)


CASES: dict[str, Callable[[], ReportInput]] = {
    "nothing": report,
    "zero answers": lambda: report([shot("a")]),
    "one arm": lambda: only((TARGET,)),
    "no plan": lambda: replace(only(), planned=None, judgement=None, rule=""),
    "only surrogates": lambda: only(held_out=(False,)),
    "only held out": lambda: only(held_out=(True,)),
    "all missed": all_missed,
    "hostile": hostile,
    "whole": only,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES)
def test_every_form_of_every_report(case: str, form: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"report{SUFFIXES[form]}"
    size = write_form(CASES[case](), path, form)
    assert size == path.stat().st_size > 0
    again = tmp_path / path.name
    write_form(CASES[case](), again, form)
    assert again.read_bytes() == path.read_bytes()
    if form != "parquet" and form != "pdf":
        text = path.read_text(encoding="utf-8")
        assert "<script>alert" not in text or form in ("csv", "json")
        assert not set("\0\u202e\udcff") & set(text) or form == "csv"


def test_the_answers_are_read_once(tmp_path: Path) -> None:
    made = large(140)
    assert isinstance(made.answers, Iterator)
    write_form(made, tmp_path / "a.html", "html")
    assert next(made.answers, None) is None


def test_json_holds_the_numbers(tmp_path: Path) -> None:
    made = only()
    write_form(made, tmp_path / "a.json", "json")
    held = json.loads((tmp_path / "a.json").read_text())
    assert (held["format"], held["version"], held["verdict"]) == ("dpcam.report", 1, "PASS")
    assert len(held["rows"]) == len(made.rows)
    assert held["rows"][0]["rate"] == made.rows[0].rate
    assert {each["recognizer"] for each in held["maps"]} == {"", *MODELS}
    assert held["coverage"]["planned"] == made.planned
    assert held["statistics"]["tables"][0]["columns"][-1] == "p (Holm)"
    assert held["twin"] is None
    assert {each["arm"] for each in held["turned"]} == set(ARMS) - {"bare"}


def test_tables_hold_every_answer_with_its_condition(tmp_path: Path) -> None:
    for form in ("csv", "parquet"):
        write_form(only(), tmp_path / f"a.{form}", form)
    lines = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text(encoding="utf-8"))))
    kept = duckdb.sql(f"SELECT * FROM '{tmp_path / 'a.parquet'}'")
    assert list(lines[0]) == kept.columns == list(COLUMNS)
    answers = list(answers_to(only().shots, MODELS))
    assert len(lines) == len(kept.fetchall()) == len(answers)
    assert [float(line["distance_mm"]) for line in lines[:2]] == [800.0] * 2
    assert kept.filter("correct").aggregate("count(*)").fetchall() == [(sum(bool(a.correct) for a in answers),)]


def test_markdown_and_pdf_say_the_verdict_and_every_arm(tmp_path: Path) -> None:
    for form in ("markdown", "pdf"):
        write_form(only(), tmp_path / form, form)
    pages = pypdfium2.PdfDocument(tmp_path / "pdf")
    printed = "".join(page.get_textpage().get_text_bounded() for page in pages)
    plain = (tmp_path / "markdown").read_text(encoding="utf-8")
    for text in (printed, plain):
        assert "PASS" in text
        assert "50 conditions" in text.replace("\r\n", " ")
        assert [arm for arm in ARMS if arm not in text] == []
    lines = [line for line in plain.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in lines)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.html", "html"),
        ("a.PDF", "pdf"),
        ("a.md", "markdown"),
        ("a.parquet", "parquet"),
        ("a.txt", "html"),
        (None, "html"),
    ],
)
def test_the_name_asks_for_the_form(name: str | None, form: str) -> None:
    assert form_of(Path(name) if name else None) == form


@pytest.mark.parametrize("form", FORMS)
def test_where_nothing_can_be_written(form: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotReady):
        write_form(report(), tmp_path / "file" / "report", form)


def test_what_answers_turned_into() -> None:
    said = {
        "bare": [TARGET, TARGET, "stop", "stop", "yield"],
        TARGET: [TARGET, "stop", TARGET, "yield", "yield"],
        "label": [TARGET],
    }
    made = [planned(f"{arm}{i}", arm, word) for arm, words in said.items() for i, word in enumerate(words)]
    made.append(planned("elsewhere", TARGET, "stop", cell="900 mm"))
    label, patch = turned(hear(one for _, one in made), ["bare", "label", TARGET], "bare")
    assert (label.pairs, label.stayed_right) == (1, 1)
    assert (patch.pairs, patch.stayed_right, patch.stayed_wrong) == (5, 1, 1)
    assert (patch.fixed, patch.broken, patch.swapped) == ((("stop", 1),), (("stop", 1),), (("stop → yield", 1),))


def test_noises_and_views_stay_out_of_the_plain_numbers() -> None:
    view, plain = planned("a", TARGET, TARGET)
    foggy = replace(plain, noise="fog", severity=3, predicted="stop", correct=False)
    jittered = replace(plain, repeat=1, predicted="stop", correct=False)
    failed = replace(plain, view="frame", status="failed", reason="too small", correct=None)
    answers = [plain, foggy, jittered, failed]
    found = find(report([view], answers, rows=rows_of([plain, foggy])))
    assert (found.answers, found.plain) == (4, 1)
    assert [(row.noise, row.correct) for row in found.rows] == [("none", 1)]
    assert found.wrong.total() == 0
    assert found.unanswered == (("failed", "too small", 0, 1),)


def test_curves_are_means_over_held_out_recognizers() -> None:
    found = find(large(70, ("bare", TARGET), {"cct": True, "vgg": False}))
    assert [one.noise for one in found.curves] == ["mean of these noises", "fog", "jpeg_compression", "motion_blur"]
    rows = {(r.arm, r.noise, r.severity): r.rate for r in found.report.rows if r.model == "cct" and r.view == "natural"}
    fog = found.curves[1]
    assert fog.held_out
    assert [curve.arm for curve in fog.curves] == ["bare", TARGET]
    assert fog.curves[1].points == (
        (0, rows[TARGET, "none", 0]),
        *((severity, rows[TARGET, "fog", severity]) for severity in (1, 3, 5)),
    )
