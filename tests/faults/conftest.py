"""Labs to be mistreated, and how much of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import another_lab, plan_only

SMALL = 'uri = "sim:?width=320&height=180"'
EVERYTHING = os.environ.get("DPCAM_FAULTS") == "all"

Lab = Callable[..., Path]


@pytest.fixture(scope="session")
def small_plan(small_lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab with a small simulated camera and a plan of twelve shots."""
    folder = another_lab(small_lab, tmp_path_factory.mktemp("faults") / "lab")
    settings = folder / "lab.toml"
    settings.write_text(settings.read_text().replace('uri = "sim:"', SMALL))
    plan_only(folder, 12)
    return folder


@pytest.fixture
def make_lab(small_plan: Path, tmp_path: Path) -> Lab:
    """A lab of one's own: ``make_lab(camera='uri = "…"', more="[rig]…", shots=12)``."""

    def make(camera: str = SMALL, more: str = "", shots: int = 12) -> Path:
        lab = another_lab(small_plan, tmp_path / "lab")
        settings = lab / "lab.toml"
        settings.write_text(settings.read_text().replace(SMALL, camera) + "\n" + more)
        plan_only(lab, shots)
        return lab

    return make
