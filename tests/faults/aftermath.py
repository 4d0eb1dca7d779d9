"""What is true after any fault, by the test's own reading of the files, and by the program's."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from program import data

WHOLE = {"missing": [], "tampered": [], "repeated": []}


def only_session(lab: Path) -> Path:
    (session,) = (lab / "sessions").iterdir()
    return session


def journaled(session: Path) -> list[dict]:
    """The events whose lines are whole."""
    lines = (session / "events.jsonl").read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]


def nothing_lost(session: Path) -> dict:
    """Every journaled frame is there with its hash; the check says the same → what the check says."""
    frames = [event for event in journaled(session) if event["kind"] == "frame"]
    for frame in frames:
        assert sha256((session / frame["path"]).read_bytes()).hexdigest() == frame["sha256"], frame["path"]
    said = data("session", "check", session, cwd=session.parent)
    assert {key: said[key] for key in WHOLE} == WHOLE
    assert said["frames"] + said["withdrawn"] == len(frames)
    assert said["frames"] == sum(event["kind"] == "frame" for event in outcomes(session))
    assert len(said["orphans"]) <= 2, "a picture and its ground truth, written and not yet journaled"
    return said


def outcomes(session: Path) -> list[dict]:
    """The frames and skips that count: a shot that is to be taken again has none of those before."""
    counted: list[dict] = []
    for event in journaled(session):
        if event["kind"] == "retake":
            counted = [each for each in counted if each["shot"] != event["shot"]]
        elif event["kind"] in ("frame", "skip"):
            counted.append(event)
    return counted


def resumes(lab: Path, session: Path, *words: object, code: int = 0, **environ: str) -> dict:
    """Capturing again completes the same session: what was there stays, no shot comes twice, none is missing."""
    before = journaled(session)
    done = data("capture", *words, cwd=lab, code=code, **environ)
    assert (lab / done["session"]).resolve() == session.resolve()
    after = journaled(session)
    assert after[: len(before)] == before
    said = nothing_lost(session)
    assert (said["complete"], said["pending"], said["torn"]) == (True, 0, False)
    planned = json.loads((lab / "plan.json").read_text())["shots"]
    frames = 1 + len(json.loads((session / "session.json").read_text())["other_cameras"])
    assert sorted(event["shot"] for event in outcomes(session)) == sorted([*range(len(planned))] * frames)
    return said
