"""What is trained, by name: a method as it is, or with terms switched or set: ``defensive-no-disturb``,
``defensive+fade``, ``ensemble+no-spoof=0.5+cells=16``.
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
    "fade": 0.8,
    "disturb": 0.3,
    "jitter": 0.07,
    "attack_levels": 8.0,
    "correlation": 1.0,
    "cells": 16,
}
"""The value of a term that the method itself leaves off."""

MOST = {"no_spoof": 1, "fade": 1, "disturb": 1, "jitter": 0.5, "attack_levels": 255, "cells": 1024}
"""The largest value of a term; weights go up to :data:`MOST_WEIGHT`."""

MOST_WEIGHT = 1000
WHOLE = frozenset({"cells"})
"""Terms that count something."""

VIEWED = ("no_spoof", "fade")
OBEYED = {
    "defensive": tuple(SWITCHED_ON),
    "ensemble": ("smoothness", "gamut", *VIEWED, "cells"),
    "mean": ("smoothness", "gamut", *VIEWED, "cells"),
    "unadversarial": (*VIEWED, "cells"),
    "released": VIEWED,
}
"""The terms that make a difference to each method: those of its views, and those that its own loss has."""

ABLATED = "defensive"


@dataclass(frozen=True, slots=True)
class Variant:
    """A method with its name in the tables; ``switches``: the terms that are not as the method has them."""

    name: str
    method: str
    switches: tuple[tuple[str, float], ...] = ()

    def terms(self) -> Terms:
        """The terms to train with. A value that is the method's own makes no other training of it."""
        own = terms_of(self.method)
        changed = {term: value for term, value in self.switches if value != getattr(own, term)}
        return replace(own, **changed)  # type: ignore[arg-type]


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
    names = [each.name for each in fields(own) if getattr(own, each.name) or each.name in SWITCHED_ON]
    return tuple(_switched(term, on=not getattr(own, term)) for term in names)


def _switched(term: str, *, on: bool) -> Variant:
    name = f"{ABLATED}{'+' if on else '-no-'}{_typed(term)}"
    return Variant(name, ABLATED, ((term, SWITCHED_ON[term] if on else 0),))


def _typed(term: str) -> str:
    """A term as it stands in a name."""
    return term.replace("_", "-")


def chosen_variants(names: Sequence[str], *, with_ablation: bool) -> tuple[Variant, ...]:
    """The variants of these names (none: all methods), once each.

    :class:`BadUsage` for a method or a term that there is not, and for a value that makes no sense.
    """
    switched = ablation()
    wanted = [*(names or method_names()), *([each.name for each in switched] if with_ablation else [])]
    known = {name: Variant(name, name) for name in method_names()} | {each.name: each for each in switched}
    return tuple(known.get(name) or _with_values(name, known) for name in dict.fromkeys(wanted))


def _with_values(name: str, known: dict[str, Variant]) -> Variant:
    """A variant whose name says the values of terms, as in ``ensemble+fade=0.8``."""
    start, *words = name.split("+")
    if start not in known:
        examples = [each for each in known if each not in method_names()][:3]
        raise BadUsage(
            f"no method {start!r}; there are {', '.join(method_names())}",
            hint=f"with one term switched they are called as in {', '.join(examples)}",
        )
    begun = known[start]
    switches = (*begun.switches, *(_switch(name, begun.method, word) for word in words))
    if len(dict(switches)) < len(switches):
        raise BadUsage(f"{name}: a term is there twice; each is expected once")
    return Variant(name, begun.method, switches)


def _switch(name: str, method: str, word: str) -> tuple[str, float]:
    """``no-spoof=0.5`` as a term and its value; without a value it is the one of :data:`SWITCHED_ON`."""
    typed, given, text = word.partition("=")
    terms = {_typed(term): term for term in OBEYED[method]}
    if typed not in terms:
        raise BadUsage(
            f"{name}: {method} has no term {typed!r}; it has {', '.join(terms)}",
            hint=f"a name with values is written as {method}+no-spoof=0.5+fade=0.2",
        )
    term = terms[typed]
    return term, _value(name, term, text) if given else SWITCHED_ON[term]


def _value(name: str, term: str, text: str) -> float:
    most = MOST.get(term, MOST_WEIGHT)
    try:
        value = int(text) if term in WHOLE else float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= most:
        number = "a whole number" if term in WHOLE else "a number"
        raise BadUsage(f"{name}: {_typed(term)}={text}: {number} from 0 to {most} is expected; 0 turns the term off")
    # A term that is off is a plain 0 everywhere, so that however it is said, it is the same training.
    return value or 0
