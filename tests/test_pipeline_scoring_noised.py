"""Noises on captures: what is put where, the same for the same sample, attacks within budget and region."""

from __future__ import annotations

import json
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from colors import color_recognizer
from onnx import TensorProto, helper

from calibration.contract import resize_rgb
from calibration.errors import BadUsage
from calibration.geometry import apply_homography
from calibration.sheet import Sheet
from capture.session import FrameRecord, read_session
from patches.attacks import ATTACKS
from pipeline.declaring import add_model
from pipeline.noises import CORRUPTIONS, SEVERITIES, corrupt
from pipeline.recognizers import Recognizer, load_recognizer, open_session, zoo_folder
from pipeline.scoring.answering import softmax
from pipeline.scoring.attacking import Attacked
from pipeline.scoring.noised import STANDARD_SEVERITIES, Corrupted, noises_named
from pipeline.scoring.sample_input import Sizes
from pipeline.scoring.score import Noise, NoisedPicture, Seen
from pipeline.sessions.localizing import LocalizedFrame, localize_session, session_sheets, stored_picture

ZOO = ("resnet", "cct", "mobilenetv2")
SMALL = ("fgsm-4", "pgd3-4", "pgd3m-8", "pgd3-4-outside", "pgd3-4-object", "sticker")


@pytest.fixture(scope="module")
def zoo() -> dict[str, Recognizer]:
    return {name: load_recognizer(zoo_folder() / f"{name}.json") for name in ZOO}


@pytest.fixture(scope="module")
def crops(captured: Path) -> list[Seen]:
    """Six captured crops with their corners, as the natural view of a session has them."""
    session = read_session(captured)
    _, found = localize_session(session, lambda _: None)
    sheets = session_sheets(session)
    return [crop_of(frame, each, sheets[each.sheet]) for frame, each in zip(session.frames[:6], found, strict=False)]


def crop_of(frame: FrameRecord, found: LocalizedFrame, sheet: Sheet) -> Seen:
    corners = np.array(found.frame_corners_px)
    low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int) + 1
    to_image = cv2.getPerspectiveTransform(np.float32(sheet.frame.corners_mm), np.float32(corners))
    window = apply_homography(to_image, sheet.window.corners_mm)
    pixels = np.ascontiguousarray(stored_picture(frame)[low[1] : high[1], low[0] : high[0]])
    return Seen(f"{frame.index:06d}", "natural", 0, sheet.target.label, pixels, corners - low, window - low)


def only(name: str, *severities: int, seed: int = 0, place: str = "input") -> Noise:
    (noise,) = noises_named([name], severities or (4,), seed=seed, place=place)
    return noise


def pictures(noise: Noise, recognizer: Recognizer, seen: list[Seen]) -> list[np.ndarray]:
    found = list(noise.on(recognizer)(seen))
    assert not [each for each in found if isinstance(each, tuple)], found
    return found


def at_input(seen: Seen, recognizer: Recognizer) -> np.ndarray:
    contract = recognizer.contract
    return resize_rgb(seen.pixels, contract.height, contract.width, contract.resize)


def probabilities(recognizer: Recognizer, shown: list[NoisedPicture]) -> np.ndarray:
    """By ONNX Runtime, floats as they are."""
    return softmax(open_session(recognizer).logits_of(shown), recognizer.contract.output)


def of_truth(recognizer: Recognizer, seen: list[Seen], shown: list[NoisedPicture]) -> np.ndarray:
    columns = [recognizer.contract.labels.index(each.truth) for each in seen]
    return probabilities(recognizer, shown)[np.arange(len(seen)), columns]


def same(one: NoisedPicture, other: NoisedPicture) -> bool:
    return one.dtype == other.dtype and np.array_equal(one, other)


# Names


def test_names_and_severities_make_noises_each_once():
    found = noises_named(["fog", "pgd10-4", "fog", "contrast", "sticker"], (5, 3, 5), seed=0)
    assert [(each.name, each.severity) for each in found] == [
        ("fog", 5),
        ("fog", 3),
        ("pgd10", 4),
        ("contrast", 5),
        ("contrast", 3),
        ("sticker", 255),
    ]


def test_all_corruptions_have_one_name():
    found = noises_named(["corruptions", "fog"], seed=0)
    assert [(each.name, each.severity) for each in found] == [
        (name, severity) for name in CORRUPTIONS for severity in STANDARD_SEVERITIES
    ]
    assert STANDARD_SEVERITIES == (3, 4, 5)
    assert noises_named([], (), seed=0) == ()


@pytest.mark.parametrize("name", [*ATTACKS, "pgd100m-1", "pgd4-4", "pgd1-255-object"])
def test_an_attack_s_name_and_severity_say_which_it_is(name: str):
    noise = only(name)
    assert noise.name == (name if name == "sticker" else name.replace(f"-{noise.severity}", ""))
    assert noise.severity == (255 if name == "sticker" else int(name.split("-")[1]))
    assert noise.key["attack"] == name


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("gausian-noise", "gaussian-noise"),
        ("Fog", "fog"),
        ("corruption", "corruptions"),
        ("pgd10", "pgd10-"),
        ("pgd10-4-objects", "pgd10-4-object"),
        ("fgsm-256", "fgsm-2"),
        ("stickers", "sticker"),
        ("none", ""),
        ("", ""),
    ],
)
def test_an_unknown_name_is_one_error_with_the_nearest_known(name: str, near: str):
    with pytest.raises(BadUsage) as caught:
        noises_named(["fog", name], seed=0)
    assert f"no noise {name!r}" in caught.value.message
    assert "jpeg-compression" in caught.value.message
    assert "sticker" in caught.value.message
    assert near in caught.value.hint


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"severities": (3, 6)}, "severity 6: a whole number from 1 to 5"),
        ({"severities": (0,)}, "severity 0"),
        ({"severities": (2.5,)}, "severity 2.5"),
        ({"severities": ()}, "fog has no severity: whole numbers"),
        ({"place": "lens"}, "no place 'lens' for a noise; there are input and camera"),
        ({"seed": -1}, "seed -1: 0 or more"),
    ],
)
def test_other_severities_places_and_seeds_are_refused(words: dict, message: str):
    with pytest.raises(BadUsage, match=message):
        noises_named(["fog"], **{"severities": (3,), "seed": 0, **words})


def test_keys_are_json_and_tell_noises_apart():
    noises = [
        *noises_named(["corruptions", *ATTACKS], SEVERITIES, seed=0),
        *noises_named(["fog", "pgd10-4"], (3,), seed=1),
        only("fog", 3, place="camera"),
    ]
    keys = [json.dumps(each.key, sort_keys=True) for each in noises]
    assert len(set(keys)) == len(keys)
    assert keys[0] == json.dumps(only(CORRUPTIONS[0], 1).key, sort_keys=True)


# Corruptions


def test_a_corruption_is_that_of_the_bench_at_the_recognizer_s_input(zoo: dict[str, Recognizer], crops: list[Seen]):
    clean = [at_input(each, zoo["cct"]) for each in crops]
    noised = pictures(only("contrast", 5), zoo["cct"], crops)
    assert same(np.stack(noised), corrupt(np.stack(clean), "contrast", 5, seed=0, table="cifar"))


@pytest.mark.parametrize("place", ["input", "camera"])
@pytest.mark.parametrize("name", ["gaussian-noise", "glass-blur", "frost", "elastic-transform"])
def test_a_sample_s_noise_is_its_own(name: str, place: str, zoo: dict[str, Recognizer], crops: list[Seen]):
    noise = only(name, 5, place=place)
    whole = pictures(noise, zoo["cct"], crops)
    again = pictures(only(name, 5, place=place), zoo["resnet"], crops[::-1])[::-1]
    alone = [pictures(noise, zoo["cct"], [each])[0] for each in crops]
    assert all(map(same, whole, again))
    assert all(map(same, whole, alone))
    renamed, reseeded = (
        pictures(noise, zoo["cct"], [replace(crops[0], name="another")]),
        pictures(only(name, 5, seed=1, place=place), zoo["cct"], crops[:1]),
    )
    assert not same(renamed[0], whole[0])
    assert not same(reseeded[0], whole[0])
    view = pictures(noise, zoo["cct"], [replace(crops[0], view="untagged", repeat=3)])
    assert same(view[0], whole[0])


def test_the_place_is_the_input_or_the_camera(zoo: dict[str, Recognizer], crops: list[Seen]):
    assert {each.shape for each in pictures(only("fog"), zoo["cct"], crops)} == {(48, 48, 3)}
    noised = pictures(only("fog", place="camera"), zoo["cct"], crops)
    assert [each.shape for each in noised] == [each.pixels.shape for each in crops]


def test_near_and_far_meet_the_same_constants_at_the_camera(zoo: dict[str, Recognizer]):
    """On either side of the size where the tables change."""
    flat = [
        Seen(f"{side}", "natural", 0, None, np.full((side, side, 3), 90, np.uint8), None, None) for side in (90, 99)
    ]
    far, near = (each.std() for each in pictures(only("gaussian-noise", 3, place="camera"), zoo["cct"], flat))
    assert far == pytest.approx(near, rel=0.05)
    assert far == pytest.approx(0.08 * 255, rel=0.05)


def test_what_is_too_small_for_a_corruption_says_so(zoo: dict[str, Recognizer], crops: list[Seen], tmp_path: Path):
    tiny = replace(crops[0], pixels=np.zeros((15, 40, 3), np.uint8))
    camera, there = only("fog", place="camera").on(zoo["cct"])([tiny, crops[1]])
    assert camera == ("not-applicable", "fog needs 16 x 16 px, the picture has 40 x 15")
    assert isinstance(there, np.ndarray)
    (found,) = only("fog").on(color_recognizer(tmp_path, "near"))(crops[:1])
    assert found == ("not-applicable", "fog needs 16 x 16 px, the picture has 4 x 4")


# Attacks


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("model", ["resnet", "cct"])
def test_budget_region_and_range_hold(name: str, model: str, zoo: dict[str, Recognizer], crops: list[Seen]):
    noise = only(name)
    shown = pictures(noise, zoo[model], crops[:2])
    for seen, found in zip(crops, shown, strict=False):
        clean = at_input(seen, zoo[model]).astype(np.float32) / np.float32(255)
        assert found.shape == (48, 48, 3)
        assert found.dtype == np.float32
        assert found.min() >= 0
        assert found.max() <= 1
        change = np.abs(found.astype(np.float64) - clean)
        assert change.max() <= noise.severity / 255
        assert (change.max(axis=2) > 0)[allowed(seen, noise)].mean() > (0.03 if name == "sticker" else 0.75)
        assert not change[~allowed(seen, noise)].any()


def allowed(seen: Seen, noise: Noise) -> np.ndarray:
    """Where pixels of 48 x 48 may change, with half a pixel's mercy at the rims."""
    mask = np.zeros((48, 48), bool)
    shape = np.array(seen.pixels.shape[1::-1])
    y, x = np.mgrid[:48, :48]
    points = (np.stack([x, y], axis=-1) + 0.5) / 48 * shape - 0.5
    frame, window = (distance(points, each) for each in (seen.frame_px, seen.window_px))
    margin = 0.5 * shape.max() / 48
    mask[...] = {"object": window > -margin, "sticker": window > -margin}.get(
        str(noise.attack).rpartition("-")[2], (frame < margin) | (window > -margin)
    )
    return mask if "outside" in noise.name or "object" in noise.name or noise.name == "sticker" else np.ones_like(mask)


def distance(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Signed distance to the nearest edge, px; positive within."""
    along = np.roll(corners, -1, axis=0) - corners
    normals = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.linalg.norm(along, axis=1, keepdims=True)
    return np.min([(points - corner) @ normal for corner, normal in zip(corners, normals, strict=True)], axis=0)


@pytest.mark.parametrize("model", ZOO)
def test_an_attack_lowers_the_true_probability(model: str, zoo: dict[str, Recognizer], crops: list[Seen]):
    before = of_truth(zoo[model], crops, [at_input(each, zoo[model]) for each in crops])
    after = of_truth(zoo[model], crops, pictures(only("pgd10-8"), zoo[model], crops))
    assert (after < before).all()
    assert after.mean() < before.mean() / 2


def test_adversarial_pictures_are_scored_as_they_are(zoo: dict[str, Recognizer], crops: list[Seen]):
    """Not in whole levels; by ONNX Runtime they do what they did to the twin."""
    noise = only("pgd10-4")
    shown = pictures(noise, zoo["resnet"], crops)
    assert np.abs(255 * shown[0] - np.rint(255 * shown[0])).max() > 0.1
    twin = noise.twins.of(zoo["resnet"]).network
    pixels = torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = twin.logits(pixels).numpy()
    assert np.abs(open_session(zoo["resnet"]).logits_of(shown) - expected).max() < 1e-3


@pytest.mark.parametrize("model", ["resnet", "cct"])
def test_an_attack_depends_on_nothing_beside_the_sample(model: str, zoo: dict[str, Recognizer], crops: list[Seen]):
    noise = only("pgd3-4")
    whole = pictures(noise, zoo[model], crops)
    again = pictures(only("pgd3-4"), zoo[model], crops[::-1])[::-1]
    alone = pictures(noise, zoo[model], [crops[2]])
    assert all(map(same, whole, again))
    assert same(alone[0], whole[2])
    assert not same(pictures(noise, zoo[model], [replace(crops[2], name="another")])[0], whole[2])
    assert not same(pictures(only("pgd3-4", seed=1), zoo[model], [crops[2]])[0], whole[2])


@pytest.mark.parametrize("change", [{"frame_px": None}, {"window_px": None}, {"frame_px": None, "window_px": None}])
def test_a_region_that_is_not_known_is_not_applicable(change: dict, zoo: dict[str, Recognizer], crops: list[Seen]):
    blind = replace(crops[0], **change)
    for name in ("fgsm-4-outside", "fgsm-4-object", "sticker"):
        status, reason = only(name).on(zoo["cct"])([blind])[0]
        assert status == "not-applicable"
        assert (
            reason == f"{name} keeps to a region, and where sticker and object are in the view 'natural' is not known"
        )
    assert isinstance(only("fgsm-4").on(zoo["cct"])([blind])[0], np.ndarray)


def test_a_region_without_a_pixel_is_not_applicable(zoo: dict[str, Recognizer], crops: list[Seen]):
    dot = np.zeros((4, 2))
    found = only("fgsm-4-object").on(zoo["cct"])([replace(crops[0], window_px=dot)])[0]
    assert found == ("not-applicable", "fgsm-4-object finds nothing in the view 'natural' that it may change")
    beyond = np.array([[-9.0, -9.0], [999, -9], [999, 999], [-9, 999]])
    found = only("fgsm-4-outside").on(zoo["cct"])([replace(crops[0], frame_px=beyond, window_px=dot)])[0]
    assert found[0] == "not-applicable"


def test_without_a_truth_there_is_nothing_to_attack(zoo: dict[str, Recognizer], crops: list[Seen]):
    unknown, known = only("fgsm-4").on(zoo["cct"])([replace(crops[0], truth=None), crops[1]])
    assert unknown == ("not-applicable", "fgsm-4 needs the true class, and nothing is known of it")
    assert isinstance(known, np.ndarray)


def model_of(folder: Path, nodes: list, kind: int, shape: list, **more: object) -> Recognizer:
    """A tiny recognizer of 16 px and three labels."""
    ends = [
        helper.make_tensor_value_info("picture", kind, shape),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, None),
    ]
    graph = helper.make_graph(nodes, "tiny", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    folder.mkdir(exist_ok=True)
    (folder / "tiny.source").write_bytes(model.SerializeToString())
    add_model(folder / "tiny.source", folder, name="tiny", labels=("red", "green", "blue"), **more)
    return load_recognizer(folder / "tiny.json")


def test_a_model_of_bytes_gets_bytes_within_the_budget(tmp_path: Path, crops: list[Seen]):
    nodes = [
        helper.make_node("Cast", ["picture"], ["light"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["light"], ["scores"], axes=[1, 2], keepdims=0),
    ]
    tiny = model_of(tmp_path, nodes, TensorProto.UINT8, ["batch", 16, 16, 3])
    red = replace(crops[0], truth="red")
    (found,) = pictures(only("fgsm-4"), tiny, [red])
    assert found.dtype == np.uint8
    change = found.astype(int) - at_input(red, tiny)
    assert np.abs(change).max() == 4
    assert change[..., 0].mean() < 0 < change[..., 1].mean() + change[..., 2].mean()


def test_what_cannot_be_converted_fails_for_the_attack_alone(tmp_path: Path, crops: list[Seen]):
    nodes = [
        helper.make_node("ReduceMean", ["picture"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Round", ["mean"], ["scores"]),
    ]
    tiny = model_of(tmp_path, nodes, TensorProto.FLOAT, ["batch", 3, 16, 16])
    red = replace(crops[0], truth="red")
    for status, reason in only("fgsm-4").on(tiny)([red, red]):
        assert status == "failed"
        assert reason.startswith("it cannot be attacked: tiny gives no usable gradient")
    assert isinstance(only("fog").on(tiny)([red])[0], np.ndarray)


def test_a_recognizer_is_converted_once_for_all_attacks_that_hold_it(zoo: dict[str, Recognizer]):
    first, second = noises_named(["fgsm-2", "fgsm-4"], seed=0)
    assert isinstance(first, Attacked)
    assert first.twins is second.twins
    held = first.twins.of(zoo["cct"])
    assert second.twins.of(zoo["cct"]) is held
    assert first.twins.of(zoo["resnet"]).network.name == "resnet"
    gone = weakref.ref(held)
    del held
    assert gone() is None


def test_threads_change_nothing(zoo: dict[str, Recognizer], crops: list[Seen]):
    """Several recognizers and noises at a time, as scoring asks them."""
    names = ["fog", "pgd2-4", "fgsm-4-object"]
    jobs = [(noise, model) for noise in range(len(names)) for model in ZOO]
    alone = [pictures(noises_named([names[noise]], (4,), seed=0)[0], zoo[model], crops[:2]) for noise, model in jobs]
    shared = noises_named(names, (4,), seed=0)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda job: pictures(shared[job[0]], zoo[job[1]], crops[:2]), jobs))
    assert all(
        same(one, other)
        for ours, theirs in zip(alone, found, strict=True)
        for one, other in zip(ours, theirs, strict=True)
    )


def test_a_crop_is_shrunk_once_and_not_held(zoo: dict[str, Recognizer]):
    sizes, contract = Sizes(), zoo["cct"].contract
    crop = np.zeros((90, 90, 3), np.uint8)
    small = sizes.at_input(crop, contract)
    assert small.shape == (48, 48, 3)
    assert sizes.at_input(crop, zoo["resnet"].contract) is small
    assert sizes.at_input(crop, contract.model_copy(update={"height": 30})).shape == (30, 48, 3)
    gone = weakref.ref(small)
    del crop, small
    assert gone() is None


def test_corruptions_are_values():
    assert only("fog") == only("fog") == Corrupted("fog", 4, 0, "input")
