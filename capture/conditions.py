"""Conditions from a file that a person or a script writes: TOML, JSON or CSV.

    distance_mm = [700, 1500]       # all combinations of these ...
    yaw_deg = [-30, 0, 30]
    light = ["day", "dim"]
    exposure_ms = [4, 8]            # any other name goes along to rig and camera: Condition.extra

    [[condition]]                   # ... and these
    distance_mm = 900
    yaw_deg = 60

JSON holds the same, or a list of conditions alone; CSV a condition a line, names in the first.
"""

from __future__ import annotations

import csv
import difflib
import io
import itertools
import json
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from calibration.errors import BadConfig
from calibration.files import parse_document, read_bytes
from capture.plan import OWN_FACTORS, Condition

EXPLICIT = "condition"
RESERVED = ("arm", "repeat", "sheet", "shot", "extra")
"""Words that mean something else in a plan."""

MAX_CONDITIONS = 100_000
_NEAR = 0.8
_UNITS = {name.split("_", maxsplit=1)[0]: name for name in OWN_FACTORS}


def read_conditions(path: Path) -> tuple[Condition, ...]:
    """The conditions in a file, by its suffix ``.toml``, ``.json`` or ``.csv``.

    :class:`BadConfig` names the file and what is wrong: a text that does not parse, a value out of range, a name that
    looks like one of dpcam's own, a condition that stands twice.
    """
    readers: dict[str, Callable[[str, str], tuple[Condition, ...]]] = {".toml": _toml, ".json": _json, ".csv": _csv}
    where = str(path)
    if path.suffix.lower() not in readers:
        raise BadConfig(f"{where}: conditions are read from {', '.join(readers)}, not {path.suffix!r}", where=where)
    try:
        text = read_bytes(path).decode("utf-8-sig")
        found = readers[path.suffix.lower()](text, where)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, json.JSONDecodeError, RecursionError, csv.Error) as error:
        raise BadConfig(f"{where} cannot be read: {error}", where=where) from error
    if not found:
        raise BadConfig(f"{where} holds no condition", hint="distance_mm = [1000, 2000], for example", where=where)
    return found


def _toml(text: str, where: str) -> tuple[Condition, ...]:
    return _document(tomllib.loads(text), where)


def _json(text: str, where: str) -> tuple[Condition, ...]:
    content = json.loads(text)
    return _document(content if isinstance(content, dict) else {EXPLICIT: content}, where)


def _csv(text: str, where: str) -> tuple[Condition, ...]:
    lines = list(csv.reader(io.StringIO(text), strict=True))
    names = [name.strip() for name in lines[0]] if lines else []
    if len(set(names)) < len(names):
        raise BadConfig(f"{where}: a name stands twice in the first line: {', '.join(names)}", where=where)
    return tuple(_csv_line(names, line, f"{where}, line {number}") for number, line in enumerate(lines[1:], 2) if line)


def _csv_line(names: list[str], line: list[str], where: str) -> Condition:
    if len(line) != len(names):
        raise BadConfig(f"{where}: {len(line)} values, but {len(names)} names in the first line", where=where)
    cells = {name: cell.strip() for name, cell in zip(names, line, strict=True) if cell.strip()}
    return _condition({name: cell if name == "light" else _number_or_text(cell) for name, cell in cells.items()}, where)


def _number_or_text(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def _document(content: Mapping[str, Any], where: str) -> tuple[Condition, ...]:
    explicit = content.get(EXPLICIT, [])
    if not isinstance(explicit, list) or not all(isinstance(one, dict) for one in explicit):
        raise BadConfig(f"{where}: a list of conditions is expected, each with names and values", where=where)
    grid = {name: values for name, values in content.items() if name != EXPLICIT}
    listed = (_condition(one, f"{where}, condition {number}") for number, one in enumerate(explicit, 1))
    return (*_grid(grid, where), *listed)


def _grid(grid: Mapping[str, Any], where: str) -> tuple[Condition, ...]:
    """All combinations, the last name changing fastest; none without a name."""
    levels = {name: values if isinstance(values, list) else [values] for name, values in grid.items()}
    empty = [name for name, values in levels.items() if not values]
    if empty:
        raise BadConfig(f"{where}: {empty[0]} is an empty list", where=where)
    count = math.prod(len(values) for values in levels.values())
    if count > MAX_CONDITIONS:
        raise BadConfig(f"{where}: {count} combinations; at most {MAX_CONDITIONS} are accepted", where=where)
    crossed = itertools.product(*levels.values()) if levels else ()
    return tuple(_condition(dict(zip(levels, values, strict=True)), where) for values in crossed)


def _condition(values: Mapping[str, Any], where: str) -> Condition:
    for name, value in values.items():
        _check(name, value, where)
    own = {name: value for name, value in values.items() if name in OWN_FACTORS}
    extra = {name: value for name, value in values.items() if name not in OWN_FACTORS}
    return parse_document({**own, "extra": extra}, Condition, where=where)


def _check(name: str, value: object, where: str) -> None:
    if name not in OWN_FACTORS:
        _check_own_name(name, where)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadConfig(f"{where}: {name} is {value!r}; a number or a text is expected", where=where)
    if isinstance(value, float) and not math.isfinite(value):
        raise BadConfig(f"{where}: {name} is {value!r}; a finite number is expected", where=where)


def _check_own_name(name: str, where: str) -> None:
    """A name of the user's own; what looks like a slip in one of dpcam's would be passed on to the rig in silence."""
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) or name in RESERVED:
        raise BadConfig(
            f"{where}: {name!r} cannot be the name of a setting; letters, digits and _ are accepted, but for "
            f"{', '.join(RESERVED)}",
            where=where,
        )
    near = difflib.get_close_matches(name, [*OWN_FACTORS, EXPLICIT], n=1, cutoff=_NEAR)
    meant = near[0] if near else _UNITS.get(name.split("_", maxsplit=1)[0].removesuffix("s"))
    if meant and (near or meant != "light"):
        raise BadConfig(f"{where}: {name!r} is not known; {meant!r} is what dpcam calls it", where=where)
