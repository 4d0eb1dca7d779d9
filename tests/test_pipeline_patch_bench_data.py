"""Data sets and frames of the bench of patches: what is split from what, and what a frame covers."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calibration.errors import BadInput, BadUsage
from calibration.geometry import centered_box
from calibration.region import region_of
from pipeline.patch_bench.datasets import (
    OwnFolder,
    Pictures,
    chosen_classes,
    data_places,
    frame_of,
    open_dataset,
    open_folder,
    open_objects,
    open_signs,
    spread,
    together,
)
from pipeline.patch_bench.frames import coverage, outline_ring, paper_ring, square_ring, wearing
from pipeline.patch_bench.outlines import sign_outline

AREA = 0.4375
"""A ring of whole pixels: 2 px of 16."""


def own_folder(root: Path) -> OwnFolder:
    """Five plain pictures of each of three classes."""
    for label in ("red", "green", "blue"):
        (root / label).mkdir()
        for number in range(5):
            Image.new("RGB", (8, 8), label).save(root / label / f"{number}.png")
    return open_folder(root)


@pytest.mark.parametrize(("geometry", "share"), [(square_ring(AREA, 16), AREA), (paper_ring(32), 224 / 1024)])
def test_frames_cover_what_they_say_and_leave_the_rest(geometry, share):
    side = geometry.texels
    assert geometry.share == pytest.approx(share, abs=1e-3)
    covered = coverage(geometry, side)
    assert covered.mean() == pytest.approx(share, abs=1e-3)
    pictures = np.random.default_rng(1).integers(0, 256, (3, side, side, 3), np.uint8)
    texture = np.full((side, side, 3), 77, np.uint8)
    worn = wearing(pictures, texture, geometry)
    ring = geometry.ring()
    assert (worn[:, ring] == 77).all()
    assert (worn[:, ~ring] == pictures[:, ~ring]).all()
    assert wearing(pictures, None, geometry) is pictures


@pytest.mark.parametrize("area", [0.05, 0.3, 0.5])
@pytest.mark.parametrize("label", ["stop", "yield", "general-caution", "priority-road", "keep-right"])
def test_a_ring_along_an_outline_covers_its_share_and_leaves_the_object(label: str, area: float):
    outline = sign_outline(label, 0.8)
    geometry = outline_ring(area, 96, outline)
    assert geometry.share == pytest.approx(area, abs=1e-3)
    inside = region_of([0.8 * 100 * outline])
    square = centered_box(np.zeros(2), 100, 100)
    assert (coverage(geometry, 96) * inside.coverage(square, 96, 96)).mean() < 0.05 * inside.area_mm2 / 100**2


def test_a_ring_along_an_outline_cannot_cover_more_than_its_surroundings():
    with pytest.raises(BadInput, match=r"at most 0\.5"):
        outline_ring(0.6, 48, sign_outline("keep-right", 0.8))


def test_objects_without_an_outline_have_no_frame_along_it(tmp_path: Path):
    with pytest.raises(BadUsage, match="no known outline"):
        frame_of(own_folder(tmp_path), "red", "outline", 0.3, 32)


def test_the_rim_beyond_the_papers_ring_stays_picture():
    ring = paper_ring(32).ring()
    assert not ring[0].any()
    assert not ring[:, -1].any()
    assert ring[1, 1:31].all()
    assert not ring[3:29, 3:29].any()


@pytest.mark.parametrize(("limit", "expected"), [(3, [1, 5, 8]), (10, list(range(10))), (99, list(range(10)))])
def test_spread_takes_few_from_everywhere(limit, expected):
    assert spread(range(10), limit) == expected


def test_clusters_of_different_classes_stay_apart():
    one = Pictures(np.zeros((2, 4, 4, 3), np.uint8), np.array([0, 0]))
    assert len(set(together([one, one]).clusters.tolist())) == 2


def test_drawn_signs_are_others_in_each_part():
    dataset = open_dataset("drawn", None, (), Path())
    shown = [dataset.pictures("stop", part, 32, 3).pixels for part in ("training", "validation", "test")]
    assert all(each.shape == (3, 32, 32, 3) for each in shown)
    assert len({pixels.tobytes() for each in shown for pixels in each}) == 9
    assert (dataset.pictures("stop", "test", 32, 3).pixels == shown[2]).all()


# Where pictures come from


def test_signs_are_split_by_track(tmp_path):
    """Class 14 has four held-out tracks, class 13 two."""
    for label, tracks in ((14, 20), (13, 10)):
        (tmp_path / f"{label}").mkdir()
        for track in range(tracks):
            for frame in range(2):
                Image.new("RGB", (30, 32), (track, frame, label)).save(
                    tmp_path / f"{label}" / f"{track:05d}_{frame:05d}.png"
                )
    found = open_signs(tmp_path)
    assert found.classes == ("stop",)
    tracks = {
        part: set(found.pictures("stop", part, 16, 99).clusters.tolist()) for part in ("training", "validation", "test")
    }
    assert tracks["validation"] == {4}
    assert tracks["test"] == {9, 14, 19}
    assert tracks["training"] == {n for n in range(20) if n % 5 != 4}
    assert found.pictures("stop", "test", 16, 99).pixels.shape == (6, 16, 16, 3)


def test_objects_are_split_by_their_last_digit_and_read_once(tmp_path):
    archive = tmp_path / "cifar10-train.tar.xz"
    with tarfile.open(archive, "w:xz") as packed:
        for number, label in enumerate(
            ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
        ):
            for picture in range(20):
                stream = io.BytesIO()
                Image.new("RGB", (32, 32), (10 * number, 10 * picture, 0)).save(stream, format="JPEG", quality=95)
                entry = tarfile.TarInfo(f"train/{label}/{picture:04d}.jpg")
                entry.size = stream.tell()
                stream.seek(0)
                packed.addfile(entry, stream)
    found = open_objects(archive, tmp_path / "work")
    assert len(found.classes) == 10
    test = found.pictures("truck", "test", 32, 99)
    assert test.clusters.tolist() == [9, 19]
    assert test.pixels[:, 0, 0].tolist() == [pytest.approx([90, 90, 0], abs=4), pytest.approx([90, 190, 0], abs=4)]
    assert found.pictures("cat", "validation", 32, 99).clusters.tolist() == [8, 18]
    assert len(found.pictures("cat", "training", 32, 99).clusters) == 16
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.npy")}
    open_dataset("cifar10", tmp_path, (), tmp_path / "work")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.npy")} == before


def test_data_are_looked_for_upwards_or_where_the_environment_says(tmp_path):
    below = tmp_path / "a" / "b"
    assert tmp_path / "shared/data" in data_places(None, below)
    assert data_places("/elsewhere", below) == (Path("/elsewhere"),)


def test_classes_may_be_named(tmp_path: Path):
    assert chosen_classes(own_folder(tmp_path), ("red", "blue", "red")) == ("red", "blue")


@pytest.mark.parametrize("count", [2, 4, None])
def test_classes_are_spread_evenly(count):
    dataset = open_dataset("drawn", None, (), Path())
    assert len(chosen_classes(dataset, count)) == (count or len(dataset.classes))
