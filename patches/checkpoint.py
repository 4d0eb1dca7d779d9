"""The state of a training, and its checkpoint: a kill leaves the old one or the new one, and nothing in it executes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from calibration.errors import BadInput
from calibration.files import read_bytes, write_bytes
from patches.patch import CurvePoint


@dataclass(slots=True)
class Run:
    """What changes during a training. ``best`` is the texture ``(3, n, n)`` uint8 of the best point of the curve.

    ``warning``: why a guard ended it, empty while none did.
    """

    latents: Sequence[Tensor]
    optimizer: torch.optim.Adam
    best: Tensor
    step: int = 0
    curve: list[CurvePoint] = field(default_factory=list)
    warning: str = ""


def write_run(checkpoint: Path | None, run: Run, stamp: str) -> None:
    """Write the state, if there is a place for it."""
    if checkpoint is None:
        return
    state = {
        "stamp": stamp,
        "step": run.step,
        "latents": [each.detach() for each in run.latents],
        "optimizer": run.optimizer.state_dict(),
        "best": run.best,
        "curve": [point.model_dump(mode="json") for point in run.curve],
        "warning": run.warning,
    }
    stream = BytesIO()
    torch.save(state, stream)
    write_bytes(checkpoint, stream.getvalue())


def read_run(checkpoint: Path | None, stamp: str, device: str) -> Run | None:
    """The run as ``checkpoint`` has it, its latents on ``device``; None when that is not there or of another run."""
    state = _read_state(checkpoint) if checkpoint and checkpoint.exists() else {}
    if state.get("stamp") != stamp:
        return None
    latents = [each.to(device).requires_grad_() for each in state["latents"]]
    optimizer = torch.optim.Adam(latents)
    optimizer.load_state_dict(state["optimizer"])
    curve = [CurvePoint.model_validate(point) for point in state["curve"]]
    return Run(latents, optimizer, state["best"], state["step"], curve, state["warning"])


def _read_state(checkpoint: Path) -> dict[str, Any]:
    """The content of a checkpoint: tensors and plain values."""
    try:
        state = torch.load(BytesIO(read_bytes(checkpoint)), map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle and torch each have their own
        raise BadInput(
            f"{checkpoint} is no checkpoint of a training", hint="remove it to start afresh", where=str(checkpoint)
        ) from error
    return state if isinstance(state, dict) else {}
