"""The pieces of work, each with a file of its own that is named by all that determines it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calibration.errors import BadConfig
from calibration.files import Document, read_document, sha256_bytes, write_document
from pipeline.patch_bench.plan import BenchPlan
from pipeline.patch_bench.provenance import judging_code, key_of, training_code
from pipeline.patch_bench.variants import Variant

Pixels = NDArray[np.uint8]
Made = TypeVar("Made", bound=Document)
CHECKPOINTS, FEWEST_STEPS = 8, 5
"""Looks at the validation views, and checkpoints, of one training; steps between two at least."""


class TrainedPatch(Document):
    """What came of a training. ``seconds`` None: it was interrupted, and nobody timed the whole of it."""

    format: Literal["dpcam.bench-patch"] = "dpcam.bench-patch"
    version: Literal[1] = 1
    dataset: str
    label: str
    method: str
    seed: int
    steps: int
    seconds: float | None
    warning: str
    texture_png: str

    @property
    def texture(self) -> Pixels:
        """``(n, n, 3)`` uint8 RGB."""
        return np.array(Image.open(io.BytesIO(base64.b64decode(self.texture_png))).convert("RGB"), dtype=np.uint8)


class Score(Document):
    """How often a recognizer was right, for each picture of a panel, of ``of`` times that it was asked."""

    model: str
    noise: str
    of: int
    right: list[int]


class Panel(Document):
    """The same pictures, asked under several noises. ``clusters``: the same number for pictures of the same object."""

    clusters: list[int]
    scores: list[Score]


class JudgedArm(Document):
    """What the recognizers said to one arm on the test pictures of one class.

    ``own``: pictures of the class, right when it is named. ``strange``: pictures of other classes, "right" when they
    are taken for the class whose patch they wear.
    """

    format: Literal["dpcam.bench-judged"] = "dpcam.bench-judged"
    version: Literal[1] = 1
    own: list[Panel]
    strange: list[Panel]


@dataclass(frozen=True, slots=True)
class TrainUnit:
    """One patch to be trained."""

    label: str
    variant: Variant
    seed: int


@dataclass(frozen=True, slots=True)
class JudgeUnit:
    """One arm on one class. ``texture`` None is bare.

    ``worn``: the class whose patch the texture is; ``alone``: on gray, without a picture.
    """

    label: str
    worn: str
    texture: Pixels | None
    alone: bool = False


def encoded(texture: Pixels) -> str:
    """``(n, n, 3)`` uint8 RGB as PNG in base64."""
    stream = io.BytesIO()
    Image.fromarray(texture).save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


def train_path(plan: BenchPlan, unit: TrainUnit) -> Path:
    """Where this very training is kept."""
    return plan.work / "patches" / f"{train_key(plan, unit)}.json"


def judge_path(plan: BenchPlan, unit: JudgeUnit) -> Path:
    """Where this very judgement is kept."""
    return plan.work / "judged" / f"{judge_key(plan, unit)}.json"


def interval(steps: int) -> int:
    """Steps between two checkpoints."""
    return max(FEWEST_STEPS, steps // CHECKPOINTS)


def train_key(plan: BenchPlan, unit: TrainUnit) -> str:
    """All that determines a texture."""
    effort, terms = plan.effort, unit.variant.terms()
    sizes = ("steps", "batch", "views", "training", "validation")
    return key_of(
        {
            **_common(plan),
            **{name: getattr(effort, name) for name in sizes},
            "strangers": effort.strangers if terms.no_spoof else 0,
            "classes": plan.classes,
            "label": unit.label,
            "method": unit.variant.method,
            "terms": asdict(terms),
            "seed": unit.seed,
            "geometry": plan.frames[unit.label].model_dump(mode="json"),
            "spec": plan.spec.sha256,
            "surrogates": [each.contract.sha256 for each in plan.surrogates],
            "precision": plan.precision,
            "code": training_code(unit.variant.method),
        }
    )


def judge_key(plan: BenchPlan, unit: JudgeUnit) -> str:
    """All that determines an arm's answers."""
    effort = plan.effort
    sizes = ("pictures", "attacked", "spoofed", "corruptions", "severities", "attacks")
    return key_of(
        {
            **_common(plan),
            **{name: getattr(effort, name) for name in sizes},
            "classes": plan.classes if unit.worn == unit.label else (),
            "label": unit.label,
            "worn": unit.worn,
            "geometry": plan.frames[unit.worn].model_dump(mode="json"),
            "alone": unit.alone,
            "texture": "" if unit.texture is None else sha256_bytes(unit.texture.tobytes()),
            "noise_seed": plan.noise_seed(unit.label),
            "table": plan.table,
            "models": [[each.name, each.contract.sha256] for each in plan.recognizers],
            "code": judging_code(),
        }
    )


def _common(plan: BenchPlan) -> dict[str, Any]:
    return {
        "dataset": plan.dataset.digest,
        "side_px": plan.side_px,
        "device": plan.device,
    }


def kept(path: Path, kind: type[Made]) -> Made | None:
    """What an earlier run left there; None where it is not there or is not whole."""
    if not path.is_file():
        return None
    try:
        return read_document(path, kind)
    except BadConfig:
        return None


def once(path: Path, kind: type[Made], make: Callable[[], Made]) -> Made:
    """What is kept, or what is made now and then kept."""
    found = kept(path, kind)
    if found is None:
        found = make()
        write_document(path, found)
    return found
