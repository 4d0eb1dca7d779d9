"""The ranges of the EOT chain: ordered, bounded, hashed."""

import json

import pytest

from calibration.errors import BadConfig
from calibration.files import parse_document
from patches.spec import TransformSpec


@pytest.mark.parametrize(
    ("key", "span"),
    [
        ("distance_mm", [3000, 500]),
        ("distance_mm", [0, 500]),
        ("yaw_deg", [-90, 0]),
        ("shadow", [0, 1.5]),
        ("light_gain", [0, 1]),
        ("focal_px", [float("nan"), 5]),
    ],
)
def test_a_range_must_be_ordered_and_within_bounds(key, span):
    with pytest.raises(BadConfig, match=rf"{key}: .*two numbers, the smaller first, within .*found"):
        parse_document({key: span}, TransformSpec, where="spec.json")


def test_unknown_steps_are_refused():
    with pytest.raises(BadConfig, match="distnace_mm"):
        parse_document({"distnace_mm": [1, 2]}, TransformSpec, where="spec.json")


def test_hash_follows_the_values():
    assert TransformSpec().sha256 == TransformSpec().sha256
    assert TransformSpec().sha256 != TransformSpec(roll_deg=(-9, 8)).sha256


def test_survives_json():
    spec = TransformSpec(haze=(0.1, 0.2))
    assert parse_document(json.loads(spec.model_dump_json()), TransformSpec, where="here") == spec


def test_default_covers_the_lab_and_the_patch_is_seen_in_tens_of_pixels():
    spec = TransformSpec()
    smallest = 160 * spec.focal_px[0] / spec.distance_mm[1]
    largest = 160 * spec.focal_px[1] / spec.distance_mm[0]
    assert 20 < smallest < 40
    assert largest > 300
