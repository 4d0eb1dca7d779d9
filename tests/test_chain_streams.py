"""Real input: a lab's sheets before a camera that comes in as a stream, a film or a folder; captured, found, scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import another_lab
from PIL import Image
from program import answer, data, dpcam, finished, start, wait_until
from servers import mjpeg_stream, rtsp_missing, rtsp_stream

from calibration.files import write_document
from capture.cameras.sim import SimCamera, parse_sim_uri
from capture.plan import Condition, Shot
from capture.session import read_session
from pipeline.lab import read_sheets

FRAMES = 6
FPS = 10
CONDITIONS = [
    Condition(distance_mm=800, yaw_deg=yaw, light=light) for yaw, light in product((-30, 10, 40), ("day", "warm"))
]
CAMERA = "sim:?seed=4"


@pytest.fixture(scope="module")
def pictures(fresh_lab: Path) -> dict[str, list[np.ndarray]]:
    """Arm → pictures ``(720, 1280, 3)`` of its sheet under changing conditions, from a camera with a real lens."""
    camera = SimCamera(parse_sim_uri(CAMERA), fresh_lab / "sheets")
    taken: dict[str, list[np.ndarray]] = {}
    for sheet in read_sheets(fresh_lab / "sheets"):
        for i, condition in enumerate(CONDITIONS if sheet.arm in ("bare", "general-caution") else ()):
            camera.stage(Shot(index=i, arm=sheet.arm, sheet=sheet.id, condition=condition), sheet)
            taken.setdefault(sheet.arm, []).append(camera.read().pixels)
    return taken


@pytest.fixture
def lab(fresh_lab: Path, tmp_path: Path) -> Path:
    """A fresh lab whose camera has been calibrated."""
    lab = another_lab(fresh_lab, tmp_path / "lab")
    write_document(lab / "calibration.json", SimCamera(parse_sim_uri(CAMERA), lab / "sheets").model)
    text = (lab / "lab.toml").read_text()
    (lab / "lab.toml").write_text(text.replace("[camera]\n", '[camera]\ncalibration = "calibration.json"\n'))
    return lab


def scored_arms(lab: Path, session: str, frames: int) -> Counter[str]:
    """Localize and score a session, all of it → arm → how many of its pictures every recognizer has scored."""
    found = data("localize", session, cwd=lab)
    assert found["frames"] == found["found"] == frames
    assert found["corner_error_px"] is None
    scored = data("score", session, cwd=lab)
    assert scored["files"] == frames
    per_model: dict[str, Counter[str]] = {}
    for row in scored["rows"]:
        assert row["scored"] == row["n"]
        per_model.setdefault(row["model"], Counter())[row["arm"]] += row["n"]
    assert len(per_model) == 6
    first, *rest = per_model.values()
    assert all(other == first for other in rest)
    assert first.total() == frames
    return first


@contextmanager
def rtsp(pictures: list[np.ndarray]) -> Iterator[str]:
    if reason := rtsp_missing():
        pytest.skip(reason)
    with rtsp_stream(pictures, FPS) as stream:
        yield stream.url


@contextmanager
def http(pictures: list[np.ndarray]) -> Iterator[str]:
    with mjpeg_stream(pictures, FPS) as stream:
        yield stream.url


@pytest.mark.parametrize("serve", [rtsp, http], ids=["rtsp", "http"])
def test_a_stream_is_captured_and_scored(serve, lab: Path, pictures: dict[str, list[np.ndarray]]):
    with serve(pictures["general-caution"]) as url:
        taken = data("capture", "--camera", url, "--frames", FRAMES, cwd=lab)
    assert (taken["frames"], taken["skipped"], taken["complete"]) == (FRAMES, 0, True)
    session = read_session(lab / taken["session"])
    times = [frame.t_mono_ns for frame in session.frames]
    assert times == sorted(set(times)), "each frame has its own time"
    kept = {".jpg"} if url.startswith("http") else {".png", ".webp", ".tiff"}
    assert {frame.path.suffix for frame in session.frames} <= kept
    assert session.header.camera == url
    assert scored_arms(lab, taken["session"], FRAMES) == {"general-caution": FRAMES}
    assert data("session", "check", taken["session"], cwd=lab)["complete"]


def film(path: Path, code: str, pictures: list[np.ndarray]) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), FPS, pictures[0].shape[1::-1])
    assert writer.isOpened()
    for picture in pictures:
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def folder(path: Path, pictures: list[np.ndarray]) -> Path:
    """Pictures as a person has them: formats and names in wild mixture."""
    path.mkdir()
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(path / f"shot {i}{('.png', '.JPG', '.jpeg', '.tif')[i % 4]}", quality=95)
    return path


@pytest.mark.parametrize(
    "kept",
    [
        lambda where, pictures: film(where / "film.avi", "MJPG", pictures),
        lambda where, pictures: film(where / "film.mp4", "mp4v", pictures),
        lambda where, pictures: folder(where / "holiday pictures", pictures),
    ],
    ids=["avi", "mp4", "folder"],
)
def test_a_film_and_a_folder_are_taken_to_their_end(kept, lab: Path, tmp_path, pictures: dict[str, list[np.ndarray]]):
    mixed = [picture for pair in zip(pictures["bare"], pictures["general-caution"], strict=True) for picture in pair]
    source = kept(tmp_path, mixed)
    taken = data("capture", "--camera", source, cwd=lab)
    assert (taken["frames"], taken["skipped"], taken["complete"]) == (2 * FRAMES, 0, True)
    assert scored_arms(lab, taken["session"], 2 * FRAMES) == {"bare": FRAMES, "general-caution": FRAMES}


def test_a_stream_that_ends_leaves_what_was_taken(lab: Path, pictures: dict[str, list[np.ndarray]]):
    """A camera that goes away is the world not being ready; the frames so far stay."""
    text = (lab / "lab.toml").read_text()
    (lab / "lab.toml").write_text(text.replace("[camera]\n", "[camera]\nreconnect_s = 2.0\n"))
    with mjpeg_stream(pictures["bare"], FPS) as stream:
        process = start("capture", "--camera", stream.url, "--frames", 10_000, cwd=lab)
        wait_until(lambda: list(lab.glob("sessions/*/frames/*/000003.jpg")), process)
        stream.kill()
        done = finished(process)
    envelope = answer(done)
    assert (envelope["exit_code"], envelope["errors"][0]["code"]) == (4, "camera")
    (session,) = (lab / "sessions").iterdir()
    checked = data("session", "check", session, cwd=lab)
    assert checked["frames"] >= 3
    assert not checked["missing"] + checked["tampered"]
    assert not checked["complete"]


def test_the_operator_puts_up_the_wrong_sheet_and_gives_up(lab: Path, pictures: dict[str, list[np.ndarray]]):
    """Under a plan, a real camera waits for a person; a picture of another sheet than was asked for is no frame."""
    text = (lab / "lab.toml").read_text().partition("[plan]")[0]
    few = 'distances_mm = [800.0]\nyaws_deg = [10.0]\nlights = ["day"]\n[sheet]\ncontrols = ["bare", "blank"]\n'
    (lab / "lab.toml").write_text(f"{text}[plan]\n{few}")
    data("plan", cwd=lab)
    with mjpeg_stream(pictures["general-caution"], FPS) as stream:
        done = dpcam("capture", "--camera", stream.url, "--json", cwd=lab, typed="\n\n\n")
        nobody = dpcam("capture", "--new", "--camera", stream.url, "--json", cwd=lab)
    envelope = answer(done)
    assert (envelope["exit_code"], envelope["data"]["frames"], envelope["data"]["skipped"]) == (5, 1, 2)
    session = read_session(lab / envelope["data"]["session"])
    assert [frame.shot.arm for frame in session.frames] == ["general-caution"]
    for skip in session.skips:
        assert skip.reason == f"the picture shows the sheet {session.frames[0].shot.sheet}, not {skip.shot.sheet}"
    assert done.stderr.count("Enter: it stands") == 3
    assert (answer(nobody)["exit_code"], answer(nobody)["errors"][0]["code"]) == (4, "not-ready")
