"""What is derived from a session: names carry a hash of code version and parameters; all of it can be made again."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from calibration.errors import BadConfig
from calibration.files import first_problem, read_bytes, sha256_bytes

LineT = TypeVar("LineT")

DERIVED = "derived"


def code_version() -> str:
    """Version of dpcam; ``unknown`` when it runs without having been installed."""
    try:
        return version("dpcam")
    except PackageNotFoundError:
        return "unknown"


def derived_path(session: Path, stem: str, suffix: str, parameters: Any) -> Path:
    """``derived/<stem>-<hash><suffix>``, the hash over the code version and JSON-serializable ``parameters``."""
    text = json.dumps([code_version(), parameters], sort_keys=True, default=str)
    return session / DERIVED / f"{stem}-{sha256_bytes(text.encode())[:12]}{suffix}"


def read_lines(path: Path, kind: TypeAdapter[LineT], count: int) -> list[LineT]:
    """What was computed before, one JSON value a line; :class:`BadConfig` when it is not whole."""
    hint = "delete it, then run again"
    try:
        found = [kind.validate_json(line) for line in read_bytes(path).splitlines()]
    except ValidationError as error:
        raise BadConfig(f"{path}: {first_problem(error)}", hint=hint, where=str(path)) from error
    if len(found) != count:
        raise BadConfig(f"{path} has {len(found)} lines, {count} are due", hint=hint, where=str(path))
    return found
