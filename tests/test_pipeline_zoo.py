"""The zoos: their recipe splits without a leak and resumes; what ships is consistent and as accurate as claimed."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from program import data

from calibration.errors import BadImage, BadInput, BadUsage, MissingFile
from calibration.files import write_document
from patches.networks import ARCHITECTURES
from patches.object_networks import OBJECT_ARCHITECTURES
from patches.surrogates import SurrogateSource, load_surrogate
from pipeline.recognizers import check_recognizer, load_recognizers, open_session, zoo_folder
from pipeline.zoo import recipe
from pipeline.zoo.labels import OBJECT_LABELS
from pipeline.zoo.manifest import Manifest, Member, ZooResult
from pipeline.zoo.photos import (
    NUMBER_RULE,
    SPLIT_RULE,
    Photo,
    extract,
    find_photos,
    held_out_tracks,
    parse_object,
    read_photos,
    split_by_number,
    split_by_track,
)
from pipeline.zoo.subjects import OBJECTS, SIGNS, SUBJECTS, Subject

MEGABYTE = 1_000_000
ROOT = Path(__file__).parents[1]


TEST_DATA = {"signs": "gtsrb-photos.zip", "objects": "cifar10-train.tar.xz"}
MOST_BYTES = {"signs": 8 * MEGABYTE, "objects": 4 * MEGABYTE}
OBJECT_CLASSES = ("airplane", "cat", "dog", "truck")


@pytest.fixture(scope="module", params=SUBJECTS.values(), ids=SUBJECTS)
def subject(request) -> Subject:
    return request.param


@pytest.fixture(scope="module")
def zoo(subject):
    if not subject.models.is_dir():
        pytest.skip(f"the models of the zoo of {subject.name} are not in this checkout")
    return load_recognizers([subject.models])


@pytest.fixture(scope="module")
def toy_photos(tmp_path_factory) -> Path:
    """120 pictures of four classes of signs that differ in color, three tracks each."""
    folder = tmp_path_factory.mktemp("photos")
    for label, track, frame in ((a, b, c) for a in range(4) for b in (2, 3, 4) for c in range(10)):
        write_noise(folder / f"{label:02d}" / f"{track:05d}_{frame:05d}.png", label, 30 + frame, track)
    return folder


@pytest.fixture(scope="module")
def toy_objects(tmp_path_factory) -> Path:
    """200 pictures of four classes of objects that differ in color, and two files that are none."""
    folder = tmp_path_factory.mktemp("objects")
    for label, number in ((a, b) for a in range(4) for b in range(50)):
        write_noise(folder / "train" / OBJECT_CLASSES[label] / f"{number:04d}.jpg", label, 32, number)
    write_noise(folder / "train/people/0000.jpg", 0, 32, 0)
    write_noise(folder / "train/cat/0000.png", 0, 32, 0)
    return folder


@pytest.fixture
def toys(toy_photos, toy_objects) -> dict[str, Path]:
    return {"signs": toy_photos, "objects": toy_objects}


def write_noise(path: Path, label: int, height: int, seed: int) -> None:
    noise = np.random.default_rng([label, seed]).integers(0, 60, (height, 40 if height < 32 else height, 3), np.uint8)
    noise[..., label % 3] += np.uint8(60 * (1 + label // 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), noise)


def pack_zip(folder: Path, into: Path) -> Path:
    with zipfile.ZipFile(into / "photos.zip", "w") as archive:
        archive.writestr("README.txt", "not a photograph")
        for path in folder.rglob("*.*"):
            archive.write(path, path.relative_to(folder))
    return into / "photos.zip"


def pack_tar(folder: Path, into: Path, kind: str = "xz") -> Path:
    """With folders and a link, and in no order."""
    with tarfile.open(into / f"photos.tar.{kind}", f"w:{kind}") as archive:
        for path in sorted(folder.rglob("*"), key=lambda path: path.name):
            archive.add(path, path.relative_to(folder), recursive=False)
        link = tarfile.TarInfo("train/cat/9999.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    return into / f"photos.tar.{kind}"


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


@pytest.mark.parametrize("pack", [pack_zip, pack_tar, partial(pack_tar, kind="gz")], ids=["zip", "tar.xz", "tar.gz"])
def test_folder_and_archive_are_the_same(subject, toys, tmp_path, pack):
    folder = toys[subject.name]
    found, packed = (find_photos(each, subject.naming) for each in (folder, pack(folder, tmp_path)))
    assert found.photos == packed.photos
    assert len(found.photos) == {"signs": 120, "objects": 200}[subject.name]
    # Neither all of them nor in the order of the names.
    some = [*found.photos[100:], *found.photos[:7]]
    images = [list(read_photos(each.source, some, lambda image: image)) for each in (found, packed)]
    assert len(images[0]) == len(some)
    assert all(np.array_equal(a, b) for a, b in zip(*images, strict=True))


def test_extracted_signs_are_found_again(toy_photos, tmp_path):
    in_zip = find_photos(pack_zip(toy_photos, tmp_path))
    extract(in_zip, in_zip.photos[:3], tmp_path / "out")
    assert [photo.path for photo in find_photos(tmp_path / "out").photos] == [p.path for p in in_zip.photos[:3]]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4999)), min_size=1, unique=True))
def test_objects_are_split_by_their_number(named):
    photos = [parse_object(f"train/{OBJECT_LABELS[label]}/{number:04d}.jpg") for label, number in named]
    assert [(photo.label, photo.track, photo.frame) for photo in photos] == [(*each, 0) for each in named]
    split = split_by_number(photos)
    parts = {8: split.validation, 9: split.held_out}
    assert Counter(split.training + split.validation + split.held_out) == Counter(photos)
    assert all(photo in parts.get(int(photo.path[-5]), split.training) for photo in photos)


@pytest.mark.parametrize(
    "name",
    ["train/people/0001.jpg", "train/cat/0001.png", "cat0001.jpg", "train/Cat/0001.jpg", "cat/x.jpg", "cat/1.jpg/a"],
)
def test_what_is_no_photograph_of_an_object(name):
    assert parse_object(name) is None


def test_what_is_no_set_of_photographs(subject, tmp_path):
    with pytest.raises(MissingFile, match="no such folder or zip"):
        find_photos(tmp_path / "none", subject.naming)
    with pytest.raises(BadInput, match={"signs": r"CC/TTTTT_FFFFF\.png", "objects": r"CLASS/NNNN\.jpg"}[subject.name]):
        find_photos(tmp_path, subject.naming)
    (tmp_path / "photos.zip").write_bytes(b"PK but not really")
    with pytest.raises(BadInput, match="neither a folder nor a zip"):
        find_photos(tmp_path / "photos.zip", subject.naming)


@pytest.mark.parametrize("kind", ["xz", "gz", "bz2"])
def test_half_an_archive_is_refused(toy_objects, tmp_path, kind):
    whole = pack_tar(toy_objects, tmp_path, kind)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(BadInput, match=r"photos\.tar"):
        find_photos(whole, OBJECTS.naming)


def test_a_damaged_photograph_is_named(tmp_path):
    (tmp_path / "00").mkdir()
    (tmp_path / "00/00001_00002.png").write_bytes(b"no picture")
    found = find_photos(tmp_path)
    with pytest.raises(BadImage, match="00001_00002"):
        list(read_photos(found.source, found.photos, lambda image: image))
    (tmp_path / "00/00001_00002.png").unlink()
    with pytest.raises(BadInput, match="00001_00002"):
        list(read_photos(found.source, found.photos, lambda image: image))


def test_a_photograph_that_left_the_tar_is_named(toy_objects, tmp_path):
    archive = pack_tar(toy_objects, tmp_path)
    lost = parse_object("train/cat/4711.jpg")
    with pytest.raises(BadInput, match=r"4711\.jpg"):
        list(read_photos(archive, [lost], lambda image: image))


# --- the recipe --------------------------------------------------------------------------------------------------


@pytest.fixture
def quick_zoo(subject, tmp_path_factory) -> Subject:
    """The subject with a manifest of one member that is quick to train; of the objects it is a hardened one."""
    if subject is SIGNS:
        return subject
    folder = tmp_path_factory.mktemp("zoo")
    member = Member(name="vgg-hardened", family="vgg", held_out=False, architecture="vgg", attack_levels=4)
    write_document(folder / "manifest.json", Manifest(split=NUMBER_RULE, recognizers=[member]))
    return replace(subject, folder=folder)


def train(subject: Subject, photos: Path, folder: Path, progress=lambda *_: None):
    families = ["shufflenetv2"] if subject.name == "signs" else []
    return recipe.train_zoo(
        subject, photos, folder / "out", folder / "work", seed=11, families=families, epochs=3, progress=progress
    )


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights(quick_zoo, toys, tmp_path):
    photos = toys[quick_zoo.name]

    def kill(_name, share, _text):
        if 0.6 < share < 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(quick_zoo, photos, tmp_path / "killed", kill)
    assert not (tmp_path / "killed/out").exists()
    seen = []
    resumed = train(quick_zoo, photos, tmp_path / "killed", lambda _name, _share, text: seen.append(text))
    assert not any(text.startswith("epoch 1/") for text in seen)
    assert resumed == train(quick_zoo, photos, tmp_path / "whole")
    assert (resumed[0].trained_on, resumed[0].judged_on) == {"signs": (80, 40), "objects": (160, 20)}[quick_zoo.name]
    check_stored(quick_zoo, resumed[0], tmp_path / "killed/out")

    seen.clear()
    assert train(quick_zoo, photos, tmp_path / "killed", lambda _name, _share, text: seen.append(text)) == resumed
    assert seen == ["finished before"]

    damaged = tmp_path / f"killed/work/{resumed[0].name}.pt"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    shutil.rmtree(tmp_path / "killed/out")
    with pytest.raises(BadInput, match="checkpoint"):
        train(quick_zoo, photos, tmp_path / "killed")


def check_stored(subject: Subject, result: ZooResult, folder: Path) -> None:
    """What came out is a recognizer of this subject, packed or not, whose self-test is its own."""
    (recognizer,) = load_recognizers([folder])
    contract = recognizer.contract
    assert check_recognizer(recognizer).passed
    assert load_surrogate(SurrogateSource(contract, recognizer.onnx)).max_delta < 1e-4
    assert (tuple(contract.labels), contract.sha256) == (subject.labels, result.sha256)
    stored = {each.data_type for each in onnx.load(recognizer.onnx).graph.initializer}
    assert (onnx.TensorProto.INT8 in stored) == subject.packed
    assert result.bytes == recognizer.onnx.stat().st_size
    card = (folder / f"{result.name}.md").read_text()
    assert subject.card.title in card
    assert subject.card.command in card
    assert ("Hardened: trained against attacks of 4 of 255 levels" in card) == (result.attack_levels == 4)


def test_unknown_family_and_classes_are_refused(subject, toys, tmp_path):
    known = ", ".join(member.name for member in subject.manifest().recognizers)
    with pytest.raises(BadUsage, match=known):
        recipe.check_families(subject, ["vgg", "lenet"])
    (path, *_) = sorted(toys[subject.name].rglob("*.[jp][np]g"))
    single = tmp_path / path.relative_to(toys[subject.name])
    single.parent.mkdir(parents=True)
    shutil.copy(path, single)
    with pytest.raises(BadInput, match=r"there are (1 and 0|0 and 1) \(split by"):
        train(subject, tmp_path, tmp_path)
    assert not (tmp_path / "out").exists()


def test_classes_beyond_the_labels_are_refused(toy_photos, tmp_path):
    shutil.copytree(toy_photos / "00", tmp_path / "photos/77")
    with pytest.raises(BadInput, match="class 77"):
        train(SIGNS, tmp_path / "photos", tmp_path)


def test_one_zoo_is_not_written_over_the_other(toy_objects, tmp_path):
    for path in SIGNS.models.glob("vgg.*"):
        (tmp_path / "out").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "out")
    with pytest.raises(BadInput, match="other classes than the zoo of objects"):
        train(OBJECTS, toy_objects, tmp_path)
    assert not (tmp_path / "work").exists()


def result(correct: int, attack_levels: float = 0.0) -> ZooResult:
    counts = {"seed": 7, "epochs": 1, "trained_on": 80, "judged_on": 100, "correct": correct}
    return ZooResult(
        **counts,
        name="net",
        family="vgg",
        held_out=False,
        attack_levels=attack_levels,
        per_class=[(correct, 100)],
        bytes=9,
        sha256="",
        recipe="",
    )


def test_what_is_too_weak():
    weak = recipe.too_weak(OBJECTS, [result(87), result(88), result(80, attack_levels=2)])
    assert [each.correct for each in weak] == [87]
    assert [each.correct for each in recipe.too_weak(SIGNS, [result(96), result(97)])] == [96]


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_command_says_what_it_would_train(name, tmp_path):
    said = data("models", "train-zoo", "--photos", "nowhere", "--subject", name, "--dry-run", cwd=tmp_path)
    assert said["would_train"] == [member.name for member in SUBJECTS[name].manifest().recognizers]
    assert said["out"] == {"signs": "zoo", "objects": "zoo-objects"}[name]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["-8", ".more_b"])
def test_a_second_training_stands_beside_the_first(suffix, tmp_path):
    words = ("--family", "vgg", "--family", "cct", "--suffix", suffix, "--dry-run")
    said = data("models", "train-zoo", "--photos", "nowhere", *words, cwd=tmp_path)
    assert said["would_train"] == [f"vgg{suffix}", f"cct{suffix}"]
    vgg, _ = recipe.choose_members(SIGNS, ["vgg", "cct"], suffix)
    assert (vgg.family, vgg.built_as) == ("vgg", "vgg")


@pytest.mark.parametrize("suffix", ["/up", " b", "x" * 41, "ß!"])
def test_a_suffix_that_no_name_may_have(suffix):
    with pytest.raises(BadUsage, match="--suffix"):
        recipe.choose_members(SIGNS, ["vgg"], suffix)


# --- what ships --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "rule", "families"), [("signs", SPLIT_RULE, 6), ("objects", NUMBER_RULE, 5)])
def test_manifests_declare_families_and_hold_some_out(name, rule, families):
    manifest = SUBJECTS[name].manifest()
    assert manifest.split == rule
    assert len({member.family for member in manifest.recognizers}) == families
    assert len({member.family for member in manifest.recognizers if member.held_out}) >= 2
    # No surrogate is of a family that is held out.
    assert not {m.family for m in manifest.recognizers if m.held_out} & {
        m.family for m in manifest.recognizers if not m.held_out
    }
    known = {"signs": ARCHITECTURES, "objects": OBJECT_ARCHITECTURES}[name]
    assert {member.family for member in manifest.recognizers} == {
        known[member.built_as].family for member in manifest.recognizers
    }


def test_manifest_contracts_and_cards_agree(subject, zoo):
    manifest = subject.manifest()
    declared = {(member.name, member.family, member.held_out) for member in manifest.recognizers}
    assert {(r.name, r.contract.family, r.contract.held_out) for r in zoo} == declared
    for recognizer in zoo:
        contract = recognizer.contract
        assert tuple(contract.labels) == subject.labels
        assert contract.licence
        assert manifest.split in contract.training_data
        card = (recognizer.folder / f"{recognizer.name}.md").read_text()
        assert contract.sha256 in card
        assert all(f"| {label} |" in card for label in subject.labels)


def test_labels_are_words(subject):
    assert len(set(subject.labels)) == {"signs": 43, "objects": 10}[subject.name]
    assert all(label == label.lower() and " " not in label for label in subject.labels)


def test_the_bench_has_the_signs(zoo, subject):
    assert zoo_folder() == SIGNS.models
    assert (zoo[0].folder == zoo_folder()) == (subject is SIGNS)


def test_a_zoo_is_small(subject, zoo):
    sizes = [recognizer.onnx.stat().st_size for recognizer in zoo]
    assert max(sizes) <= 2 * MEGABYTE
    assert sum(sizes) < MOST_BYTES[subject.name]


def test_zoo_passes_its_self_tests(zoo):
    outcomes = {recognizer.name: check_recognizer(recognizer) for recognizer in zoo}
    assert {name for name, outcome in outcomes.items() if not outcome.passed} == set()


def test_no_trace_of_the_machine_that_trained(zoo):
    for recognizer in zoo:
        assert b".py" not in recognizer.onnx.read_bytes()


@pytest.mark.data
def test_zoo_is_right_on_held_out_photographs(subject, zoo):
    folder = Path(os.environ.get("DPCAM_DATA", ROOT.parent / "shared" / "data"))
    source = folder / TEST_DATA[subject.name]
    if not source.exists():
        pytest.skip(f"{source.name} is not there: set DPCAM_DATA to its folder")
    found = find_photos(source, subject.naming)
    held_out = subject.split(found.photos).held_out
    images = list(read_photos(found.source, held_out, lambda image: image))
    truth = np.array([photo.label for photo in held_out])
    rates = {r.name: float((open_session(r).logits(images).argmax(axis=1) == truth).mean()) for r in zoo}
    plain = [member.name for member in subject.manifest().recognizers if not member.attack_levels]
    assert {name: rates[name] for name in plain if rates[name] < subject.required_accuracy} == {}
    for name, rate in rates.items():
        card = (subject.models / f"{name}.md").read_text()
        assert f"Overall {rate:.2%}" in card
