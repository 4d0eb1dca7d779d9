"""The methods that make a patch, each a small file; all are trained by the one loop of :mod:`patches.train`."""

from __future__ import annotations

from calibration.errors import BadInput
from patches.methods.base import Method
from patches.methods.defensive import Defensive
from patches.methods.ensemble import Ensemble
from patches.methods.mean import Mean
from patches.methods.released import Released
from patches.methods.unadversarial import Unadversarial

METHODS: dict[str, Method] = {
    each.name: each for each in (Defensive(), Ensemble(), Mean(), Unadversarial(), Released())
}


__all__ = ["METHODS", "Method", "method_named"]


def method_named(name: str) -> Method:
    """The method of that name; :class:`BadInput` names those that exist."""
    if name not in METHODS:
        raise BadInput(f"{name!r} is no method; there are {', '.join(METHODS)}")
    return METHODS[name]
