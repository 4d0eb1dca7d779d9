"""The page in a real browser: on a desk, on a phone, in the dark; alone, quiet, open to everybody, quick."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from reports import HOSTILE, TARGET, large, shot

from pipeline.report.comparing import Comparison, Fact, compare_scores
from pipeline.report.comparison import render_comparison
from pipeline.report.findings import find
from pipeline.report.page import render

LOOKS = {
    "desk": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
}
FEW = (("bare", "wrong-class", TARGET), {"cct": True, "vgg": False})
GRAVE = {"serious", "critical"}
OPEN_MS = 3000


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A whole report, one with the worst of names, and a comparison, as files."""
    folder = tmp_path_factory.mktemp("pages")
    made = large(150, *FEW)
    answers = list(made.answers)
    other = large(75, *FEW)
    lines = compare_scores([(made.rows, answers), (other.rows, list(other.answers))], seed=1)
    facts = (Fact("camera", ("sim:", HOSTILE)), Fact("target", (TARGET, TARGET)))
    named = replace(made, title=HOSTILE, answers=answers, shots=[*made.shots, shot(HOSTILE, HOSTILE, light=HOSTILE)])
    texts = {
        "report": render(find(replace(made, answers=answers))),
        "hostile": render(find(replace(named, command=HOSTILE, rule=HOSTILE))),
        "comparison": render_comparison(Comparison(("one", "two"), (True, False), facts, tuple(lines))),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.mark.parametrize(
    ("name", "look"),
    [("report", "desk"), ("report", "phone"), ("report", "dark"), ("hostile", "phone"), ("comparison", "dark")],
)
def test_a_page_is_quiet_alone_and_open_to_everybody(
    browser: Browser, pages: dict[str, Path], name: str, look: str
) -> None:
    asked, said = [], []
    context = browser.new_context(**LOOKS[look])
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(pages[name].as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    unfold(page)
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in GRAVE] == []
    assert said == []
    assert [url for url in asked if not url.startswith(("data:", pages[name].as_uri()))] == []
    context.close()


def test_keys_lead_through_the_page(browser: Browser, pages: dict[str, Path]) -> None:
    page = browser.new_page()
    page.goto(pages["report"].as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the contents"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
    folded = page.locator("details").first
    folded.locator("summary").focus()
    page.keyboard.press("Enter")
    assert folded.evaluate("each => each.open")
    assert page.locator("table:visible").count() == page.locator("table:visible > caption").count()
    page.close()


def test_paper_shows_what_is_folded(browser: Browser, pages: dict[str, Path]) -> None:
    page = browser.new_page()
    page.goto(pages["report"].as_uri())
    inside = page.locator("details table.heat").first
    assert not inside.is_visible()
    page.emulate_media(media="print")
    assert inside.is_visible()
    assert not page.locator("nav").is_visible()
    page.close()


@pytest.mark.slow
def test_twenty_thousand_shots_open_within_three_seconds(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "large.html"
    path.write_text(render(find(large(20_000))), encoding="utf-8")
    assert path.stat().st_size < 15_000_000
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(path.as_uri(), wait_until="load")
    opened_ms = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    drawn_ms = page.evaluate(
        "new Promise(done => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))"
    )
    assert page.get_by_text("Session of 20000 shots").first.is_visible()
    print(f"{path.stat().st_size} bytes, loaded after {opened_ms:.0f} ms, drawn after {drawn_ms:.0f} ms")
    assert 0 < opened_ms <= drawn_ms < OPEN_MS
    page.close()


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
