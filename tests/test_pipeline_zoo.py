"""The zoo: its recipe splits without a leak and resumes; what ships is consistent and as accurate as claimed."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.errors import BadImage, BadInput, BadUsage, MissingFile
from pipeline.recognizers import check_recognizer, load_recognizers, open_session, zoo_folder
from pipeline.zoo import recipe
from pipeline.zoo.labels import LABELS
from pipeline.zoo.photos import Photo, extract, find_photos, held_out_tracks, read_photos, split_by_track

MEGABYTE = 1_000_000
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def zoo():
    return load_recognizers([zoo_folder()])


@pytest.fixture(scope="module")
def toy_photos(tmp_path_factory) -> Path:
    """120 pictures of four classes that differ in color, three tracks each."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(5)
    for label, track, frame in ((a, b, c) for a in range(4) for b in (2, 3, 4) for c in range(10)):
        noise = rng.integers(0, 60, (30 + frame, 40, 3), dtype=np.uint8)
        noise[..., label % 3] += 60 * (1 + label // 3)
        path = folder / f"{label:02d}" / f"{track:05d}_{frame:05d}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), noise)
    return folder


# --- photographs and their split ---------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 42), st.integers(0, 60), st.integers(0, 29)), min_size=1, unique=True))
def test_split_has_no_leak_and_loses_nothing(named):
    photos = [Photo(f"{c:02d}/{t:05d}_{f:05d}.png", c, t, f) for c, t, f in named]
    split = split_by_track(photos)
    assert sorted(p.path for p in split.training + split.held_out) == sorted(p.path for p in photos)
    training = {(p.label, p.track) for p in split.training}
    held_out = {(p.label, p.track) for p in split.held_out}
    assert not training & held_out
    tracks = Counter(label for label, _ in training | held_out)
    assert {label for label, _ in training} == set(tracks)
    assert {label for label, _ in held_out} == {label for label, n in tracks.items() if n > 1}


@pytest.mark.parametrize(
    ("tracks", "held_out"),
    [({0, 1, 4, 9, 10}, {4, 9}), ({0, 1, 2}, {2}), ({4, 9}, {9}), ({4}, set()), ({7}, set())],
)
def test_split_rule(tracks, held_out):
    assert held_out_tracks(tracks) == held_out


def test_zip_and_folder_are_the_same(toy_photos, tmp_path):
    packed = tmp_path / "photos.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("README.txt", "not a photograph")
        for path in toy_photos.rglob("*.png"):
            archive.write(path, path.relative_to(toy_photos))
    found, in_zip = find_photos(toy_photos), find_photos(packed)
    assert found.photos == in_zip.photos
    assert len(found.photos) == 120
    images = [list(read_photos(each.source, each.photos, lambda image: image)) for each in (found, in_zip)]
    assert all(np.array_equal(a, b) for a, b in zip(*images, strict=True))
    extract(in_zip, in_zip.photos[:3], tmp_path / "out")
    assert [photo.path for photo in find_photos(tmp_path / "out").photos] == [p.path for p in found.photos[:3]]


def test_what_is_no_set_of_photographs(tmp_path):
    with pytest.raises(MissingFile, match="no such folder or zip"):
        find_photos(tmp_path / "none")
    with pytest.raises(BadInput, match=r"CC/TTTTT_FFFFF\.png"):
        find_photos(tmp_path)
    (tmp_path / "photos.zip").write_bytes(b"PK but not really")
    with pytest.raises(BadInput, match="neither a folder nor a zip"):
        find_photos(tmp_path / "photos.zip")


def test_a_damaged_photograph_is_named(tmp_path):
    (tmp_path / "00").mkdir()
    (tmp_path / "00/00001_00002.png").write_bytes(b"no picture")
    found = find_photos(tmp_path)
    with pytest.raises(BadImage, match="00001_00002"):
        list(read_photos(found.source, found.photos, lambda image: image))


# --- the recipe --------------------------------------------------------------------------------------------------


def train(photos: Path, folder: Path, progress=lambda *_: None, epochs: int = 3, seed: int = 11):
    return recipe.train_zoo(photos, folder / "out", folder / "work", seed, ["shufflenetv2"], epochs, progress)


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights(toy_photos, tmp_path):
    def kill(_name, share, _text):
        if 0.6 < share < 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(toy_photos, tmp_path / "killed", kill)
    assert not (tmp_path / "killed/out").exists()
    seen = []
    resumed = train(toy_photos, tmp_path / "killed", lambda _name, _share, text: seen.append(text))
    assert not any(text.startswith("epoch 1/") for text in seen)
    assert resumed == train(toy_photos, tmp_path / "whole")
    assert (resumed[0].trained_on, resumed[0].judged_on) == (80, 40)

    seen.clear()
    assert train(toy_photos, tmp_path / "killed", lambda _name, _share, text: seen.append(text)) == resumed
    assert seen == ["finished before"]

    damaged = tmp_path / "killed/work/shufflenetv2.pt"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    shutil.rmtree(tmp_path / "killed/out")
    with pytest.raises(BadInput, match="checkpoint"):
        train(toy_photos, tmp_path / "killed")


def test_unknown_family_and_classes_are_refused(toy_photos, tmp_path):
    with pytest.raises(BadUsage, match="vgg, resnet"):
        recipe.train_zoo(toy_photos, tmp_path, tmp_path, 1, ["lenet"], None, lambda *_: None)
    shutil.copytree(toy_photos / "00", tmp_path / "photos/77")
    with pytest.raises(BadInput, match="class 77"):
        train(tmp_path / "photos", tmp_path)
    (tmp_path / "single/00").mkdir(parents=True)
    shutil.copy(toy_photos / "00/00002_00000.png", tmp_path / "single/00")
    with pytest.raises(BadInput, match="single track"):
        train(tmp_path / "single", tmp_path)


# --- what ships --------------------------------------------------------------------------------------------------


def test_manifest_contracts_and_cards_agree(zoo):
    manifest = recipe.read_manifest()
    assert len(manifest.recognizers) >= 6
    assert sum(member.held_out for member in manifest.recognizers) >= 2
    declared = {(member.name, member.family, member.held_out) for member in manifest.recognizers}
    assert {(r.name, r.contract.family, r.contract.held_out) for r in zoo} == declared
    for recognizer in zoo:
        contract = recognizer.contract
        assert tuple(contract.labels) == LABELS
        assert contract.licence
        assert manifest.split in contract.training_data
        card = (recognizer.folder / f"{recognizer.name}.md").read_text()
        assert contract.sha256 in card
        assert all(f"| {label} |" in card for label in LABELS)


def test_labels_are_words():
    assert len(set(LABELS)) == 43
    assert all(label == label.lower() and " " not in label for label in LABELS)


def test_zoo_is_small(zoo):
    sizes = [recognizer.onnx.stat().st_size for recognizer in zoo]
    assert max(sizes) <= 2 * MEGABYTE
    assert sum(sizes) < 10 * MEGABYTE


def test_zoo_passes_its_self_tests(zoo):
    outcomes = {recognizer.name: check_recognizer(recognizer) for recognizer in zoo}
    assert {name for name, outcome in outcomes.items() if not outcome.passed} == set()


def test_no_trace_of_the_machine_that_trained(zoo):
    for recognizer in zoo:
        assert b".py" not in recognizer.onnx.read_bytes()


@pytest.mark.data
def test_zoo_is_right_on_held_out_tracks(zoo):
    folder = Path(os.environ.get("DPCAM_DATA", ROOT.parent / "shared" / "data"))
    source = folder / "gtsrb-photos.zip"
    if not source.exists():
        pytest.skip("gtsrb-photos.zip is not there: set DPCAM_DATA to its folder")
    found = find_photos(source)
    held_out = split_by_track(found.photos).held_out
    images = list(read_photos(found.source, held_out, lambda image: image))
    truth = np.array([photo.label for photo in held_out])
    rates = {r.name: float((open_session(r).logits(images).argmax(axis=1) == truth).mean()) for r in zoo}
    assert {name: rate for name, rate in rates.items() if rate < 0.97} == {}
    for name, rate in rates.items():
        card = (zoo_folder() / f"{name}.md").read_text()
        assert f"Overall {rate:.2%}" in card
