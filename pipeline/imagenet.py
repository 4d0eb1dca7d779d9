"""Recognizers of ImageNet's thousand classes, made of networks that others have published."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from calibration.contract import Contract
from calibration.errors import BadUsage
from calibration.files import write_bytes
from patches.published import PUBLISHED, PublishedNetwork
from pipeline.declaring import add_model

TRAINING_DATA = "ImageNet ILSVRC-2012, by the network's publishers"


def imagenet_labels() -> tuple[str, ...]:
    """The thousand classes in the usual order, each by its first WordNet name, ambiguous ones made distinct."""
    text = Path(__file__).with_name("imagenet_labels.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def published_networks(names: Sequence[str] = ()) -> tuple[PublishedNetwork, ...]:
    """The networks of these names, all when none is given; :class:`BadUsage` for a name that is none of them."""
    known = {each.name: each for each in PUBLISHED}
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None:
        raise BadUsage(f"no ImageNet network is named {unknown!r}; there are {', '.join(known)}")
    return tuple(known[name] for name in names or known)


def add_imagenet_models(
    into: Path,
    names: Sequence[str] = (),
    progress: Callable[[float, str], None] = lambda share, name: None,
) -> list[Contract]:
    """Convert these networks (all by default) and declare them as recognizers in the folder ``into``.

    Converting the same again changes nothing. ``progress`` gets the finished share and the name of what comes next.
    Raises :class:`NotReady` when the extra ``imagenet`` is not installed.
    """
    chosen = published_networks(names)
    contracts = []
    with tempfile.TemporaryDirectory() as folder:
        for done, published in enumerate(chosen):
            progress(done / len(chosen), published.name)
            contracts.append(_add(published, Path(folder), into))
    return contracts


def _add(published: PublishedNetwork, aside: Path, into: Path) -> Contract:
    from patches.imagenet import to_onnx

    onnx = aside / f"{published.name}.onnx"
    write_bytes(onnx, to_onnx(published))
    return add_model(
        onnx,
        into,
        name=published.name,
        family=published.family,
        labels=imagenet_labels(),
        color=published.color,
        range_max=published.range_max,
        mean=published.mean,
        std=published.std,
        resize="area",
        licence=published.licence,
        training_data=TRAINING_DATA,
    )
