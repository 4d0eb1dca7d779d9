"""The tree of errors: codes are unique, exit codes are those that scripts rely on, the drawing is the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from calibration import errors
from calibration.errors import DpcamError

EXIT_CODES = {
    "BadUsage": 2,
    "BadInput": 3,
    "MissingFile": 3,
    "BadConfig": 3,
    "BadModel": 3,
    "BadImage": 3,
    "BadEvidence": 3,
    "NotReady": 4,
    "CameraGone": 4,
    "RigGone": 4,
    "SessionLocked": 4,
    "DiskFull": 4,
    "NotNow": 4,
    "NoProvider": 4,
    "NoPrintServer": 4,
    "NotPrinted": 4,
    "PrinterUnknown": 4,
    "PrinterStopped": 4,
    "PrintRefused": 4,
    "MediaRefused": 4,
    "JobAborted": 4,
    "JobUnfinished": 4,
    "Incomplete": 5,
    "LimitNotMet": 6,
    "Interrupted": 130,
}
DRAWN = re.findall(r"(?:├──|└──) (\w+)\s+(\d+)\s+([\w-]+)", errors.__doc__ or "")


def all_kinds(kind: type[DpcamError] = DpcamError) -> list[type[DpcamError]]:
    return [leaf for child in kind.__subclasses__() for leaf in (child, *all_kinds(child))]


KINDS = [kind for kind in all_kinds() if kind.__module__ == errors.__name__]


def test_no_kind_is_forgotten():
    assert {kind.__name__ for kind in KINDS} == set(EXIT_CODES)


def test_codes_are_unique():
    codes = [kind.code for kind in KINDS]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z][a-z-]*", code) for code in codes)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_exit_code_and_words(kind):
    error = kind("the thing is 3, 1 or 2 accepted", hint="use 1", where="thing.json")
    assert error.exit_code == EXIT_CODES[kind.__name__]
    assert (error.message, error.hint, error.where) == ("the thing is 3, 1 or 2 accepted", "use 1", "thing.json")
    assert str(error) == error.message
    assert kind.__doc__


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_drawing_in_the_docstring_is_the_code(kind):
    assert (kind.__name__, str(kind.exit_code), kind.code) in DRAWN


def test_the_drawing_shows_nothing_else():
    assert len(DRAWN) == len(KINDS)


def test_termination_has_its_own_exit_code():
    assert errors.Interrupted("stopped", exit_code=143).exit_code == 143
    assert errors.Interrupted("stopped").exit_code == 130


def test_the_documented_codes_are_the_code():
    text = (Path(__file__).resolve().parent.parent / "docs" / "exit-codes.md").read_text()
    documented = re.findall(r"^\| `([a-z-]+)` \| (\d+)", text, re.MULTILINE)
    assert dict(documented) == {kind.code: str(kind.exit_code) for kind in [*KINDS, DpcamError]}
