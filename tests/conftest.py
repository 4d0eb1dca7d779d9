"""What all tests share: reproducible property tests, and the photographs of the traffic-sign benchmark."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = "gtsrb-photos.zip"

# Reproducible, and without a clock: a busy machine is no failure.
settings.register_profile("dpcam", deadline=None, derandomize=True)
settings.load_profile("dpcam")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that asks for the photographs is a ``data`` test, without saying so twice."""
    for item in items:
        if "photos" in getattr(item, "fixturenames", ()):
            item.add_marker("data")


@pytest.fixture(scope="session")
def photos() -> Path:
    """The archive of real traffic-sign photographs; tests that need it skip without it."""
    path = data_folder() / PHOTOS
    if not path.is_file():
        pytest.skip(
            f"{PHOTOS} is not in {path.parent}: set DPCAM_DATA to the folder that holds it (photographs of the German "
            "Traffic Sign Recognition Benchmark, training set, as CC/TTTTT_FFFFF.png: class, track, frame)"
        )
    return path


def data_folder() -> Path:
    """``DPCAM_DATA``, else the folder ``shared/data`` beside the checkout."""
    return Path(os.environ.get("DPCAM_DATA") or ROOT.parent / "shared" / "data")
