"""The documents of a zoo: which recognizers there are, and what came of training one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from calibration.files import Document


class Member(Document):
    """One recognizer of the zoo, as the manifest declares it.

    ``architecture``: how the network is built, where that is not what the name says. ``attack_levels``: trained
    against attacks of so many of 255 levels, 0 for none.
    """

    name: str
    family: str
    held_out: bool
    architecture: str = ""
    attack_levels: float = Field(default=0.0, ge=0, le=64)

    @property
    def built_as(self) -> str:
        """The name of its architecture."""
        return self.architecture or self.name


class Manifest(Document):
    """The zoo: its members, and how photographs are split into those to train on and those to judge by."""

    format: Literal["dpcam.zoo"] = "dpcam.zoo"
    version: Literal[1] = 1
    split: str
    recognizers: list[Member]


class ZooResult(Document):
    """What came of one member: accuracy on the held-out photographs, overall and per class (0 of 0: class has none).

    ``recipe`` is the digest of all that determines the weights; ``sha256`` that of the ONNX file.
    """

    format: Literal["dpcam.zoo-result"] = "dpcam.zoo-result"
    version: Literal[1] = 1
    name: str
    family: str
    held_out: bool
    attack_levels: float = 0.0
    seed: int
    epochs: int
    trained_on: int
    judged_on: int
    correct: int
    per_class: list[tuple[int, int]]
    bytes: int
    sha256: str
    recipe: str

    @property
    def accuracy(self) -> float:
        """Fraction of held-out photographs that are recognized."""
        return self.correct / self.judged_on
