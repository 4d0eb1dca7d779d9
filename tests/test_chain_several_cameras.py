"""Two cameras at once, through the program: capture, check, localize, score, export."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path

import pytest
from conftest import another_lab, plan_only
from program import ask, data
from sessions import again

CAMERAS = ("sim:?width=640&height=360&fov_deg=30", "sim:?width=480&height=360&fov_deg=25")
SHOTS = 3


@pytest.fixture(scope="module")
def lab(small_lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = another_lab(small_lab, tmp_path_factory.mktemp("several") / "lab")
    plan_only(folder, SHOTS)
    return folder


@pytest.fixture(scope="module")
def session(lab: Path) -> Path:
    """Captured with two cameras that lab.toml names."""
    settings = lab / "lab.toml"
    both = f'uri = "{CAMERAS[0]}"\nothers = [{{uri = "{CAMERAS[1]}"}}]'
    settings.write_text(settings.read_text().replace('uri = "sim:"', both))
    done = data("capture", cwd=lab)
    assert (done["frames"], done["complete"]) == (2 * SHOTS, True)
    return lab / done["session"]


def test_the_session_is_whole(lab: Path, session: Path):
    checked = data("session", "check", session, cwd=lab)
    assert (checked["frames"], checked["pending"], checked["complete"]) == (2 * SHOTS, 0, True)
    assert checked["missing"] == checked["tampered"] == checked["orphans"] == checked["repeated"] == []
    shown = data("session", "show", session, cwd=lab)
    assert len(shown["cameras"]) == 2
    assert sum(cell["frames"] for cell in shown["progress"]) == SHOTS
    assert all(cell["pending"] == 0 for cell in shown["progress"])


def test_every_frame_is_localized_by_its_own_camera(lab: Path, session: Path):
    found = data("localize", session, cwd=lab)
    assert found["found"] == 2 * SHOTS
    assert found["corner_error_px"]["max"] < 0.5


def test_every_frame_is_a_row(lab: Path, session: Path):
    exported = data("session", "export", session, cwd=lab)
    with (lab / exported["export"]).open() as stream:
        rows = list(csv.DictReader(stream))
    assert Counter(row["shot"] for row in rows) == {str(shot): 2 for shot in range(SHOTS)}
    assert sorted(Counter(row["camera"] for row in rows).values()) == [SHOTS, SHOTS]


def test_every_frame_is_scored(lab: Path, session: Path):
    rows = data("score", session, "--models", "shufflenetv2", cwd=lab)["rows"]
    assert sum(row["n"] for row in rows) == 2 * SHOTS


def test_a_shot_that_was_taken_back_is_reported_by_what_counts(lab: Path, session: Path, tmp_path: Path):
    """Frames keep their numbers, so that those that count are not numbered 0, 1, 2."""
    copy = tmp_path / session.name
    shutil.copytree(session, copy)
    (copy / "seal.json").unlink()
    with again(copy) as writer:
        writer.retake(writer.plan.shots[0], "a hand")
    reported = data("report", copy, "--models", "shufflenetv2", cwd=lab, code=(0, 6))
    assert Path(lab, reported["report"]).is_file()
    assert data("session", "check", copy, cwd=lab)["withdrawn"] == 2


def test_what_one_camera_must_answer_is_refused(lab: Path, session: Path):
    refused = ask("session", "color", session, cwd=lab, code=2)
    assert "2 cameras" in refused["errors"][0]["message"]


def test_who_names_cameras_means_these(lab: Path, session: Path):
    would = data("capture", "--camera", CAMERAS[1], "--camera", "0", "--dry-run", cwd=lab)
    assert (len(would["cameras"]), would["cameras"][1]) == (2, "0")
    alone = data("capture", "--camera", CAMERAS[1], "--dry-run", cwd=lab)
    assert len(alone["cameras"]) == 1
