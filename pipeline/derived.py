"""What is derived from a session: names carry a hash of code version and parameters; all of it can be made again."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from calibration.files import sha256_bytes

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
