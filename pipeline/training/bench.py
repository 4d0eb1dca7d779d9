"""Who takes part in a training: recognizers and torch modules that give gradients, recognizers that only judge."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calibration.errors import BadUsage
from patches.modules import ModuleSource, load_module, module_source, names_module
from pipeline.lab import Lab, select_recognizers
from pipeline.recognizers import Recognizer

if TYPE_CHECKING:
    from patches.surrogates import Surrogate

Source = Recognizer | ModuleSource


@dataclass(frozen=True, slots=True)
class Bench:
    """Who gives gradients and who only judges."""

    surrogates: tuple[Source, ...]
    held_out: tuple[Recognizer, ...]

    @property
    def known(self) -> frozenset[str]:
        """The classes that every surrogate knows."""
        return frozenset.intersection(*(frozenset(each.contract.labels) for each in self.surrogates))


def training_bench(lab: Lab, labels: Sequence[str]) -> Bench:
    """Surrogates as lab.toml names them, or all that are not held out and know the labels; the others judge.

    :class:`BadUsage` when one that is held out or does not know a label is named as surrogate, or none is left.
    """
    recognizers = lab.recognizers()
    knowing = [each for each in recognizers if not missing(each, labels)]
    named = lab.config.train.surrogates
    chosen = _named(lab, recognizers, named) if named else [r for r in knowing if not r.contract.held_out]
    barred = [each.name for each in chosen if each.contract.held_out]
    if barred:
        raise BadUsage(f"{barred[0]} is held out: no patch may be trained on it", hint="name other surrogates")
    for each in chosen:
        if strange := missing(each, labels):
            raise BadUsage(f"{each.name} does not know the label {strange[0]!r}", hint="name other surrogates")
    if not chosen:
        raise BadUsage(_nobody_knows(recognizers, labels))
    names = {each.name for each in chosen}
    return Bench(tuple(chosen), tuple(each for each in knowing if each.name not in names))


def missing(source: Source, labels: Sequence[str]) -> list[str]:
    """Those of ``labels`` that it does not know."""
    return [label for label in labels if label not in source.contract.labels]


def loaded(sources: Sequence[Source]) -> list[Surrogate]:
    """Each with its gradients; :class:`BadModel` names the one that cannot be used and says why."""
    from patches.surrogates import SurrogateSource, load_surrogate

    return [
        load_module(each)
        if isinstance(each, ModuleSource)
        else load_surrogate(SurrogateSource(each.contract, each.onnx))
        for each in sources
    ]


def convertible(recognizers: Sequence[Recognizer]) -> list[Recognizer]:
    """Judges during training are converted, too; one that takes other than float32 is scored on captures only."""
    return [each for each in recognizers if each.contract.dtype == "float32" and each.contract.self_test is not None]


def _named(lab: Lab, recognizers: Sequence[Recognizer], names: Sequence[str]) -> list[Source]:
    """Torch modules and recognizers, in the order of their names."""
    own = {word: module_source(word, lab.folder) for word in names if names_module(word)}
    others = [name for name in names if name not in own]
    known = {each.name: each for each in select_recognizers(recognizers, others)} if others else {}
    chosen: list[Source] = [own[name] if name in own else known[name] for name in dict.fromkeys(names)]
    twice = [each.name for number, each in enumerate(chosen) if each.name in {one.name for one in chosen[:number]}]
    if twice:
        raise BadUsage(f"two surrogates are named {twice[0]!r}", hint="give the contract of one another name")
    return chosen


def _nobody_knows(recognizers: Sequence[Recognizer], labels: Sequence[str]) -> str:
    known = sorted({word for each in recognizers for word in each.contract.labels})
    shown = ", ".join(known[:50]) + (", ..." if len(known) > 50 else "")
    wanted = f"the label {labels[0]!r}" if len(labels) == 1 else f"all of {shlex.join(labels)}"
    return f"no recognizer to train on knows {wanted}; known labels are {shown or 'none'}"
