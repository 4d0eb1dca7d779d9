"""What tests share: reproducible property tests, photographs of traffic signs, a lab, a captured session."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright
from program import data

from pipeline.cli.app import main

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = "gtsrb-photos.zip"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]

# Reproducible, and without a clock: a busy machine is no failure.
settings.register_profile("dpcam", deadline=None, derandomize=True)
settings.load_profile("dpcam")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that asks for the photographs is a ``data`` test, without saying so twice."""
    for item in items:
        if "photos" in getattr(item, "fixturenames", ()):
            item.add_marker("data")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, driven by Playwright. For a module: while it is open, no other event loop can run."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def photos() -> Path:
    """The archive of real traffic-sign photographs; tests that need it skip without it."""
    path = data_folder() / PHOTOS
    if not path.is_file():
        pytest.skip(
            f"{PHOTOS} is not in {path.parent}: set DPCAM_DATA to the folder that holds it (photographs of the German "
            "Traffic Sign Recognition Benchmark, training set, as CC/TTTTT_FFFFF.png: class, track, frame)"
        )
    return path


def data_folder() -> Path:
    """``DPCAM_DATA``, else the folder ``shared/data`` beside the checkout."""
    return Path(os.environ.get("DPCAM_DATA") or ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def fresh_lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``dpcam init`` leaves. For reading; a test that writes takes a copy (:func:`another_lab`)."""
    folder = tmp_path_factory.mktemp("fresh") / "lab"
    data("init", folder.name, cwd=folder.parent)
    return folder


@pytest.fixture(scope="session")
def small_lab(fresh_lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab with all arms and a plan of two conditions. For reading.

    Its pictures are PNG: which format keeps up with the camera depends on how busy the machine is.
    """
    plan = "[plan]\ndistances_mm = [1200.0, 2200.0]\nyaws_deg = [0.0]\n" + 'lights = ["day"]\n'
    plan += '[capture]\ncodec = "png"\n'
    return another_lab(fresh_lab, tmp_path_factory.mktemp("small") / "lab", plan)


@pytest.fixture(scope="session")
def captured(small_lab: Path) -> Path:
    """The session that ``dpcam capture`` leaves in the small lab. For reading."""
    return small_lab / data("capture", cwd=small_lab)["session"]


def another_lab(lab: Path, folder: Path, plan: str = "") -> Path:
    """A copy of a lab without its sessions; with other text from ``[plan]`` on, a new plan is made, too."""
    shutil.copytree(lab, folder, ignore=shutil.ignore_patterns("sessions", ".work"))
    if plan:
        settings_file = folder / "lab.toml"
        settings_file.write_text(settings_file.read_text().partition("[plan]")[0] + plan)
        data("plan", cwd=folder)
    return folder


def plan_only(lab: Path, shots: int) -> None:
    """Leave so many shots in a lab's plan, which then does not say what it was made from."""
    path = lab / "plan.json"
    plan = json.loads(path.read_text())
    path.write_text(json.dumps(plan | {"shots": plan["shots"][:shots], "parts": []}))


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the program in an empty folder → (exit code, its JSON answer)."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> tuple[int, dict]:
        with pytest.raises(SystemExit) as end:
            main([*map(str, words), "--json"])
        return int(end.value.code or 0), json.loads(capsys.readouterr().out)

    return call
