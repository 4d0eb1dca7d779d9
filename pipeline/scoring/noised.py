"""Noises on captures, by name: corruptions in severities, and attacks, put between a captured crop and a recognizer."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Literal

import numpy as np
from pydantic import JsonValue

from calibration.contract import Contract
from calibration.errors import BadInput, BadUsage
from patches.attacks import ATTACKS, Attack, attack_named
from pipeline.noises import CORRUPTIONS, SEVERITIES, TABLES, corrupt, table_for
from pipeline.noises.corrupt import KINDS, MIN_SIDE_PX
from pipeline.patch_bench.provenance import code_digest
from pipeline.recognizers import Recognizer
from pipeline.scoring.attacking import Attacked, Twins
from pipeline.scoring.sample_input import Sizes, dice_of
from pipeline.scoring.score import Noise, NoisedPicture, Seen

Place = Literal["input", "camera"]
"""Where a corruption is put: on the picture that the recognizer gets, or on the crop as the camera gave it."""

STANDARD_SEVERITIES = (3, 4, 5)
"""Those of the patch bench: what is milder leaves most recognizers as they are."""

ALL = "corruptions"
PACKAGES = ("numpy", "opencv-python", "scipy", "pillow")
CODE = ("pipeline.scoring.noised", "pipeline.scoring.sample_input", "pipeline.noises.corrupt")


def noises_named(
    names: Sequence[str],
    severities: Sequence[int] = STANDARD_SEVERITIES,
    *,
    seed: int,
    place: Place = "input",
) -> tuple[Noise, ...]:
    """The noises of these names, each once, in the order of the names.

    A corruption (``fog``; ``corruptions`` for all 15) comes in each of ``severities``, 1 to 5; an attack's name says
    its budget (``pgd10-4``, ``pgd40-8-outside``, ``sticker``). ``place`` is that of the corruptions. :class:`BadUsage`
    for other names, with the nearest known, and for other severities, places and seeds.
    """
    _check(severities, seed, place)
    twins, sizes = Twins(), Sizes()
    found: list[Noise] = []
    for kind in dict.fromkeys(each for name in names for each in _kinds(name)):
        if isinstance(kind, Attack):
            found.append(Attacked(kind, seed, twins, sizes))
        elif not severities:
            raise BadUsage(f"{kind} has no severity: whole numbers from 1 to 5 are expected", where="--severities")
        else:
            found += [Corrupted(kind, severity, seed, place, sizes) for severity in dict.fromkeys(severities)]
    return tuple(found)


def _check(severities: Sequence[int], seed: int, place: str) -> None:
    for each in severities:
        if not isinstance(each, int) or each not in SEVERITIES:
            raise BadUsage(f"severity {each!r}: a whole number from 1 to 5 is expected", where="--severities")
    if place not in ("input", "camera"):
        raise BadUsage(f"no place {place!r} for a noise; there are input and camera")
    if seed < 0:
        raise BadUsage(f"seed {seed}: 0 or more is expected")


def _kinds(name: str) -> Iterator[str | Attack]:
    if name == ALL:
        yield from CORRUPTIONS
    elif name in CORRUPTIONS:
        yield name
    else:
        yield _attack(name)


def _attack(name: str) -> Attack:
    try:
        return attack_named(name)
    except BadInput as error:
        near = difflib.get_close_matches(name, (ALL, *CORRUPTIONS, *ATTACKS), n=1, cutoff=0.0)[0]
        raise BadUsage(
            f"no noise {name!r}; there are {ALL} (all of {', '.join(CORRUPTIONS)}), and the attacks fgsm-N, pgdS-N, "
            "pgdSm-N (S steps, N of 255 levels), each also with -outside or -object, and sticker",
            hint=f"did you mean {near!r}?",
            where="--noises",
        ) from error


@dataclass(frozen=True, slots=True)
class Corrupted:
    """A noise: one corruption at one severity.

    The table of constants is that of the recognizer's input size, at either place, so that a picture taken from near
    and one from far meet the same constants. Randomness is the sample's own: all its views and jitter repeats meet the
    same, on every recognizer of that size.
    """

    name: str
    severity: int
    seed: int
    place: Place
    sizes: Sizes = field(default_factory=Sizes, compare=False, repr=False)

    @property
    def key(self) -> JsonValue:
        """Name, severity, constants, seed, place, code and versions."""
        levels = next(kind.levels for kind in KINDS if kind.name == self.name)
        constants: dict[str, JsonValue] = {table: _plain(levels.at(table, self.severity)) for table in TABLES}
        return {
            "corruption": self.name,
            "severity": self.severity,
            "constants": constants,
            "seed": self.seed,
            "place": self.place,
            "code": code_digest(CODE),
            "versions": {name: metadata.version(name) for name in PACKAGES},
        }

    def on(self, recognizer: Recognizer) -> Callable[[Sequence[Seen]], Sequence[NoisedPicture]]:
        """Pictures become bytes of the recognizer's input size, or of the crop's where that is the place."""
        return lambda pictures: [self._corrupted(recognizer.contract, each) for each in pictures]

    def _corrupted(self, contract: Contract, seen: Seen) -> NoisedPicture:
        pixels = self.sizes.at_input(seen.pixels, contract) if self.place == "input" else seen.pixels
        height, width = pixels.shape[:2]
        if min(height, width) < MIN_SIDE_PX:
            reason = f"{self.name} needs {MIN_SIDE_PX} x {MIN_SIDE_PX} px, the picture has {width} x {height}"
            return "not-applicable", reason
        table = table_for(contract.height, contract.width)
        # The sample's number stands where the bench has the place in the data set.
        number = dice_of(seen.name, self.seed)
        noised = corrupt(pixels[None], self.name, self.severity, seed=self.seed, first=number, table=table)
        return np.asarray(noised[0], dtype=np.uint8)


def _plain(constants: object) -> JsonValue:
    return [float(each) for each in constants] if isinstance(constants, tuple) else float(constants)  # type: ignore[arg-type]
