"""Where pictures and networks are computed, and how exactly the networks.

All that is random is drawn on the CPU and carried over, so that the same seed gives the same views on every device.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from calibration.errors import BadInput, NoProvider

Precision = Literal["float32", "bfloat16"]
NAME = re.compile(r"cpu|cuda(:\d+)?")


def device_named(name: str) -> torch.device:
    """``cpu``, ``cuda`` or ``cuda:N``; :class:`NoProvider` when that is not here, :class:`BadInput` for other words."""
    if not NAME.fullmatch(name):
        raise BadInput(f"{name!r} is no device; cpu, cuda and cuda:N are accepted")
    if name == "cpu":
        return torch.device("cpu")
    index, count = torch.device(name).index or 0, torch.cuda.device_count()
    if index >= count:
        raise NoProvider(
            f"the device {name!r} is not there: torch {torch.__version__} finds {count} CUDA devices",
            hint="use cpu, or install a driver and a build of torch with CUDA",
        )
    return torch.device("cuda", index)


def mixed(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Within: products and convolutions in bfloat16 if that is asked for, the rest in float32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()
