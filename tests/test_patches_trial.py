"""Patches on trial: answers in batches are answers one by one, and attacks find what they look for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from calibration.contract import Contract
from calibration.errors import BadInput, NoProvider
from patches.surrogates import Surrogate
from patches.trial import BATCH, answers, attack_answers, load_on

torch.set_num_threads(1)
SIDE = 16
EVERYWHERE = np.ones((SIDE, SIDE), bool)
NOWHERE = np.zeros((SIDE, SIDE), bool)


@pytest.fixture(scope="module")
def brightest() -> Surrogate:
    """Names the channel that a picture has most of."""
    network = nn.Sequential(nn.AvgPool2d(SIDE), nn.Flatten()).eval()
    contract = Contract(
        name="brightest", file="x.onnx", sha256="", input_name="x", height=SIDE, width=SIDE, labels=["r", "g", "b"]
    )
    return Surrogate(contract, network, 0.0)


def plain(*levels: int) -> np.ndarray:
    return np.broadcast_to(np.array(levels, np.uint8), (SIDE, SIDE, 3)).copy()


@pytest.mark.parametrize("count", [0, 1, BATCH, BATCH + 3])
def test_answers_come_in_order_whatever_the_batch(brightest, count):
    chosen = np.random.default_rng(1).integers(0, 3, count)
    pictures = np.stack([plain(*(200 * (np.arange(3) == each))) for each in chosen] or [plain(0, 0, 0)])[:count]
    found = answers(brightest, pictures)
    assert found.dtype == np.int64
    assert found.tolist() == chosen.tolist()
    assert answers(brightest, (pictures / 255).astype(np.float32)).tolist() == chosen.tolist()


def test_pictures_of_other_types_are_refused(brightest):
    with pytest.raises(BadInput, match=r"uint8 or float32"):
        answers(brightest, np.zeros((1, SIDE, SIDE, 3), np.float64))


@pytest.mark.parametrize(
    ("attack", "lead", "survives"),
    [("fgsm-4", 6, False), ("fgsm-2", 6, True), ("pgd10-4", 6, False), ("pgd10-4", 10, True)],
)
def test_an_attack_turns_the_answers_that_its_budget_reaches(brightest, attack, lead, survives):
    pictures = np.stack([plain(100 + lead, 100, 50)] * (BATCH + 2))
    found = attack_answers(brightest, pictures, 0, attack, sticker_mask=NOWHERE, object_mask=EVERYWHERE, seed=3)
    assert len(found) == BATCH + 2
    assert (found == 0).all() if survives else (found == 1).all()


def test_an_attack_outside_leaves_the_sticker_alone(brightest):
    covered = EVERYWHERE.copy()
    covered[0, 0] = False
    picture = np.stack([plain(106, 100, 50)])
    found = attack_answers(brightest, picture, 0, "pgd10-4-outside", sticker_mask=covered, object_mask=~covered, seed=3)
    assert found.tolist() == [0]


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(NoProvider, match="cuda:99"):
        load_on("cuda:99", [])
