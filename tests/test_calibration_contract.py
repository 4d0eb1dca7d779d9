"""The input contract of a recognizer: what becomes of pixels."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.contract import Contract, resize_rgb, self_test_images, to_tensor
from calibration.errors import BadConfig
from calibration.files import parse_document

PLAIN = {
    "name": "net",
    "file": "net.onnx",
    "sha256": "0" * 64,
    "input_name": "x",
    "height": 6,
    "width": 4,
    "labels": ["a", "b"],
}
PICTURES = np.random.default_rng(1).integers(0, 256, (2, 6, 4, 3), np.uint8)


def contract(**change: object) -> Contract:
    return parse_document(PLAIN | change, Contract, where="net.json")


def test_layout_range_and_color_by_hand():
    made = to_tensor(
        PICTURES,
        contract(color="BGR", range_max=255.0, mean=(127.0, 120.0, 100.0), std=(128.0, 2.0, 1.0)),
    )
    assert made.shape == (2, 3, 6, 4)
    assert made.dtype == np.float32
    assert made.flags.c_contiguous
    blue, red = PICTURES[..., 2].astype(float), PICTURES[..., 0].astype(float)
    np.testing.assert_allclose(made[:, 0], (blue - 127) / 128, atol=1e-5)
    np.testing.assert_allclose(made[:, 2], red - 100, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
@pytest.mark.parametrize(("layout", "shape"), [("NCHW", (2, 3, 6, 4)), ("NHWC", (2, 6, 4, 3))])
def test_layouts_and_types(dtype, layout, shape):
    made = to_tensor(PICTURES, contract(layout=layout, dtype=dtype))
    assert made.shape == shape
    assert made.dtype == dtype
    first = made[0, :, 1, 2] if layout == "NCHW" else made[0, 1, 2]
    expected = PICTURES[0, 1, 2] if dtype == "uint8" else PICTURES[0, 1, 2] / 255
    np.testing.assert_allclose(first, expected, atol=1e-3)


@pytest.mark.parametrize("rule", ["area", "bilinear"])
@pytest.mark.parametrize("shape", [(6, 4), (60, 40), (3, 2), (1, 1), (3, 40), (100, 3)])
def test_resize(rule, shape):
    picture = np.full((*shape, 3), (10, 128, 250), np.uint8)
    made = resize_rgb(picture, 6, 4, rule)
    assert made.shape == (6, 4, 3)
    assert made.dtype == np.uint8
    assert (made == (10, 128, 250)).all()


def test_area_averages_when_shrinking():
    checks = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (30, 20))
    made = resize_rgb(np.repeat(checks[..., None], 3, axis=2), 6, 4, "area")
    assert np.ptp(made) <= 1
    assert abs(int(made[0, 0, 0]) - 127) <= 1


def test_the_self_test_picture_comes_from_the_seed():
    one, two = self_test_images(contract(), 5), self_test_images(contract(), 6)
    assert one.shape == (1, 6, 4, 3)
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(one, self_test_images(contract(), 5))
    assert (one != two).any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"std": (1.0, 0.0, 1.0)}, "std"),
        ({"labels": ["only"]}, "labels"),
        ({"name": "../net"}, "name"),
        ({"name": ""}, "name"),
        ({"layout": "CHW"}, "layout"),
        ({"dtype": "int8"}, "dtype"),
        ({"height": 0}, "height"),
        ({"means": (0, 0, 0)}, "means"),
        ({"range_max": -1}, "range_max"),
    ],
)
def test_impossible_contracts_are_refused(change, words):
    with pytest.raises(BadConfig, match=words):
        contract(**change)


def test_document_round_trip():
    whole = contract(self_test={"seed": 5, "logits": [0.25, -1.5]}, fixed_batch=1, licence="MIT")
    assert parse_document(whole.model_dump(mode="json"), Contract, where="net.json") == whole
