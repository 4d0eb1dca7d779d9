"""What is trained, by name: a method as it is, or with one of its terms switched: ``defensive-no-disturb``,
``defensive+fade``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from calibration.errors import BadUsage

if TYPE_CHECKING:
    from patches.order import Terms

SWITCHED_ON = {
    "smoothness": 0.1,
    "gamut": 0.5,
    "no_spoof": 0.25,
    "fade": 0.25,
    "disturb": 0.5,
    "attack_levels": 8.0,
    "correlation": 1.0,
    "cells": 16,
}
"""The value of a term that the method itself leaves off."""

ABLATED = "defensive"


@dataclass(frozen=True, slots=True)
class Variant:
    """A method with its name in the tables; ``switched``: the one term that is not as the method has it, or empty."""

    name: str
    method: str
    switched: str = ""

    def terms(self) -> Terms:
        """The terms to train with."""
        own = terms_of(self.method)
        if not self.switched:
            return own
        value = 0 if getattr(own, self.switched) else SWITCHED_ON[self.switched]
        return replace(own, **{self.switched: value})  # type: ignore[arg-type]


def terms_of(method: str) -> Terms:
    """The terms that a method has of its own."""
    from patches.methods import METHODS

    return METHODS[method].terms


def method_names() -> tuple[str, ...]:
    """All methods, the project's own first."""
    from patches.methods import METHODS

    return tuple(METHODS)


def ablation() -> tuple[Variant, ...]:
    """The project's own method with each of its terms switched, one at a time."""
    own = terms_of(ABLATED)
    switchable = [each.name for each in fields(own) if getattr(own, each.name) or each.name in SWITCHED_ON]
    return tuple(Variant(_name(term, on=bool(getattr(own, term))), ABLATED, term) for term in switchable)


def _name(term: str, *, on: bool) -> str:
    return f"{ABLATED}{'-no-' if on else '+'}{term.replace('_', '-')}"


def chosen_variants(names: Sequence[str], *, with_ablation: bool) -> tuple[Variant, ...]:
    """The variants of these names (none: all methods), once each; :class:`BadUsage` for a name that there is not."""
    known = {name: Variant(name, name) for name in method_names()} | {each.name: each for each in ablation()}
    wanted = [*(names or method_names()), *([each.name for each in ablation()] if with_ablation else [])]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise BadUsage(
            f"no method {unknown[0]!r}; there are {', '.join(method_names())}",
            hint=f"with one term switched they are called as in {', '.join(each.name for each in ablation()[:3])}",
        )
    return tuple(known[name] for name in dict.fromkeys(wanted))
