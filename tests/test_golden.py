"""What once was written stays readable: a sealed session of the first version, and the schemas of all documents."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from calibration.files import read_json
from capture.check import check_session
from capture.session import read_session
from pipeline.recognizers import load_recognizers, zoo_folder
from pipeline.schemas import schemas
from pipeline.scoring.run import score_session
from pipeline.sessions.localizing import localize_session, summarize_errors

GOLDEN = Path(__file__).parent / "golden" / "session"
SCHEMAS = Path(__file__).parents[1] / "docs" / "schemas"


@pytest.fixture
def session_folder(tmp_path: Path) -> Path:
    """A copy of the golden session: what is derived from it goes elsewhere."""
    return Path(shutil.copytree(GOLDEN, tmp_path / "session"))


def test_the_golden_session_is_whole_and_says_what_it_said():
    check = check_session(GOLDEN)
    assert (check.frames, check.skipped, check.whole, check.complete, check.sealed) == (3, 0, True, True, True)
    session = read_session(GOLDEN)
    assert session.header.operator == "golden"
    assert sorted(frame.shot.arm for frame in session.frames if frame.shot) == ["bare", "blank", "general-caution"]
    assert [event.kind for event in session.events()] == ["start", "frame", "frame", "frame", "stop"]


def test_the_golden_session_can_still_be_localized_and_scored(session_folder: Path):
    session = read_session(session_folder)
    _, found = localize_session(session, lambda done: None)
    assert [each.status for each in found] == ["found"] * 3
    error = summarize_errors(found).max
    assert error is not None
    assert error < 0.5
    scores = score_session(session, load_recognizers([zoo_folder()]), "cpu", lambda done: None)
    assert all(answer.status == "scored" for answer in scores.answers)
    assert np.isfinite([answer.probability for answer in scores.answers]).all()


@pytest.mark.parametrize("name", sorted(schemas()))
def test_schemas_are_those_that_were_published(name: str):
    """A change of a document is a decision: raise its version, or run ``python -m pipeline.schemas docs/schemas``."""
    assert read_json(SCHEMAS / f"{name}.json") == json.loads(json.dumps(schemas()[name]))


def test_no_schema_is_left_over():
    assert sorted(path.stem for path in SCHEMAS.glob("*.json")) == sorted(schemas())
