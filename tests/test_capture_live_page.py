"""The live page in a real browser: a session by clicks alone, on a desk and on a phone, nothing leaves the machine."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import another_lab
from playwright.sync_api import Browser, Page, expect
from steered import ENOUGH_S, served

from calibration.errors import NotNow
from capture.check import check_session
from capture.control import Control
from capture.session import read_session
from pipeline.lab import open_lab
from pipeline.sessions.capturing import Live, capture
from pipeline.sessions.steps import capture_order

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def lab(small_lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab of three arms under one condition, whose simulated camera is arranged by a person."""
    folder = tmp_path_factory.mktemp("page") / "lab"
    plan = '[plan]\ndistances_mm = [1200.0]\nyaws_deg = [0.0]\nlights = ["day"]\n'
    another_lab(small_lab, folder, plan)
    settings = folder / "lab.toml"
    settings.write_text(settings.read_text().replace('uri = "sim:"', 'uri = "sim:?width=960&height=540"'))
    return folder


class Session:
    """``dpcam capture --serve`` in a thread of the test."""

    def __init__(self, folder: Path) -> None:
        self.live = Live(Control(hold=True))
        opened = open_lab(folder, environ={}, user_file=folder / "none", flags={"rig.kind": "operator"})
        self.order = capture_order(opened, new=True)
        self.stop = self.live.control.heeding(lambda: None)
        self.outcome = None
        self.thread = threading.Thread(target=self.run)

    def ask(self, _: str) -> str:
        while (answer := self.live.control.answer()) is None:
            if self.stop():
                return "q"
            time.sleep(0.01)
        return answer

    def run(self) -> None:
        self.outcome = capture(self.order, ask=self.ask, stop=self.stop, progress=lambda _: None, live=self.live)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_session_by_clicks_alone(browser: Browser, lab: Path, tmp_path: Path, size: dict[str, int]):
    session = Session(another_lab(lab, tmp_path / "lab"))
    with served(session.live.control, session.live.preview) as client:
        context = browser.new_context(viewport=size, has_touch=size is PHONE, is_mobile=size is PHONE)
        page = context.new_page()
        page.set_default_timeout(1000 * ENOUGH_S)
        asked, problems = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        session.thread.start()
        try:
            page.goto(client.url)
            take_the_plan(page, session)
            session.thread.join()
        finally:
            with suppress(NotNow):  # over already, as it should be
                session.live.control.stop()
            session.thread.join()
        expect(page.locator("#phase")).to_have_text("over: complete")
        context.close()
    check = check_session(session.outcome.session)
    assert (check.whole, check.complete, check.sealed) == (True, True, True)
    recorded = read_session(session.outcome.session)
    shots = len(recorded.plan.shots)
    assert (len(recorded.frames), len(recorded.withdrawn), len(recorded.skips)) == (shots - 1, 1, 1)
    assert problems == []
    assert {url for url in asked if not url.startswith((client.url, "data:"))} == set()


def take_the_plan(page: Page, session: Session) -> None:
    """Ready for each shot; the first is taken again, the third skipped, with a note and a pause between."""
    expect.set_options(timeout=1000 * ENOUGH_S)
    ready, said = page.get_by_role("button", name="Ready"), page.locator("#number")
    expect(page.locator("#condition")).to_contain_text("at 1.20 m")
    for shot in (0, 1):
        expect(said).to_have_text(f"Shot {shot}")
        ready.click()
    expect(page.locator("#verdict")).to_contain_text("shot 1")
    expect(said).to_have_text("Shot 2")
    expect(page.locator("#sight")).to_contain_text("seen now:")
    assert page.evaluate("document.getElementById('picture').naturalWidth") == 960
    page.get_by_role("button", name="Retake").click()
    expect(said).to_have_text("Shot 1")
    ready.click()
    expect(said).to_have_text("Shot 2")
    page.get_by_role("button", name="Pause").click()
    expect(ready).to_be_disabled()
    page.get_by_role("button", name="Resume").click()
    page.get_by_label("Note for the record").fill("the lamp hums")
    page.get_by_role("button", name="Note").click()
    expect(page.locator("#said")).to_have_text("noted")
    page.get_by_role("button", name="Skip").click()
    expect(page.locator("td.bad")).to_have_count(1)
    for shot in range(3, len(session.live.control.coverage().arms)):
        expect(said).to_have_text(f"Shot {shot}")
        ready.click()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    expect(page.locator("td.good")).to_have_count(len(session.live.control.coverage().arms) - 1)
    page.get_by_role("button", name="Finish").click()


def test_keys_do_what_buttons_do(browser: Browser, lab: Path, tmp_path: Path):
    session = Session(another_lab(lab, tmp_path / "lab"))
    with served(session.live.control, session.live.preview) as client:
        page = browser.new_page(viewport=DESK, color_scheme="dark")
        page.set_default_timeout(1000 * ENOUGH_S)
        session.thread.start()
        try:
            page.goto(client.url)
            expect(page.locator("#number")).to_have_text("Shot 0")
            page.keyboard.press("Enter")
            expect(page.locator("#number")).to_have_text("Shot 1")
            page.keyboard.press("s")
            expect(page.locator("#number")).to_have_text("Shot 2")
            page.get_by_label("Note for the record").press("s")
            page.locator("#number").click()
            page.keyboard.press("p")
            expect(page.locator("#pause")).to_contain_text("Resume")
            page.keyboard.press("p")
            page.keyboard.press("r")
            expect(page.locator("#number")).to_have_text("Shot 1")
            page.get_by_role("button", name="Stop the session").click()
            page.get_by_role("button", name="Press again to stop").click()
            expect(page.locator("#phase")).to_have_text("over: operator")
        finally:
            with suppress(NotNow):  # over already, as it should be
                session.live.control.stop()
            session.thread.join()
        page.close()
    assert (session.outcome.frames, session.outcome.skipped) == (1, 0)
