"""The report: what stands on the page, that it stands alone, and that nothing handed in can break it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from reports import FRAME, HOSTILE, PASS, TARGET, answer, lost, report, shot

from calibration.errors import BadImage, MissingFile, NotReady
from pipeline.report.findings import find
from pipeline.report.hearing import hear
from pipeline.report.heat import heat_maps, make_axis
from pipeline.report.page import ReportInput, Skip, write_report
from pipeline.report.page import render as render_found
from pipeline.report.pictures import MAX_PICTURES, SIDE_PX, choose, show
from pipeline.scoring.score import Answer
from pipeline.statistics import Judgement

VOID = {"meta", "link", "img", "br", "hr", "input", "use", "path", "rect"}


def render(made: ReportInput) -> str:
    return render_found(find(made))


def session(arms: tuple[str, ...] = ("bare", "label", "wrong-class", TARGET), per_arm: int = 4) -> ReportInput:
    shots = [shot(f"{arm}-{i}", arm, 700.0 + 500 * (i % 2)) for arm in arms for i in range(per_arm)]
    shots.append(lost("lost-1", arms[0]))
    answers = [
        answer(view, model, held, TARGET if (i + len(model)) % 3 else "stop")
        for i, view in enumerate(shots)
        for model, held in (("vgg", True), ("attention", True), ("resnet", False))
    ]
    return report(shots, answers, planned=len(shots) + 2, skips=[Skip("9", "bare", "1800 mm", "too blurred")])


def hostile() -> ReportInput:
    view = shot(HOSTILE, HOSTILE, light=HOSTILE)
    answers = [answer(view, HOSTILE, True, HOSTILE), answer(lost("b", HOSTILE, reason=HOSTILE), HOSTILE)]
    return report(
        [view, lost("b", HOSTILE, reason=HOSTILE)],
        answers,
        title=HOSTILE,
        target=HOSTILE,
        rule=HOSTILE,
        command=HOSTILE,
        judgement=replace(PASS, sentence=HOSTILE),
        provenance=[(HOSTILE, HOSTILE)],
        skips=[Skip(HOSTILE, HOSTILE, HOSTILE, HOSTILE)],
    )


def without_rate() -> ReportInput:
    view = shot("a")
    failed = Answer("a", TARGET, "cell", "vgg", True, "failed", "not a picture", TARGET)
    foreign = Answer("a", TARGET, "cell", "lite", False, "not-applicable", "no such label", TARGET)
    return report([view], [failed, foreign])


def thousands() -> ReportInput:
    arms = [f"patch-{i}" for i in range(30)]
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    shots = [
        shot(f"{i}", arms[i % 30], float(d), yaw_deg=float(y), picture=lambda: noise, frame_corners_px=FRAME * 4)
        for i, (d, y) in enumerate(rng.uniform((300, -60), (9000, 60), (3000, 2)))
    ]
    answers = [answer(v, f"m{m}", m < 3, f"class {i % 50}") for i, v in enumerate(shots) for m in range(5)]
    skips = [Skip(f"{i}", "bare", "", f"reason {i}") for i in range(5000)]
    return report(shots, answers, skips=skips)


def many_arms() -> ReportInput:
    views = [shot(f"{i}", f"{'patch' * 50}-{i}") for i in range(260)]
    return report(views, [answer(view, f"{'model' * 50}-{m}", m < 4) for view in views for m in range(8)])


def unreadable() -> ReportInput:
    def gone() -> np.ndarray:
        raise MissingFile("cannot read frames/000000.png")

    return report([shot("a", picture=gone)], [answer(shot("a"))])


CASES: dict[str, Callable[[], ReportInput]] = {
    "nothing": report,
    "no rule": lambda: report(judgement=None, rule=""),
    "no effect": lambda: report(judgement=Judgement("INCONCLUSIVE", "Nothing can be said.", None)),
    "one arm": lambda: session((TARGET,)),
    "full": session,
    "photographs": lambda: replace(session(), simulated=False),
    "rate none": without_rate,
    "only lost": lambda: report([lost("a")], [answer(lost("a"))]),
    "unknown condition": lambda: report(
        [shot("a", distance_mm=None, yaw_deg=None, pitch_deg=None, light="")], [answer(shot("a"))]
    ),
    "unreadable": unreadable,
    "hostile": hostile,
    "thousands": thousands,
    "many arms": many_arms,
}


class Page(HTMLParser):
    """Headings, tables, attributes; complains about tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.tables: list[list[list[str]]] = []
        self.captions = 0
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.words.append(" ")
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        self.captions += tag == "caption"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))

    def values(self, name: str) -> list[str]:
        return [value for _, found, value in self.attributes if found == name]


@pytest.fixture(scope="module", params=CASES)
def html(request: pytest.FixtureRequest) -> str:
    return render(CASES[request.param]())


def test_the_page_is_sound(html: str) -> None:
    page = Page(html)
    assert page.open == []
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(page.headings))
    assert page.captions == len(page.tables)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {href[1:] for href in page.values("href")} <= set(ids)
    assert all(scope in ("col", "row", "colgroup", "rowgroup") for scope in page.values("scope"))
    assert ("html", "lang", "en") in page.attributes
    assert any(name == "content" and "width=device-width" in value for _, name, value in page.attributes)
    images = [tag for tag, name, _ in page.attributes if (tag, name) == ("img", "src")]
    assert len(images) == len([value for value in page.values("alt") if value]) <= MAX_PICTURES


def test_the_page_stands_alone(html: str) -> None:
    page = Page(html)
    assert "://" not in html
    assert not re.search(r"@import|url\((?!#)", html)
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.values("src"))
    assert all(href.startswith("#") for href in page.values("href") + page.values("xlink:href"))
    assert "<script" not in html
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert len(html.encode()) < 15_000_000


@pytest.mark.parametrize("case", ["full", "hostile", "rate none"])
def test_the_same_input_gives_the_same_bytes(case: str) -> None:
    assert render(CASES[case]()) == render(CASES[case]())


def test_every_row_stands_in_a_table() -> None:
    made = session()
    counts = next(table for table in Page(render(made)).tables if "Not appl." in table[0])
    found = {tuple(line[-12:]) for line in counts[1:]}
    wrong = {(row.arm, row.model): row.scored - (row.correct or 0) for row in made.rows}
    expected = {
        (
            row.model,
            "held out" if row.held_out else "surrogate",
            *map(str, (row.n, row.scored, row.correct, wrong[row.arm, row.model])),
            *map(str, (row.missed, row.not_applicable, row.failed)),
            f"{100 * row.rate:.1f} %",
            f"{100 * row.low:.1f}",
            f"{100 * row.high:.1f}",
        )
        for row in made.rows
        if row.rate is not None and row.low is not None and row.high is not None
    }
    assert len(counts) - 1 == len(made.rows)
    assert found == expected


def test_surrogates_and_held_out_have_tables_of_their_own() -> None:
    heads = [table[0] for table in Page(render(session())).tables]
    assert ["Arm", "attention", "vgg"] in heads
    assert ["Arm", "resnet"] in heads


@pytest.mark.parametrize("case", ["nothing", "full", "hostile"])
def test_a_simulated_session_says_so_and_claims_nothing_physical(case: str) -> None:
    text = Page(render(CASES[case]())).text
    assert "Simulated shots" in text
    assert "physical" not in text.lower()


def test_photographs_are_called_physical() -> None:
    text = Page(render(CASES["photographs"]())).text
    assert "Physical: photographs" in text
    assert "imulated" not in text


@pytest.mark.parametrize(
    ("judgement", "words"),
    [
        (PASS, ["PASS", "The patch beats bare.", "+12.5 points", "+3.2 to +21.8", "0.013", "18"]),
        (replace(PASS, verdict="FAIL"), ["FAIL"]),
        (Judgement("INCONCLUSIVE", "Nothing can be said.", None), ["INCONCLUSIVE", "Nothing can be said."]),
        (None, ["No rule was stated"]),
    ],
)
def test_the_verdict_comes_first(judgement: Judgement | None, words: list[str]) -> None:
    text = Page(render(report(judgement=judgement))).text
    verdict = text[text.index("Verdict (simulated)") : text.index("What was tested", text.index("Verdict (simulated)"))]
    assert [word for word in words if word not in verdict] == []


def test_hostile_words_stay_words() -> None:
    page = Page(render(hostile()))
    assert page.text.count("<script>alert('x')</script>") > 10
    assert "{{7*7}}" in page.text
    assert not set("\0\udcff\u202e") & set(page.text)
    assert {tag for tag, _, _ in page.attributes}.isdisjoint({"script", "iframe", "object"})


def test_coverage_has_its_denominators() -> None:
    text = Page(render(session())).text
    for words in (
        "Shots planned 19",
        "Taken 17",
        "Skipped 1",
        "Neither taken nor skipped 1",
        "Sheet not located 1 of 17",
    ):
        assert words in text
    assert "700, 1200 mm" in text
    assert "too blurred ×1" in text


def test_what_the_leak_controls_said_instead() -> None:
    views = [shot(f"{i}", "wrong-class") for i in range(6)]
    said = ["stop", "stop", "yield", "b", "a", TARGET]
    answers = [answer(view, said=word) for view, word in zip(views, said, strict=True)]
    text = Page(render(report(views, answers))).text
    assert "16.7 % 1/6 stop ×2, a ×1, b ×1" in text
    assert "The arm label was not scored" in text


def test_heat_map_leaves_holes() -> None:
    views = [shot("a", "bare"), shot("b", "bare", 900.0), lost("c", TARGET)]
    answers = [answer(views[0]), answer(views[0], said="stop"), answer(views[1], held_out=False), answer(views[2])]
    together, *each = heat_maps(views, hear(answers))
    assert [(one.recognizer, one.held_out) for one in each] == [("vgg", True), ("vgg", False)]
    bare, patch = together.maps
    assert [[cell.state for cell in row] for row in bare.cells] == [["rate"], ["unscored"]]
    assert bare.cells[0][0].rate == 0.5
    assert [[cell.state for cell in row] for row in patch.cells] == [["unscored"], ["hole"]]


@pytest.mark.parametrize(
    ("values", "labels", "index"),
    [
        ([700.0, -40.0, 700.0], ("−40°", "700°"), {-40.0: 0, 700.0: 1}),
        ([5.0], ("5°",), {5.0: 0}),
        ([float(i) for i in range(25)], ("0 to 2°", "2 to 4°"), {0.0: 0, 1.9: 0, 2.0: 1, 24.0: 11}),
    ],
)
def test_axis(values: list[float], labels: tuple[str, ...], index: dict[float, int]) -> None:
    axis = make_axis(values, "°")
    assert axis.labels[: len(labels)] == labels
    assert {value: axis.index(value) for value in index} == index


def test_examples_are_a_good_one_a_disputed_one_the_worst_and_a_missed_one() -> None:
    views = [shot("far", distance_mm=3000.0), shot("near"), shot("bad"), shot("worst"), lost("lost"), lost("lost2")]
    answers = [answer(view, model, held) for view in views for model, held in (("a", True), ("b", False))]
    changed = {("bad", "b"), ("worst", "a")}
    answers = [
        replace(one, predicted="stop", correct=False) if (one.sample, one.model) in changed else one for one in answers
    ]
    chosen = choose(views, hear(answers))
    assert [(one.shot.name, one.kind) for one in chosen] == [
        ("near", "good"),
        ("bad", "split"),
        ("worst", "wrong"),
        ("lost", "missed"),
    ]


def test_the_localization_is_drawn_where_it_is() -> None:
    def black() -> np.ndarray:
        return np.zeros((400, 400, 3), np.uint8)

    frame = np.array([[100.0, 100.0], [300.0, 100.0], [300.0, 300.0], [100.0, 300.0]])
    made = show(shot("a", picture=black, frame_corners_px=frame, tag_corners_px=()))
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(made.uri.split(",")[1]), np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    lit = np.argwhere(pixels.max(axis=2) > 128)
    # 15 % of 200 px around the frame, scaled to the page.
    scale = SIDE_PX / 260
    assert lit.min(axis=0) == pytest.approx([30 * scale, 30 * scale], abs=2.5)
    assert lit.max(axis=0) == pytest.approx([230 * scale, 230 * scale], abs=2.5)
    assert (made.width, made.height) == (SIDE_PX, SIDE_PX)


@pytest.mark.parametrize(
    "changes",
    [
        {"frame_corners_px": FRAME - 5000},
        {"frame_corners_px": np.full((4, 2), np.nan)},
        {"frame_corners_px": None, "tag_corners_px": ()},
        {"frame_corners_px": np.zeros((4, 2)), "tag_corners_px": ()},
        {"frame_corners_px": FRAME * 1e9},
        {"picture": lambda: np.zeros((1, 1, 3), np.uint8)},
        {"picture": lambda: np.zeros((3, 900, 3), np.uint8)},
    ],
)
def test_odd_localizations_give_a_picture(changes: dict[str, object]) -> None:
    made = show(shot("a", **changes))
    assert made.uri
    assert max(made.width, made.height) <= SIDE_PX


def test_a_loaded_picture_is_left_as_it_is() -> None:
    pixels = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    show(shot("a", picture=lambda: pixels, frame_corners_px=None))
    assert not pixels.any()


@pytest.mark.parametrize("error", [BadImage("cut short"), MissingFile("gone away")])
def test_a_picture_that_cannot_be_read_says_so(error: Exception) -> None:
    def broken() -> np.ndarray:
        raise error

    assert str(error) in Page(render(report([shot("a", picture=broken)], [answer(shot("a"))]))).text


def test_write_report(tmp_path: Path) -> None:
    path = tmp_path / "derived" / "report.html"
    size = write_report(session(), path)
    assert size == path.stat().st_size
    assert path.read_text(encoding="utf-8") == render(session())


def test_write_report_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotReady):
        write_report(report(), tmp_path / "file" / "report.html")
