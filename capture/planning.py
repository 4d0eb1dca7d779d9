"""Making a plan: arms crossed with conditions and repeats, shuffled within blocks; adding to one that there is."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from calibration.errors import BadConfig
from capture.plan import OWN_FACTORS, Condition, Part, Plan, Shot

MANDATORY_ARMS = ("bare", "blank")
"""Without these two controls no effect can be told from a change of surroundings."""

MAX_SHOTS = 100_000


def make_plan(
    *,
    target: str,
    sheets: dict[str, str],
    conditions: Sequence[Condition],
    repeats: int,
    seed: int,
    primary_arm: str,
    alpha: float = 0.05,
    min_effect_points: float = 0.0,
    block: Sequence[str] = (),
) -> Plan:
    """Cross arms (name → sheet id) with conditions and repeats, in random order within blocks.

    ``block``: factors that change seldom, the outermost first: ``arm``, ``light``, ``distance_mm``, any name in
    ``extra``. Repeats are the outermost block of all unless ``repeat`` is named at another place.

    :class:`BadConfig` when a mandatory control or the primary arm has no sheet, for a condition that stands twice, and
    for a block by what no condition has.
    """
    missing = [arm for arm in (*MANDATORY_ARMS, primary_arm) if arm not in sheets]
    if missing:
        raise BadConfig(
            f"the plan has no sheet for the arm {missing[0]!r}; it has {', '.join(sorted(sheets)) or 'none'}",
            hint=f"dpcam sheet make --arm {missing[0]}",
        )
    part = _part(sheets, conditions, repeats, seed, block)
    return Plan(
        seed=seed,
        target=target,
        primary_arm=primary_arm,
        alpha=alpha,
        min_effect_points=min_effect_points,
        parts=(part,),
        shots=tuple(_shots(part, sheets, (), random.Random(seed))),
    )


def extend_plan(
    plan: Plan, *, repeats: int, seed: int, conditions: Sequence[Condition] = (), block: Sequence[str] = ()
) -> Plan:
    """The plan with shots added at its end: its own arms and sheets under ``conditions``, or under those that it has.

    What was planned stays as it is, the rule too. Repeats of a condition are counted on. :class:`BadConfig` as from
    :func:`make_plan`, and for a plan that is a stretch of another, or has several sheets for one arm.
    """
    if plan.first:
        raise BadConfig(f"this plan begins with shot {plan.first}: it is a stretch of another one; extend that one")
    sheets = {shot.arm: shot.sheet for shot in plan.shots}
    torn = [shot.arm for shot in plan.shots if shot.sheet != sheets[shot.arm]]
    if torn:
        raise BadConfig(f"the plan has several sheets for the arm {torn[0]!r}; such a plan cannot be extended")
    part = _part(sheets, conditions or plan.conditions, repeats, seed, block)
    if plan.end + part.shots > MAX_SHOTS:
        raise BadConfig(f"the plan would have {plan.end + part.shots} shots; at most {MAX_SHOTS} are accepted")
    parts = (*(plan.parts or (_first_part(plan),)), part)
    order = random.Random(f"{seed}:{len(parts)}")  # with the first part's own seed, the order would be the same again
    added = _shots(part, sheets, plan.shots, order)
    return plan.model_copy(update={"parts": parts, "shots": (*plan.shots, *added)})


def changing_factors(shots: Sequence[Shot]) -> tuple[str, ...]:
    """The names of all that is not the same in all shots: arm, own factors of a condition, names in ``extra``."""
    extra = sorted({name for shot in shots for name in shot.condition.extra})
    return tuple(name for name in ("arm", *OWN_FACTORS, *extra) if len({_level(shot, name) for shot in shots}) > 1)


def changes(shots: Sequence[Shot], factor: str) -> int:
    """How many times a factor has to be changed from one shot to the next, in the order of the shots."""
    return sum(_level(one, factor) != _level(next_one, factor) for one, next_one in itertools.pairwise(shots))


@dataclass(frozen=True, slots=True)
class _Slot:
    """What is still to be put in order. ``turn`` counts the repeats of a part."""

    arm: str
    condition: Condition
    turn: int


def _part(
    sheets: dict[str, str], conditions: Sequence[Condition], repeats: int, seed: int, block: Sequence[str]
) -> Part:
    if not conditions or repeats < 1:
        raise BadConfig(f"a plan needs conditions and repeats of at least 1, got {len(conditions)} and {repeats}")
    count = len(sheets) * len(conditions) * repeats
    if count > MAX_SHOTS:
        raise BadConfig(f"the plan would have {count} shots; at most {MAX_SHOTS} are accepted")
    twice = [text for text, n in Counter(each.model_dump_json() for each in conditions).items() if n > 1]
    if twice:
        raise BadConfig(f"a condition stands twice: {twice[0]}", hint="to take it several times, ask for repeats")
    return Part(
        seed=seed,
        repeats=repeats,
        block=_whole_block(block, conditions),
        arms=tuple(sorted(sheets)),
        conditions=tuple(conditions),
        shots=count,
    )


def _whole_block(block: Sequence[str], conditions: Iterable[Condition]) -> tuple[str, ...]:
    known = dict.fromkeys(
        ["arm", "repeat", *OWN_FACTORS, *sorted({name for each in conditions for name in each.extra})]
    )
    for name in block:
        if name not in known:
            raise BadConfig(f"the plan cannot be blocked by {name!r}; it can by {', '.join(known)}")
    return tuple(dict.fromkeys(block if "repeat" in block else ("repeat", *block)))


def _shots(part: Part, sheets: dict[str, str], former: Sequence[Shot], order: random.Random) -> Iterable[Shot]:
    """The shots of a part in random order, numbered on from those before it."""
    repeats: Counter[str] = Counter()
    for shot in former:
        key = shot.condition.model_dump_json()
        repeats[key] = max(repeats[key], shot.repeat + 1)
    slots = [
        _Slot(arm, condition, turn)
        for turn in range(part.repeats)
        for condition in part.conditions
        for arm in part.arms
    ]
    for index, slot in enumerate(_ordered(slots, part.block, order), len(former)):
        repeat = repeats[slot.condition.model_dump_json()] + slot.turn
        yield Shot(index=index, arm=slot.arm, sheet=sheets[slot.arm], condition=slot.condition, repeat=repeat)


def _ordered(slots: list[_Slot], block: Sequence[str], order: random.Random) -> list[_Slot]:
    """Shuffled, but for what is blocked: repeats follow each other, levels of a factor come in random order."""
    if not block:
        order.shuffle(slots)
        return slots
    groups: dict[Hashable, list[_Slot]] = {}
    for slot in slots:
        groups.setdefault(_level(slot, block[0]), []).append(slot)
    levels = list(groups)
    if block[0] != "repeat":
        order.shuffle(levels)
    return [slot for level in levels for slot in _ordered(groups[level], block[1:], order)]


def _level(of: Shot | _Slot, factor: str) -> Hashable:
    """The level of a factor; None where a condition does not have it."""
    if factor == "repeat":
        return of.turn if isinstance(of, _Slot) else of.repeat
    if factor == "arm":
        return of.arm
    level: Hashable = getattr(of.condition, factor) if factor in OWN_FACTORS else of.condition.extra.get(factor)
    return level


def _first_part(plan: Plan) -> Part:
    """What a plan was made from that was written without parts."""
    shots_by_arm = Counter(shot.arm for shot in plan.shots)
    repeats = max(1, max(shots_by_arm.values()) // len(plan.conditions))
    try:
        part = Part(
            seed=plan.seed,
            repeats=repeats,
            arms=tuple(plan.arms),
            conditions=plan.conditions,
            shots=len(plan.shots),
        )
        return plan.model_validate({**plan.model_dump(), "parts": [part.model_dump()]}).parts[0]
    except ValueError as error:
        raise BadConfig("the plan is not each arm under each condition equally often; it cannot be extended") from error
