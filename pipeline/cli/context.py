"""What commands take from their surroundings: the lab, the environment, the user's file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pipeline.lab import Lab


def user_file() -> Path:
    """The user's own settings, for all labs."""
    return Path(typer.get_app_dir("dpcam")) / "config.toml"


def enter_lab(folder: Path, flags: Mapping[str, Any] | None = None, *, required: bool = True) -> Lab:
    """The lab in ``folder`` with all layers of its settings.

    With ``required`` off the defaults will do where no folder was named: one that is named must be a lab.
    """
    from pipeline.lab import open_lab

    needed = required or folder != Path()
    return open_lab(folder, environ=os.environ, user_file=user_file(), flags=flags, required=needed)
