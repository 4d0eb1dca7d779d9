"""Numerical noise: how far a recognizer's answers move when nothing changed but how they were computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from calibration.contract import to_tensor
from calibration.errors import BadInput, BadModel
from pipeline.recognizers import Provider, Recognizer, Runner, open_session
from pipeline.scoring.answering import softmax
from pipeline.scoring.engine import cores
from pipeline.scoring.score import Pixels, Sample, Shown

CROPS = 64
LARGE = 64

Shares = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class NumericalNoise:
    """Largest change of any probability of one recognizer on ``crops`` pictures, against one by one on one thread.

    ``repeat``: the same again. ``batch``: 64 together, None where the model fixes the batch. ``threads``: on all cores.
    ``provider``: on the CPU, None where it runs there anyway. ``changed``: pictures that one of these gave another
    label. ``reason``: why there is nothing to tell.
    """

    model: str
    crops: int
    repeat: float | None = None
    batch: float | None = None
    threads: float | None = None
    provider: float | None = None
    changed: int | None = None
    reason: str = ""

    @property
    def largest(self) -> float | None:
        """The largest of all; None where nothing was measured."""
        known = [each for each in (self.repeat, self.batch, self.threads, self.provider) if each is not None]
        return max(known, default=None)


def some_crops(samples: Iterable[Sample], count: int = CROPS) -> list[Pixels]:
    """The first crops of the natural view that there are."""
    found = (_natural(sample.show()) for sample in samples)
    return list(islice((each for each in found if each is not None), count))


def measure_noise(
    crops: Sequence[Pixels], recognizers: Sequence[Recognizer], provider: Provider
) -> list[NumericalNoise]:
    """The numerical noise of each recognizer; one that cannot be run says why."""
    return [_measured(crops, each, provider) for each in recognizers]


def _measured(crops: Sequence[Pixels], recognizer: Recognizer, provider: Provider) -> NumericalNoise:
    if not crops:
        return NumericalNoise(recognizer.name, 0, reason="no picture shows anything")
    try:
        runner = open_session(recognizer, provider)
        tensor = to_tensor(runner.sized(crops), recognizer.contract)
        size = recognizer.contract.fixed_batch
        alone = _shares(runner, tensor, size or 1)
        others = {
            "repeat": _shares(runner, tensor, size or 1),
            "batch": None if size else _shares(runner, tensor, LARGE),
            "threads": _shares(open_session(recognizer, provider, threads=max(2, cores())), tensor, size or 1),
            "provider": None if provider == "cpu" else _shares(open_session(recognizer, "cpu"), tensor, size or 1),
        }
    except (BadModel, BadInput) as error:
        return NumericalNoise(recognizer.name, len(crops), reason=error.message)
    there = {name: shares for name, shares in others.items() if shares is not None}
    changed = np.any([shares.argmax(axis=1) != alone.argmax(axis=1) for shares in there.values()], axis=0)
    most = {name: float(np.abs(shares - alone).max()) for name, shares in there.items()}
    return NumericalNoise(
        model=recognizer.name,
        crops=len(crops),
        repeat=most["repeat"],
        batch=most.get("batch"),
        threads=most["threads"],
        provider=most.get("provider"),
        changed=int(changed.sum()),
    )


def _shares(runner: Runner, tensor: np.ndarray, batch: int) -> Shares:
    """Probabilities ``(B, n_labels)``; :class:`BadModel` where one is no number."""
    pieces = [runner.answer(tensor[start : start + batch]) for start in range(0, len(tensor), batch)]
    shares = softmax(np.concatenate(pieces), runner.contract.output)
    if not np.isfinite(shares).all():
        raise BadModel(f"{runner.contract.name} gives scores that are NaN or infinite")
    return shares


def _natural(shown: Sequence[Shown]) -> Pixels | None:
    crop = next((each.crop for each in shown if (each.view, each.repeat) == ("natural", 0)), None)
    return None if crop is None or isinstance(crop, tuple) else crop
