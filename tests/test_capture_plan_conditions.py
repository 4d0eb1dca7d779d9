"""Conditions from files: combinations and lists, in three formats; slips are refused, not passed on to the rig."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calibration.errors import BadConfig, MissingFile
from capture.conditions import read_conditions
from capture.plan import Condition

TOML = """
distance_mm = [700, 1500]
yaw_deg = [-30, 0]
light = "dim"
exposure_ms = [4, 8.5]
lens = "wide"

[[condition]]
distance_mm = 900
yaw_deg = 60
gate = "open"
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_all_combinations_and_what_is_listed(tmp_path: Path):
    found = read_conditions(written(tmp_path, "c.toml", TOML))
    assert len(found) == 2 * 2 * 2 + 1
    assert found[0] == Condition(distance_mm=700, yaw_deg=-30, light="dim", extra={"exposure_ms": 4.0, "lens": "wide"})
    assert found[1].extra == {"exposure_ms": 8.5, "lens": "wide"}
    assert found[-1] == Condition(distance_mm=900, yaw_deg=60, extra={"gate": "open"})
    assert len({each.model_dump_json() for each in found}) == 9


def test_json_says_the_same(tmp_path: Path):
    content = {
        "distance_mm": [700, 1500],
        "yaw_deg": [-30, 0],
        "light": ["dim"],
        "exposure_ms": [4, 8.5],
        "lens": "wide",
        "condition": [{"distance_mm": 900, "yaw_deg": 60, "gate": "open"}],
    }
    from_json = read_conditions(written(tmp_path, "c.json", json.dumps(content)))
    assert from_json == read_conditions(written(tmp_path, "c.toml", TOML))
    listed = written(tmp_path, "list.json", json.dumps([{"distance_mm": 1}, {"distance_mm": 2}]))
    assert [each.distance_mm for each in read_conditions(listed)] == [1, 2]


@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_a_table_has_a_condition_a_line(tmp_path: Path, start: str):
    text = start + 'distance_mm, yaw_deg, light, fog\n700, -30, dim, thick\n\n1500, , 3, 0.5\n"900",10,,\n'
    assert read_conditions(written(tmp_path, "c.CSV", text)) == (
        Condition(distance_mm=700, yaw_deg=-30, light="dim", extra={"fog": "thick"}),
        Condition(distance_mm=1500, light="3", extra={"fog": 0.5}),
        Condition(distance_mm=900, yaw_deg=10),
    )


REFUSED = {
    "no toml": ("c.toml", "distance_mm = [1,", "cannot be read"),
    "no json": ("c.json", "{", "cannot be read"),
    "no text": ("c.json", "\udcff", "cannot be read"),
    "no known format": ("c.yaml", "distance_mm: 1", r"\.toml, \.json, \.csv"),
    "nothing": ("c.toml", "", "no condition"),
    "nothing in a table": ("c.csv", "", "no condition"),
    "no distance": ("c.toml", "yaw_deg = [0]", "distance_mm"),
    "no values": ("c.toml", "distance_mm = []", "empty list"),
    "an impossible angle": ("c.toml", "distance_mm = 1\nyaw_deg = [0, 95]", "yaw_deg.*95"),
    "no number": ("c.toml", 'distance_mm = ["far"]', "distance_mm.*far"),
    "not a number": ("c.toml", "distance_mm = 1\nroll_deg = nan", "roll_deg is nan"),
    "infinite": ("c.csv", "distance_mm,gain\n1,inf\n", "line 2: gain is inf"),
    "true": ("c.toml", "distance_mm = 1\nflash = true", "flash is True"),
    "a date": ("c.toml", "distance_mm = 1\nday = 2026-01-31", "day is"),
    "a table": ("c.toml", "distance_mm = 1\n[gain]\nlow = 1", "gain is"),
    "the lab's own spelling": ("c.toml", "distance_mm = 1\nyaws_deg = [0, 1]", "'yaws_deg'.*'yaw_deg'"),
    "another unit": ("c.toml", "distance_mm = 1\ndistance_m = [1, 2]", "'distance_m'.*'distance_mm'"),
    "no unit": ("c.toml", "distance_mm = 1\npitch = [1, 2]", "'pitch'.*'pitch_deg'"),
    "a slip": ("c.toml", "distance_mm = 1\nligth = 'day'", "'ligth'.*'light'"),
    "many": ("c.toml", "[[conditions]]\ndistance_mm = 1", "'conditions'.*'condition'"),
    "a word that is taken": ("c.toml", "distance_mm = 1\narm = 'bare'", "'arm' cannot be"),
    "no name": ("c.toml", "distance_mm = 1\n'' = 1", "letters, digits"),
    "no list": ("c.json", '{"condition": {"distance_mm": 1}}', "list of conditions"),
    "a list of numbers": ("c.json", "[1, 2]", "list of conditions"),
    "a number": ("c.json", "3", "list of conditions"),
    "a torn line": ("c.csv", "distance_mm,gain\n1,2\n1\n", "line 3: 1 values, but 2 names"),
    "a name twice": ("c.csv", "distance_mm,gain,gain\n1,2,3\n", "twice"),
    "too many": ("c.json", json.dumps({f"x{i}": list(range(10)) for i in range(9)}), "1000000000 combinations"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_named(case: str, tmp_path: Path):
    name, text, words = REFUSED[case]
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadConfig, match=words) as refusal:
        read_conditions(tmp_path / name)
    assert name in refusal.value.message


@pytest.mark.parametrize(
    "name", ["exposure_ms", "light_gain", "defocus_px", "motion_deg", "gain", "turntable_deg", "Fog"]
)
def test_names_of_ones_own_are_let_be(name: str, tmp_path: Path):
    (found,) = read_conditions(written(tmp_path, "c.toml", f"distance_mm = 1\n{name} = 2"))
    assert found.extra == {name: 2.0}


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(MissingFile, match="gone"):
        read_conditions(tmp_path / "gone.toml")
