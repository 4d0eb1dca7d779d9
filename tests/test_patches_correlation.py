"""Feature correlations: of real recognizers, from several layers, with gradients."""

from __future__ import annotations

import pytest
import torch

from patches.correlation import LAYERS, features, gram
from patches.surrogates import SurrogateSource, load_surrogate
from pipeline.recognizers import load_recognizers, zoo_folder


@pytest.mark.parametrize("recognizer", load_recognizers([zoo_folder()]), ids=lambda each: each.name)
def test_features_of_a_recognizer_come_from_several_layers_and_pass_gradients(recognizer):
    surrogate = load_surrogate(SurrogateSource(recognizer.contract, recognizer.onnx))
    pictures = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(1)).requires_grad_()
    found = features(surrogate, pictures)
    assert len(found) == LAYERS
    assert len({each.shape for each in found}) > 1
    slope = torch.autograd.grad(gram(found[0]).sum(), pictures)[0]
    assert slope.isfinite().all()
    assert slope.any()


def test_a_gram_matrix_is_the_mean_product_of_channels():
    activation = torch.tensor([[[[1.0, 3.0]], [[2.0, 4.0]]]])
    assert gram(activation).tolist() == [[[5.0, 7.0], [7.0, 10.0]]]
