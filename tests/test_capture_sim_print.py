"""The simulated printers: what they make of black, white and what lies between, and how an address names them."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.errors import BadUsage
from capture.cameras.sim_options import SimOptions, parse_sim_uri
from capture.cameras.sim_print import PRINTERS, printed

RAMP = np.repeat(np.arange(0, 256, 5, dtype=np.uint8)[None, :, None], 3, axis=2)


@pytest.mark.parametrize("printer", PRINTERS)
def test_more_light_asked_for_is_more_light_seen(printer: str):
    seen = printed(RAMP, 1.0, printer)[0].astype(int)
    assert (np.diff(seen, axis=0) >= 0).all()
    assert 3 < seen[0].min() <= seen[0].max() < 60
    assert 160 < seen[-1].min() <= seen[-1].max() < 245
    np.testing.assert_array_equal(printed(RAMP, 0.0, printer), RAMP)


def test_the_published_fit():
    asked = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    known = [(0.04, 0.04, 0.04), (0.80, 0.73, 0.68), (0.63, 0.22, 0.09), (0.19, 0.46, 0.18), (0.07, 0.13, 0.52)]
    seen = printed(asked, 1.0, "published")[0] / 255
    np.testing.assert_allclose(seen[:2], known[:2], atol=0.003)
    np.testing.assert_allclose(seen[2:], known[2:], atol=0.025)


def test_ink_that_covers_mixes_unlike_light():
    two, sum_of_both = (
        printed(np.array([[color]], np.uint8), 1.0, "laser")[0, 0].astype(int)
        for color in ((255, 0, 255), (255, 255, 255))
    )
    assert (two < sum_of_both).all()
    assert two[1] < two[0], "green is what magenta takes"


def test_an_address_names_the_printer():
    options = parse_sim_uri("sim:rig?printer=published&seed=3")
    assert options.printer == "published"
    assert parse_sim_uri(options.uri) == options
    assert "printer" not in SimOptions().uri
    with pytest.raises(BadUsage, match="printer is 'inkjet'; it must be one of lab, published, laser"):
        parse_sim_uri("sim:?printer=inkjet")
